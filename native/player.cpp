// Plays a tape: hands the rows and blocks of each operation to a team of threads.
//
// Operations over rows give thread t the same rows each time, so that one may follow another
// without waiting. Matrix products and attention are dealt out in small portions to whoever is
// free. No result depends on who computed it.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>
#include <new>
#include <string>

#include "kernels.h"
#include "team.h"

namespace {
const Kernels* const LEVELS[] = {
#ifdef STUDIOLO_X86
    &avx512_kernels,
    &avx2_kernels,
#endif
    &portable_kernels,
};

bool runs_here(const Kernels* level) {
#ifdef STUDIOLO_X86
  if (level == &avx512_kernels)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  if (level == &avx2_kernels)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
#endif
  return true;
}

const Kernels* level_named(const char* name) {
  for (const Kernels* level : LEVELS)
    if (!strcmp(level->name, name) && runs_here(level)) return level;
  return nullptr;
}

// Memory that is kept from step to step and grows when a step needs more.
class Arena {
 public:
  ~Arena() { free(memory_); }
  bool reserve(size_t bytes) {
    if (bytes <= size_) return true;
    free(memory_);
    size_ = padded(bytes, 4096);
    memory_ = (uint8_t*)aligned_alloc(64, size_);
    if (!memory_) size_ = 0;
    return memory_ != nullptr;
  }
  uint8_t* take(size_t bytes) {
    uint8_t* piece = memory_ + taken_;
    taken_ += padded(bytes, 64);
    return piece;
  }
  void reset() { taken_ = 0; }

 private:
  uint8_t* memory_ = nullptr;
  size_t size_ = 0, taken_ = 0;
};

// Rows that have the same adapter.
struct Group {
  int adapter, count, rows[SHARING];
};

struct Play {
  const Tape& tape;
  const Step& step;
  const Kernels& level;
  Team& team;
  int threads;
  float** buffers;
  Slot* slots;
  uint8_t** scratch;
  std::atomic<int64_t>* dealt;  // of each operation: portions given out so far
  Group* groups;
  int group_count;
  float* low;  // what SHRINK makes: of each row, of each of `products`, [low_width]
  int products, low_width;
  std::atomic<bool>* off;

  float* at(int buffer, int64_t row, int column) const {
    return buffers[buffer] + row * tape.buffer_width[buffer] + column;
  }
  int rows(const Op& op) const { return op.wanted ? step.wanted_count : step.rows; }

  Past past(const Op& op, int row) const {
    int64_t size = padded(tape.head_size, BLOCK);
    int64_t layer = (int64_t)tape.kv_heads * tape.page * (tape.head_size + size);
    int until = step.until[row], seen = step.position[row] + 1;
    int first = op.window && seen > op.window ? seen - op.window : 0;
    return Past{step.pages + step.first_page[step.sequence[row]],
                layer * op.flag,
                tape.page,
                tape.kv_heads,
                tape.head_size,
                (int)size,
                tape.cached,
                first,
                until};
  }

  void row(const Op& op, int r) const {
    switch (op.kind) {
      case EMBED:
        return level.embed(*(const Matrix*)op.p0, step.token[r], op.f, at(op.dst, r, 0), op.size);
      case ADD_TABLE: {
        const float* from = (const float*)op.p0 + (int64_t)step.position[r] * op.size;
        float* to = at(op.dst, r, 0);
        for (int i = 0; i < op.size; i++) to[i] = to[i] + from[i];
        return;
      }
      case NORM: {
        int from = op.wanted && op.src == 0 ? step.wanted[r] : r;
        for (int h = 0; h < op.heads; h++)
          level.norm(at(op.src, from, op.src_column + h * op.size),
                     op.dst < 0 ? step.scores + (int64_t)r * step.score_width
                                : at(op.dst, r, op.dst_column + h * op.size),
                     (const float*)op.p0, (const float*)op.p1, op.f, op.size, op.accumulate);
        return;
      }
      case QUANTIZE:
        return level.quantize(at(op.src, r, op.src_column), op.size, slots[op.dst], r);
      case ROTATE: {
        int index = step.rotation_row[(int64_t)op.flag * step.rows + r];
        const float* turn = step.rotation[op.flag] + (int64_t)index * 2 * op.size;
        for (int h = 0; h < op.heads; h++)
          level.rotate(at(op.src, r, op.src_column + h * op.size), turn, op.size);
        return;
      }
      case STORE:
        for (int h = 0; h < tape.kv_heads; h++)
          level.store(at(op.src, r, op.src_column + h * op.size),
                      at(op.src, r, op.dst_column + h * op.size), past(op, r), h,
                      step.position[r]);
        return;
      case GATE:
        return level.gate(at(op.src, r, op.src_column), at(op.dst, r, op.dst_column), op.size,
                          op.flag, op.heads == 2);
    }
  }

  void linear(const Op& op, int64_t index, int thread) const {
    const Matrix& m = *(const Matrix*)op.p0;
    int64_t blocks = m.n / BLOCK, portion = blocks / (threads * 4);
    // Not odd, for many rows take neighbouring blocks in twos.
    portion = portion > 1 ? padded(portion, 2) : 1;
    Slot x = slots[op.src];
    int count = rows(op);
    if (count == 0) return;  // nobody's scores are wanted
    bool scores = op.dst < 0;
    float* to = scores ? step.scores : at(op.dst, 0, op.dst_column);
    int64_t stride = scores ? step.score_width : tape.buffer_width[op.dst];
    for (;;) {
      int64_t begin = dealt[index].fetch_add(portion);
      if (begin >= blocks) return;
      int64_t end = begin + portion < blocks ? begin + portion : blocks;
      level.linear(m, x, count, Target{to, stride, op.accumulate != 0}, (const float*)op.p1, begin,
                   end, scratch[thread]);
      if (op.site >= 0) expand(op, to, stride, begin, end);
    }
  }

  void expand(const Op& op, float* to, int64_t stride, int64_t begin, int64_t end) const {
    for (int g = 0; g < group_count; g++) {
      const Group& group = groups[g];
      const Update& update = step.updates[group.adapter][op.site];
      const float* from[SHARING];
      float* dst[SHARING];
      for (int r = 0; r < group.count; r++) {
        from[r] = low_at(group.rows[r], op.flag);
        dst[r] = to + group.rows[r] * stride;
      }
      if (update.rank) level.expand(update, from, group.count, dst, begin, end);
    }
  }

  float* low_at(int row, int product) const {
    return low + ((int64_t)row * products + product) * low_width;
  }

  void shrink(const Op& op, int64_t index) const {
    const int parts = low_width / RANKS;
    int64_t items = (int64_t)group_count * op.heads * parts, portion = items / (threads * 4);
    portion = portion < 1 ? 1 : portion;
    for (;;) {
      int64_t begin = dealt[index].fetch_add(portion);
      if (begin >= items) return;
      for (int64_t item = begin; item < begin + portion && item < items; item++) {
        const Group& group = groups[item / parts / op.heads];
        const int product = (int)(item / parts % op.heads), rank = (int)(item % parts) * RANKS;
        const Update& update = step.updates[group.adapter][op.site + product];
        if (rank >= update.rank) continue;
        const float* from[SHARING];
        float* to[SHARING];
        for (int r = 0; r < group.count; r++) {
          from[r] = at(op.src, group.rows[r], op.src_column);
          to[r] = low_at(group.rows[r], product);
        }
        level.shrink(update, from, group.count, op.size, rank, to);
      }
    }
  }

  void attend(const Op& op, int64_t index, int thread) const {
    // Two rows that follow each other in a sequence load what both see once.
    int64_t pairs = (step.rows + 1) / 2, items = pairs * tape.kv_heads;
    int group = op.heads / tape.kv_heads;
    for (;;) {
      int64_t item = dealt[index].fetch_add(1);
      if (item >= items) return;
      // Head by head, so that the past of one stays in the cache from row to row; the longest
      // pasts first, so that nobody is left with one at the end.
      int r = 2 * (int)(pairs - 1 - item % pairs), h = (int)(item / pairs);
      int query = op.src_column + h * group * op.size, dst = op.dst_column + h * group * op.size;
      float* scores = (float*)scratch[thread];
      auto alone = [&](int row) {
        return Rows{at(op.src, row, query), nullptr, at(op.dst, row, dst), nullptr, past(op, row),
                    0, 0};
      };
      Rows rows = alone(r);
      bool second = r + 1 < step.rows;
      if (second && step.sequence[r] == step.sequence[r + 1]) {
        Past next = past(op, r + 1);
        rows.next_query = at(op.src, r + 1, query);
        rows.next_dst = at(op.dst, r + 1, dst);
        rows.next_first = next.first;
        rows.next_until = next.until;
        second = false;
      }
      level.attend(rows, h, group, op.f, scores);
      if (second) level.attend(alone(r + 1), h, group, op.f, scores);
    }
  }

  // Returns whether the step was played to its end.
  bool work(int thread) const {
    int meeting = 0;
    for (int i = 0; i < tape.op_count; i++) {
      const Op& op = tape.ops[i];
      if (op.kind == LINEAR) {
        linear(op, i, thread);
      } else if (op.kind == ATTEND) {
        attend(op, i, thread);
      } else if (op.kind == SHRINK) {
        if (group_count == 0) continue;
        shrink(op, i);
      } else {
        int count = rows(op);
        for (int r = count * thread / threads; r < count * (thread + 1) / threads; r++) row(op, r);
      }
      if (!op.barrier) continue;
      // One thread decides for all, before they meet. It may be ahead by one meeting when the others
      // read, so that there are two answers in turn.
      std::atomic<bool>& broken = off[meeting++ % 2];
      if (thread == 0) broken.store(__atomic_load_n(step.stop, __ATOMIC_RELAXED) != 0);
      team.barrier();
      if (broken.load()) return false;
    }
    return true;
  }
};

// Rows by their adapter, SHARING at most together; `open`: one number for each adapter.
int grouped(const Step& step, Group* groups, int* open) {
  int count = 0;
  for (int a = 0; a < step.adapter_count; a++) open[a] = -1;
  for (int r = 0; step.adapter && r < step.rows; r++) {
    const int a = step.adapter[r];
    if (a < 0) continue;
    if (open[a] < 0 || groups[open[a]].count == SHARING) {
      open[a] = count;
      groups[count++] = Group{a, 0, {}};
    }
    Group& group = groups[open[a]];
    group.rows[group.count++] = r;
  }
  return count;
}

struct Part {
  const Play& play;
  bool whole;
};

void play_part(void* part, int thread) {
  bool whole = ((Part*)part)->play.work(thread);
  if (thread == 0) ((Part*)part)->whole = whole;
}

std::mutex turn;
Arena arena;

// Never destroyed: its threads may outlive the library's statics.
Team* the_team = new Team;

Team& team() {
  // A child of fork() has none of its parent's threads: it begins with a team of its own.
  static const int once = pthread_atfork(nullptr, nullptr, [] { the_team = new Team; });
  (void)once;
  return *the_team;
}
}  // namespace

extern "C" {

int32_t studiolo_version(void) { return TAPE_VERSION; }

const char* studiolo_levels(void) {
  static const std::string names = [] {
    std::string all;
    for (const Kernels* level : LEVELS)
      if (runs_here(level)) all += (all.empty() ? "" : ",") + std::string(level->name);
    return all;
  }();
  return names.c_str();
}

int32_t studiolo_play(const Tape* tape, const Step* step, const char* name, int32_t threads) {
  const Kernels* level = level_named(name);
  if (!level) return -1;
  std::lock_guard<std::mutex> lock(turn);
  int64_t rows = step->rows, longest = 0, scratch = 0, total = 0, products = 0;
  for (int r = 0; r < rows; r++) longest = step->until[r] > longest ? step->until[r] : longest;
  for (int i = 0; i < tape->op_count; i++)
    if (tape->ops[i].kind == LINEAR) {
      int64_t need = level->linear_scratch(*(const Matrix*)tape->ops[i].p0);
      scratch = need > scratch ? need : scratch;
    } else if (tape->ops[i].kind == SHRINK) {
      products = tape->ops[i].heads > products ? tape->ops[i].heads : products;
    }
  const int64_t low_width = padded(step->rank, RANKS), adapted = step->adapter ? rows : 0;
  int64_t scores = level->queries * padded(longest, BLOCK) * 4;
  scratch = padded(scores > scratch ? scores : scratch, 64);
  for (int b = 0; b < tape->buffer_count; b++)
    total += padded(rows * tape->buffer_width[b] * 4, 64);
  for (int s = 0; s < tape->slot_count; s++) {
    int64_t k = padded(tape->slot_width[s], 32);
    total += padded(rows * k * 2, 64) + padded(rows * 4, 64) + padded(rows * (k / 32) * 4, 64);
  }
  total += threads * scratch + padded(tape->op_count * sizeof(std::atomic<int64_t>), 64) +
           padded(tape->buffer_count * sizeof(float*), 64) +
           padded(tape->slot_count * sizeof(Slot), 64) + padded(threads * sizeof(uint8_t*), 64) +
           padded(adapted * sizeof(Group), 64) + padded(step->adapter_count * sizeof(int), 64) +
           padded(adapted * products * low_width * 4, 64);
  if (!arena.reserve(total)) return -1;
  arena.reset();
  float** buffers = (float**)arena.take(tape->buffer_count * sizeof(float*));
  Slot* slots = (Slot*)arena.take(tape->slot_count * sizeof(Slot));
  uint8_t** scratches = (uint8_t**)arena.take(threads * sizeof(uint8_t*));
  auto* dealt = (std::atomic<int64_t>*)arena.take(tape->op_count * sizeof(std::atomic<int64_t>));
  for (int i = 0; i < tape->op_count; i++) new (&dealt[i]) std::atomic<int64_t>(0);
  for (int b = 0; b < tape->buffer_count; b++)
    buffers[b] = (float*)arena.take(rows * tape->buffer_width[b] * 4);
  for (int s = 0; s < tape->slot_count; s++) {
    int64_t k = padded(tape->slot_width[s], 32);
    int16_t* codes = (int16_t*)arena.take(rows * k * 2);
    float* scale = (float*)arena.take(rows * 4);
    slots[s] = Slot{codes, scale, (float*)arena.take(rows * (k / 32) * 4), k};
  }
  for (int t = 0; t < threads; t++) scratches[t] = arena.take(scratch);
  Group* groups = (Group*)arena.take(adapted * sizeof(Group));
  int group_count = grouped(*step, groups, (int*)arena.take(step->adapter_count * sizeof(int)));
  float* low = (float*)arena.take(adapted * products * low_width * 4);
  std::atomic<bool> off[2] = {};
  Play play{*tape, *step,  *level,      team(), threads,       buffers,        slots, scratches,
            dealt, groups, group_count, low,    (int)products, (int)low_width, off};
  Part part{play, false};
  team().run(threads, play_part, &part);
  return part.whole ? 0 : 1;
}
}
