// Packets to units for the host's AV1 decoder, and its base pictures to pictures: fit in force,
// times, scaling, hashes, painting.
#pragma once

#include <deque>
#include <memory>

#include "format/packets.hpp"
#include "format/timing.hpp"
#include "format/unbundler.hpp"
#include "model/video_painter.hpp"

namespace gv {

constexpr int kStripRows = 128;  // of a plane, that one thread copies at a time

struct DecoderSettings {
  bool base_only = false, hash = false;
  int threads = 1;
  uint32_t max_fps = 1000;
  uint64_t max_pixels = uint64_t{1} << 26;
};

struct Unit {
  Buffer data;  // delimiter first, every OBU with its size
  int64_t frame = 0;
  bool key = false;
};

// Planes of 8 or 10 bits somewhere else; strides in bytes.
struct PictureView {
  void* plane[3];
  ptrdiff_t stride[3];
  int width, height, bits;
};

struct Picture {
  std::array<std::vector<uint16_t>, 3> planes;  // of the full size, 10 bits, rows without gaps
  int64_t frame = 0, pts = 0;
  bool painted = false;
};

class FrameDecoder {
 public:
  // Throws `StreamError`: `limit`, `unsupported`.
  FrameDecoder(const Header& header, const DecoderSettings& settings);

  // A packet of a .gvc stream. Throws `StreamError`.
  void send(const Packet& packet);
  // A frame by itself. `gop`: the keyframe's `fit` payload in force; `paints` false: its GOP gives
  // base pictures.
  struct Gop {
    std::optional<Buffer> fit;
    bool paints = true;
  };
  void send_frame(Bytes payload, const std::optional<Gop>& gop);
  // The next unit, of those that wait; false where there is none.
  bool next_unit(Unit& unit);

  // The painter that is missing, or nothing.
  std::optional<Id> missing_painter() const;
  // Throws `StreamError` (`no_model`, `newer`) for another file.
  void set_painter(Bytes file);
  // From the next GOP on: see gvc_set_look.
  void set_look(int look, bool use_tokens);

  // Whether a base picture has the size that the header states, in 8 or 10 bits.
  bool fits(int width, int height, int bits) const;
  // The picture of the earliest unit without one, which `fits`; `current` has it. Throws
  // `StreamError`.
  void send_base(const PictureView& base);
  const Picture* current() const { return has_picture_ ? &picture_ : nullptr; }
  void drop_current() { has_picture_ = false; }

  // Continues with the first frame of a GOP; waiting frames are dropped.
  void restart(int64_t frame);

  const Header& header() const { return header_; }
  int64_t sent() const { return sent_; }
  int64_t shown() const { return shown_; }
  int64_t end_pts() const { return timeline_.end(); }
  // Of the pictures so far; nothing if they are not hashed, or not from the first one on.
  std::optional<Id> base_hash() const;
  std::optional<Id> painted_hash() const;
  // Payload of the `painted` packet, where no frame packet follows it.
  const std::optional<Buffer>& painted_payload() const { return painted_payload_; }

 private:
  struct Waiting {
    uint64_t size;  // bytes of the payload
    std::optional<Gop> gop;
  };

  bool has_painter() const { return header_.painter && !settings_.base_only; }
  void take_model(Bytes payload);
  void load(const PictureView& base);
  void paint(const Waiting& waiting);

  Header header_;
  DecoderSettings settings_;
  Timeline timeline_;
  Unbundler unbundler_;
  std::optional<Buffer> fit_;
  std::deque<Unit> units_;
  std::deque<Waiting> waiting_;  // frames whose pictures have not come
  int64_t sent_ = 0, shown_ = 0;

  // A header may claim any size: the painter's memory waits for the first base picture.
  std::optional<PainterModel> model_;
  std::unique_ptr<VideoPainter> painter_;
  int look_ = -1;
  bool use_tokens_ = true, own_look_ = false, paints_ = false;
  std::array<std::vector<uint16_t>, 3> base_;
  std::vector<uint16_t> coded_;  // a plane of reduced size
  Picture picture_;
  bool has_picture_ = false;

  bool hashes_all_ = true;  // from the first picture on
  Sha256 base_hash_, painted_hash_;
  std::optional<Buffer> painted_payload_;
};

}  // namespace gv
