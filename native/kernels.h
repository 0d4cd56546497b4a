// What one processor level offers the player; each is defined in arithmetic.h.
#pragma once
#include "tape.h"

constexpr int BLOCK = 16;  // outputs of a matrix block, positions of a key block, lanes of a sum

inline int64_t padded(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
constexpr int bits_of(int32_t codes) {
  return codes <= S4 ? 4 : codes <= S5 ? 5 : codes == S6 ? 6 : codes == S8 ? 8 : 12;
}
inline bool has_offset(int32_t scales) {
  return scales == HALF_OFFSET || scales == TWO_LEVEL_OFFSET;
}
inline bool two_level(int32_t scales) { return scales >= TWO_LEVEL; }

constexpr int SUPER = 256;  // inputs under one fp16 scale, of two levels

// Bytes of a block of 16 outputs: of one group, of the head of a super-block, and of all.
inline int64_t group_bytes(const Matrix& m) {
  int64_t scales = two_level(m.scales) ? 1 : 2;
  return (has_offset(m.scales) ? 2 : 1) * scales * BLOCK + int64_t(bits_of(m.codes)) * m.group * 2;
}
inline int64_t super_bytes(const Matrix& m) {
  return two_level(m.scales) ? (has_offset(m.scales) ? 2 : 1) * 2 * BLOCK : 0;
}
inline int64_t block_bytes(const Matrix& m) {
  int64_t supers = two_level(m.scales) ? m.k / SUPER : 0;
  return supers * super_bytes(m) + m.k / m.group * group_bytes(m);
}

// Rows of 16-bit activations: codes [rows][k], scale [rows], sums of each 32 codes [rows][k / 32].
struct Slot {
  int16_t* codes;
  float* scale;
  float* sums;
  int64_t k;
};

struct Target {
  float* rows;
  int64_t stride;
  bool accumulate;
};

// The cache as one row sees it.
struct Past {
  void* const* pages;
  int64_t layer_offset;  // elements
  int page, kv_heads, head_size, padded_size, cached;
  int first, until;
};

// Rows of one sequence that attend together, in order; they differ in what they see.
struct Rows {
  const float *query, *next_query;  // of the second row, null if there is none
  float *dst, *next_dst;
  Past past;
  int next_first, next_until;
};

constexpr int SHARING = 4;  // rows of one adapter that are taken together, at most
constexpr int RANKS = 4;    // ranks that an update is padded to

struct Kernels {
  const char* name;
  void (*embed)(const Matrix&, int32_t row, float factor, float* dst, int size);
  void (*norm)(const float* src, float* dst, const float* weight, const float* bias, float eps,
               int size, bool accumulate);
  void (*quantize)(const float* src, int size, Slot, int row);
  // Blocks [begin, end) of 16 outputs over `rows` rows; scratch: linear_scratch() bytes.
  void (*linear)(const Matrix&, Slot, int rows, Target, const float* bias, int64_t begin,
                 int64_t end, uint8_t* scratch);
  int64_t (*linear_scratch)(const Matrix&);
  // Ranks [rank, rank + RANKS) of `count` rows of `size` floats, at most SHARING, into `low`.
  void (*shrink)(const Update&, const float* const* src, int count, int size, int rank,
                 float* const* low);
  // Blocks [begin, end) of 16 outputs, added to `dst`.
  void (*expand)(const Update&, const float* const* low, int count, float* const* dst,
                 int64_t begin, int64_t end);
  void (*rotate)(float* head, const float* turn, int size);
  void (*store)(const float* key, const float* value, const Past&, int head, int position);
  // `count` query heads that share a key-value head; scratch: `queries` * padded(until, 16) floats.
  void (*attend)(const Rows&, int kv_head, int count, float scale, float* scratch);
  int queries;
  void (*gate)(const float* src, float* dst, int size, int activation, bool gated);
};

extern const Kernels portable_kernels;
#ifdef STUDIOLO_X86
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif
