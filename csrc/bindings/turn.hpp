// Python threads that share an object of the core take turns.
#pragma once

#include <nanobind/nanobind.h>

#include <mutex>

// Waits without the interpreter's lock: the thread that has the turn may wait for the lock.
class Turn {
 public:
  explicit Turn(std::mutex& mutex) : lock_(mutex, std::try_to_lock) {
    if (lock_.owns_lock()) return;
    nanobind::gil_scoped_release unlocked;
    lock_.lock();
  }

 private:
  std::unique_lock<std::mutex> lock_;
};
