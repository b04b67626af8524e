#include "web/core/page_gop.hpp"

#include "format/timing.hpp"

namespace gv {
namespace {

constexpr uint64_t kMostFramesOfGop = uint64_t{1} << 20;  // hours; a page holds the times of all

}  // namespace

PageGop::PageGop(const Header& header, const GopEntry& gop, bool is_cut)
    : header_(header), gop_(gop), is_cut_(is_cut) {
  if (gop.frames > kMostFramesOfGop) throw StreamError(Fault::limit, "too large for a page");
  reader_.enter(header, gop);
}

template <class Read>
void PageGop::read_until_damage(const Read& read) {
  if (!problem_.empty()) return;
  try {
    read();
  } catch (const StreamError& error) {
    if (error.fault != Fault::damaged) throw;
    problem_ = error.what();
  }
}

void PageGop::send(Bytes bytes) {
  read_until_damage([&] {
    reader_.send(bytes);
    while (const std::optional<Packet> packet = reader_.next()) take(*packet);
  });
}

void PageGop::take(const Packet& packet) {
  if (packet.kind == kFit) fit_ = packet.payload.copy();
  else if (packet.kind == kTiming) timing_.push_back(packet.payload.copy());
  else if (packet.kind == kTracks) tracks_.push_back(packet.payload.copy());
  else if (packet.kind == kPainted) painted_hash_ = packet.payload.copy();
  else if (packet.kind >= kFirstUnknown && packet.kind < kFirstSkippable)
    newer_ = "packets of type " + std::to_string(packet.kind - kEnd);
  if (!packet.is_frame()) return;
  const bool is_key = packet.kind == kKey;
  require(is_key == units_.empty(), "index differs from the packets");
  const double share = static_cast<double>(packet.whole.size);
  if (!header_.bundled) return add(packet.payload, share);
  const std::vector<Buffer> payloads = unbundler_.send(is_key, packet.payload);
  double bytes = 0;
  for (const Buffer& payload : payloads) bytes += static_cast<double>(payload.size());
  for (const Buffer& payload : payloads)
    add(payload, share * static_cast<double>(payload.size()) / bytes);
}

void PageGop::add(Bytes payload, double share) {
  require(units_.size() < gop_.frames, "more frames than the index says");
  Unit unit{{}, payload.size, share};
  if (header_.base == Base::av1) {
    check_av1(parse_obus(payload));
    unit.data = restore_av1(payload);
  } else {
    unit.data = payload.copy();
  }
  units_.push_back(std::move(unit));
}

void PageGop::send_sample(Bytes sample, Bytes packed) {
  of_samples_ = true;
  read_until_damage([&] {
    const bool is_key = units_.empty();
    const TakenApart parts = take_apart(sample);
    const Bytes* header = parts.find(kEntryHeader);
    require(!is_key || !header || *header == packed, "another stream begins here");
    const Buffer payload = strip_av1(parts.obus);
    crc_ = crc32(payload, crc_);
    take_entries(parts, is_key);
    add(payload, static_cast<double>(payload.size()));
  });
}

void PageGop::take_entries(const TakenApart& sample, bool is_key) {
  for (const Entry& entry : sample.entries) {
    if (entry.what == kEntryGop) {
      Cursor in(entry.data, "painting data");
      require(in.var(kMostFrames) == gop_.frames && in.uint(4) == crc_, "checksum differs");
    }
    const bool is_packet = entry.what == kEntryPacket || entry.what == kEntryTrailer;
    if ((!is_packet && entry.what != kEntryState) || !entry.data.size) continue;
    const int kind = kEnd + entry.data.data[0];
    if (kind == kPainted && is_packet) painted_hash_ = entry.data.from(1).copy();
    else if (kind == kFit && is_key && entry.what != kEntryTrailer)
      fit_ = entry.data.from(1).copy();
    else if (kind >= kFirstUnknown && kind < kFirstSkippable)
      newer_ = "packets of type " + std::to_string(entry.data.data[0]);
  }
}

void PageGop::finish() {
  read_until_damage([&] {
    const bool is_whole = of_samples_ || reader_.place() == gop_.offset + gop_.size;
    require(is_whole, "file ends early");
    require(units_.size() == gop_.frames && (of_samples_ || is_cut_ || !reader_.open_gop().frames),
            "frames are missing");
  });
  if (of_samples_) return;  // the container has their times
  try {
    find_times(timing_);
  } catch (const StreamError& error) {
    if (problem_.empty()) problem_ = error.what();
    find_times({});
  }
}

void PageGop::find_times(const std::vector<Buffer>& timing) {
  Timeline timeline(header_.rate, header_.tick, header_.start, UINT32_MAX);
  timeline.restart(static_cast<int64_t>(gop_.first_frame));
  for (const Buffer& payload : timing) timeline.send(payload);
  times_.clear();
  for (uint64_t n = 0; n <= gop_.frames; ++n)
    times_.push_back(static_cast<double>(timeline.next()));
}

}  // namespace gv
