// Return values of failed calls: the code of an error, which `last_error` keeps with
// its text.
#pragma once

#include <new>

#include "format/cursor.hpp"

namespace gv {

constexpr int kNoMemory = -7, kBroken = -10;  // codes of csrc/include/gvc.h

struct LastError {
  int code = 0;
  std::string text;
};

// A page calls from one thread; the helpers that paint pass their errors to it.
inline LastError& last_error() {
  static LastError error;
  return error;
}

inline int fail(int code, const char* text) {
  last_error() = {code, text};
  return code;
}

// The result of `call`, an int of at least 0; or the code of its exception.
template <class Call>
int guard(const Call& call) {
  try {
    return call();
  } catch (const StreamError& error) {
    return fail(static_cast<int>(error.fault), error.what());
  } catch (const std::bad_alloc&) {
    return fail(kNoMemory, "out of memory");
  } catch (const std::length_error&) {
    return fail(kNoMemory, "out of memory");
  } catch (const std::exception& error) {
    return fail(kBroken, error.what());
  }
}

// The result of `make`, or null.
template <class Make>
auto guard_handle(const Make& make) -> decltype(make()) {
  decltype(make()) handle = nullptr;
  guard([&] { return handle = make(), 0; });
  return handle;
}

}  // namespace gv
