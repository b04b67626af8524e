#include "motion_tree/compensation.hpp"

namespace gv::motion_tree {
namespace {

// Sinc windowed by sinc, sums of 64: six taps at quarters of a luma sample, four at eighths of a
// chroma sample.
constexpr int16_t kLumaTaps[4][6] = {
    {0, 0, 64, 0, 0, 0}, {2, -9, 58, 17, -4, 0}, {2, -9, 39, 39, -9, 2}, {0, -4, 17, 58, -9, 2}};
constexpr int16_t kChromaTaps[8][4] = {{0, 64, 0, 0},    {-4, 62, 6, 0},   {-5, 55, 15, -1},
                                       {-5, 46, 25, -2}, {-4, 36, 36, -4}, {-2, 25, 46, -5},
                                       {-1, 15, 55, -5}, {0, 6, 62, -4}};

struct Luma {
  static constexpr int kTaps = 6, kSide = kCell, kFraction = 2,
                       kOne = 8;  // kOne: sum of weights along an axis
  static constexpr int kWeights[8] = {1, 3, 5, 7, 7, 5, 3, 1};
  static const int16_t* taps(int phase) { return kLumaTaps[phase]; }
};
struct Chroma {
  static constexpr int kTaps = 4, kSide = kCell / 2, kFraction = 3, kOne = 4;
  static constexpr int kWeights[4] = {1, 3, 3, 1};
  static const int16_t* taps(int phase) { return kChromaTaps[phase]; }
};

// Cells side by side at one place are fetched together, at most so many.
constexpr int kRunCells = 16;
constexpr int kLanes = 8;  // widths are rounded up to whole vectors

template <class Kind>
struct Scratch {
  static constexpr int kHigh = 2 * Kind::kSide;
  static constexpr int kWide = (kRunCells + 1) * Kind::kSide + kLanes;
  int16_t mid[(kHigh + Kind::kTaps - 1) * kWide];
  int16_t fetched[2][kHigh * kWide];
};

// Fetches kHigh rows of `wide` samples: 14 bits and a sign, 16 times a sample. `src` is the whole
// sample of the first one. A phase of 0 gives the same with and without its filter.
template <class Kind>
GV_INLINE void fetch(const uint16_t* src, int stride, int wide, const int16_t* across,
                     const int16_t* down, int16_t* mid, int16_t* out) {
  constexpr int kWide = Scratch<Kind>::kWide, kHigh = Scratch<Kind>::kHigh, kTaps = Kind::kTaps;
  constexpr int kBefore = kTaps / 2 - 1;
  const uint16_t* from = src - kBefore * stride - kBefore;
  for (int y = 0; y < kHigh + kTaps - 1; ++y, from += stride) {
    int16_t* to = mid + y * kWide;
    if (!across) {
      for (int x = 0; x < wide; ++x) to[x] = static_cast<int16_t>(from[x + kBefore] << 4);
      continue;
    }
    for (int x = 0; x < wide; ++x) {
      int32_t sum = 0;
      for (int t = 0; t < kTaps; ++t) sum += across[t] * from[x + t];
      to[x] = static_cast<int16_t>(sum >> 2);
    }
  }
  for (int y = 0; y < kHigh; ++y) {
    const int16_t* row = mid + y * kWide;
    int16_t* to = out + y * kWide;
    if (!down) {
      for (int x = 0; x < wide; ++x) to[x] = row[kBefore * kWide + x];
      continue;
    }
    for (int x = 0; x < wide; ++x) {
      int32_t sum = 0;
      for (int t = 0; t < kTaps; ++t) sum += down[t] * row[t * kWide + x];
      to[x] = static_cast<int16_t>(sum >> 6);
    }
  }
}

// Where the samples of a run come from in one picture.
struct From {
  const uint16_t* src = nullptr;
  int stride = 0;
  const int16_t *across = nullptr, *down = nullptr;
};

template <class Kind>
GV_INLINE void mix(const From* from, int count, int wide, const int32_t* weight_across,
                   const int32_t* weight_down, int32_t* sums, int sums_stride) {
  Scratch<Kind> scratch;
  constexpr int kWide = Scratch<Kind>::kWide;
  const int rounded = (wide + kLanes - 1) / kLanes * kLanes;
  for (int i = 0; i < count; ++i)
    fetch<Kind>(from[i].src, from[i].stride, rounded, from[i].across, from[i].down, scratch.mid,
                scratch.fetched[i]);
  for (int y = 0; y < Scratch<Kind>::kHigh; ++y, sums += sums_stride) {
    const int32_t high = weight_down[y];
    if (high == 0) continue;
    const int16_t *a = scratch.fetched[0] + y * kWide, *b = scratch.fetched[1] + y * kWide;
    if (count == 1)
      for (int x = 0; x < rounded; ++x) sums[x] += weight_across[x] * high * a[x];
    else
      for (int x = 0; x < rounded; ++x)
        sums[x] += weight_across[x] * high * ((a[x] + b[x] + 1) >> 1);
  }
}

GV_SIMD(void, mix_luma,
        (const From* from, int count, int wide, const int32_t* weight_across,
         const int32_t* weight_down, int32_t* sums, int sums_stride),
        (from, count, wide, weight_across, weight_down, sums, sums_stride)) {
  mix<Luma>(from, count, wide, weight_across, weight_down, sums, sums_stride);
}

GV_SIMD(void, mix_chroma,
        (const From* from, int count, int wide, const int32_t* weight_across,
         const int32_t* weight_down, int32_t* sums, int sums_stride),
        (from, count, wide, weight_across, weight_down, sums, sums_stride)) {
  mix<Chroma>(from, count, wide, weight_across, weight_down, sums, sums_stride);
}

GV_SIMD(void, finish_row, (const int32_t* sums, int count, int shift, uint16_t* out),
        (sums, count, shift, out)) {
  for (int x = 0; x < count; ++x)
    out[x] = static_cast<uint16_t>(clamp((sums[x] + (1 << (shift - 1))) >> shift, 0, kMaxSample));
}

// One plane of one picture.
template <class Kind>
class PlaneJob {
 public:
  PlaneJob(const Compensation& job, int plane) : job_(job), plane_(plane) {
    width_ = plane ? ceil_div(job.width, 2) : job.width;
    height_ = plane ? ceil_div(job.height, 2) : job.height;
    columns_ = ceil_div(job.width, kCell), cell_rows_ = ceil_div(job.height, kCell);
  }

  void rows(Plane& out, int first, int end) {
    const int top = first * kSide, bottom = std::min(end * kSide, height_);
    stride_ = (columns_ + 1) * kSide + 2 * kLanes;
    sums_.assign(static_cast<size_t>(stride_) * ((end - first + 3) * kSide), 0);
    for (int r = std::max(first - 1, 0); r < std::min(end + 1, cell_rows_); ++r)
      cells(r, sums_.data() + static_cast<size_t>((r - first + 1) * kSide) * stride_ + kLanes);
    constexpr int kShift = 4 + (Kind::kOne == 8 ? 6 : 4);
    for (int y = top; y < bottom; ++y)
      finish_row(sums_.data() + static_cast<size_t>(y - top + kSide + kSide / 2) * stride_ +
                     kLanes + kSide / 2,
                 width_, kShift, out.row(y));
  }

 private:
  static constexpr int kSide = Kind::kSide, kHalf = Kind::kSide / 2;

  // Adds a row of cells; `sums` is where its first sample less half a cell either way lies.
  void cells(int r, int32_t* sums) {
    int32_t down[2 * kSide];
    for (int y = 0; y < 2 * kSide; ++y) down[y] = edge_weight(y, r == 0, r + 1 == cell_rows_);
    const size_t row = static_cast<size_t>(r) * columns_;
    for (int c = 0, end = 0; c < columns_; c = end) {
      end = c + 1;
      while (end < columns_ && end - c < kRunCells && same(row + c, row + end)) ++end;
      run(row + c, r, c, end, down, sums + c * kSide);
    }
  }

  // At the edges of the picture a cell has the share of the neighbour that is not there.
  static int32_t edge_weight(int at, bool begins, bool ends) {
    if (begins && at < kSide) return at < kHalf ? 0 : Kind::kOne;
    if (ends && at >= kSide) return at >= kSide + kHalf ? 0 : Kind::kOne;
    return Kind::kWeights[at];
  }

  bool same(size_t a, size_t b) const {
    const Places& p = *job_.places;
    return p.from[a] == p.from[b] && p.place[0][a] == p.place[0][b] &&
           p.place[1][a] == p.place[1][b];
  }

  void run(size_t cell, int r, int c, int end, const int32_t* down, int32_t* sums) const {
    const int wide = (end - c + 1) * kSide;
    int32_t across[Scratch<Kind>::kWide] = {};
    for (int x = 0; x < wide; ++x) across[x] = Kind::kOne;
    for (int x = 0; x < kSide; ++x) {
      across[x] = edge_weight(x, c == 0, false);
      across[wide - kSide + x] = edge_weight(kSide + x, false, end == columns_);
    }
    From from[2];
    int count = 0;
    for (int p = 0; p < 2; ++p) {
      if (!(job_.places->from[cell] >> p & 1)) continue;
      const Vector at = job_.places->place[p][cell];
      const Plane& source = job_.picture[p]->plane[plane_];
      constexpr int kMask = (1 << Kind::kFraction) - 1;
      const int x = c * kSide - kHalf + (at.x >> Kind::kFraction),
                y = r * kSide - kHalf + (at.y >> Kind::kFraction);
      const int fx = at.x & kMask, fy = at.y & kMask;
      from[count++] = {source.row(y) + x, source.stride, fx ? Kind::taps(fx) : nullptr,
                       fy ? Kind::taps(fy) : nullptr};
    }
    (plane_ ? mix_chroma : mix_luma)(from, count, wide, across, down, sums, stride_);
  }

  const Compensation& job_;
  int plane_, width_, height_, columns_, cell_rows_, stride_ = 0;
  std::vector<int32_t> sums_;
};

}  // namespace

void Compensation::rows(Still& out, int first, int end) const {
  PlaneJob<Luma>(*this, 0).rows(out.plane[0], first, end);
  for (int p = 1; p < 3; ++p) PlaneJob<Chroma>(*this, p).rows(out.plane[p], first, end);
}

}  // namespace gv::motion_tree
