#include "decoder/frame_decoder.hpp"

#include "common/cpu.hpp"
#include "common/pool.hpp"
#include "decoder/resample.hpp"
#include "format/obus.hpp"

namespace gv {
namespace {

constexpr size_t kMaxWaiting = 4096;  // frames that the host's decoder may hold
constexpr int kPainterRole = 0, kBaseRole = 1;

// Sides of a plane of a 4:2:0 picture.
int plane_side(int side, int plane) { return plane ? (side + 1) / 2 : side; }

Bytes bytes_of(const std::vector<uint16_t>& samples) {
  return {reinterpret_cast<const uint8_t*>(samples.data()), 2 * samples.size()};
}

GV_SIMD(void, to_ten_bits, (const uint8_t* from, int width, uint16_t* out), (from, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<uint16_t>(from[x] << 2);
}

// Copies the top left of a plane as 10 bits. Throws `StreamError` for samples above 1023.
void copy_plane(const PictureView& from, int plane, int columns, int rows, int threads,
                std::vector<uint16_t>& to) {
  to.resize(static_cast<size_t>(columns) * rows);
  parallel_for(ceil_div(rows, kStripRows), threads, [&](int strip) {
    uint16_t most = 0;
    for (int y = strip * kStripRows; y < std::min(rows, (strip + 1) * kStripRows); ++y) {
      const uint8_t* line = static_cast<const uint8_t*>(from.plane[plane]) + y * from.stride[plane];
      uint16_t* out = to.data() + static_cast<size_t>(y) * columns;
      if (from.bits == 8) {
        to_ten_bits(line, columns, out);
      } else {
        std::copy_n(reinterpret_cast<const uint16_t*>(line), columns, out);
        for (int x = 0; x < columns; ++x) most = std::max(most, out[x]);
      }
    }
    require(most <= kMaxSample, "the base picture has samples above 1023");
  });
}

}  // namespace

FrameDecoder::FrameDecoder(const Header& header, const DecoderSettings& settings)
    : header_(header),
      settings_(settings),
      timeline_(header.rate, header.tick, header.start, settings.max_fps) {
  if (static_cast<uint64_t>(header.width) * static_cast<uint64_t>(header.height) >
      settings.max_pixels)
    throw StreamError(Fault::limit, "the pictures are larger than the settings allow");
  if (header.base != Base::av1)
    throw StreamError(Fault::unsupported, "a base that this library does not decode");
}

void FrameDecoder::send(const Packet& packet) {
  if (packet.kind == kFit) fit_ = packet.payload.copy();
  else if (packet.kind == kTiming) timeline_.send(packet.payload);
  else if (packet.kind == kPainted) painted_payload_ = packet.payload.copy();
  else if (packet.kind == kModel) take_model(packet.payload);
  else if (packet.kind >= kFirstUnknown && packet.kind < kFirstSkippable && has_painter())
    throw StreamError(Fault::newer, "a packet of a newer version, which painting needs");
  if (!packet.is_frame()) return;
  painted_payload_.reset();
  std::optional<Gop> gop;
  if (packet.kind == kKey) gop = Gop{fit_, true};
  if (!header_.bundled) return send_frame(packet.payload, gop);
  for (const Buffer& payload : unbundler_.send(packet.kind == kKey, packet.payload)) {
    send_frame(payload, gop);
    gop.reset();
  }
}

void FrameDecoder::send_frame(Bytes payload, const std::optional<Gop>& gop) {
  check_av1(parse_obus(payload));
  if (waiting_.size() >= kMaxWaiting)
    throw StreamError(Fault::limit, "the pictures of 4096 units have not come");
  units_.push_back({restore_av1(payload), sent_, gop.has_value()});
  waiting_.push_back({payload.size, gop});
  ++sent_;
}

bool FrameDecoder::next_unit(Unit& unit) {
  if (units_.empty()) return false;
  unit = std::move(units_.front());
  units_.pop_front();
  return true;
}

std::optional<Id> FrameDecoder::missing_painter() const {
  return has_painter() && !painter_ && !model_ ? header_.painter : std::nullopt;
}

void FrameDecoder::set_painter(Bytes file) {
  Sha256 hash;
  update(hash, file);
  if (!header_.painter || id_of(hash) != *header_.painter)
    throw StreamError(Fault::no_model, "another painter than the one that the stream names");
  if (missing_painter()) model_ = read_painter(file);
}

// A `model` packet: its id must be that of the header for its role.
void FrameDecoder::take_model(Bytes payload) {
  if (!payload.size || payload.data[0] > kBaseRole) return;
  const bool is_painter = payload.data[0] == kPainterRole;
  const std::optional<Id>& named = is_painter ? header_.painter : header_.base_model;
  Sha256 hash;
  update(hash, payload.from(1));
  require(named && id_of(hash) == *named, "model: not the one that the header names");
  if (is_painter) set_painter(payload.from(1));
}

void FrameDecoder::set_look(int look, bool use_tokens) {
  look_ = look, use_tokens_ = use_tokens;
  own_look_ = own_look_ || look >= 0 || !use_tokens;
}

bool FrameDecoder::fits(int width, int height, int bits) const {
  return width == coded_side(header_.width, header_.scale) &&
         height == coded_side(header_.height, header_.scale) && (bits == 8 || bits == 10);
}

// Planes of the coded size to `base_`: 10 bits, full size.
void FrameDecoder::load(const PictureView& base) {
  const int columns = coded_side(header_.width, header_.scale),
            rows = coded_side(header_.height, header_.scale);
  for (int p = 0; p < 3; ++p) {
    const int width = plane_side(header_.width, p), height = plane_side(header_.height, p);
    std::vector<uint16_t>& out = base_[static_cast<size_t>(p)];
    if (header_.scale == 0) {
      copy_plane(base, p, width, height, settings_.threads, out);
      continue;
    }
    copy_plane(base, p, plane_side(columns, p), plane_side(rows, p), settings_.threads, coded_);
    out.resize(static_cast<size_t>(width) * height);
    upsample(coded_, plane_side(columns, p), plane_side(rows, p), header_.scale, out.data(), width,
             height);
  }
}

void FrameDecoder::send_base(const PictureView& base) {
  require(!waiting_.empty(), "the AV1 decoder gives more pictures than units");
  if (missing_painter())
    throw StreamError(Fault::no_model, "the painter of this stream is missing");
  if (model_) {
    painter_ = std::make_unique<VideoPainter>(header_.width, header_.height, header_.base,
                                              header_.scale, header_.q, *model_, settings_.threads);
    model_.reset();
  }
  load(base);
  if (settings_.hash)
    for (const auto& plane : base_) update(base_hash_, bytes_of(plane));
  const Waiting waiting = std::move(waiting_.front());
  waiting_.pop_front();
  paint(waiting);
  if (settings_.hash && painter_)
    for (const auto& plane : picture_.planes) update(painted_hash_, bytes_of(plane));
  picture_.frame = shown_++;
  picture_.pts = timeline_.next();
  has_picture_ = true;
}

void FrameDecoder::paint(const Waiting& waiting) {
  if (waiting.gop && painter_) {
    paints_ = waiting.gop->paints;
    std::optional<Bytes> fit;
    if (waiting.gop->fit) fit = Bytes(*waiting.gop->fit);
    if (paints_) painter_->start_gop(fit, look_, use_tokens_);
  }
  picture_.painted = painter_ && paints_ && painter_->paints();
  if (!picture_.painted) {
    picture_.planes = base_;
    return;
  }
  uint16_t* out[3];
  for (size_t p = 0; p < 3; ++p) {
    picture_.planes[p].resize(base_[p].size());
    out[p] = picture_.planes[p].data();
  }
  painter_->paint(
      {{base_[0].data(), base_[1].data(), base_[2].data()}, header_.width, header_.height},
      waiting.size, out);
}

void FrameDecoder::restart(int64_t frame) {
  units_.clear();
  waiting_.clear();
  unbundler_.restart();
  timeline_.restart(frame);
  fit_.reset();
  painted_payload_.reset();
  has_picture_ = hashes_all_ = false;
  sent_ = shown_ = frame;
}

std::optional<Id> FrameDecoder::base_hash() const {
  if (!settings_.hash || !hashes_all_) return std::nullopt;
  return id_of(base_hash_);
}

std::optional<Id> FrameDecoder::painted_hash() const {
  if (!settings_.hash || !hashes_all_ || !painter_ || own_look_) return std::nullopt;
  return id_of(painted_hash_);
}

}  // namespace gv
