// Codes and scales, as a file has them, into the blocks that the matrix products walk.
#include <string.h>

#include <thread>
#include <vector>

#include "kernels.h"

namespace {
// What a file holds: codes [outputs][inputs], scales, and factors of scales.
struct Source {
  int64_t outputs, inputs;
  const void* codes;
  const uint16_t *scale, *offset;
  const uint8_t *scale_factor, *offset_factor;
};

// Planes of words: lane 2 o + parity of word w holds `bits` of `fit` codes of output o.
void put_plane(uint16_t* words, const int* codes, int output, int group, int bits, int shift) {
  const int fit = 16 / bits, mask = (1 << bits) - 1;
  for (int w = 0; w < group / 2 / fit; w++)
    for (int parity = 0; parity < 2; parity++) {
      int word = 0;
      for (int j = 0; j < fit; j++)
        word |= ((codes[2 * (w * fit + j) + parity] >> shift) & mask) << (bits * j);
      words[(w * BLOCK + output) * 2 + parity] = (uint16_t)word;
    }
}

void pack_block(const Matrix& m, const Source& from, int64_t block, uint8_t* p) {
  const int64_t first = block * BLOCK, per_row = (from.inputs + m.group - 1) / m.group;
  const int count = (int)(from.outputs - first < BLOCK ? from.outputs - first : BLOCK);
  const int per_super = SUPER / m.group;
  // Widths of the planes: 4 and what is above, or 8 at once.
  const int lower = m.codes == S8 ? 8 : 4, upper = bits_of(m.codes) - lower;
  auto halves = [&](const uint16_t* values, int64_t stride, int64_t column) {
    for (int o = 0; o < count; o++) ((uint16_t*)p)[o] = values[(first + o) * stride + column];
    p += 2 * BLOCK;
  };
  auto bytes = [&](const uint8_t* values, int64_t column) {
    for (int o = 0; o < count; o++) p[o] = values[(first + o) * per_row + column];
    p += BLOCK;
  };
  for (int64_t g = 0; g < m.k / m.group; g++) {
    if (!two_level(m.scales)) {
      halves(from.scale, per_row, g);
      if (has_offset(m.scales)) halves(from.offset, per_row, g);
    } else {
      if (g % per_super == 0) {
        halves(from.scale, m.k / SUPER, g / per_super);
        if (has_offset(m.scales)) halves(from.offset, m.k / SUPER, g / per_super);
      }
      bytes(from.scale_factor, g);
      if (has_offset(m.scales)) bytes(from.offset_factor, g);
    }
    for (int o = 0; o < count; o++) {
      int codes[32] = {};
      const int64_t start = (first + o) * from.inputs + g * m.group;
      const int64_t left = from.inputs - g * m.group;
      for (int i = 0; i < m.group && i < left; i++)
        codes[i] = m.codes == S12 ? ((const int16_t*)from.codes)[start + i]
                                  : ((const int8_t*)from.codes)[start + i];
      put_plane((uint16_t*)p, codes, o, m.group, lower, 0);
      if (upper) put_plane((uint16_t*)p + m.group * 4, codes, o, m.group, upper, 4);
    }
    p += int64_t(bits_of(m.codes)) * m.group * 2;
  }
}
}  // namespace

extern "C" {

int64_t studiolo_packed_size(const Matrix* matrix) {
  return matrix->n / BLOCK * block_bytes(*matrix);
}

void studiolo_pack(const Matrix* matrix, int64_t outputs, int64_t inputs, const void* codes,
                   const uint16_t* scale, const uint16_t* offset, const uint8_t* scale_factor,
                   const uint8_t* offset_factor, uint8_t* to, int32_t threads) {
  const Matrix& m = *matrix;
  const Source from{outputs, inputs, codes, scale, offset, scale_factor, offset_factor};
  memset(to, 0, studiolo_packed_size(matrix));
  auto part = [&](int64_t t) {
    int64_t blocks = m.n / BLOCK;
    for (int64_t b = blocks * t / threads; b < blocks * (t + 1) / threads; b++)
      pack_block(m, from, b, to + b * block_bytes(m));
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(part, t);
  part(0);
  for (auto& thread : others) thread.join();
}
}
