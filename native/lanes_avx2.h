// Eight floats at a time: AVX2 with FMA and F16C (Intel Haswell, AMD Excavator, and later).
#pragma once
#include <immintrin.h>

namespace lanes {
constexpr int WIDTH = 8;
constexpr int TILE = 6, BLOCKS = 1;  // rows, and blocks of 16 outputs, of a tile of a product
constexpr int FEW = 4;  // rows up to which a product does not unpack its weights first
constexpr int QUERIES = 6;  // that attention takes at once
constexpr int SUMS = 12;  // of attention that are under way at once, of WIDTH each
typedef float F __attribute__((vector_size(32)));
typedef int I __attribute__((vector_size(32)));
typedef short W __attribute__((vector_size(32)));

inline I multiply_add(I sum, W a, W b) {
  return sum + (I)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
inline F fused(F a, F b, F c) { return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
inline F from_half(const uint16_t* p) {
  return (F)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
}
inline F from_bfloat(const uint16_t* p) {
  return (F)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16);
}
inline I from_bytes(const uint8_t* p) {
  return (I)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
inline I from_bytes(const int8_t* p) {
  return (I)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
}  // namespace lanes
