// The operations of a tape over the lanes of one processor level. Compiled once for each level,
// without contraction or reordering: every level computes the same bits. What is fused is written
// so.
#include <math.h>
#include <string.h>

#include <utility>

#include "kernels.h"

namespace {
using lanes::F;
using lanes::fused;
using lanes::I;
using lanes::W;
constexpr int WIDTH = lanes::WIDTH;
constexpr int H = BLOCK / WIDTH;  // vectors in a block of 16

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define ROLLED _Pragma("GCC unroll 1")

template <class V, class T>
INLINE V load(const T* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
INLINE void save(T* p, V v) {
  memcpy(p, &v, sizeof v);
}
INLINE F all(float x) { return x - F{}; }
INLINE I all(int x) { return x - I{}; }
INLINE F to_float(I x) { return __builtin_convertvector(x, F); }
INLINE F larger(F a, F b) { return a > b ? a : b; }
INLINE I larger(I a, I b) { return a > b ? a : b; }
INLINE F absolute(F x) { return (F)((I)x & 0x7fffffff); }

// To the nearest integer, halves to even; |x| < 2^22.
INLINE I nearest(F x) {
  const F magic = all(12582912.0f);
  return (I)(x + magic) - (I)magic;
}

// 16 lanes of partial sums, folded in halves.
INLINE float folded(const F* sum) {
  float lane[BLOCK];
  memcpy(lane, sum, sizeof lane);
  for (int half = BLOCK / 2; half; half /= 2)
    for (int i = 0; i < half; i++) lane[i] = lane[i] + lane[i + half];
  return lane[0];
}

// Vector h of the 16 values at p, of which `count` are there; the others are `rest`.
INLINE F some(const float* p, int count, int h, float rest) {
  if (count >= BLOCK) return load<F>(p + h * WIDTH);
  float padded[BLOCK];
  for (int i = 0; i < BLOCK; i++) padded[i] = i < count ? p[i] : rest;
  return load<F>(padded + h * WIDTH);
}
INLINE void put(float* p, int count, int h, F value) {
  if (count >= BLOCK) return save(p + h * WIDTH, value);
  float lane[WIDTH];
  memcpy(lane, &value, sizeof lane);
  for (int i = 0; i < WIDTH && h * WIDTH + i < count; i++) p[h * WIDTH + i] = lane[i];
}

INLINE F exponential(F x) {
  x = larger(all(-87.0f), x);  // what is not a number stays so
  I n = nearest(x * 1.44269504f);
  F whole = to_float(n);
  F r = fused(whole, all(-0.693359375f), x);
  r = fused(whole, all(2.12194440e-4f), r);
  F p = all(1.9875691500e-4f);
  p = fused(p, r, all(1.3981999507e-3f));
  p = fused(p, r, all(8.3334519073e-3f));
  p = fused(p, r, all(4.1665795894e-2f));
  p = fused(p, r, all(1.6666665459e-1f));
  p = fused(p, r, all(5.0000001201e-1f));
  F value = fused(p, r * r, r) + 1.0f;
  return value * (F)((n + 127) << 23);
}

INLINE F sigmoid(F x) {
  F e = exponential(-absolute(x));
  F r = 1.0f / (1.0f + e);
  return x >= 0.0f ? r : e * r;
}

// Abramowitz & Stegun 7.1.26, of |x|, with the sign of x.
INLINE F error_function(F x) {
  F z = absolute(x);
  F t = 1.0f / (1.0f + 0.3275911f * z);
  F p = all(1.061405429f);
  p = fused(p, t, all(-1.453152027f));
  p = fused(p, t, all(1.421413741f));
  p = fused(p, t, all(-0.284496736f));
  p = fused(p, t, all(0.254829592f));
  F y = 1.0f - p * t * exponential(-(z * z));
  return x >= 0.0f ? y : -y;
}

INLINE F activated(F x, int activation) {
  switch (activation) {
    case SILU:
      return x * sigmoid(x);
    case GELU:
      return x * 0.5f * (1.0f + error_function(x * 0.70710678f));
    case GELU_TANH:
      return x * sigmoid(1.5957691216f * (x + 0.044715f * (x * x * x)));
    default:
      return larger(F{}, x);
  }
}

// --- matrices -----------------------------------------------------------------------------------

// Codes lie in planes of 16-bit words, a word for each output and each of two neighbouring inputs.
// Lower plane: 4 bits of 4 pairs of inputs. Upper plane: the other 1, 2 or 8 bits of 16, 8 or 2
// pairs. 8 bits have one plane, of 2 pairs. Vector h of pair `i` of a group, at its codes `p`:
INLINE W byte_of(W word, int i) { return i % 2 ? word >> 8 : (W)(word << 8) >> 8; }

template <int CODES>
INLINE W codes_at(const uint8_t* p, int i, int group, int h) {
  const int stride = 4 * BLOCK;  // bytes of a plane's words for 16 outputs
  if constexpr (CODES == S8) {
    return byte_of(load<W>(p + (i / 2) * stride + h * sizeof(W)), i);
  }
  W word = load<W>(p + (i / 4) * stride + h * sizeof(W));
  if constexpr (CODES == S4) return (W)(word << (12 - 4 * (i % 4))) >> 12;
  W low = i % 4 ? (word >> (4 * (i % 4))) & 15 : word & 15;
  if constexpr (CODES == U4) return low;
  const uint8_t* upper = p + group * 2 * 4;  // past 4 bits for each of 16 outputs of each input
  if constexpr (CODES == S12)
    return low | (W)(byte_of(load<W>(upper + (i / 2) * stride + h * sizeof(W)), i) << 4);
  constexpr int bits = CODES == S6 ? 2 : 1;
  constexpr int fit = 16 / bits;
  W high = load<W>(upper + (i / fit) * stride + h * sizeof(W));
  int at = bits * (i % fit);
  if constexpr (CODES == U5) return low | (((high >> at) & 1) << 4);
  return low | (W)((W)((W)(high << (16 - bits - at)) >> (16 - bits)) << 4);
}

struct Group {
  const uint8_t* codes;
  F scale[H], offset[H];
};

// Walks the groups of one block of 16 outputs.
struct Walk {
  const Matrix& m;
  const uint8_t* p;
  F super_scale[H], super_offset[H];

  INLINE Group next(int64_t g) {
    Group out;
    bool offset = has_offset(m.scales);
    if (!two_level(m.scales)) {
      UNROLL for (int h = 0; h < H; h++) {
        out.scale[h] = lanes::from_half((const uint16_t*)p + h * WIDTH);
        if (offset) out.offset[h] = lanes::from_half((const uint16_t*)p + BLOCK + h * WIDTH);
      }
      out.codes = p + (offset ? 4 : 2) * BLOCK;
    } else {
      if (g % (SUPER / m.group) == 0) {
        UNROLL for (int h = 0; h < H; h++) {
          super_scale[h] = lanes::from_half((const uint16_t*)p + h * WIDTH);
          if (offset) super_offset[h] = lanes::from_half((const uint16_t*)p + BLOCK + h * WIDTH);
        }
        p += super_bytes(m);
      }
      UNROLL for (int h = 0; h < H; h++) {
        if (offset) {
          out.scale[h] = super_scale[h] * to_float(lanes::from_bytes(p + h * WIDTH));
          out.offset[h] = -(super_offset[h] * to_float(lanes::from_bytes(p + BLOCK + h * WIDTH)));
        } else {
          out.scale[h] = super_scale[h] * to_float(lanes::from_bytes((const int8_t*)p + h * WIDTH));
        }
      }
      out.codes = p + (offset ? 2 : 1) * BLOCK;
    }
    p += group_bytes(m);
    return out;
  }
};

INLINE Walk walk(const Matrix& m, int64_t block) {
  return Walk{m, m.data + block * block_bytes(m), {}, {}};
}

template <int CODES>
void unpack_group(const uint8_t* p, int group, int16_t* to) {
  for (int i = 0; i < group / 2; i++)
    UNROLL for (int h = 0; h < H; h++)
      save(to + (i * H + h) * 2 * WIDTH, codes_at<CODES>(p, i, group, h));
}

typedef void (*Unpack)(const uint8_t*, int, int16_t*);
constexpr Unpack UNPACK[] = {unpack_group<U4>, unpack_group<S4>, unpack_group<U5>,
                             unpack_group<S5>, unpack_group<S6>, unpack_group<S8>,
                             unpack_group<S12>};

// Exact dots have no order: short rows of sums are split, so that additions need not wait for
// each other.
constexpr int split(int chains) { return chains <= 2 ? 4 : chains <= 5 ? 2 : 1; }

INLINE W broadcast(const int16_t* pair) {
  int both;
  memcpy(&both, pair, 4);
  return (W)all(both);
}

// Float sums of R rows and NB neighbouring blocks of 16 outputs: each group's exact integer dot
// times its scale, then the offset's share.
template <int R, int NB>
struct Sums {
  static constexpr int V = NB * H;  // vectors of outputs
  F value[R][V];

  INLINE void add(const I dot[R][V], const F* scale) {
    UNROLL for (int r = 0; r < R; r++)
      UNROLL for (int v = 0; v < V; v++) value[r][v] = fused(to_float(dot[r][v]), scale[v], value[r][v]);
  }
  INLINE void add_offset(const Slot& x, int row, int64_t g, const F* offset) {
    UNROLL for (int r = 0; r < R; r++) {
      F sum = all(x.sums[(row + r) * (x.k / 32) + g]);
      UNROLL for (int v = 0; v < V; v++) value[r][v] = fused(sum, offset[v], value[r][v]);
    }
  }
  INLINE void finish(const Slot& x, int row, const Target& y, const float* bias, int64_t block) {
    UNROLL for (int r = 0; r < R; r++) {
      float* to = y.rows + (row + r) * y.stride + block * BLOCK;
      UNROLL for (int v = 0; v < V; v++) {
        F sum = value[r][v] * x.scale[row + r];
        if (bias) sum = sum + load<F>(bias + block * BLOCK + v * WIDTH);
        if (y.accumulate) sum = load<F>(to + v * WIDTH) + sum;
        save(to + v * WIDTH, sum);
      }
    }
  }
};

// Few rows: straight from the packed codes, one stream through memory.
template <int CODES, int R, int GROUP>
void linear_direct(const Matrix& m, const Slot& x, int row, const Target& y, const float* bias,
                   int64_t begin, int64_t end) {
  constexpr int S = split(R * H);
  for (int64_t block = begin; block < end; block++) {
    Walk at = walk(m, block);
    Sums<R, 1> sums{};
    for (int64_t g = 0; g < m.k / GROUP; g++) {
      Group group = at.next(g);
      for (int line = 0; line < GROUP * bits_of(CODES) * 2; line += 64)
        __builtin_prefetch(group.codes + 1024 + line);
      I dot[S][R][H] = {};
      UNROLL for (int i = 0; i < GROUP / 2; i++)
        UNROLL for (int h = 0; h < H; h++) {
          W w = codes_at<CODES>(group.codes, i, GROUP, h);
          UNROLL for (int r = 0; r < R; r++)
            dot[i % S][r][h] = lanes::multiply_add(
                dot[i % S][r][h], broadcast(x.codes + (row + r) * x.k + g * GROUP + 2 * i), w);
        }
      UNROLL for (int s = 1; s < S; s++)
        UNROLL for (int r = 0; r < R; r++)
          UNROLL for (int h = 0; h < H; h++) dot[0][r][h] += dot[s][r][h];
      sums.add(dot[0], group.scale);
      if (has_offset(m.scales)) sums.add_offset(x, row, g, group.offset);
    }
    sums.finish(x, row, y, bias, block);
  }
}

// A block of 16 outputs unpacked: codes by pairs of inputs, and float scales for each group. The
// next block's follow after `codes_step` and `scales_step`.
struct Strip {
  int16_t* codes;
  float* scale;
  float* offset;  // null if there is none
  int64_t groups, codes_step, scales_step;
};

template <int R, int NB, int GROUP>
void linear_tile(const Strip& w, const Slot& x, int row, const Target& y, const float* bias,
                 int64_t block) {
  constexpr int V = NB * H;
  constexpr int S = split(R * V);
  Sums<R, NB> sums{};
  for (int64_t g = 0; g < w.groups; g++) {
    I dot[S][R][V] = {};
    const int16_t* a = x.codes + row * x.k + g * GROUP;
    ROLLED for (int i = 0; i < GROUP / 2; i += S)
      UNROLL for (int s = 0; s < S; s++) {
        W c[V];
        UNROLL for (int v = 0; v < V; v++)
          c[v] = load<W>(w.codes + v / H * w.codes_step + (g * GROUP + 2 * (i + s)) * BLOCK +
                         v % H * 2 * WIDTH);
        UNROLL for (int r = 0; r < R; r++) {
          W pair = broadcast(a + 2 * (i + s) + r * x.k);
          UNROLL for (int v = 0; v < V; v++)
            dot[s][r][v] = lanes::multiply_add(dot[s][r][v], pair, c[v]);
        }
      }
    UNROLL for (int s = 1; s < S; s++)
      UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) dot[0][r][v] += dot[s][r][v];
    F scale[V];
    auto at = [&](const float* p, int v) {
      return load<F>(p + v / H * w.scales_step + g * BLOCK + v % H * WIDTH);
    };
    UNROLL for (int v = 0; v < V; v++) scale[v] = at(w.scale, v);
    sums.add(dot[0], scale);
    if (w.offset) {
      UNROLL for (int v = 0; v < V; v++) scale[v] = at(w.offset, v);
      sums.add_offset(x, row, g, scale);
    }
  }
  sums.finish(x, row, y, bias, block);
}

typedef void (*Direct)(const Matrix&, const Slot&, int, const Target&, const float*, int64_t,
                       int64_t);

template <int R>
void run_direct(int rows, const Matrix& m, const Slot& x, const Target& y, const float* bias,
                int64_t begin, int64_t end) {
  if constexpr (R > 1)
    if (rows < R) return run_direct<R - 1>(rows, m, x, y, bias, begin, end);
  constexpr Direct of[] = {linear_direct<U4, R, 32>, linear_direct<S4, R, 32>,
                           linear_direct<U5, R, 32>, linear_direct<S5, R, 32>,
                           linear_direct<S6, R, 16>, linear_direct<S8, R, 32>,
                           linear_direct<S12, R, 32>};
  of[m.codes](m, x, 0, y, bias, begin, end);
}

template <int R, int NB>
void run_tile(int rows, int group, const Strip& w, const Slot& x, int row, const Target& y,
              const float* bias, int64_t block) {
  if constexpr (R > 1)
    if (rows < R) return run_tile<R - 1, NB>(rows, group, w, x, row, y, bias, block);
  (group == 16 ? linear_tile<R, NB, 16> : linear_tile<R, NB, 32>)(w, x, row, y, bias, block);
}

void unpack(const Matrix& m, int64_t block, const Strip& to) {
  Walk at = walk(m, block);
  for (int64_t g = 0; g < to.groups; g++) {
    Group group = at.next(g);
    UNPACK[m.codes](group.codes, m.group, to.codes + g * m.group * BLOCK);
    UNROLL for (int h = 0; h < H; h++) {
      save(to.scale + g * BLOCK + h * WIDTH, group.scale[h]);
      if (to.offset) save(to.offset + g * BLOCK + h * WIDTH, group.offset[h]);
    }
  }
}

constexpr int NB = lanes::BLOCKS;

int64_t linear_scratch(const Matrix& m) {
  return NB * (m.k * BLOCK * 2 + m.k / m.group * BLOCK * 8);
}

void linear(const Matrix& m, Slot x, int rows, Target y, const float* bias, int64_t begin,
            int64_t end, uint8_t* scratch) {
  if (rows <= lanes::FEW) return run_direct<lanes::FEW>(rows, m, x, y, bias, begin, end);
  int64_t groups = m.k / m.group, codes = m.k * BLOCK, scales = groups * BLOCK;
  float* scale = (float*)(scratch + NB * codes * 2);
  Strip strip{(int16_t*)scratch, scale, has_offset(m.scales) ? scale + NB * scales : nullptr,
              groups, codes, scales};
  for (int64_t block = begin; block < end;) {
    int count = end - block < NB ? 1 : NB;
    for (int b = 0; b < count; b++)
      unpack(m, block + b,
             Strip{strip.codes + b * codes, strip.scale + b * scales,
                   strip.offset ? strip.offset + b * scales : nullptr, groups, codes, scales});
    for (int row = 0; row < rows; row += lanes::TILE)
      (count == NB ? run_tile<lanes::TILE, NB> : run_tile<lanes::TILE, 1>)(
          rows - row, m.group, strip, x, row, y, bias, block);
    block += count;
  }
}

void embed(const Matrix& m, int32_t row, float factor, float* dst, int size) {
  Walk at = walk(m, row / BLOCK);
  int lane = row % BLOCK;
  alignas(64) int16_t codes[32 * BLOCK];
  for (int64_t g = 0; g < m.k / m.group; g++) {
    Group group = at.next(g);
    UNPACK[m.codes](group.codes, m.group, codes);
    float scale[BLOCK], offset[BLOCK];
    memcpy(scale, group.scale, sizeof scale);
    memcpy(offset, group.offset, sizeof offset);
    for (int i = 0; i < m.group && g * m.group + i < size; i++) {
      float value = (float)codes[(i / 2 * BLOCK + lane) * 2 + i % 2] * scale[lane];
      if (has_offset(m.scales)) value = value + offset[lane];
      dst[g * m.group + i] = value * factor;
    }
  }
}

// --- adapters -----------------------------------------------------------------------------------

constexpr int AHEAD = 512;  // floats that are fetched before they are needed

// R rows of one adapter, N ranks at once, so that their sums fit registers.
template <int R>
void shrink_rows(const Update& u, const float* const* src, int size, int rank, float* const* low) {
  constexpr int N = H > 2 ? 1 : RANKS / H;
  const float* down = u.down + (int64_t)rank * padded(size, BLOCK);
  for (int j = 0; j < RANKS; j += N, down += N * BLOCK) {
    F sum[R][N][H] = {};
    for (int i = 0; i < size; i += BLOCK) {
      const float* weights = down + (int64_t)i * RANKS;
      for (int line = 0; line < N; line++) __builtin_prefetch(weights + AHEAD + line * BLOCK);
      UNROLL for (int h = 0; h < H; h++)
        UNROLL for (int n = 0; n < N; n++) {
          F weight = load<F>(weights + n * BLOCK + h * WIDTH);
          UNROLL for (int r = 0; r < R; r++)
            sum[r][n][h] = fused(some(src[r] + i, size - i, h, 0.0f), weight, sum[r][n][h]);
        }
    }
    for (int r = 0; r < R; r++)
      for (int n = 0; n < N; n++) low[r][rank + j + n] = folded(sum[r][n]) * u.scale;
  }
}

template <int R>
void expand_rows(const Update& u, const float* const* low, float* const* dst, int64_t begin,
                 int64_t end) {
  for (int64_t block = begin; block < end; block++) {
    const float* up = u.up + block * u.rank * BLOCK;
    F sum[R][H] = {};
    for (int j = 0; j < u.rank; j++) {
      __builtin_prefetch(up + AHEAD + j * BLOCK);
      UNROLL for (int h = 0; h < H; h++) {
        F weight = load<F>(up + j * BLOCK + h * WIDTH);
        UNROLL for (int r = 0; r < R; r++) sum[r][h] = fused(all(low[r][j]), weight, sum[r][h]);
      }
    }
    UNROLL for (int r = 0; r < R; r++)
      UNROLL for (int h = 0; h < H; h++) {
        float* to = dst[r] + block * BLOCK + h * WIDTH;
        save(to, load<F>(to) + sum[r][h]);
      }
  }
}

void shrink(const Update& u, const float* const* src, int count, int size, int rank,
            float* const* low) {
  constexpr void (*of[])(const Update&, const float* const*, int, int, float* const*) = {
      shrink_rows<1>, shrink_rows<2>, shrink_rows<3>, shrink_rows<SHARING>};
  of[count - 1](u, src, size, rank, low);
}

void expand(const Update& u, const float* const* low, int count, float* const* dst, int64_t begin,
            int64_t end) {
  constexpr void (*of[])(const Update&, const float* const*, float* const*, int64_t, int64_t) = {
      expand_rows<1>, expand_rows<2>, expand_rows<3>, expand_rows<SHARING>};
  of[count - 1](u, low, dst, begin, end);
}

// --- rows ---------------------------------------------------------------------------------------

void quantize(const float* src, int size, Slot x, int row) {
  I top = {};
  for (int i = 0; i < size; i += BLOCK)
    for (int h = 0; h < H; h++)
      top = larger(top, (I)absolute(some(src + i, size - i, h, 0.0f)));
  int lane[WIDTH], bits = 0;
  memcpy(lane, &top, sizeof lane);
  for (int i = 0; i < WIDTH; i++) bits = lane[i] > bits ? lane[i] : bits;
  float largest;
  memcpy(&largest, &bits, 4);
  bool finite = bits < 0x7f800000, counts = finite && largest >= 0x1p-100f;
  float factor = counts ? 32767.0f / largest : 0.0f;
  x.scale[row] = counts ? largest / 32767.0f : finite ? 0.0f : NAN;
  typedef short S __attribute__((vector_size(2 * WIDTH)));
  int16_t* to = x.codes + row * x.k;
  if (!counts) memset(to, 0, x.k * 2);
  for (int64_t i = 0; counts && i < x.k; i += BLOCK)
    for (int h = 0; h < H; h++) {
      F value = i < size ? some(src + i, (int)(size - i), h, 0.0f) * factor : F{};
      save(to + i + h * WIDTH, __builtin_convertvector(nearest(value), S));
    }
  for (int64_t g = 0; g < x.k / 32; g++) {
    I sums = {};
    for (int i = 0; i < 32; i += 2 * WIDTH)
      sums = lanes::multiply_add(sums, load<W>(to + g * 32 + i), (W)all(0x10001));
    int sum = 0;
    UNROLL for (int i = 0; i < WIDTH; i++) sum += sums[i];
    x.sums[row * (x.k / 32) + g] = (float)sum;
  }
}

void norm(const float* src, float* dst, const float* weight, const float* bias, float eps, int size,
          bool accumulate) {
  float mean = 0.0f;
  if (bias) {
    F sum[H] = {};
    for (int i = 0; i < size; i += BLOCK)
      for (int h = 0; h < H; h++) sum[h] = sum[h] + some(src + i, size - i, h, 0.0f);
    mean = folded(sum) / (float)size;
  }
  F sum[H] = {};
  for (int i = 0; i < size; i += BLOCK)
    for (int h = 0; h < H; h++) {
      F d = some(src + i, size - i, h, mean) - mean;
      sum[h] = fused(d, d, sum[h]);
    }
  float inverse = 1.0f / sqrtf(folded(sum) / (float)size + eps);
  for (int i = 0; i < size; i += BLOCK)
    for (int h = 0; h < H; h++) {
      int n = size - i;
      F v = (some(src + i, n, h, mean) - mean) * inverse * some(weight + i, n, h, 0.0f);
      if (bias) v = v + some(bias + i, n, h, 0.0f);
      if (accumulate) v = some(dst + i, n, h, 0.0f) + v;
      put(dst + i, n, h, v);
    }
}

void rotate(float* head, const float* turn, int size) {
  const float *cosine = turn, *sine = turn + size;
  int half = size / 2;
  for (int i = 0; i < half; i++) {
    float low = head[i], high = head[half + i];
    head[i] = low * cosine[i] + high * sine[i];
    head[half + i] = high * cosine[half + i] + low * sine[half + i];
  }
}

void gate(const float* src, float* dst, int size, int activation, bool gated) {
  for (int i = 0; i < size; i += BLOCK)
    for (int h = 0; h < H; h++) {
      F v = activated(some(src + i, size - i, h, 0.0f), activation);
      if (gated) v = v * some(src + padded(size, BLOCK) + i, size - i, h, 0.0f);
      put(dst + i, size - i, h, v);
    }
}

// --- attention ----------------------------------------------------------------------------------

// A page holds, for each layer, keys [kv_head][page / 16][head_size][16] and then values
// [kv_head][page][padded_size], as floats or as their upper halves.
INLINE F cached(const float* p) { return load<F>(p); }
INLINE F cached(const uint16_t* p) { return lanes::from_bfloat(p); }
INLINE void keep(float* p, float value) { *p = value; }
INLINE void keep(uint16_t* p, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  // To the nearest, halves to even; what is not a number stays so.
  *p = value != value ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <class T>
INLINE T* keys_of(const Past& past, int head, int position) {
  int in_page = position % past.page;
  return (T*)past.pages[position / past.page] + past.layer_offset +
         ((int64_t)head * (past.page / BLOCK) + in_page / BLOCK) * past.head_size * BLOCK;
}
template <class T>
INLINE T* value_of(const Past& past, int head, int position) {
  int64_t keys = (int64_t)past.kv_heads * past.page * past.head_size;
  return (T*)past.pages[position / past.page] + past.layer_offset + keys +
         ((int64_t)head * past.page + position % past.page) * past.padded_size;
}

template <class T>
void store_as(const float* key, const float* value, const Past& past, int head, int position) {
  T* keys = keys_of<T>(past, head, position) + position % BLOCK;
  for (int i = 0; i < past.head_size; i++) keep(keys + i * BLOCK, key[i]);
  T* values = value_of<T>(past, head, position);
  for (int i = 0; i < past.padded_size; i++) keep(values + i, i < past.head_size ? value[i] : 0.0f);
}

void store(const float* key, const float* value, const Past& past, int head, int position) {
  (past.cached == BFLOAT16 ? store_as<uint16_t> : store_as<float>)(key, value, past, head, position);
}

// One query head of one row.
struct Query {
  const float* at;
  float* dst;
  int first, until;
};

// Blocks of 16 that attention takes at once, so that enough sums are under way and fit registers.
constexpr int together(int queries) {
  int most = lanes::SUMS / (queries * H);
  return most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// Scores of N queries on NB blocks of 16 keys from `at` on; keeps the largest of each lane.
template <int N, int NB, class T>
INLINE void score(const Query* query, const Past& past, int head, int at, float scale,
                  int64_t room, float* scores, F top[N][H]) {
  constexpr int V = NB * H;
  const T* keys[NB];
  UNROLL for (int b = 0; b < NB; b++) keys[b] = keys_of<T>(past, head, at + b * BLOCK);
  F dot[N][V] = {};
  for (int i = 0; i < past.head_size; i++)
    UNROLL for (int v = 0; v < V; v++) {
      F key = cached(keys[v / H] + i * BLOCK + v % H * WIDTH);
      UNROLL for (int n = 0; n < N; n++) dot[n][v] = fused(all(query[n].at[i]), key, dot[n][v]);
    }
  const bool edge = at < query[N - 1].first || at + NB * BLOCK > query[0].until;
  UNROLL for (int n = 0; n < N; n++)
    UNROLL for (int v = 0; v < V; v++) {
      F score = dot[n][v] * scale;
      if (edge)
        for (int i = 0; i < WIDTH; i++) {
          int position = at + v * WIDTH + i;
          if (position < query[n].first || position >= query[n].until) score[i] = -INFINITY;
        }
      top[n][v % H] = larger(score, top[n][v % H]);
      save(scores + n * room + at + v * WIDTH, score);
    }
}

// Adds the weighted values of positions [at, stop) to the sums of the queries [LO, HI), in NB
// blocks of 16 dimensions from `i` on.
template <int LO, int HI, int NB, class T>
INLINE void add_values(const float* weights, const Past& past, int head, int64_t room, int i,
                       int at, int stop, F (*sum)[NB * H]) {
  while (at < stop) {
    const T* values = value_of<T>(past, head, at) + i;
    int page_end = (at / past.page + 1) * past.page;
    int end = page_end < stop ? page_end : stop;
    for (; at < end; at++, values += past.padded_size)
      UNROLL for (int v = 0; v < NB * H; v++) {
        F value = cached(values + v * WIDTH);
        UNROLL for (int n = LO; n < HI; n++)
          sum[n][v] = fused(all(weights[n * room + at]), value, sum[n][v]);
      }
  }
}

// Weighted sums of values over the positions that each query sees. Of two rows, the first sees
// what comes before the second's window, and the second what comes after the first.
template <int N, int R, int NB, class T>
INLINE void mix(const Query* query, const float* weights, const float* inverse, const Past& past,
                int head, int64_t room, int i) {
  constexpr int V = NB * H;
  F sum[N][V] = {};
  const Query &one = query[0], &two = query[N - 1];
  if constexpr (R == 2)
    add_values<0, N / 2, NB, T>(weights, past, head, room, i, one.first, two.first, sum);
  add_values<0, N, NB, T>(weights, past, head, room, i, two.first, one.until, sum);
  if constexpr (R == 2)
    add_values<N / 2, N, NB, T>(weights, past, head, room, i, one.until, two.until, sum);
  const int size = past.head_size;
  UNROLL for (int n = 0; n < N; n++)
    UNROLL for (int v = 0; v < V; v++) {
      int begin = i + v / H * BLOCK;
      put(query[n].dst + begin, size - begin, v % H, sum[n][v] * inverse[n]);
    }
}

// N queries of R rows.
template <int N, int R, class T>
void attend_queries(const Query* query, const Past& past, int head, float scale, float* scores) {
  constexpr int NB = together(N);
  const int begin = query[0].first / BLOCK * BLOCK, end = query[N - 1].until;
  const int64_t room = padded(end, BLOCK);
  F top[N][H];
  UNROLL for (int n = 0; n < N; n++)
    UNROLL for (int h = 0; h < H; h++) top[n][h] = all(-INFINITY);
  int at = begin;
  for (; at + NB * BLOCK <= room; at += NB * BLOCK)
    score<N, NB, T>(query, past, head, at, scale, room, scores, top);
  if constexpr (NB > 1)
    for (; at < room; at += BLOCK) score<N, 1, T>(query, past, head, at, scale, room, scores, top);
  float inverse[N];
  UNROLL for (int n = 0; n < N; n++) {
    float lane[BLOCK], largest = -INFINITY;
    memcpy(lane, top[n], sizeof lane);
    for (int i = 0; i < BLOCK; i++) largest = lane[i] > largest ? lane[i] : largest;
    F sum[H] = {};
    for (int at = begin; at < room; at += BLOCK)
      UNROLL for (int h = 0; h < H; h++) {
        float* p = scores + n * room + at + h * WIDTH;
        F score = load<F>(p);
        F e = exponential(score - largest);
        e = score == -INFINITY ? F{} : e;
        sum[h] = sum[h] + e;
        save(p, e);
      }
    inverse[n] = 1.0f / folded(sum);
  }
  int i = 0;
  for (; i + NB * BLOCK <= past.padded_size; i += NB * BLOCK)
    mix<N, R, NB, T>(query, scores, inverse, past, head, room, i);
  if constexpr (NB > 1)
    for (; i < past.padded_size; i += BLOCK)
      mix<N, R, 1, T>(query, scores, inverse, past, head, room, i);
}

typedef void (*Attend)(const Query*, const Past&, int, float, float*);

template <int R, class T, int... N>
Attend attending(int queries, std::integer_sequence<int, N...>) {
  constexpr Attend of[] = {attend_queries<R*(N + 1), R, T>...};
  return of[queries / R - 1];
}

template <class T>
void attend_as(const Rows& rows, int head, int count, float scale, float* scratch) {
  const int size = rows.past.head_size, r = rows.next_query ? 2 : 1;
  for (int done = 0; done < count;) {
    const int most = lanes::QUERIES / r, now = count - done < most ? count - done : most;
    Query query[lanes::QUERIES];
    for (int n = 0; n < now; n++) {
      const int column = (done + n) * size;
      query[n] = {rows.query + column, rows.dst + column, rows.past.first, rows.past.until};
      if (r == 2)
        query[now + n] = {rows.next_query + column, rows.next_dst + column, rows.next_first,
                          rows.next_until};
    }
    if (r == 2)
      attending<2, T>(2 * now, std::make_integer_sequence<int, lanes::QUERIES / 2>())(
          query, rows.past, head, scale, scratch);
    else
      attending<1, T>(now, std::make_integer_sequence<int, lanes::QUERIES>())(
          query, rows.past, head, scale, scratch);
    done += now;
  }
}

void attend(const Rows& rows, int head, int count, float scale, float* scratch) {
  (rows.past.cached == BFLOAT16 ? attend_as<uint16_t> : attend_as<float>)(rows, head, count, scale,
                                                                         scratch);
}
}  // namespace

extern const Kernels KERNELS{LEVEL,  embed,  norm,  quantize, linear, linear_scratch, shrink,
                             expand, rotate, store, attend,   lanes::QUERIES,         gate};
