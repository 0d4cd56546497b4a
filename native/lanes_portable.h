// Four floats at a time, in the compiler's own vectors: any processor.
#pragma once

namespace lanes {
constexpr int WIDTH = 4;
constexpr int TILE = 2, BLOCKS = 1;  // rows, and blocks of 16 outputs, of a tile of a product
constexpr int FEW = 1;  // rows up to which a product does not unpack its weights first
constexpr int QUERIES = 4;  // that attention takes at once
constexpr int SUMS = 12;  // of attention that are under way at once, of WIDTH each
typedef float F __attribute__((vector_size(16)));
typedef int I __attribute__((vector_size(16)));
typedef short W __attribute__((vector_size(16)));

inline I multiply_add(I sum, W a, W b) {
  I x = (I)a, y = (I)b;
  return sum + ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
}

inline F fused(F a, F b, F c) {
  F sum;
  for (int i = 0; i < WIDTH; i++) sum[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return sum;
}

inline float half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff, bits;
  if (rest >= 0x7c00) {
    bits = sign | 0x7f800000 | (rest & 0x3ff) << 13;
  } else if (rest >= 0x400) {
    bits = sign | ((rest << 13) + 0x38000000);
  } else {
    float tiny = (float)(int32_t)rest * 0x1p-24f;
    __builtin_memcpy(&bits, &tiny, 4);
    bits |= sign;
  }
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline F from_half(const uint16_t* p) { return F{half(p[0]), half(p[1]), half(p[2]), half(p[3])}; }
inline F from_bfloat(const uint16_t* p) { return (F)(I{p[0], p[1], p[2], p[3]} << 16); }
inline I from_bytes(const uint8_t* p) { return I{p[0], p[1], p[2], p[3]}; }
inline I from_bytes(const int8_t* p) { return I{p[0], p[1], p[2], p[3]}; }
}  // namespace lanes
