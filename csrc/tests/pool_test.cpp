// The thread pool: every index once, nested loops, many callers, exceptions, threads that cannot be
// started, children of fork; and encoders and decoders on many threads at once.
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "check.hpp"
#include "common/pool.hpp"

#if defined(__GLIBC__)
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace gvtest;

namespace {

void every_index(int count, int threads) {
  std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
  gv::parallel_for(count, threads, [&](int i) { ++calls[static_cast<size_t>(i)]; });
  for (const auto& n : calls) EXPECT(n == 1);
}

void nested() {
  std::atomic<int> sum{0};
  gv::parallel_for(6, 4, [&](int i) { gv::parallel_for(50, 3, [&](int j) { sum += i * j; }); });
  EXPECT(sum == 15 * 1225);
}

void exceptions() {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> begun{0};
    bool caught = false;
    try {
      gv::parallel_for(100000, 4, [&](int i) {
        ++begun;
        if (i == 7) throw std::out_of_range("seven");
      });
    } catch (const std::out_of_range& e) {
      caught = e.what() == std::string("seven");
    }
    EXPECT(caught && begun >= 8);
    every_index(100, 4);
  }
}

void on_many_threads(int count, const std::function<void(int)>& fn) {
  std::vector<std::thread> callers;
  for (int i = 0; i < count; ++i) callers.emplace_back(fn, i);
  for (std::thread& caller : callers) caller.join();
}

#if defined(__GLIBC__)
// New threads want stacks that no machine has, so none can be started.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 50);
    EXPECT(pthread_setattr_default_np(&huge) == 0);
  }
  ~NoThreads() { pthread_setattr_default_np(&before_); }

 private:
  pthread_attr_t before_;
};

void no_threads() {
  const NoThreads limit;
  bool started = true;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    started = false;
  }
  EXPECT(!started);
  const int before = gv::pool_size();
  every_index(1000, before + 20);
  nested();
  exceptions();
  EXPECT(gv::pool_size() == before);
}

#if !defined(__SANITIZE_THREAD__)  // which knows no threads in a child of a process with threads
void children() {
  every_index(1000, 4);
  EXPECT(gv::pool_size() >= 1);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    const bool empty = gv::pool_size() == 0;
    const int before = failures();
    every_index(1000, 4);
    nested();
    _exit(empty && gv::pool_size() >= 1 && failures() == before ? 0 : 1);
  }
  int status = 1;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
}
#endif
#endif

}  // namespace

int main() {
#if defined(__GLIBC__)
  no_threads();  // first with an empty pool
#endif
  for (const int threads : {0, 1, 2, 5, 100000})
    for (const int count : {0, 1, 3, 1000}) every_index(count, threads);
  EXPECT(gv::pool_size() >= 1 && gv::pool_size() <= gv::kMostHelpers);
  nested();
  exceptions();
  on_many_threads(8, [](int n) {
    for (int round = 0; round < 50; ++round) every_index(100, 1 + n % 4);
  });
#if defined(__GLIBC__)
  no_threads();
#if !defined(__SANITIZE_THREAD__)
  children();
#endif
#endif
  return verdict("pool");
}
