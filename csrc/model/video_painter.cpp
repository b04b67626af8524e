#include "model/video_painter.hpp"

namespace gv {

std::vector<int32_t> stream_condition(Base base, int scale, int q) {
  constexpr int kBases = 2, kScalesAt = 6, kEntries = 10, kOne = 256;
  std::vector<int32_t> entries(kEntries);
  entries[0] = (256 * q + 31) / 63;
  entries[1] = (256 * q * q + 1984) / 3969;
  entries[kBases + (base == Base::av1 ? 1 : base == Base::gvc1d ? 2 : 3)] = kOne;
  entries[static_cast<size_t>(kScalesAt + scale)] = kOne;
  return entries;
}

int frame_condition(uint64_t size, int width, int height) {
  if (!size) return 0;
  const uint64_t samples = static_cast<uint64_t>(width) * static_cast<uint64_t>(height);
  const int value = 8 + static_cast<int>(std::min<uint64_t>(size * 65536 / samples, 1 << 20));
  int place = 0;
  while (value >> (place + 1)) ++place;
  return 8 * (8 * place + (value >> (place - 3) & 7)) - 432;
}

GopPainting prepare_gop(const PainterModel& model, const std::optional<Bytes>& payload, int look,
                        bool use_tokens, int width, int height, int q) {
  GopPainting gop;
  Fit fit;
  fit.identity = look == 0;
  if (!fit.identity && payload && (payload->size || look < 0)) fit = parse_fit(*payload, model);
  if (look > 0) {
    fit.identity = false;
    fit.strength = with_look(fit.strength, look);
  }
  gop.identity = fit.identity;
  if (gop.identity) return gop;
  if (fit.tokens && use_tokens) gop.steering = read_tokens(*fit.tokens, model, width, height, q);
  if (fit.unpainted && use_tokens) gop.unpainted = read_unpainted(*fit.unpainted, width, height);
  gop.layers = fitted(model, fit);
  return gop;
}

VideoPainter::VideoPainter(int width, int height, Base base, int scale, int q, PainterModel model,
                           int threads)
    : width_(width),
      height_(height),
      q_(q),
      model_(std::move(model)),
      condition_(stream_condition(base, scale, q)),
      painter_(width, height, threads),
      motion_(width, height, threads) {}

void VideoPainter::start_gop(const std::optional<Bytes>& fit, int look, bool use_tokens) {
  identity_ = look == 0;
  if (identity_) return;
  GopPainting gop = prepare_gop(model_, fit, look, use_tokens, width_, height_, q_);
  identity_ = gop.identity;
  if (identity_) return;
  unpainted_ = std::move(gop.unpainted);
  painter_.start(gop.layers, condition_, gop.steering);
  motion_.forget();
}

void VideoPainter::paint(const PaintSource& base, uint64_t size, uint16_t* const* planes) {
  const std::vector<int16_t> vectors = motion_.push(base.plane[0]);
  painter_.paint(base, vectors.empty() ? nullptr : vectors.data(),
                 frame_condition(size, width_, height_), planes);
  show_base(unpainted_, base, planes);
}

}  // namespace gv
