// Convolution of images and both of its gradients, straight from the images: no patches are written out.
//
// Images [count, height, width, channels] and kernels W [height, width, in, out], row-major float32; any strides, zeros
// before and after, and dilation; one group. A sum stays in registers over all that it sums: for images those of some
// neighbors of a row (Places), for the kernel those of some of its rows (Sums). nn/direct.py says what goes in.

#include "vectors.h"

namespace {

inline int64_t Whole(int64_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

inline int64_t Floor(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

struct Images {
  float* data;
  int64_t count, height, width, channels;
  int64_t row() const { return width * channels; }
  float* image(int64_t i) const { return data + i * height * row(); }
};

// How a kernel meets the image, down and across.
struct Geometry {
  int64_t stride[2], before[2], dilation[2];
};

// What neighbors meet of one row of the kernel: numbers that lie one after another, and their weights [depth, columns].
struct Tap {
  const float *x, *w;
  int64_t depth;
};

struct Row {
  const Tap* taps;
  int64_t count, step;  // taps; how far apart the neighbors' numbers are
  float* y;
  int64_t y_step;  // how far apart their results are
};

// The results of R neighbors from `first` on, NV vectors of columns.
template <int R, int NV>
void Places(const Row& row, int64_t first) {
  Vec sum[R][NV] = {};
  for (int64_t t = 0; t < row.count; ++t) {
    const float *x = row.taps[t].x + first * row.step, *w = row.taps[t].w;
    for (int64_t k = row.taps[t].depth; k > 0; --k, w += NV * kLanes, ++x) {
      Vec weights[NV];
      for (int v = 0; v < NV; ++v) weights[v] = Load(w + v * kLanes);
      for (int r = 0; r < R; ++r) {
        const float left = x[r * row.step];
        for (int v = 0; v < NV; ++v) sum[r][v] += left * weights[v];
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < NV; ++v) Store(row.y + (first + r) * row.y_step + v * kLanes, sum[r][v]);
}

// The results of as many of some neighbors as the sizes, the largest first, have one for; how many they are.
template <int NV, int R, int... Less>
int64_t Some(const Row& row, int64_t first, int64_t neighbors) {
  if constexpr (sizeof...(Less) > 0)
    if (neighbors < R) return Some<NV, Less...>(row, first, neighbors);
  Places<R, NV>(row, first);
  return R;
}

// All neighbors of a row, in parts of nearly equal size, whose sums the registers have room for.
void Across(const Row& row, int vectors, int64_t neighbors) {
  constexpr int64_t kMost = kLanes == 16 ? 14 : 6;
  const int64_t most = vectors == 1 ? 8 : kMost;
  for (int64_t first = 0; first < neighbors;) {
    const int64_t left = neighbors - first, parts = (left + most - 1) / most, here = (left + parts - 1) / parts;
    if (vectors == 1)
      first += Some<1, 8, 6, 4, 3, 2, 1>(row, first, here);
    else if constexpr (kLanes == 16)
      first += Some<2, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1>(row, first, here);
    else
      first += Some<2, 6, 5, 4, 3, 2, 1>(row, first, here);
  }
}

// Some images with zeros put before and after each of their rows, so that a kernel never leaves them.
const float* Widened(const Images& of, int64_t first, int64_t count, int64_t before, int64_t after,
                     std::vector<float>& room) {
  if (before + after == 0) return of.image(first);
  const int64_t wide = of.row() + (before + after) * of.channels;
  room.resize(count * of.height * wide);
  float* to = room.data();
  for (int64_t i = 0; i < count * of.height; ++i, to += wide) {
    std::fill_n(to, before * of.channels, 0.0f);
    std::memcpy(to + before * of.channels, of.image(first) + i * of.row(), of.row() * sizeof(float));
    std::fill_n(to + wide - after * of.channels, after * of.channels, 0.0f);
  }
  return room.data();
}

// Places of a kernel that are met one after another in a row of the image: the row of the kernel, where the first meets
// the image for the first neighbor, how many numbers they are, and where their weights are in a panel.
struct Run {
  int64_t p, at, depth, weights;
};

// The sums over a kernel for some of the positions of a result's rows: those that are `every` apart from `from` on.
struct Plan {
  std::vector<Run> runs;
  std::vector<float> panels;  // [columns / (NV * kLanes), depth of all runs, NV * kLanes]
  int64_t from, every, depth = 0;

  // A place of the kernel whose weights are [depth, columns].
  void Add(int64_t p, int64_t at, int64_t rows) {
    if (!runs.empty() && runs.back().p == p && runs.back().at + runs.back().depth == at)
      runs.back().depth += rows;
    else
      runs.push_back({p, at, rows, depth});
    depth += rows;
  }
};

// Weights [depth, columns] of the places in the order in which they were added, NV vectors of columns at a time.
void Pack(Plan& plan, const std::vector<const float*>& places, int64_t depth, int64_t columns, int vectors) {
  const int64_t wide = vectors * kLanes;
  plan.panels.assign((columns + wide - 1) / wide * wide * plan.depth, 0.0f);
  float* to = plan.panels.data();
  for (int64_t o = 0; o < columns; o += wide) {
    const int64_t here = std::min(wide, columns - o);
    for (const float* place : places)
      for (int64_t k = 0; k < depth; ++k, to += wide) std::copy_n(place + k * columns + o, here, to);
  }
}

// How many vectors of columns are taken at once.
int Vectors(int64_t columns) { return Whole(columns) / kLanes % 2 == 0 ? 2 : 1; }

// The results of some images by a plan: `row_of(p, i)` says which row of the image row p of the kernel meets for row i of
// the result, or -1. Columns that fill no vectors are copied from some that do.
template <typename RowOf>
void Follow(const Plan& plan, int vectors, const float* images, int64_t size, int64_t wide, int64_t step,
            const Images& result, int64_t first, int64_t count, RowOf row_of) {
  thread_local std::vector<Tap> taps;
  thread_local std::vector<float> spare;
  const int64_t panel = vectors * kLanes, neighbors = (result.width - plan.from + plan.every - 1) / plan.every;
  spare.resize(neighbors * panel);
  for (int64_t o = 0; o < result.channels; o += panel) {
    const float* weights = plan.panels.data() + o * plan.depth;
    const int64_t kept = std::min(panel, result.channels - o), far = plan.every * result.channels;
    for (int64_t n = 0; n < count; ++n)
      for (int64_t i = 0; i < result.height; ++i) {
        taps.clear();
        for (const Run& run : plan.runs)
          if (const int64_t row = row_of(run.p, i); row >= 0)
            taps.push_back({images + n * size + row * wide + run.at, weights + run.weights * panel, run.depth});
        float* to = result.image(first + n) + i * result.row() + plan.from * result.channels + o;
        Row row{taps.data(), static_cast<int64_t>(taps.size()), step, to, far};
        if (kept < panel) row.y = spare.data(), row.y_step = panel;
        Across(row, vectors, neighbors);
        if (kept < panel)
          for (int64_t j = 0; j < neighbors; ++j) std::copy_n(row.y + j * panel, kept, to + j * far);
      }
  }
}

// How many images are taken at once: as many as are as large as the weights that they share, or as half a core's cache.
int64_t Together(const Images& images, int64_t weights) {
  constexpr int64_t kHalf = 1 << 17;
  return std::clamp<int64_t>(std::max(weights, kHalf) / (images.height * images.row()), 1, images.count);
}

struct Call {
  Geometry geometry;
  Images x, y;  // what is convolved, and what comes of it
  float* w;
  int64_t kernel[2];
  int64_t places() const { return kernel[0] * kernel[1]; }
  int64_t weights() const { return x.channels * y.channels; }  // of a place
  // The row of x that row p of the kernel meets for row i of y, or -1.
  int64_t Met(int64_t p, int64_t i) const {
    const int64_t row = i * geometry.stride[0] + p * geometry.dilation[0] - geometry.before[0];
    return row < x.height ? std::max<int64_t>(row, -1) : -1;
  }
  // Zeros after each row of x, so that the kernel never leaves it.
  int64_t After() const {
    const int64_t last = (y.width - 1) * geometry.stride[1] + (kernel[1] - 1) * geometry.dilation[1];
    return std::max<int64_t>(0, last + 1 - geometry.before[1] - x.width);
  }
};

void Forward(const Call& call) {
  thread_local std::vector<float> room;
  thread_local Plan plan;
  const Geometry& g = call.geometry;
  const int64_t depth = call.x.channels, before = g.before[1], after = call.After();
  const int vectors = Vectors(call.y.channels);
  std::vector<const float*> places;
  plan.runs.clear(), plan.depth = 0, plan.from = 0, plan.every = 1;
  for (int64_t t = 0; t < call.places(); ++t) {
    plan.Add(t / call.kernel[1], t % call.kernel[1] * g.dilation[1] * depth, depth);
    places.push_back(call.w + t * call.weights());
  }
  Pack(plan, places, depth, call.y.channels, vectors);
  const int64_t wide = call.x.row() + (before + after) * depth;
  const int64_t most = Together(call.x, call.places() * call.weights());
  for (int64_t n = 0; n < call.x.count; n += most) {
    const int64_t count = std::min(most, call.x.count - n);
    const float* images = Widened(call.x, n, count, before, after, room);
    Follow(plan, vectors, images, call.x.height * wide, wide, g.stride[1] * depth, call.y, n, count,
           [&call](int64_t p, int64_t i) { return call.Met(p, i); });
  }
}

// x as the gradient of y gives it: positions of x that are a stride apart meet the same places of the kernel.
void Image(const Call& call) {
  thread_local std::vector<float> room, turned;
  thread_local std::vector<Plan> plans;
  const Geometry& g = call.geometry;
  const int64_t depth = call.y.channels, columns = call.x.channels, across = call.kernel[1];
  turned.resize(call.places() * call.weights());
  for (int64_t t = 0; t < call.places(); ++t)
    Transpose<false>(call.w + t * call.weights(), columns, depth, depth, turned.data() + t * call.weights(), columns);
  const int64_t phases = std::min(g.stride[1], call.x.width);
  const int vectors = Vectors(columns);
  int64_t before = 0, after = 0;
  plans.resize(std::max<size_t>(plans.size(), phases));
  for (int64_t phase = 0; phase < phases; ++phase) {
    Plan& plan = plans[phase];
    plan.runs.clear(), plan.depth = 0, plan.from = phase, plan.every = g.stride[1];
    std::vector<const float*> places;
    const int64_t last = (call.x.width - phase - 1) / g.stride[1];
    for (int64_t t = 0; t < call.places(); ++t) {  // the kernel's columns from the last, so that y's are met in order
      const int64_t p = t / across, q = across - 1 - t % across;
      const int64_t met = phase + g.before[1] - q * g.dilation[1];
      if (met - Floor(met, g.stride[1]) * g.stride[1]) continue;
      const int64_t j = Floor(met, g.stride[1]);
      before = std::max(before, -j), after = std::max(after, j + last + 1 - call.y.width);
      plan.Add(p, j * depth, depth);
      places.push_back(turned.data() + (p * across + q) * call.weights());
    }
    Pack(plan, places, depth, columns, vectors);
  }
  const int64_t wide = call.y.row() + (before + after) * depth;
  const auto row_of = [&](int64_t p, int64_t a) -> int64_t {
    const int64_t met = a + g.before[0] - p * g.dilation[0];
    return met < 0 || met % g.stride[0] || met / g.stride[0] >= call.y.height ? -1 : met / g.stride[0];
  };
  const int64_t most = Together(call.y, call.places() * call.weights());
  for (int64_t n = 0; n < call.y.count; n += most) {
    const int64_t count = std::min(most, call.y.count - n);
    const float* images = Widened(call.y, n, count, before, after, room) + before * depth;
    for (int64_t phase = 0; phase < phases; ++phase)
      Follow(plans[phase], vectors, images, call.y.height * wide, wide, depth, call.x, n, count, row_of);
  }
}

// Sums over some rows of an image and its result: of x, numbers that lie one after another, times y.
struct Square {
  const float *x, *y;
  int64_t x_step, x_row, y_step, y_row, rows, columns;
};

// What R numbers and NV vectors add to their sums: an image's own sum first, which keeps more digits.
template <int R, int NV>
void Sums(const Square& s, float* to, int64_t to_row) {
  Vec sum[R][NV] = {};
  for (int64_t i = 0; i < s.rows; ++i) {
    const float *x = s.x + i * s.x_row, *y = s.y + i * s.y_row;
    for (int64_t j = 0; j < s.columns; ++j, x += s.x_step, y += s.y_step) {
      Vec right[NV];
      for (int v = 0; v < NV; ++v) right[v] = Load(y + v * kLanes);
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v] += x[r] * right[v];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < NV; ++v) {
      float* at = to + r * to_row + v * kLanes;
      Store(at, Load(at) + sum[r][v]);
    }
}

// All numbers, as many at a time as the sizes say, the largest first.
template <int R, int... Less>
void Down(Square s, int64_t numbers, int64_t columns, float* to) {
  for (; numbers >= R; numbers -= R, s.x += R, to += R * columns) {
    Square part = s;
    int64_t o = 0;
    for (; o + 2 * kLanes <= columns; o += 2 * kLanes, part.y += 2 * kLanes) Sums<R, 2>(part, to + o, columns);
    if (o < columns) Sums<R, 1>(part, to + o, columns);
  }
  if constexpr (sizeof...(Less) > 0) Down<Less...>(s, numbers, columns, to);
}

void Weights(const Call& call) {
  thread_local std::vector<float> room, filled, sums;
  const Geometry& g = call.geometry;
  const int64_t channels = call.x.channels, before = g.before[1], after = call.After();
  const int64_t wide = call.x.row() + (before + after) * channels, columns = Whole(call.y.channels);
  const int64_t rows = call.places() * channels;
  const bool whole = columns == call.y.channels;  // else columns that fill no vector go through padded copies
  if (!whole) sums.resize(rows * columns), filled.assign(call.y.height * call.y.width * columns, 0.0f);
  float* total = whole ? call.w : sums.data();
  std::fill_n(total, rows * columns, 0.0f);
  const int64_t runs = g.dilation[1] == 1 ? 1 : call.kernel[1], length = call.kernel[1] / runs * channels;
  for (int64_t n = 0; n < call.x.count; ++n) {
    const float *image = Widened(call.x, n, 1, before, after, room), *y = call.y.image(n);
    if (!whole) {
      for (int64_t i = 0; i < call.y.height * call.y.width; ++i)
        std::copy_n(y + i * call.y.channels, call.y.channels, filled.data() + i * columns);
      y = filled.data();
    }
    float* to = total;
    for (int64_t p = 0; p < call.kernel[0]; ++p) {
      int64_t first = 0, end = call.y.height;  // rows of y that meet the image
      while (first < end && call.Met(p, first) < 0) ++first;
      while (end > first && call.Met(p, end - 1) < 0) --end;
      for (int64_t run = 0; run < runs; ++run) {
        const float* x = image + (end > first ? call.Met(p, first) : 0) * wide + run * g.dilation[1] * channels;
        const Square part{x, y + first * call.y.width * columns, g.stride[1] * channels, g.stride[0] * wide, columns,
                          call.y.width * columns, end - first, call.y.width};
        if constexpr (kLanes == 16)
          Down<12, 9, 8, 4, 3, 2, 1>(part, length, columns, to);
        else
          Down<5, 3, 2, 1>(part, length, columns, to);
        to += length * columns;
      }
    }
  }
  if (whole) return;
  for (int64_t i = 0; i < rows; ++i) std::copy_n(total + i * columns, call.y.channels, call.w + i * call.y.channels);
}

// The arguments: strides, zeros before and dilation (int32 [6], each down and across), then two of x, y and W, of which
// the third is the result.
enum { kX, kY, kW };

XLA_FFI_Error* Called(XLA_FFI_CallFrame* frame, int first, int second, int result, void (*work)(const Call&)) {
  if (Asked(frame)) return nullptr;
  const auto buffer = [](void* b) { return static_cast<XLA_FFI_Buffer*>(b); };
  const XLA_FFI_Buffer* of[3];
  of[first] = buffer(frame->args.args[1]), of[second] = buffer(frame->args.args[2]), of[result] = buffer(frame->rets.rets[0]);
  const auto* n = static_cast<const int32_t*>(buffer(frame->args.args[0])->data);
  const auto images = [](const XLA_FFI_Buffer* b) {
    return Images{static_cast<float*>(b->data), b->dims[0], b->dims[1], b->dims[2], b->dims[3]};
  };
  work({{{n[0], n[1]}, {n[2], n[3]}, {n[4], n[5]}},
        images(of[kX]),
        images(of[kY]),
        static_cast<float*>(of[kW]->data),
        {of[kW]->dims[0], of[kW]->dims[1]}});
  return nullptr;
}

}  // namespace

extern "C" XLA_FFI_Error* fathom_convolve(XLA_FFI_CallFrame* f) { return Called(f, kX, kW, kY, Forward); }
extern "C" XLA_FFI_Error* fathom_convolve_image(XLA_FFI_CallFrame* f) { return Called(f, kY, kW, kX, Image); }
extern "C" XLA_FFI_Error* fathom_convolve_weight(XLA_FFI_CallFrame* f) { return Called(f, kX, kY, kW, Weights); }
