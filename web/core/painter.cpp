// The painter as a page calls it, with the motion that it needs. Samples are those of every other machine.
#include <memory>
#include <stdexcept>
#include <string>

#include "motion/block_motion.hpp"
#include "painter/painter.hpp"

namespace {

std::string error;

// Numbers that a page hands over, one behind the other.
class Numbers {
 public:
  Numbers(const int32_t* begin, uint32_t count) : at_(begin), end_(begin + count) {}
  bool is_empty() const { return at_ == end_; }
  int32_t next() { return take(1)[0]; }
  std::vector<int32_t> some(size_t count) {
    const int32_t* from = take(count);
    return std::vector<int32_t>(from, from + count);
  }
  gv::PainterLayer layer() {
    gv::PainterLayer l;
    l.outputs = next(), l.inputs = next(), l.side = next();
    const std::vector<int32_t> weight = some(static_cast<size_t>(l.outputs) * l.inputs * l.side * l.side);
    l.weight.assign(weight.begin(), weight.end());
    for (auto* part : {&l.bias, &l.multiplier, &l.shift, &l.step}) *part = some(static_cast<size_t>(l.outputs));
    return l;
  }

 private:
  const int32_t* take(size_t count) {
    if (count > static_cast<size_t>(end_ - at_)) throw std::invalid_argument("numbers of a painter are missing");
    at_ += count;
    return at_ - count;
  }
  const int32_t *at_, *end_;
};

struct Painter {
  int width, height, threads;
  std::unique_ptr<gv::FramePainter> painter;  // from `painter_start` on
  gv::BlockMotion motion;
  std::vector<int16_t> vectors;
  Painter(int w, int h, int t) : width(w), height(h), threads(t), motion(w, h, t) {}
};

// What `make` makes of a frame; 1, or 0 where it cannot.
template <class Make>
int shown(const Painter* painter, const uint16_t* base, uint16_t* out, const Make& make) try {
  const Painter& p = *painter;
  if (!p.painter) throw std::invalid_argument("frames come after start");
  const size_t luma = static_cast<size_t>(p.width) * p.height, chroma = static_cast<size_t>((p.width + 1) / 2) * ((p.height + 1) / 2);
  uint16_t* const planes[3] = {out, out + luma, out + luma + chroma};
  make(*p.painter, gv::PaintSource{{base, base + luma, base + luma + chroma}, p.width, p.height}, planes);
  return 1;
} catch (const std::exception& e) {
  error = e.what();
  return 0;
}

}  // namespace

extern "C" {

const char* painter_error() { return error.c_str(); }

Painter* painter_open(int width, int height, int threads) try {
  return new Painter(width, height, threads);
} catch (const std::exception& e) {
  error = e.what();
  return nullptr;
}

void painter_close(Painter* painter) { delete painter; }

// The next frame is the first one.
void painter_forget(Painter* painter) { painter->motion.forget(); }

// Forgets the past, and takes what paints. `numbers`: how many layers, blocks, entries of the condition, these; six layers in the order of `PainterLayers`; for each block
// depthwise, expand, project and (channels × entries) its condition; where something steers, channels, rows, columns, weights and levels of `PainterSteering`. 1, or 0
// where they do not fit.
int painter_start(Painter* painter, const int32_t* numbers, uint32_t count) try {
  Numbers in(numbers, count);
  const int layers = in.next(), blocks = in.next(), entries = in.next();
  if (layers != 6) throw std::invalid_argument("six layers beside the blocks");
  const std::vector<int32_t> stream = in.some(static_cast<size_t>(entries));
  gv::PainterLayers l;
  for (auto* layer : {&l.stem, &l.stem2, &l.statistics, &l.view, &l.style, &l.head}) *layer = in.layer();
  for (int n = 0; n < blocks; ++n) {
    gv::PainterBlock b{in.layer(), in.layer(), in.layer(), {}};
    b.condition = in.some(static_cast<size_t>(b.depthwise.outputs) * entries);
    l.blocks.push_back(std::move(b));
  }
  gv::PainterSteering s;
  if (!in.is_empty()) {
    s.channels = in.next(), s.rows = in.next(), s.columns = in.next();
    const std::vector<int32_t> weight = in.some(static_cast<size_t>(l.style.outputs) * s.channels);
    s.weight.assign(weight.begin(), weight.end());
    const std::vector<int32_t> levels = in.some(static_cast<size_t>(s.channels) * s.rows * s.columns);
    s.levels.assign(levels.begin(), levels.end());
  }
  Painter& p = *painter;
  if (!p.painter) p.painter = std::make_unique<gv::FramePainter>(p.width, p.height, p.threads);
  p.painter->start(l, stream, s);
  p.motion.forget();
  return 1;
} catch (const std::exception& e) {
  error = e.what();
  return 0;
}

// Motion of the next frame against the one before it, of which planes lie one behind the other.
int painter_move(Painter* painter, const uint16_t* base) try {
  painter->vectors = painter->motion.push(base);
  return 1;
} catch (const std::exception& e) {
  error = e.what();
  return 0;
}

// What `painter_move` found: (dy, dx) of each block, or 0 for a first frame.
const int16_t* painter_vectors(const Painter* painter) { return painter->vectors.empty() ? nullptr : painter->vectors.data(); }

// Paints the frame that `painter_move` has seen; `own`: its entry of the condition.
int painter_paint(Painter* painter, const uint16_t* base, int own, uint16_t* out) {
  return shown(painter, base, out, [&](gv::FramePainter& p, const gv::PaintSource& loop, uint16_t* const* planes) { p.paint(loop, painter_vectors(painter), own, planes); });
}

// Moves the detail of the frame before instead: see `FramePainter::carry`.
int painter_carry(Painter* painter, const uint16_t* base, uint16_t* out) {
  return shown(painter, base, out, [&](gv::FramePainter& p, const gv::PaintSource& loop, uint16_t* const* planes) { p.carry(loop, painter_vectors(painter), planes); });
}

}  // extern "C"
