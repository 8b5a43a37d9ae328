// The steps of a rectified perceptron in one call: rows gathered, noise, forward, loss, backward, clipping, AdamW.
//
// For networks so small that calling a compiled program for each product, sum and update takes longer than the
// arithmetic. All matrices are row-major float32: W_l [in_l, out_l], activations [rows, width]. Built for the
// processor at hand; engine/fused.py says what goes in and what comes out, and is the oracle's other side.

#include <cmath>

#include "vectors.h"

namespace {

constexpr int kRows = kLanes == 16 ? 8 : 4;

// C = A B (+ bias, rectified): A(m, k) = a[m * am + k * ak], B [depth, columns], C [rows, columns].
struct Product {
  const float *a, *b, *bias;
  float* c;
  int64_t am, ak, ldb, ldc, rows, columns, depth;
  bool rectify;
};

// MR rows and NV vectors of columns of C, kept in registers over the whole depth.
template <int MR, int NV>
inline void Tile(const Product& p, int64_t m0) {
  const float* a = p.a + m0 * p.am;
  Vec sum[MR][NV];
  for (int n = 0; n < NV; ++n) {
    const Vec first = p.bias ? Load(p.bias + n * kLanes) : Vec{};
    for (int m = 0; m < MR; ++m) sum[m][n] = first;
  }
  for (int64_t k = 0; k < p.depth; ++k) {
    Vec row[NV];
    for (int n = 0; n < NV; ++n) row[n] = Load(p.b + k * p.ldb + n * kLanes);
    for (int m = 0; m < MR; ++m) {
      const float left = a[m * p.am + k * p.ak];
      for (int n = 0; n < NV; ++n) sum[m][n] += left * row[n];
    }
  }
  for (int m = 0; m < MR; ++m)
    for (int n = 0; n < NV; ++n) {
      Vec v = sum[m][n];
      if (p.rectify) v = v < 0.0f ? Vec{} : v;  // a NaN stays one
      Store(p.c + (m0 + m) * p.ldc + n * kLanes, v);
    }
}

template <int NV>
inline void Panel(const Product& p) {
  int64_t m = 0;
  for (; m + kRows <= p.rows; m += kRows) Tile<kRows, NV>(p, m);
  for (; m + 4 <= p.rows; m += 4) Tile<4, NV>(p, m);
  for (; m < p.rows; ++m) Tile<1, NV>(p, m);
}

inline Product Columns(Product p, int64_t n) {
  p.b += n;
  p.c += n;
  if (p.bias) p.bias += n;
  return p;
}

// Columns that fill no vector go through padded copies.
void Multiply(const Product& p, std::vector<float>& scratch) {
  int64_t n = 0;
  for (; n + 2 * kLanes <= p.columns; n += 2 * kLanes) Panel<2>(Columns(p, n));
  for (; n + kLanes <= p.columns; n += kLanes) Panel<1>(Columns(p, n));
  const int64_t left = p.columns - n;
  if (left == 0) return;
  scratch.assign((p.depth + p.rows + 1) * kLanes, 0.0f);
  Product padded = p;
  float *b = scratch.data(), *bias = b + p.depth * kLanes, *c = bias + kLanes;
  for (int64_t k = 0; k < p.depth; ++k) std::copy_n(p.b + k * p.ldb + n, left, b + k * kLanes);
  if (p.bias) std::copy_n(p.bias + n, left, bias);
  padded.b = b, padded.c = c, padded.bias = p.bias ? bias : nullptr, padded.ldb = padded.ldc = kLanes;
  Panel<1>(padded);
  for (int64_t m = 0; m < p.rows; ++m) std::copy_n(c + m * kLanes, left, p.c + m * p.ldc + n);
}

typedef uint32_t Bits __attribute__((vector_size(sizeof(Vec))));
typedef int32_t Int __attribute__((vector_size(sizeof(Vec))));

inline Bits Rotate(Bits x, int by) { return (x << by) | (x >> (32 - by)); }

// Random bits as JAX draws them: the Threefry-2x32 block (Salmon et al. 2011) of each number's place, its halves joined.
inline Bits Threefry(uint32_t key0, uint32_t key1, Bits places) {
  constexpr int kTurns[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t keys[3] = {key0, key1, key0 ^ key1 ^ 0x1BD11BDAu};
  Bits a = Bits{} + key0, b = places + key1;
  for (uint32_t group = 0; group < 5; ++group) {
    for (int turn : kTurns[group % 2]) {
      a += b;
      b = Rotate(b, turn) ^ a;
    }
    a += keys[(group + 1) % 3];
    b += keys[(group + 2) % 3] + group + 1;
  }
  return a ^ b;
}

// What dropout does to h: numbers whose sixteen bits are below the threshold become 0, the others grow.
void Drop(float* h, int64_t size, const uint32_t* key, uint32_t threshold, float growth) {
  Bits places;
  for (int i = 0; i < kLanes; ++i) places[i] = i;
  for (int64_t i = 0; i < size; i += kLanes, places += kLanes) {
    const Bits drawn = Threefry(key[0], key[1], places) & 0xFFFFu;
    if (i + kLanes <= size) {
      const Vec v = Load(h + i) * growth;
      Store(h + i, drawn >= threshold ? v : Vec{});
    } else {
      for (int64_t j = i; j < size; ++j) h[j] = drawn[j - i] >= threshold ? h[j] * growth : 0.0f;
    }
  }
}

// e^x for x <= 0, to 2 units in the last place. NaN stays NaN.
inline Vec Exp(Vec x) {
  x = x < -87.0f ? Vec{} - 87.0f : x;
  const Vec n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounded to a whole number
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec y = Vec{} + 1.9875691500e-4f;
  for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) y = y * r + c;
  y = y * r * r + r + 1.0f;
  const Int bits = (__builtin_convertvector(n, Int) + 127) << 23;
  Vec scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return y * scale;
}

// ln x for normal x > 0, to 2 units in the last place of the larger of 1 and the result.
inline Vec Log(Vec x) {
  Int bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const Int power = (bits - 0x3F3504F3) >> 23;  // so that what is left lies between sqrt(1/2) and sqrt(2)
  bits -= power << 23;
  Vec m;
  std::memcpy(&m, &bits, sizeof(m));
  m -= 1.0f;
  const Vec z = m * m, n = __builtin_convertvector(power, Vec);
  Vec y = Vec{} + 7.0376836292e-2f;
  for (float c : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                  2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f})
    y = y * m + c;
  return (m + (y * m * z - 0.5f * z - n * 2.12194440e-4f)) + n * 0.693359375f;
}

#if defined(__AVX512F__)
// Single instructions, without the processor's header, which takes a second to compile.
inline Vec SquareRoot(Vec x) {
  asm("vsqrtps %0, %0" : "+v"(x));
  return x;
}

inline Vec RootEstimate(Vec x) {  // 1 / sqrt(x), to 14 bits
  asm("vrsqrt14ps %0, %0" : "+v"(x));
  return x;
}

inline Vec ReciprocalEstimate(Vec x) {  // 1 / x, to 14 bits
  asm("vrcp14ps %0, %0" : "+v"(x));
  return x;
}
#endif

inline Vec Root(Vec x) {
#if defined(__AVX512F__)
  return SquareRoot(x);
#else
  for (int i = 0; i < kLanes; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

// The number below which a standard normal one lies with probability (1 + u) / 2, for -1 < u < 1: sqrt(2) times the
// inverse of erf, by the polynomials of Giles (2010), which XLA takes too.
inline Vec Normal(Vec u) {
  const Vec w = -Log((1.0f - u) * (1.0f + u)), near = w - 2.5f, far = Root(w) - 3.0f;
  Vec p = Vec{} + 2.81022636e-8f, q = Vec{} - 2.00214257e-4f;
  for (float c : {3.43273939e-7f, -3.5233877e-6f, -4.39150654e-6f, 2.1858087e-4f, -1.25372503e-3f, -4.17768164e-3f,
                  0.246640727f, 1.50140941f})
    p = p * near + c;
  for (float c : {1.00950558e-4f, 1.34934322e-3f, -3.67342844e-3f, 5.73950773e-3f, -7.6224613e-3f, 9.43887047e-3f,
                  1.00167406f, 2.83297682f})
    q = q * far + c;
  return 1.41421356f * u * (w < 5.0f ? p : q);
}

// x plus `much` times standard normal noise, drawn as JAX draws it.
void Blur(float* x, int64_t size, const uint32_t* key, float much) {
  Bits places;
  for (int i = 0; i < kLanes; ++i) places[i] = i;
  for (int64_t i = 0; i < size; i += kLanes, places += kLanes) {
    const Bits drawn = (Threefry(key[0], key[1], places) >> 9) | 0x3F800000u;  // from 1 to 2
    Vec u;
    std::memcpy(&u, &drawn, sizeof(u));
    const Vec noise = much * Normal((u - 1.0f) * 2.0f - 0.99999994f);
    if (i + kLanes <= size)
      Store(x + i, Load(x + i) + noise);
    else
      for (int64_t j = i; j < size; ++j) x[j] += noise[j - i];
  }
}

constexpr float kEpsilon = 1e-8f;  // of AdamW

// 1 / (sqrt(v) + epsilon).
inline Vec Reciprocal(Vec v) {
#if defined(__AVX512F__)
  // Two estimates of 14 bits and a step of Newton's for each: a quarter of the time, as exact as float32 is.
  v += 1e-30f;  // 0 has no estimate
  Vec r = RootEstimate(v);
  r *= 1.5f - 0.5f * v * r * r;
  const Vec d = v * r + kEpsilon;
  const Vec q = ReciprocalEstimate(d);
  return q * (2.0f - d * q);
#else
  Vec d;
  for (int i = 0; i < kLanes; ++i) d[i] = std::sqrt(v[i]) + kEpsilon;
  return 1.0f / d;
#endif
}

struct Array {
  void* data;
  int64_t rank;
  const int64_t* dims;
  int64_t size(int64_t base) const {  // elements of one member, whose own axes are the last `base`
    int64_t n = 1;
    for (int64_t i = rank - base; i < rank; ++i) n *= dims[i];
    return n;
  }
  template <typename T = float>
  T* of(int64_t member, int64_t base) const {  // an array that all members share leads with 1
    const bool own = rank > base && dims[0] > 1;
    return static_cast<T*>(data) + (own ? member * size(base) : 0);
  }
};

Array Read(void* buffer) {
  const auto* b = static_cast<XLA_FFI_Buffer*>(buffer);
  return {b->data, b->rank, b->dims};
}

// What the members of a call have in common, and the positions of the arguments.
enum { kX, kY, kWeight, kCounted, kFold, kOrder, kTaken, kRates, kNumbers, kKeys, kParams };
enum { kBeta1, kBeta2, kClip, kSmoothing, kDropout, kNoise };  // of kNumbers [6]
enum { kRate, kDecay, kFirstFix, kSecondFix, kPlan };  // of kRates [steps, 4]

class Member {
 public:
  Member(const std::vector<Array>& in, const std::vector<Array>& out, int64_t member, bool classes,
         std::vector<float>& scratch, std::vector<float>& space)
      : in_(in), scratch_(scratch), classes_(classes), layers_((out.size() - 1) / 6) {
    const Array &x = in[kX], &order = in[kOrder];
    features_ = x.dims[x.rank - 1], held_ = x.dims[x.rank - 2];
    batch_ = order.dims[order.rank - 1], steps_ = order.dims[order.rank - 2];
    const int64_t folds = x.dims[x.rank - 3];
    const int64_t fold = std::min<int64_t>(*in[kFold].of<int32_t>(member, 0), folds - 1);
    x_ = x.of(member, 3) + fold * held_ * features_;
    y_ = in[kY].of<int32_t>(member, 2) + std::min(fold, in[kY].dims[in[kY].rank - 2] - 1) * held_;
    weight_ = in[kWeight].of(member, 2) + std::min(fold, in[kWeight].dims[in[kWeight].rank - 2] - 1) * held_;
    counted_ = in[kCounted].of(member, 2) + std::min(fold, in[kCounted].dims[in[kCounted].rank - 2] - 1) * held_;
    order_ = order.of<int32_t>(member, 2);
    taken_ = *in[kTaken].of<int32_t>(member, 0);
    rates_ = in[kRates].of(member, 2);
    numbers_ = in[kNumbers].of(member, 1);
    losses_ = out.back().of(member, 1);
    keys_ = in[kKeys].of<uint32_t>(member, 3);
    dropped_ = std::min(65535.0f, std::max(0.0f, std::nearbyint(numbers_[kDropout] * 65536.0f)));
    growth_ = 65536.0f / (65536.0f - dropped_);
    // Parameters, first and second moments go in and come out, each as W_0, b_0, W_1, b_1, ...
    widths_.push_back(features_);
    int64_t sum = 0, widest = features_;
    for (int64_t i = 0; i < 6 * layers_; ++i) {
      const int64_t base = i % 2 ? 1 : 2;
      float* mine = out[i].of(member, base);
      const float* from = in[kParams + i].of(member, base);
      if (mine != from) std::copy_n(from, out[i].size(base), mine);
      arrays_.push_back(mine);
      sizes_.push_back(out[i].size(base));
      if (i < 2 * layers_) sum += sizes_[i];
      if (i < 2 * layers_ && base == 1) widths_.push_back(sizes_[i]), widest = std::max(widest, sizes_[i]);
    }
    int64_t kept = 0;
    for (int64_t width : widths_) kept += batch_ * width;
    padded_ = (batch_ + kLanes - 1) / kLanes * kLanes;
    const int64_t spare = padded_ * std::max<int64_t>(widest, 2);
    space.assign(kept + sum + 4 * spare + padded_, 0.0f);
    float* at = space.data();
    auto room = [&at](int64_t size) { return std::exchange(at, at + size); };
    for (int64_t width : widths_) hidden_.push_back(room(batch_ * width));
    for (int64_t i = 0; i < 2 * layers_; ++i) grads_.push_back(room(sizes_[i]));
    for (float*& one : spare_) one = room(spare);
    share_ = room(padded_);
  }

  void Train() {
    std::fill_n(losses_, steps_, 0.0f);
    for (int64_t step = 0; step < std::min(steps_, taken_); ++step) {
      const int32_t* rows = order_ + step * batch_;
      for (int64_t i = 0; i < batch_; ++i)
        std::copy_n(x_ + rows[i] * features_, features_, hidden_[0] + i * features_);
      const uint32_t* keys = keys_ + 2 * layers_ * step;  // the noise's, then one for each hidden layer
      if (numbers_[kNoise] != 0.0f) Blur(hidden_[0], batch_ * features_, keys, numbers_[kNoise]);
      for (int64_t l = 0; l < layers_; ++l) {
        const int64_t in = widths_[l], out = widths_[l + 1];
        const bool inner = l + 1 < layers_;
        Multiply({hidden_[l], W(l), B(l), hidden_[l + 1], in, 1, out, out, batch_, out, in, inner}, scratch_);
        if (inner && dropped_)
          Drop(hidden_[l + 1], batch_ * out, keys + 2 * (l + 1), dropped_, growth_);
      }
      losses_[step] = Loss(rows);
      Backward();
      Update(rates_ + step * kPlan);
    }
  }

 private:
  float* W(int64_t l) { return arrays_[2 * l]; }
  float* B(int64_t l) { return arrays_[2 * l + 1]; }

  // The loss of the batch; the outputs become its gradient for them.
  float Loss(const int32_t* rows) {
    float* z = hidden_.back();
    int64_t counted = 0;
    for (int64_t i = 0; i < batch_; ++i) counted += counted_[rows[i]] > 0.0f;
    const float each = 1.0f / std::max<int64_t>(counted, 1);
    for (int64_t i = 0; i < batch_; ++i) share_[i] = weight_[rows[i]] * each;
    float loss = 0.0f;
    if (!classes_) {
      for (int64_t i = 0; i < batch_; ++i) {
        const float off = z[i] - reinterpret_cast<const float*>(y_)[rows[i]];
        loss += off * off * share_[i];
        z[i] = 2.0f * off * share_[i];
      }
      return loss;
    }
    CrossEntropy(rows, loss);
    return loss;
  }

  // With the batch for columns, so that its vectors are full.
  void CrossEntropy(const int32_t* rows, float& loss) {
    const int64_t k = widths_.back();
    const float smooth = numbers_[kSmoothing], flat = smooth / k;
    float *z = spare_[0], *e = spare_[1], *logs = spare_[2];
    Transpose<false>(hidden_.back(), batch_, k, k, z, padded_);
    for (int64_t i = 0; i < padded_; i += kLanes) {
      Vec most = Load(z + i), sum{}, all{};
      for (int64_t j = 1; j < k; ++j) {
        const Vec v = Load(z + j * padded_ + i);
        most = v <= most ? most : v;  // a NaN is the most
      }
      for (int64_t j = 0; j < k; ++j) {
        const Vec v = Load(z + j * padded_ + i) - most, power = Exp(v);
        Store(z + j * padded_ + i, v);
        Store(e + j * padded_ + i, power);
        sum += power, all += v;
      }
      const Vec share = Load(share_ + i), each = share / sum;
      for (int64_t j = 0; j < k; ++j)
        Store(e + j * padded_ + i, Load(e + j * padded_ + i) * each - flat * share);
      Store(logs + i, sum);
      Store(logs + padded_ + i, all);
    }
    for (int64_t i = 0; i < batch_; ++i) {
      const int64_t right = y_[rows[i]] * padded_ + i;
      const float log_sum = std::log(logs[i]);
      const float plain = log_sum - z[right], even = log_sum - logs[padded_ + i] / k;
      loss += share_[i] * (smooth > 0.0f ? (1.0f - smooth) * plain + smooth * even : plain);
      e[right] -= (1.0f - smooth) * share_[i];
    }
    Transpose<false>(e, k, batch_, padded_, hidden_.back(), k);
  }

  void Backward() {
    const float* g = hidden_.back();
    for (int64_t l = layers_ - 1; l >= 0; --l) {
      const int64_t in = widths_[l], out = widths_[l + 1];
      Multiply({hidden_[l], g, nullptr, grads_[2 * l], 1, in, out, out, in, out, batch_, false}, scratch_);
      float* bias = grads_[2 * l + 1];
      std::copy_n(g, out, bias);
      for (int64_t i = 1; i < batch_; ++i)
        for (int64_t j = 0; j < out; ++j) bias[j] += g[i * out + j];
      if (l == 0) break;
      // dh^T = W g^T has the batch for columns, so that its vectors are full.
      Transpose<false>(g, batch_, out, out, spare_[1], batch_);
      Multiply({W(l), spare_[1], nullptr, spare_[2], out, 1, batch_, batch_, in, batch_, out, false}, scratch_);
      Transpose<true>(spare_[2], in, batch_, batch_, spare_[3], in, hidden_[l], growth_);
      g = spare_[3];
    }
  }

  void Update(const float* plan) {
    float norm = 0.0f;
    for (int64_t i = 0; i < 2 * layers_; ++i) norm += Squares(grads_[i], sizes_[i]);
    norm = std::sqrt(norm);
    const float clip = numbers_[kClip], scale = norm <= clip ? 1.0f : clip / norm;
    const float b1 = numbers_[kBeta1], b2 = numbers_[kBeta2], n1 = 1.0f - b1, n2 = 1.0f - b2;
    const float rate = plan[kRate], fix1 = 1.0f / plan[kFirstFix], fix2 = 1.0f / plan[kSecondFix];
    for (int64_t i = 0; i < 2 * layers_; ++i) {
      const float decay = i % 2 ? 0.0f : plan[kDecay];  // biases do not decay
      float *__restrict p = arrays_[i], *__restrict m = arrays_[2 * layers_ + i], *__restrict v = arrays_[4 * layers_ + i];
      const float* __restrict grad = grads_[i];
      int64_t j = 0;
      for (; j + kLanes <= sizes_[i]; j += kLanes) {
        const Vec g = Load(grad + j) * scale, one = b1 * Load(m + j) + n1 * g, two = b2 * Load(v + j) + n2 * g * g;
        const Vec old = Load(p + j);
        Store(m + j, one);
        Store(v + j, two);
        Store(p + j, old - (rate * fix1 * one * Reciprocal(two * fix2) + decay * old));
      }
      for (; j < sizes_[i]; ++j) {
        const float g = grad[j] * scale;
        m[j] = b1 * m[j] + n1 * g;
        v[j] = b2 * v[j] + n2 * g * g;
        p[j] -= rate * (m[j] * fix1) / (std::sqrt(v[j] * fix2) + kEpsilon) + decay * p[j];
      }
    }
  }

  static float Squares(const float* a, int64_t size) {
    Vec sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * kLanes <= size; i += 4 * kLanes)
      for (int u = 0; u < 4; ++u) {
        const Vec v = Load(a + i + u * kLanes);
        sums[u] += v * v;
      }
    const Vec all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float sum = 0.0f;
    for (int u = 0; u < kLanes; ++u) sum += all[u];
    for (; i < size; ++i) sum += a[i] * a[i];
    return sum;
  }

  const std::vector<Array>& in_;
  std::vector<float>& scratch_;
  const bool classes_;
  const int64_t layers_;
  int64_t features_, held_, batch_, padded_, steps_, taken_;
  const float *x_, *weight_, *counted_, *rates_, *numbers_;
  const int32_t *y_, *order_;
  const uint32_t* keys_;
  uint32_t dropped_;  // of 65,536
  float growth_;
  float *losses_, *share_, *spare_[4];
  std::vector<int64_t> widths_, sizes_;
  std::vector<float*> arrays_, hidden_, grads_;
};

XLA_FFI_Error* Train(XLA_FFI_CallFrame* frame, bool classes) {
  if (Asked(frame)) return nullptr;
  std::vector<Array> in, out;
  for (int64_t i = 0; i < frame->args.size; ++i) in.push_back(Read(frame->args.args[i]));
  for (int64_t i = 0; i < frame->rets.size; ++i) out.push_back(Read(frame->rets.rets[i]));
  const Array& losses = out.back();
  const int64_t members = losses.rank > 1 ? losses.dims[0] : 1;
  thread_local std::vector<float> scratch, space;
  for (int64_t member = 0; member < members; ++member) Member(in, out, member, classes, scratch, space).Train();
  return nullptr;
}

}  // namespace

extern "C" XLA_FFI_Error* fathom_train_classes(XLA_FFI_CallFrame* frame) { return Train(frame, true); }
extern "C" XLA_FFI_Error* fathom_train_numbers(XLA_FFI_CallFrame* frame) { return Train(frame, false); }
