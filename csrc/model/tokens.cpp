#include "model/tokens.hpp"

#include "entropy/streams.hpp"

namespace gv {
namespace {

constexpr int kLevels = 3;  // of tokens: window, quadrant, region
constexpr int kSide[kLevels] = {256, 128, 64};  // luma samples
constexpr int kMostInteger = 7, kStep = 8, kMostLevel = 63;
constexpr uint8_t kOn = 127;

// Integers of the tokens of one level by row and column; `coded` says which there are.
struct Grid {
  int rows, columns, dimensions;
  std::vector<int8_t> values;
  std::vector<uint8_t> coded;

  Grid(int width, int height, int side, int dimensions_)
      : rows(ceil_div(ceil_div(height, 16) * 16, side)),
        columns(ceil_div(ceil_div(width, 16) * 16, side)),
        dimensions(dimensions_),
        values(static_cast<size_t>(rows) * columns * dimensions_),
        coded(static_cast<size_t>(rows) * columns) {}
  size_t place(int y, int x) const { return static_cast<size_t>(y) * columns + x; }
  int8_t* at(int y, int x) { return values.data() + place(y, x) * dimensions; }
  // Null where none is coded.
  const int8_t* find(int y, int x) {
    return y >= 0 && x >= 0 && coded[place(y, x)] ? at(y, x) : nullptr;
  }
};

class Reader {
 public:
  Reader(Bytes coded, const IntegerNetwork& network, int dimensions, int q)
      : coder_(coded.data, coded.size), network_(network), dimensions_(dimensions), q_(q) {}

  // The token of `grids[level]` at (y, x).
  void read(std::vector<Grid>& grids, int level, int y, int x) {
    Grid& grid = grids[static_cast<size_t>(level)];
    const int8_t* around[] = {level ? grids[static_cast<size_t>(level - 1)].find(y / 2, x / 2)
                                    : nullptr,
                              grid.find(y, x - 1), grid.find(y - 1, x)};
    int8_t* token = grid.at(y, x);
    for (int d = 0; d < dimensions_; ++d) {
      std::vector<uint8_t> inputs(static_cast<size_t>(dimensions_) + kLevels);
      inputs[static_cast<size_t>(d)] = inputs[static_cast<size_t>(dimensions_ + level)] = kOn;
      inputs.push_back(static_cast<uint8_t>(std::min<int>(2 * q_, kOn)));
      for (const int8_t* other : around) inputs.push_back(value_activation(other ? other[d] : 0));
      inputs.push_back(value_activation(d >= 1 ? token[d - 1] : 0));
      inputs.push_back(value_activation(d >= 2 ? token[d - 2] : 0));
      int32_t output[kMostOutputs];
      network_.forward(inputs.data(), 1, output);
      const int32_t value = decode_integer(coder_, predicted(output, kMostOutputs));
      require(value >= -kMostInteger && value <= kMostInteger,
              "tokens of the painter: an integer is out of range or missing");
      token[d] = static_cast<int8_t>(value);
    }
    grid.coded[grid.place(y, x)] = 1;
  }
  bool finished() const { return coder_.finished(); }

 private:
  RansDecoder coder_;
  const IntegerNetwork& network_;
  int dimensions_, q_;
};

PainterSteering levels_of(std::vector<Grid>& grids, const PainterModel& model) {
  Grid& regions = grids.back();
  PainterSteering steering;
  steering.channels = model.dimensions;
  steering.rows = regions.rows, steering.columns = regions.columns;
  steering.weight = model.token_weight;
  for (int d = 0; d < model.dimensions; ++d)
    for (int y = 0; y < regions.rows; ++y)
      for (int x = 0; x < regions.columns; ++x) {
        const int sum = grids[0].at(y / 4, x / 4)[d] + grids[1].at(y / 2, x / 2)[d] +
                        regions.at(y, x)[d];
        steering.levels.push_back(static_cast<int8_t>(clamp(kStep * sum, -kMostLevel, kMostLevel)));
      }
  return steering;
}

}  // namespace

PainterSteering read_tokens(Bytes data, const PainterModel& model, int width, int height, int q) {
  require(model.dimensions, "tokens for a painter that none can steer");
  std::vector<Grid> grids;
  for (const int side : kSide) grids.emplace_back(width, height, side, model.dimensions);
  const int windows = grids[0].rows * grids[0].columns;
  const size_t head = static_cast<size_t>(ceil_div(windows, 4));
  require(data.size >= head, "tokens of the painter: windows are missing");
  const auto kinds = [&](int window) { return data.data[window / 4] >> 2 * (window % 4) & 3; };
  for (int n = windows; n < 4 * static_cast<int>(head); ++n)
    require(!kinds(n), "tokens of the painter: more windows than the picture has");
  Reader reader(data.from(head), *model.token_network, model.dimensions, q);
  bool any = false;
  for (int window = 0; window < windows; ++window) {
    const int top = window / grids[0].columns, left = window % grids[0].columns;
    for (int level = 0; level < kinds(window); ++level) {
      const Grid& grid = grids[static_cast<size_t>(level)];
      const int side = 1 << level;
      for (int y = top * side; y < std::min(top * side + side, grid.rows); ++y)
        for (int x = left * side; x < std::min(left * side + side, grid.columns); ++x)
          reader.read(grids, level, y, x);
      any = true;
    }
  }
  require(any ? reader.finished() : data.size == head,
          "tokens of the painter: an integer is out of range or missing");
  return levels_of(grids, model);
}

UnpaintedRegions read_unpainted(Bytes data, int width, int height) {
  constexpr const char* kDamage = "fitted weights: regions that are not painted do not fit";
  const int side = kSide[kLevels - 1];
  UnpaintedRegions regions{ceil_div(height, side), ceil_div(width, side),
                           {data.data, data.data + data.size}};
  const size_t count = static_cast<size_t>(regions.rows) * regions.columns;
  require(data.size == (count + 7) / 8, kDamage);
  require(count % 8 == 0 || regions.bits.back() >> count % 8 == 0, kDamage);
  return regions;
}

void show_base(const UnpaintedRegions& regions, const PaintSource& base, uint16_t* const* planes) {
  if (regions.bits.empty()) return;
  for (int n = 0; n < 3; ++n) {
    const int half = n ? 2 : 1, side = kSide[kLevels - 1] / half;
    const int width = ceil_div(base.width, half), height = ceil_div(base.height, half);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; x += side) {
        if (!regions.shows_base(y / side, x / side)) continue;
        const size_t from = static_cast<size_t>(y) * width + x;
        std::copy_n(base.plane[n] + from, std::min(side, width - x), planes[n] + from);
      }
  }
}

}  // namespace gv
