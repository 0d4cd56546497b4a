// A team of threads that plays one step together. Whoever waits spins for a moment, for a step
// has hundreds of meetings, and then sleeps: a core that is given up lets a thread run that
// another program has driven from its own.
#pragma once
#include <atomic>
#include <climits>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// A counter that can be waited for.
class Turnstile {
 public:
  uint32_t now() const { return value_.load(std::memory_order_acquire); }

  void turn() {
    value_.fetch_add(1);
    if (sleepers_.load() > 0) wake();
  }

  void wait_beyond(uint32_t seen) {
    for (int spins = 0; spins < 500; spins++) {
      if (now() != seen) return;
      relax();
    }
    sleepers_.fetch_add(1);
    while (now() == seen) sleep(seen);
    sleepers_.fetch_sub(1);
  }

 private:
#if defined(__x86_64__)
  static void relax() { _mm_pause(); }
#else
  static void relax() {}
#endif
#if defined(__linux__)
  // The kernel compares the value once more, so that no turn is missed.
  void sleep(uint32_t seen) {
    syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
  }
  void wake() { syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }
#else
  void sleep(uint32_t) { std::this_thread::yield(); }
  void wake() {}
#endif

  std::atomic<uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
};

class Team {
 public:
  // Runs work(argument, thread) on `count` threads, the caller being thread 0.
  void run(int count, void (*work)(void*, int), void* argument) {
    while ((int)threads_.size() < count - 1) {
      int number = (int)threads_.size() + 1;
      threads_.emplace_back([this, number, seen = round_.now()] { serve(number, seen); });
    }
    work_ = work, argument_ = argument, count_ = count;
    arrived_ = 0;
    // All threads report back, also those that have nothing to do, so that none is a round late.
    running_ = (int)threads_.size();
    const uint32_t before = done_.now();
    if (!threads_.empty()) round_.turn();
    work(argument, 0);
    if (!threads_.empty()) done_.wait_beyond(before);
  }

  // Every thread of the step waits here for the others.
  void barrier() {
    if (count_ == 1) return;
    const uint32_t before = meeting_.now();
    if (arrived_.fetch_add(1) == count_ - 1) {
      arrived_ = 0;
      meeting_.turn();
    } else {
      meeting_.wait_beyond(before);
    }
  }

 private:
  void serve(int number, uint32_t seen) {
    for (;; seen++) {
      round_.wait_beyond(seen);
      if (number < count_) work_(argument_, number);
      if (running_.fetch_sub(1) == 1) done_.turn();
    }
  }

  std::vector<std::thread> threads_;  // never joined: a team lives as long as its process
  Turnstile round_, meeting_, done_;
  std::atomic<int> arrived_{0}, running_{0};
  void (*work_)(void*, int) = nullptr;
  void* argument_ = nullptr;
  int count_ = 1;
};
