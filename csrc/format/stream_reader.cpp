#include "format/stream_reader.hpp"

#include "format/unbundler.hpp"

namespace gv {
namespace {

constexpr int kMostModels = 8;
constexpr size_t kKeptBytes = size_t{1} << 16;  // used bytes that may lie before the others

}  // namespace

void StreamReader::send(Bytes bytes) {
  if (at_ > kKeptBytes || at_ == buffer_.size()) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(at_));
    at_ = 0;
  }
  append(buffer_, bytes);
}

void StreamReader::skip(size_t bytes) {
  at_ += bytes;
  offset_ += bytes;
}

const Header* StreamReader::header() {
  if (header_) return &*header_;
  const size_t size = header_size(waiting());
  if (size == 0 || size > waiting().size) {
    require(!finished_, "header: file ends early", code::kTruncated);
    return nullptr;
  }
  const Header parsed = parse_header(waiting().first(size));
  at_ += size;
  begin(parsed, offset_ + size);
  return &*header_;
}

void StreamReader::begin(const Header& header, uint64_t size) {
  header_ = header;
  header_size_ = gop_offset_ = offset_ = size;
  packets_ = 0;
  models_read_ = !header.embeds_models;
}

size_t StreamReader::missing() const {
  const size_t size = std::max(packet_size(waiting()), kLeastPacket);
  return size > waiting().size ? size - waiting().size : 1;
}

// The whole packet at hand, not used up yet.
std::optional<Packet> StreamReader::read() {
  const size_t size = packet_size(waiting());
  if (size == 0 || size > waiting().size) {
    require(!finished_, "file ends early", code::kTruncated);
    return std::nullopt;
  }
  return parse_packet(waiting().first(size));
}

std::optional<Packet> StreamReader::next() {
  if (!header()) return std::nullopt;
  skip(consumed_);
  packets_ += consumed_ > 0;
  frames_ += pending_frames_;
  consumed_ = pending_frames_ = 0;
  while (!ended_) {
    if (seeking_ == Seeking::wanted && models_read_) begin_seek();
    if (seeking_ == Seeking::none && !fit_.empty()) {
      given_fit_.swap(fit_);
      fit_.clear();
      return parse_packet(given_fit_);
    }
    const std::optional<Packet> packet = read();
    if (!packet) return std::nullopt;
    if (seeking_ > Seeking::wanted) {
      advance_seek(*packet);
      continue;
    }
    models_read_ = models_read_ || packet->kind != kModel || packets_ + 1 >= kMostModels;
    if (seeking_ == Seeking::wanted && packet->kind != kModel) continue;
    if (take(*packet)) {
      consumed_ = packet->whole.size;
      return packet;
    }
    skip(packet->whole.size);
    ++packets_;
  }
  return std::nullopt;
}

// Checks a packet; whether it is one for the caller.
bool StreamReader::take(const Packet& packet) {
  if (packet.kind == kEnd) return end(packet), false;
  require(index_size_ == 0, "follows the index", code::kIndex);
  require(!latent_ || (packet.kind != kLatent && packet.kind != kGop && packet.kind != kIndex),
          "latent tokens without a frame", code::kPacketOrder);
  if (packet.kind == kGop) return close_gop(packet), false;
  if (packet.kind == kIndex) {
    const int most = header_->bundled ? kMostBundled : 1;
    if (sought_) {
      require(!in_gop_, "index differs from the packets", code::kIndex);
      ended_ = true;
      return false;
    }
    if (in_gop_ || !(parse_index(packet.payload, header_size_, gop_offset_, most) == seen_))
      refuse("index differs from the packets", code::kIndex);
    index_size_ = packet.whole.size;
    return false;
  }
  check_order(packet.kind);
  crc_ = crc32(packet.whole, crc_);
  if (packet.is_frame()) {
    pending_frames_ = 1;
    if (header_->bundled) {
      require(packet.payload.size && packet.payload.data[0] < kMostBundled,
              "bundle: number of frames", code::kBundle);
      pending_frames_ += packet.payload.data[0];
    }
  }
  fitted_ = fitted_ || packet.kind == kFit;
  in_gop_ = in_gop_ || packet.kind == kKey;
  latent_ = packet.kind == kLatent || (latent_ && !packet.is_frame());
  return true;
}

void StreamReader::check_order(int kind) const {
  require(kind != kKey || !in_gop_, "keyframe inside a GOP", code::kPacketOrder);
  require(kind != kInter || in_gop_, "inter frame without a keyframe before it",
          code::kPacketOrder);
  require(kind != kLatent || header_->gvc1d, "latent tokens in a stream without any",
          code::kPacketOrder);
  require(kind != kFit || !in_gop_, "fit inside a GOP", code::kPacketOrder);
}

void StreamReader::close_gop(const Packet& packet) {
  require(in_gop_ && closes_gop(packet.payload, crc_, frames_), "GOP checksum mismatch",
          code::kGopChecksum);
  const uint64_t next = offset_ + packet.whole.size;
  if (!sought_)
    seen_.push_back({gop_frame_, frames_ - gop_frame_, gop_offset_, next - gop_offset_, fitted_});
  gop_offset_ = next, gop_frame_ = frames_;
  crc_ = 0;
  in_gop_ = fitted_ = false;
}

void StreamReader::end(const Packet& packet) {
  require(index_size_ && packet.payload.size == kEndPayloadBytes, "end without an index",
          code::kIndex);
  Cursor in(packet.payload, "end");
  Id hash;
  std::copy_n(in.take(kIdBytes).data, kIdBytes, hash.begin());
  require(in.uint(4) == index_size_, "end does not point at the index", code::kIndex);
  const uint64_t size = offset_ + packet.whole.size;
  require(waiting().size == packet.whole.size && (file_size_ == 0 || file_size_ == size),
          "bytes follow the end of the file", code::kPacketOrder);
  base_hash_ = hash;
  ended_ = true;
}

void StreamReader::seek(uint64_t frame) {
  if (!header_ || file_size_ < header_size_ + kEndPacketBytes)
    throw StreamError(Fault::misuse, "seeking needs the header and the size of the file");
  if (const auto total = total_frames(); total && frame >= *total)
    throw StreamError(Fault::misuse, "there is no such frame");
  target_ = frame;
  seeking_ = Seeking::wanted;
  ended_ = restarted_ = false;
  base_hash_.reset();
}

std::optional<uint64_t> StreamReader::take_restart() {
  if (!restarted_) return std::nullopt;
  restarted_ = false;
  return gop_frame_;
}

std::optional<uint64_t> StreamReader::total_frames() const {
  const std::vector<GopEntry>& gops = index_.empty() && index_size_ ? seen_ : index_;
  if (gops.empty()) return std::nullopt;
  return gops.back().first_frame + gops.back().frames;
}

void StreamReader::jump(uint64_t offset, Seeking then) {
  buffer_.clear();
  at_ = 0;
  offset_ = offset;
  finished_ = false;
  seeking_ = then;
}

void StreamReader::begin_seek() {
  if (index_.empty()) jump(file_size_ - kEndPacketBytes, Seeking::end);
  else enter_gop();
}

// One step towards the target, with the packet at hand.
void StreamReader::advance_seek(const Packet& packet) {
  if (seeking_ == Seeking::end) {
    require(packet.kind == kEnd && packet.payload.size == kEndPayloadBytes,
            "no end where it should be");
    std::copy_n(packet.payload.data, kIdBytes, sought_hash_.emplace().begin());
    const uint64_t distance = Cursor(packet.payload.from(kIdBytes), "end").uint(4);
    require(distance <= offset_ - header_size_, "no index where it should be");
    index_offset_ = offset_ - distance;
    jump(index_offset_, Seeking::index);
  } else if (seeking_ == Seeking::index) {
    require(packet.kind == kIndex, "no index where it should be");
    const int most = header_->bundled ? kMostBundled : 1;
    std::vector<GopEntry> gops = parse_index(packet.payload, header_size_, index_offset_, most);
    require(gops.back().offset + gops.back().size == index_offset_,
            "index does not fit the size of the file");
    index_ = std::move(gops);
    if (target_ >= *total_frames()) throw StreamError(Fault::misuse, "there is no such frame");
    enter_gop();
  } else {
    require(packet.kind != kGop && packet.kind != kIndex && packet.kind != kEnd,
            "a GOP without the fit that the index promises");
    if (packet.kind == kFit) fit_ = packet.whole.copy();
    skip(packet.whole.size);
    if (packet.kind == kKey) {
      fitted_ = true;
      enter_gop();
    }
  }
}

// To the GOP of the target; first to the GOP before it that has the `fit` in force.
void StreamReader::enter_gop() {
  const auto after = std::upper_bound(
      index_.begin(), index_.end(), target_,
      [](uint64_t frame, const GopEntry& gop) { return frame < gop.first_frame; });
  const auto gop = std::prev(after);
  auto fitted = gop;
  while (!fitted->fitted && fitted != index_.begin()) --fitted;
  if (seeking_ != Seeking::fit) fit_.clear();
  if (seeking_ != Seeking::fit && fitted != gop && fitted->fitted)
    return jump(fitted->offset, Seeking::fit);
  enter(*gop);
}

void StreamReader::enter(const Header& header, const GopEntry& gop) {
  header_ = header;
  models_read_ = true;
  enter(gop);
}

void StreamReader::enter(const GopEntry& gop) {
  jump(gop.offset, Seeking::none);
  packets_ = 0;
  frames_ = gop_frame_ = gop.first_frame;
  gop_offset_ = gop.offset;
  crc_ = 0;
  index_size_ = 0;
  in_gop_ = fitted_ = latent_ = false;
  sought_ = restarted_ = true;
}

}  // namespace gv
