// Streams with right checksums around any packets, and a small painter, for fuzz targets and tests.
#pragma once

#include "entropy/intnet.hpp"
#include "format/packets.hpp"

namespace gvfuzz {

using gv::append;
using gv::append_var;
using gv::Buffer;

inline void append_uint(Buffer& to, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}

// A header around these fields (docs/spec/container.md: Header), of any bytes.
inline Buffer sealed_header(gv::Bytes fields) {
  Buffer header = {0x89, 'G', 'V', 'C', 1, 1};
  append_var(header, fields.size);
  append(header, fields);
  append_uint(header, gv::crc32(header), 4);
  return header;
}

// Fields of pictures of 40×24 at 25 frames a second and q 35.
inline Buffer usual_fields(int base, bool bundled, const gv::Id* painter) {
  Buffer fields = {1, 1, 0, 1, static_cast<uint8_t>((bundled ? 8 : 0) | (painter ? 2 : 0)), 0};
  for (const int number : {40, 24, 25, 1, 1, 1000, 0})
    append_var(fields, static_cast<uint64_t>(number));
  for (const int byte : {2, 2, 2, 2, 1, 1, base, 0, 35})
    fields.push_back(static_cast<uint8_t>(byte));
  if (painter) append(fields, {painter->data(), painter->size()});
  return fields;
}

inline Buffer sealed_packet(int kind, gv::Bytes payload) {
  Buffer packet;
  append_var(packet, payload.size << 2 | static_cast<size_t>(std::min(kind, 16) < 16 ? kind : 3));
  if (kind >= 16) packet.push_back(static_cast<uint8_t>(kind - 16));
  append(packet, payload);
  append_uint(packet, gv::crc16(packet), 2);
  return packet;
}

// Collects packets; closes GOPs, and the file with its index and end.
class StreamWriter {
 public:
  explicit StreamWriter(Buffer header) : data_(std::move(header)), begin_(data_.size()) {}

  void add(int kind, gv::Bytes payload, int frames) {
    if ((kind == gv::kKey || kind == gv::kFit) && frames_) close();
    const Buffer packet = sealed_packet(kind, payload);
    crc_ = gv::crc32(packet, crc_);
    append(data_, packet);
    frames_ += frames, all_frames_ += frames;
    fitted_ = fitted_ || kind == gv::kFit;
  }
  Buffer finish() {
    if (frames_) close();
    Buffer index;
    append_var(index, static_cast<uint64_t>(all_frames_));
    append_var(index, static_cast<uint64_t>(gops_));
    append(index, entries_);
    const Buffer packed = sealed_packet(gv::kIndex, index);
    append(data_, packed);
    Buffer end(gv::kIdBytes);
    append_uint(end, packed.size(), 4);
    append(data_, sealed_packet(gv::kEnd, end));
    return data_;
  }

 private:
  void close() {
    Buffer payload;
    append_uint(payload, crc_, 4);
    append_var(payload, static_cast<uint64_t>(all_frames_));
    append(data_, sealed_packet(gv::kGop, payload));
    append_var(entries_, static_cast<uint64_t>(frames_));
    append_var(entries_, data_.size() - begin_);
    entries_.push_back(fitted_);
    begin_ = data_.size();
    crc_ = 0, frames_ = 0, fitted_ = false, ++gops_;
  }

  Buffer data_, entries_;
  size_t begin_;
  uint32_t crc_ = 0;
  int frames_ = 0, all_frames_ = 0, gops_ = 0;
  bool fitted_ = false;
};

// A painter's file of 20 channels that tokens of four integers steer.
inline Buffer small_painter() {
  std::string head = R"({"__metadata__":{"painter":"{\"form\": 2}"})";
  Buffer data;
  uint32_t seed = 1;
  const auto tensor = [&](const std::string& name, const char* type, std::vector<int> shape,
                          int width, int low, int high) {
    size_t count = 1;
    std::string sizes;
    for (const int n : shape) count *= static_cast<size_t>(n), sizes += std::to_string(n) + ",";
    sizes.pop_back();
    head += ",\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + sizes +
            "],\"data_offsets\":[" + std::to_string(data.size());
    for (size_t i = 0; i < count; ++i) {
      seed = seed * 1664525u + 1013904223u;
      const int value = low + static_cast<int>((seed >> 8) % static_cast<uint32_t>(high - low + 1));
      append_uint(data, static_cast<uint64_t>(static_cast<int64_t>(value)), width);
    }
    head += "," + std::to_string(data.size()) + "]}";
  };
  const auto layer = [&](const std::string& name, std::vector<int> shape) {
    const std::vector<int> outputs = {shape[0]};
    tensor(name + ".multiplier", "I16", outputs, 2, 100, 600);
    tensor(name + ".shift", "I16", outputs, 2, 9, 12);
    if (name == "view") return;
    tensor(name + ".weight", "I8", std::move(shape), 1, -20, 20);
    tensor(name + ".bias", "I32", outputs, 4, -200, 200);
    tensor(name + ".step", "I16", outputs, 2, 8, 12);
  };
  layer("stem", {4, 12, 3, 3}), layer("stem2", {4, 4, 3, 3}), layer("statistics", {16, 16, 1, 1});
  layer("blocks.0.depthwise", {20, 1, 5, 5}), layer("blocks.0.expand", {8, 20, 1, 1});
  layer("blocks.0.project", {20, 8, 1, 1}), layer("view", {20}), layer("style", {4, 20, 1, 1});
  layer("head", {15, 4, 1, 1});
  tensor("blocks.0.condition", "I32", {20, 10}, 4, -500, 500);
  tensor("tokens.weight", "I16", {4, 4}, 2, -508, 508);
  tensor("tokens.0.weight", "I8", {3, 13}, 1, -40, 40);
  tensor("tokens.0.bias", "I32", {3}, 4, 3000, 9000);
  tensor("tokens.0.multiplier", "I32", {3}, 4, 20, 70);
  tensor("tokens.0.bounds", "I32", {1}, 4, 14, 14);  // replaced below: three numbers
  const size_t at = head.rfind("\"shape\":[1]");
  head.replace(at, 11, "\"shape\":[3]");
  for (const int bound : {-32768, 32767})
    append_uint(data, static_cast<uint64_t>(static_cast<int64_t>(bound)), 4);
  head.replace(head.rfind(',') + 1, std::string::npos, std::to_string(data.size()) + "]}}");
  Buffer file;
  append_uint(file, head.size(), 8);
  append(file, {reinterpret_cast<const uint8_t*>(head.data()), head.size()});
  append(file, data);
  return file;
}

inline gv::Id id_of_file(gv::Bytes file) {
  gv::Sha256 hash;
  gv::update(hash, file);
  return gv::id_of(hash);
}

}  // namespace gvfuzz
