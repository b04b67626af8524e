#include "format/packets.hpp"

namespace gv {
namespace {

constexpr int kExtended = 3, kExtendedAt = 16;
constexpr uint64_t kMostPayload = uint64_t{1} << 26;
constexpr size_t kCrcBytes = 2;

uint64_t most_payload(int kind) {
  switch (kind) {
    case kGop:
    case kFit:
    case kTiming:
    case kLatent:
    case kFirstSkippable:  // a summary
      return uint64_t{1} << 20;
    case kMetadata:
      return uint64_t{1} << 16;
    case kModel:
      return uint64_t{1} << 24;
    default:
      return kMostPayload;
  }
}

}  // namespace

std::optional<PacketHead> parse_packet_head(Bytes data) {
  size_t end = 0;
  do {
    if (end >= data.size) return std::nullopt;
  } while (data.data[end++] >= 128 && end < kMostVarBytes);
  const uint64_t value = Cursor(data.first(end), "head").var(kMostPayload << 2 | 3);
  PacketHead head;
  head.kind = static_cast<int>(value & 3);
  if (head.kind == kExtended) {
    if (end >= data.size) return std::nullopt;
    head.kind = kExtendedAt + data.data[end++];
  }
  head.payload = value >> 2;
  head.whole = end + head.payload + kCrcBytes;
  return head;
}

size_t packet_size(Bytes data) {
  const std::optional<PacketHead> head = parse_packet_head(data);
  if (!head) return 0;
  const uint64_t most = most_payload(head->kind);
  if (head->payload > most)
    refuse("head: " + std::to_string(head->payload) + " is above " + std::to_string(most),
           code::kPacketSize);
  return static_cast<size_t>(head->whole);
}

Packet parse_packet(Bytes whole) {
  Cursor in(whole, "packet");
  const uint64_t head = in.var();
  Packet packet;
  packet.kind = static_cast<int>(head & 3);
  if (packet.kind == kExtended) packet.kind = kExtendedAt + in.u8();
  packet.payload = in.take(head >> 2);
  packet.whole = whole;
  require(in.uint(kCrcBytes) == crc16(whole.first(whole.size - kCrcBytes)), "checksum mismatch",
          code::kPacketChecksum);
  return packet;
}

std::vector<GopEntry> parse_index(Bytes payload, uint64_t begin, uint64_t end, int frames_a_byte) {
  Cursor in(payload, "index");
  const uint64_t frames = in.var(kMostFrames), gops = in.var(kMostFrames);
  std::vector<GopEntry> entries;
  uint64_t first = 0, offset = begin;
  // A claim of many GOPs ends by itself: each entry takes bytes.
  for (uint64_t n = 0; n < gops; ++n) {
    GopEntry gop{first, in.var(kMostFrames), offset, in.var(), (in.u8() & 1) != 0};
    const bool has_room = gop.size <= end - offset;
    if (gop.frames == 0 || !has_room || gop.frames > gop.size * static_cast<uint64_t>(frames_a_byte))
      refuse("index: GOP without frames", code::kIndex);
    entries.push_back(gop);
    first += gop.frames;
    offset += gop.size;
  }
  require(!entries.empty(), "index: no frames", code::kIndex);
  require(first == frames && in.left() == 0, "index: frames do not add up", code::kIndex);
  return entries;
}

bool closes_gop(Bytes payload, uint32_t crc, uint64_t frames) {
  Cursor in(payload, "gop");
  if (in.uint(4) != crc) return false;
  return in.left() == 0 || (in.var() == frames && in.left() == 0);
}

}  // namespace gv
