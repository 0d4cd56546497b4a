// The C interface of the compiled arithmetic: matrices, operations, one step.
//
// A tape is a list of operations on named buffers, made once for a network. Playing it computes
// one step over `rows` independent rows, each a token at a position of a sequence. What every
// operation computes, to the bit, is written in PyTorch in src/studiolo/nn/specification.py.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TAPE_VERSION = 6 };

// How a code of a weight is stored; signed codes are in two's complement.
enum Codes { U4, S4, U5, S5, S6, S8, S12 };

// w = scale * code (+ offset), for each group of inputs of each output.
enum Scales {
  HALF,              // scale: fp16
  HALF_OFFSET,       // scale, offset: fp16
  TWO_LEVEL,         // scale: fp16 of 256 inputs times int8 of the group
  TWO_LEVEL_OFFSET,  // scale and -offset: fp16 of 256 inputs times uint8 of the group
};

// Blocks of 16 outputs, one after another; a block walks the inputs group by group. n and k are
// padded: n to a multiple of 16, k to one of the group. All weights of the padding are zero.
typedef struct {
  int64_t n, k;
  int32_t codes, scales, group, reserved;
  const uint8_t* data;
} Matrix;

enum Kind {
  EMBED,      // dst = f * row `token` of matrix p0
  ADD_TABLE,  // dst += row `position` of float table p0 [.., size]
  NORM,       // dst (+)= norm of src by weight p0, bias p1 (layer norm if there is one); f: eps
  QUANTIZE,   // activation slot dst = src [size]
  LINEAR,     // dst (+)= activation slot src times matrix p0 + bias p1; then, of rows with an
              // adapter, dst += its update `site`, the `flag`-th of the SHRINK before
  ROTATE,     // heads of src turned in place by rows of the rotation table `flag`
  STORE,      // keys at src, values at dst (both of one buffer), into layer `flag`
  ATTEND,     // dst = attention of queries src over layer `flag`; f: scale; window
  GATE,       // dst = activation `flag` of src, times what follows from a whole 16 on if heads == 2
  SHRINK,     // of rows with an adapter: src [size] times the first matrices of the next `heads`
              // products' updates, from `site` on; nothing, and no barrier, if no row has one
};

enum Activation { SILU, GELU, GELU_TANH, RELU };

typedef struct {
  int32_t kind;
  int32_t barrier;     // wait for all threads afterwards
  int32_t wanted;      // over the rows whose scores are wanted only
  int32_t accumulate;  // dst += instead of dst =
  int32_t src, dst;    // buffers or activation slots; as a destination, -1: the step's scores
  int32_t src_column, dst_column;
  int32_t size;        // of a row, or of a head
  int32_t heads;
  int32_t site;        // what adapters know a product by; -1: they do not
  int32_t flag;
  int32_t window;      // 0: unlimited
  float f;
  const void* p0;
  const void* p1;
} Op;

enum Cached { FLOAT32, BFLOAT16 };  // what keys and values are kept as

enum { WHOLE = 0, PICK = 1 };  // buffer 0 is the residual stream; NORM may pick wanted rows of it

typedef struct {
  const Op* ops;
  int32_t op_count;
  int32_t buffer_count;
  const int32_t* buffer_width;  // floats in a row of each buffer
  int32_t slot_count;
  const int32_t* slot_width;  // inputs in a row of each activation slot
  int32_t kv_heads, head_size, page;  // page: positions in a page of the cache
  int32_t heads, cached;
} Tape;

// A low-rank update of a product: dst += up (scale * (down src)).
// down: [rank / 4][inputs / 16][4][16], padded to those; up: [n / 16][rank][16]; the padding is zero.
typedef struct {
  const float* down;
  const float* up;
  float scale;
  int32_t rank;  // 0: none
} Update;

// One step. `until`: how many positions of its sequence a row sees. `pages`: for each sequence s,
// addresses of its pages from pages[first_page[s]] on. `rotation[t]`: table t, [.., 2, head_size]
// (cosines, signed sines), of which row r uses row rotation_row[r]. `scores`: [wanted_count][n].
// `adapter`: of each row, -1: none; null if no row has one. `updates[a]`: of adapter a, by site;
// `rank`: the largest of all. `stop`: turns to 1 when the step is to be broken off.
typedef struct {
  int32_t rows, wanted_count;
  const int32_t *token, *position, *until, *sequence, *first_page, *rotation_row, *wanted;
  void* const* pages;
  const float* rotation[2];
  float* scores;
  int32_t score_width, adapter_count, rank;
  const int32_t* adapter;
  const Update* const* updates;
  const int32_t* stop;
} Step;

#define EXPORT __attribute__((visibility("default")))
EXPORT int32_t studiolo_version(void);
// Levels that this processor can run, best first, as a comma-separated list.
EXPORT const char* studiolo_levels(void);
// Bytes of the packed form.
EXPORT int64_t studiolo_packed_size(const Matrix* matrix);
// Pack codes (int8, of S12 int16; [outputs][inputs]) and scales (fp16 [outputs][inputs / group],
// or fp16 [outputs][inputs / 256] and uint8 [outputs][inputs / group]) into `to`.
EXPORT void studiolo_pack(const Matrix* matrix, int64_t outputs, int64_t inputs, const void* codes,
                   const uint16_t* scale, const uint16_t* offset, const uint8_t* scale_factor,
                   const uint8_t* offset_factor, uint8_t* to, int32_t threads);
// Play one step on `threads` threads at the named level. Returns 0; 1 if it was broken off, and
// what it wrote means nothing; or -1 without such a level or memory. Calls from several threads
// take turns.
EXPORT int32_t studiolo_play(const Tape* tape, const Step* step, const char* level,
                             int32_t threads);

#ifdef __cplusplus
}
#endif
