// One standing pool of threads for every parallel loop of the process.
//
// The caller of a loop works on it too, so a loop ends even where no thread can be started. A
// thread is started when a loop asks for one and none is free; it waits between loops and ends with
// the process. Loops may be nested and may be called by many threads at once. A child made by
// fork() starts a pool of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>

namespace gv {

constexpr int kMostHelpers = 255;

// Threads of the pool, busy or waiting.
int pool_size();

// From now on every thread of the process gets 1 MiB of stack, those of other libraries too. Stacks
// count in full where memory is limited, and 8 MiB each are usual. Nothing happens without glibc.
void use_small_stacks();

// Lets up to `helpers` threads of the pool call `work` while the caller does. Returns when all
// calls have ended. `work` must not throw.
void run_with_helpers(int helpers, const std::function<void()>& work);

// Calls fn(i) for i in [0, count) on up to `threads` threads. The calls must be independent of each
// other. The first exception of a call is thrown here, and calls that have not begun are left out.
template <class Fn>
void parallel_for(int count, int threads, const Fn& fn) {
  threads = std::min(threads, count);
  if (threads <= 1) {
    for (int i = 0; i < count; ++i) fn(i);
    return;
  }
  std::atomic<int> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  const auto work = [&] {
    for (int i = next++; i < count && !failed; i = next++) {
      try {
        fn(i);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  };
  run_with_helpers(threads - 1, std::cref(work));
  if (error) std::rethrow_exception(error);
}

}  // namespace gv
