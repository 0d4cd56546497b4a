// Sixteen floats at a time: AVX-512 with VNNI (Intel Cascade Lake, AMD Zen 4, and later).
#pragma once
#include <immintrin.h>

namespace lanes {
constexpr int WIDTH = 16;
constexpr int TILE = 8, BLOCKS = 2;  // rows, and blocks of 16 outputs, of a tile of a product
constexpr int FEW = 16;  // rows up to which a product does not unpack its weights first
constexpr int QUERIES = 8;  // that attention takes at once
constexpr int SUMS = 24;  // of attention that are under way at once, of WIDTH each
typedef float F __attribute__((vector_size(64)));
typedef int I __attribute__((vector_size(64)));
typedef short W __attribute__((vector_size(64)));

inline I multiply_add(I sum, W a, W b) {
  return (I)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
inline F fused(F a, F b, F c) { return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
inline F from_half(const uint16_t* p) {
  return (F)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
}
inline F from_bfloat(const uint16_t* p) {
  return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16);
}
inline I from_bytes(const uint8_t* p) {
  return (I)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
inline I from_bytes(const int8_t* p) {
  return (I)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p));
}
}  // namespace lanes
