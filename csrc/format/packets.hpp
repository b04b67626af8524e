// Packets of the container, and its index (docs/spec/container.md: Packets).
#pragma once

#include <optional>

#include "format/checksums.hpp"

namespace gv {

// The two bits in a packet's head; from 16 on: 16 + the type byte.
enum PacketKind : int {
  kInter = 0,
  kKey = 1,
  kGop = 2,
  kEnd = 16,
  kIndex = 17,
  kFit = 18,
  kTiming = 19,
  kTracks = 20,
  kLatent = 21,
  kFirstUnknown = 22,    // up to kFirstSkippable: painting needs them, in a later version
  kFirstSkippable = 80,  // type 64
  kMetadata = 82,
  kPainted = 83,
  kModel = 84
};

struct Packet {
  int kind = kInter;
  Bytes payload, whole;  // whole: with head and CRC-16

  bool is_frame() const { return kind == kInter || kind == kKey; }
};

// The head of a packet: its kind, and bytes of head, payload and CRC-16 together.
struct PacketHead {
  int kind = kInter;
  uint64_t payload = 0, whole = 0;
};

constexpr size_t kLeastPacket = 3;  // bytes

// The head at the start of `data`, or nothing if more bytes are needed. Throws `StreamError`.
std::optional<PacketHead> parse_packet_head(Bytes data);
// Bytes of the packet at the start of `data`, or 0 if more bytes are needed. Throws `StreamError`
// for one that is larger than its kind may be.
size_t packet_size(Bytes data);
// A whole packet of that size. Throws `StreamError`.
Packet parse_packet(Bytes whole);

struct GopEntry {
  uint64_t first_frame = 0, frames = 0, offset = 0, size = 0;  // offset and size in bytes
  bool fitted = false;

  bool operator==(const GopEntry& o) const {
    return first_frame == o.first_frame && frames == o.frames && offset == o.offset &&
           size == o.size && fitted == o.fitted;
  }
};

constexpr uint64_t kMostFrames = uint64_t{1} << 40;
constexpr size_t kEndPacketBytes = 16, kEndPayloadBytes = kIdBytes + 4;

// Entries of an `index` packet at offset `end`, of GOPs from offset `begin` on. A byte of a GOP codes
// at most `frames_a_byte` frames. Throws `StreamError`.
std::vector<GopEntry> parse_index(Bytes payload, uint64_t begin, uint64_t end, int frames_a_byte);

// Whether a `gop` packet fits the packets before it: their CRC-32, frames since the start. Throws
// `StreamError`.
bool closes_gop(Bytes payload, uint32_t crc, uint64_t frames);

}  // namespace gv
