// The painter as a page calls it, with the motion that it needs: libgvc's model (csrc/model) and
// painter. Samples are those of every other machine. Codes below 0 are errors.
#include <memory>

#include "model/video_painter.hpp"
#include "web/core/errors.hpp"
#include "web/core/json.hpp"

using namespace gv;

namespace {

struct Painter {
  const PainterModel& model;
  int width, height, q, threads;
  std::vector<int32_t> condition;
  std::unique_ptr<FramePainter> painter;  // from the first GOP on that is painted here
  BlockMotion motion;
  GopPainting gop;
  std::vector<int16_t> vectors;
  std::vector<int32_t> numbers;  // given last

  PaintSource source(const uint16_t* base) const {
    return {{base, base + luma(), base + luma() + chroma()}, width, height};
  }
  std::array<uint16_t*, 3> planes(uint16_t* out) const {
    return {out, out + luma(), out + luma() + chroma()};
  }
  const int16_t* motion_vectors() const { return vectors.empty() ? nullptr : vectors.data(); }

 private:
  size_t luma() const { return static_cast<size_t>(width) * height; }
  size_t chroma() const { return static_cast<size_t>((width + 1) / 2) * ((height + 1) / 2); }
};

std::string facts;  // given last

template <class T>
void append(std::vector<int32_t>& to, const std::vector<T>& numbers) {
  to.insert(to.end(), numbers.begin(), numbers.end());
}

void append(std::vector<int32_t>& to, const PainterLayer& layer) {
  to.insert(to.end(), {layer.outputs, layer.inputs, layer.side});
  append(to, layer.weight);
  for (const auto* part : {&layer.bias, &layer.multiplier, &layer.shift, &layer.step})
    append(to, *part);
}

// Paints by `make` and puts base frames where the GOP says so.
template <class Make>
int paint_by(Painter& p, const uint16_t* base, uint16_t* out, const Make& make) {
  return guard([&] {
    check(p.painter != nullptr, "frames come after start");
    const std::array<uint16_t*, 3> planes = p.planes(out);
    make(*p.painter, p.source(base), planes.data());
    show_base(p.gop.unpainted, p.source(base), planes.data());
    return 0;
  });
}

// Tokens of windows with these kinds: of each kind below the window's, as many as the picture has.
int count_tokens(const std::vector<int>& kinds, const PainterSteering& regions) {
  constexpr int kLevels = 3, kRegions = 4;  // regions along a window's side
  const int across = ceil_div(regions.columns, kRegions);
  int count = 0;
  for (int window = 0; window < static_cast<int>(kinds.size()); ++window)
    for (int level = 0; level < kinds[static_cast<size_t>(window)]; ++level) {
      const int side = 1 << level, rows = ceil_div(regions.rows, 1 << (kLevels - 1 - level)),
                columns = ceil_div(regions.columns, 1 << (kLevels - 1 - level));
      count += std::min(side, rows - window / across * side) *
               std::min(side, columns - window % across * side);
    }
  return count;
}

}  // namespace

extern "C" {

int last_code() { return last_error().code; }
const char* last_text() { return last_error().text.c_str(); }

// The painter's file; it must outlive its painters.
PainterModel* model_open(const uint8_t* file, size_t size) {
  return guard_handle([&] { return new PainterModel(read_painter({file, size})); });
}
void model_close(PainterModel* model) { delete model; }
// Integers of a token; 0: no token can steer it.
int model_dimensions(const PainterModel* model) { return model->dimensions; }
// Whether a `fit` payload has tokens that can be read; then `model_facts` has { rows, columns,
// kinds (of windows), count, bytes, levels: [place, size] (dimension, row, column) }.
int model_tokens(const PainterModel* model, const uint8_t* fit, size_t size, int width, int height,
                 int q) {
  return guard([&] {
    static PainterSteering steering;
    const std::optional<Buffer> tokens = parse_fit({fit, size}, *model).tokens;
    if (!tokens) return 0;
    steering = read_tokens(*tokens, *model, width, height, q);
    const int windows = ceil_div(steering.rows, 4) * ceil_div(steering.columns, 4);
    std::vector<int> kinds;
    for (int n = 0; n < windows; ++n)
      kinds.push_back((*tokens)[static_cast<size_t>(n / 4)] >> 2 * (n % 4) & 3);
    const Bytes levels = {reinterpret_cast<const uint8_t*>(steering.levels.data()),
                          steering.levels.size()};
    facts = "{\"dimensions\":" + std::to_string(steering.channels) +
            ",\"rows\":" + std::to_string(steering.rows) +
            ",\"columns\":" + std::to_string(steering.columns) +
            ",\"count\":" + std::to_string(count_tokens(kinds, steering)) +
            ",\"bytes\":" + std::to_string(tokens->size()) +
            ",\"kinds\":" + json_list(kinds, [](int kind) { return std::to_string(kind); }) +
            ",\"levels\":" + json(levels) + "}";
    return 1;
  });
}
const char* model_facts() { return facts.c_str(); }

// `base`, `scale` and `q` as in a header.
Painter* painter_open(const PainterModel* model, int width, int height, int base, int scale, int q,
                      int threads) {
  return guard_handle([&] {
    return new Painter{*model,  width,
                       height,  q,
                       threads, stream_condition(static_cast<Base>(base), scale, q),
                       nullptr, BlockMotion(width, height, threads),
                       {},      {},
                       {}};
  });
}
void painter_close(Painter* painter) { delete painter; }

// A GOP begins, with the `fit` payload in force, null for none, and a place of the dial or -1. 0
// where painted frames are base frames. `here`: `painter_paint` paints it.
int painter_start(Painter* p, const uint8_t* fit, size_t size, int look, int here) {
  return guard([&] {
    std::optional<Bytes> payload;
    if (fit) payload = Bytes(fit, size);
    p->motion.forget();
    p->gop = prepare_gop(p->model, payload, look, true, p->width, p->height, p->q);
    if (p->gop.identity) return 0;
    if (!here) return 1;
    if (!p->painter) p->painter = std::make_unique<FramePainter>(p->width, p->height, p->threads);
    p->painter->start(p->gop.layers, p->condition, p->gop.steering);
    return 1;
  });
}

// Motion of the next frame against the one before it. Planes of frames lie one behind the other.
int painter_move(Painter* p, const uint16_t* base) {
  return guard([&] { return p->vectors = p->motion.push(base), 0; });
}
// The result of `painter_move`: (dy, dx) of each block, or null for a first frame.
const int16_t* painter_vectors(const Painter* p) { return p->motion_vectors(); }

// Paints the frame that `painter_move` has seen; `bytes` of its payload, 0: unknown.
int painter_paint(Painter* p, const uint16_t* base, double bytes, uint16_t* out) {
  const int condition = frame_condition(static_cast<uint64_t>(bytes), p->width, p->height);
  return paint_by(*p, base, out,
                  [&](FramePainter& painter, const PaintSource& source, uint16_t* const* planes) {
                    painter.paint(source, p->motion_vectors(), condition, planes);
                  });
}
// Moves the detail of the frame before instead: see `FramePainter::reuse_detail`.
int painter_carry(Painter* p, const uint16_t* base, uint16_t* out) {
  return paint_by(*p, base, out,
                  [&](FramePainter& painter, const PaintSource& source, uint16_t* const* planes) {
                    painter.reuse_detail(source, p->motion_vectors(), planes);
                  });
}

// For who paints elsewhere. Numbers of the GOP: blocks; the entries of the condition and how many;
// layers stem, stem2, statistics, view, style, head; of each block depthwise, expand, project and
// its condition (channels × entries). Layers: outputs, inputs, side, weights, bias, multiplier,
// shift, step. Then, where tokens can steer it, what their levels add to `style`; how many levels
// at blocks of 8×8 (dimension, row, column) there are, and these.
const int32_t* painter_numbers(Painter* p) {
  std::vector<int32_t>& to = p->numbers;
  const PainterLayers& l = p->gop.layers;
  to = {static_cast<int32_t>(l.blocks.size()), static_cast<int32_t>(p->condition.size())};
  append(to, p->condition);
  for (const auto* layer : {&l.stem, &l.stem2, &l.statistics, &l.view, &l.style, &l.head})
    append(to, *layer);
  for (const PainterBlock& block : l.blocks) {
    for (const auto* layer : {&block.depthwise, &block.expand, &block.project}) append(to, *layer);
    append(to, block.condition);
  }
  append(to, p->model.token_weight);
  std::vector<int8_t> levels;
  if (p->gop.steering.channels)
    levels =
        levels_at_blocks(p->gop.steering, 2 * ceil_div(p->height, 16), 2 * ceil_div(p->width, 16));
  to.push_back(static_cast<int32_t>(levels.size()));
  append(to, levels);
  return to.data();
}
int painter_number_count(const Painter* p) { return static_cast<int>(p->numbers.size()); }
// A frame's own entry of the condition.
int painter_own_entry(const Painter* p, double bytes) {
  return frame_condition(static_cast<uint64_t>(bytes), p->width, p->height);
}
// Whether some regions show base frames; puts them into a frame.
int painter_hides(const Painter* p) { return !p->gop.unpainted.bits.empty(); }
void painter_show_base(const Painter* p, const uint16_t* base, uint16_t* out) {
  show_base(p->gop.unpainted, p->source(base), p->planes(out).data());
}

}  // extern "C"
