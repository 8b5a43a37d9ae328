// What the native code of this folder shares: vectors of the processor at hand, transposition, XLA's calls.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "xla/ffi/api/c_api.h"

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));

inline Vec Load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

inline void Store(float* to, Vec v) { std::memcpy(to, &v, sizeof(v)); }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FATHOM_SHUFFLES
#endif
#endif

#ifdef FATHOM_SHUFFLES
// One exchange of a transposition: the blocks off the diagonal, `kStep` lanes wide, change places.
template <int kStep, int... kLane>
inline void Exchange(Vec& a, Vec& b, std::integer_sequence<int, kLane...>) {
  const Vec up = __builtin_shufflevector(a, b, (kLane & kStep ? kLanes + kLane - kStep : kLane)...);
  b = __builtin_shufflevector(a, b, (kLane & kStep ? kLanes + kLane : kLane + kStep)...);
  a = up;
}

template <int kStep>
inline void Exchanges(Vec* block) {
  for (int i = 0; i < kLanes; ++i)
    if (!(i & kStep)) Exchange<kStep>(block[i], block[i + kStep], std::make_integer_sequence<int, kLanes>());
  if constexpr (kStep > 1) Exchanges<kStep / 2>(block);
}
#endif

// to[j, i] = from[i, j]; times `growth` where `open`, which lies like `to`, is above 0, and else 0.
template <bool kMasked>
void Transpose(const float* from, int64_t rows, int64_t columns, int64_t from_ld, float* to, int64_t to_ld,
               const float* open = nullptr, float growth = 1.0f) {
  int64_t done = 0;  // rows of whole blocks
#ifdef FATHOM_SHUFFLES
  const int64_t whole = columns - columns % kLanes;
  for (; done + kLanes <= rows; done += kLanes)
    for (int64_t j = 0; j < whole; j += kLanes) {
      Vec block[kLanes];
      for (int i = 0; i < kLanes; ++i) block[i] = Load(from + (done + i) * from_ld + j);
      Exchanges<kLanes / 2>(block);
      for (int i = 0; i < kLanes; ++i) {
        const int64_t at = (j + i) * to_ld + done;
        if (kMasked) block[i] = Load(open + at) > 0.0f ? block[i] * growth : Vec{};
        Store(to + at, block[i]);
      }
    }
#else
  const int64_t whole = 0;
#endif
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < done ? whole : 0; j < columns; ++j) {
      const int64_t at = j * to_ld + i;
      const float value = from[i * from_ld + j];
      to[at] = kMasked ? value * (open[at] > 0.0f ? growth : 0.0f) : value;
    }
}

// A registration asks for the version of the interface before anything is run.
bool Asked(XLA_FFI_CallFrame* frame) {
  for (auto* e = frame->extension_start; e; e = e->next)
    if (e->type == XLA_FFI_Extension_Metadata) {
      auto* metadata = reinterpret_cast<XLA_FFI_Metadata_Extension*>(e)->metadata;
      metadata->api_version.major_version = XLA_FFI_API_MAJOR;
      metadata->api_version.minor_version = XLA_FFI_API_MINOR;
      return true;
    }
  return frame->stage != XLA_FFI_ExecutionStage_EXECUTE;
}

}  // namespace
