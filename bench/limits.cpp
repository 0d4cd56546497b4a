// How fast this processor can read memory, and multiply and add with the very instruction that
// the packed product uses. Compiled by limits.py with one of native/lanes_*.h as LANES.
#include <cstddef>
#include <cstdint>
#include LANES

// Reads `count` vectors; returns something that depends on all of them.
extern "C" int read_all(const lanes::I* from, int64_t count) {
  lanes::I sum[8] = {};
  for (int64_t i = 0; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; ++j) {
      __builtin_prefetch((const char*)(from + i + j) + 1024);
      sum[j] ^= from[i + j];
    }
  int all = 0;
  for (auto& s : sum)
    for (int k = 0; k < lanes::WIDTH; ++k) all ^= s[k];
  return all;
}

// `count` times twelve instructions that do not wait for one another, all in registers.
// Returns how many products each of them adds.
extern "C" int multiply_all(int64_t count) {
  lanes::I sum[12] = {};
  lanes::W a = {}, b = {};
  for (int64_t i = 0; i < count; ++i)
    for (auto& s : sum) {
      asm volatile("" : "+x"(a), "+x"(s));  // or it would be computed once for all
      s = lanes::multiply_add(s, a, b);
    }
  for (auto& s : sum) asm volatile("" : "+x"(s));
  return 2 * lanes::WIDTH;
}
