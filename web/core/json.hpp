// Facts for a page, as JSON text; bytes are named by their place in the memory.
#pragma once

#include <string>

#include "format/cursor.hpp"

namespace gv {

inline std::string json(const std::string& text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char letter : text) {
    const bool is_plain =
        static_cast<unsigned char>(letter) >= ' ' && letter != '"' && letter != '\\';
    if (is_plain) out += letter;
    else out += std::string("\\u00") + kDigits[letter >> 4 & 15] + kDigits[letter & 15];
  }
  return out + '"';
}

// [place, size]
inline std::string json(Bytes bytes) {
  return "[" + std::to_string(reinterpret_cast<uintptr_t>(bytes.data)) + "," +
         std::to_string(bytes.size) + "]";
}

// Of items that `text` writes.
template <class Items, class Text>
std::string json_list(const Items& items, const Text& text) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + text(item);
  return out + "]";
}

inline std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t n = 0; n < bytes.size; ++n) {
    out += kDigits[bytes.data[n] >> 4];
    out += kDigits[bytes.data[n] & 15];
  }
  return out;
}

}  // namespace gv
