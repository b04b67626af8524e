// Bytes of a stream, the position from which they are read, and the error thrown where they are
// wrong. Every parser of a stream reads through `Cursor`, which checks bounds.
#pragma once

#include <string>

#include "common/basics.hpp"
#include "format/error_codes.hpp"

namespace gv {

// Classes of errors: the codes of csrc/include/gvc.h.
enum class Fault {
  damaged = -3,
  newer = -4,
  other_hash = -5,
  limit = -6,
  unsupported = -8,
  no_model = -9,
  misuse = -10
};

// `code`: one of gvcodec/errors.py, "" for that of the class. It outlives the error.
class StreamError : public std::runtime_error {
 public:
  StreamError(Fault fault_, const std::string& text, const char* code_ = "")
      : std::runtime_error(text), fault(fault_), code(code_) {}
  Fault fault;
  const char* code;
};

[[noreturn]] inline void refuse(const std::string& text, const char* code = "") {
  throw StreamError(Fault::damaged, text, code);
}
inline void require(bool holds, const char* text, const char* code = "") {
  if (!holds) refuse(text, code);
}

// Bytes that someone else owns.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  Bytes() = default;
  Bytes(const uint8_t* data_, size_t size_) : data(data_), size(size_) {}
  Bytes(const std::vector<uint8_t>& v) : data(v.data()), size(v.size()) {}
  Bytes first(size_t count) const { return {data, std::min(count, size)}; }
  Bytes from(size_t at) const { return at < size ? Bytes{data + at, size - at} : Bytes{}; }
  bool operator==(const Bytes& other) const {
    return size == other.size && std::equal(data, data + size, other.data);
  }
  std::vector<uint8_t> copy() const { return std::vector<uint8_t>(data, data + size); }
};

using Buffer = std::vector<uint8_t>;

inline void append(Buffer& to, Bytes part) {
  if (part.size) to.insert(to.end(), part.data, part.data + part.size);
}

constexpr int kMostVarBytes = 9;
constexpr uint64_t kMostVar = (uint64_t{1} << 63) - 1;

class Cursor {
 public:
  // `what` names the bytes in errors, `code` is that of all errors; both must outlive the cursor.
  Cursor(Bytes bytes, const char* what, const char* code = nullptr)
      : rest_(bytes), what_(what), code_(code) {}

  size_t left() const { return rest_.size; }

  Bytes take(uint64_t size) {
    if (size > rest_.size)
      refuse(std::string(what_) + " ends early", code_ ? code_ : code::kTruncated);
    const Bytes taken = rest_.first(static_cast<size_t>(size));
    rest_ = rest_.from(static_cast<size_t>(size));
    return taken;
  }
  Bytes take_rest() { return take(rest_.size); }
  uint8_t u8() { return take(1).data[0]; }
  // Little-endian, of one to eight bytes.
  uint64_t uint(int size) {
    const Bytes bytes = take(static_cast<uint64_t>(size));
    uint64_t value = 0;
    for (int i = size; i-- > 0;) value = value << 8 | bytes.data[i];
    return value;
  }
  // A `var` of docs/spec/container.md, at most `limit`.
  uint64_t var(uint64_t limit = kMostVar) {
    uint64_t value = 0;
    for (int i = 0; i < kMostVarBytes; ++i) {
      const uint8_t byte = u8();
      value |= static_cast<uint64_t>(byte & 127) << 7 * i;
      if (byte >= 128) continue;
      if (byte == 0 && i > 0) refuse_number("number in non-minimal form");
      if (value > limit)
        refuse_number(std::to_string(value) + " is above " + std::to_string(limit));
      return value;
    }
    refuse_number("number of more than 9 bytes");
  }
  int64_t svar() {
    const uint64_t coded = var();
    const int64_t half = static_cast<int64_t>(coded >> 1);
    return coded & 1 ? -half - 1 : half;
  }

 private:
  [[noreturn]] void refuse_number(const std::string& text) const {
    refuse(std::string(what_) + ": " + text, code_ ? code_ : code::kNumber);
  }

  Bytes rest_;
  const char* what_;
  const char* code_;
};

inline void append_var(Buffer& to, uint64_t value) {
  for (; value >= 128; value >>= 7) to.push_back(static_cast<uint8_t>(value | 128));
  to.push_back(static_cast<uint8_t>(value));
}

}  // namespace gv
