#include "model/safetensors.hpp"

namespace gv {
namespace {

constexpr int kMostDepth = 16;  // of JSON values inside each other
constexpr uint64_t kMostDimension = uint64_t{1} << 31;

// Reads JSON (RFC 8259) value by value. Throws `StreamError`.
class Json {
 public:
  explicit Json(Bytes text) : text_(text) {}

  bool finished() { return peek() < 0; }
  bool is_next(char c) { return peek() == c; }

  // Calls `field(name)` for each member, which must read its value.
  template <class Field>
  void object(const Field& field) {
    list('{', '}', [&] {
      const std::string name = string();
      expect(':');
      field(name);
    });
  }
  template <class Element>
  void array(const Element& element) {
    list('[', ']', element);
  }

  std::string string() {
    expect('"');
    std::string out;
    for (uint8_t c; (c = in_u8()) != '"';) {
      require(c >= 0x20, kWrong);
      if (c == '\\') append_escape(out);
      else out.push_back(static_cast<char>(c));
    }
    return out;
  }
  uint64_t natural() {
    peek();
    uint64_t value = 0;
    int digits = 0;
    for (; at_ < text_.size && is_digit(text_.data[at_]); ++at_, ++digits) {
      require(digits < 18, kWrong);
      value = 10 * value + (text_.data[at_] - '0');
    }
    require(digits > 0, kWrong);
    return value;
  }
  // Any value, of which nothing is wanted.
  void skip(int depth = 0) {
    require(depth < kMostDepth, "JSON: too many levels");
    if (is_next('{')) return object([&](const std::string&) { skip(depth + 1); });
    if (is_next('[')) return array([&] { skip(depth + 1); });
    if (is_next('"')) return void(string());
    const size_t begin = at_;
    while (at_ < text_.size && is_plain(text_.data[at_])) ++at_;
    require(at_ > begin, kWrong);
  }

 private:
  static constexpr const char* kWrong = "JSON: unexpected token";

  static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
  static bool is_plain(uint8_t c) {  // of numbers, true, false, null
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
  }
  uint8_t in_u8() {
    require(at_ < text_.size, "JSON: ends early");
    return text_.data[at_++];
  }
  int peek() {
    while (at_ < text_.size && (text_.data[at_] == ' ' || text_.data[at_] == '\n' ||
                                text_.data[at_] == '\r' || text_.data[at_] == '\t'))
      ++at_;
    return at_ < text_.size ? text_.data[at_] : -1;
  }
  void expect(char c) {
    require(peek() == c, kWrong);
    ++at_;
  }
  template <class Element>
  void list(char open, char close, const Element& element) {
    expect(open);
    if (!is_next(close)) {
      element();
      while (is_next(',')) {
        ++at_;
        element();
      }
    }
    expect(close);
  }
  void append_escape(std::string& out) {
    constexpr char kLetters[] = "\"\\/bfnrt", kMeant[] = "\"\\/\b\f\n\r\t";
    const char c = static_cast<char>(in_u8());
    if (c == 'u') {
      for (int i = 0; i < 4; ++i) in_u8();
      return out.push_back('?');  // no name and no text that is used has one
    }
    for (size_t i = 0; i + 1 < sizeof kLetters; ++i)
      if (kLetters[i] == c) return out.push_back(kMeant[i]);
    refuse(kWrong);
  }

  Bytes text_;
  size_t at_ = 0;
};

size_t size_of_type(const std::string& type) {
  if (type == "BOOL" || type == "U8" || type == "I8" || type.compare(0, 2, "F8") == 0) return 1;
  if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 2;
  if (type == "F32" || type == "I32" || type == "U32") return 4;
  if (type == "F64" || type == "I64" || type == "U64") return 8;
  refuse("safetensors: a tensor of an unknown type");
}

struct Entry {
  Tensor tensor;
  uint64_t begin = 0, end = 0;
};

Entry read_entry(Json& json) {
  Entry entry;
  std::vector<uint64_t> offsets;
  json.object([&](const std::string& field) {
    if (field == "dtype") entry.tensor.type = json.string();
    else if (field == "shape") json.array([&] { entry.tensor.shape.push_back(json.natural()); });
    else if (field == "data_offsets") json.array([&] { offsets.push_back(json.natural()); });
    else json.skip();
  });
  require(offsets.size() == 2 && offsets[0] <= offsets[1], "safetensors: offsets of a tensor");
  uint64_t size = size_of_type(entry.tensor.type);
  for (const uint64_t n : entry.tensor.shape) {
    require(n < kMostDimension && size < kMostDimension, "safetensors: shape of a tensor");
    size *= n;
  }
  entry.begin = offsets[0], entry.end = offsets[1];
  require(entry.end - entry.begin == size, "safetensors: a tensor of another size");
  return entry;
}

}  // namespace

const Tensor& Safetensors::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) refuse("tensor " + name + " is missing");
  return found->second;
}

Safetensors read_safetensors(Bytes file) {
  Cursor in(file, "safetensors");
  const Bytes head = in.take(in.uint(8)), data = in.take_rest();
  Safetensors out;
  std::map<uint64_t, uint64_t> ends;  // by begin: tensors lie one behind the other
  Json json(head);
  json.object([&](const std::string& name) {
    if (name == "__metadata__") {
      if (json.is_next('n')) return json.skip();
      return json.object([&](const std::string& key) { out.texts[key] = json.string(); });
    }
    Entry entry = read_entry(json);
    require(entry.end <= data.size, "safetensors: a tensor ends beyond the file");
    entry.tensor.bytes = data.from(entry.begin).first(entry.end - entry.begin);
    if (entry.begin < entry.end)
      require(ends.emplace(entry.begin, entry.end).second, "safetensors: tensors overlap");
    require(out.tensors.emplace(name, std::move(entry.tensor)).second,
            "safetensors: two tensors of one name");
  });
  require(json.finished(), "safetensors: text after its head");
  uint64_t end = 0;
  for (const auto& [begin, next] : ends) {
    require(begin == end, "safetensors: tensors overlap or leave gaps");
    end = next;
  }
  require(end == data.size, "safetensors: bytes after the last tensor");
  return out;
}

int64_t json_integer(const std::string& object, const std::string& key, int64_t missing) {
  Json json({reinterpret_cast<const uint8_t*>(object.data()), object.size()});
  int64_t found = missing;
  json.object([&](const std::string& name) {
    if (name == key) found = static_cast<int64_t>(json.natural());
    else json.skip();
  });
  return found;
}

}  // namespace gv
