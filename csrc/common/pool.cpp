#include "common/pool.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

namespace gv {
namespace {

struct Job {
  const std::function<void()>& work;
  int wanted;
  int running = 0;
};

// Never destroyed: its threads wait in it until the process ends.
class Pool {
 public:
  int size() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return workers_;
  }

  void run(int helpers, const std::function<void()>& work) {
    Job job{work, helpers};
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(&job);
      open_ += helpers;
      hire(helpers);
    }
    for (int i = 0; i < helpers; ++i) called_.notify_one();
    work();
    std::unique_lock<std::mutex> lock(mutex_);
    if (job.wanted > 0) {
      open_ -= job.wanted;
      jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    }
    ended_.wait(lock, [&] { return job.running == 0; });
  }

 private:
  // Starts threads until there is one for every open place, as far as the machine lets it.
  void hire(int helpers) {
    static const int cores = static_cast<int>(std::thread::hardware_concurrency());
    const int most = std::min(std::max(helpers, cores), kMostHelpers);
    try {
      for (; workers_ - busy_ < open_ && workers_ < most; ++workers_)
        std::thread([this] { serve(); }).detach();
    } catch (const std::exception&) {  // std::system_error, std::bad_alloc: those there are will do
    }
  }

  void serve() {
#if !defined(_WIN32)
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are for the threads of the caller
#endif
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      called_.wait(lock, [&] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      if (--job.wanted == 0) jobs_.pop_front();
      --open_;
      ++job.running;
      ++busy_;
      lock.unlock();
      job.work();
      lock.lock();
      --busy_;
      if (--job.running == 0) ended_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable called_, ended_;
  std::deque<Job*> jobs_;  // that want more helpers
  int open_ = 0;           // helpers that they want
  int workers_ = 0, busy_ = 0;
};

std::atomic<Pool*> current{nullptr};

#if !defined(_WIN32)
// Only the thread that forks lives on in a child, and locks of the others stay locked for ever.
[[maybe_unused]] const int watched = pthread_atfork(nullptr, nullptr, [] { current = nullptr; });
#endif

Pool& pool() {
  Pool* there = current;
  if (there) return *there;
  auto* made = new Pool;
  if (current.compare_exchange_strong(there, made)) return *made;
  delete made;
  return *there;
}

}  // namespace

int pool_size() { return pool().size(); }

void use_small_stacks() {
#if defined(__GLIBC__)
  pthread_attr_t attributes;
  if (pthread_getattr_default_np(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, size_t{1} << 20);
  pthread_setattr_default_np(&attributes);
#endif
}

void run_with_helpers(int helpers, const std::function<void()>& work) {
  if (helpers <= 0) return work();
  pool().run(std::min(helpers, kMostHelpers), work);
}

}  // namespace gv
