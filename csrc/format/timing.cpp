#include "format/timing.hpp"

#include <cstdio>

namespace gv {
namespace {

constexpr uint64_t kMostFrame = uint64_t{1} << 40;
constexpr size_t kMostWaiting = size_t{1} << 19;  // as many as one packet can hold

}  // namespace

Timeline::Timeline(Ratio rate, Ratio tick, int64_t start, uint32_t max_fps)
    : rate_(rate),
      tick_(tick),
      start_(start),
      max_fps_(max_fps),
      anchor_pts_(start),
      earliest_(start),
      latest_(start) {}

// The anchor's time plus the frames since then, rounded half up. At most 2^41 · 2^62 · 2.
Timeline::Wide Timeline::predict(int64_t frame) const {
  const Wide top = Wide{rate_.den} * tick_.den, bottom = Wide{rate_.num} * tick_.num;
  const Wide value = 2 * Wide{frame - anchor_} * top + bottom;
  const Wide whole = value / (2 * bottom);
  return anchor_pts_ + whole - (value % (2 * bottom) < 0);
}

void Timeline::send(Bytes payload) {
  Cursor in(payload, "timing");
  while (in.left()) {
    int64_t frame = named_ + static_cast<int64_t>(in.var(kMostFrame));
    const int64_t late = in.svar();
    if (late == 0) {
      lost_ = false;
      frame = static_cast<int64_t>(in.var(kMostFrame));
      const int64_t pts = start_ + in.svar();
      if (frame < next_) anchor_ = frame, anchor_pts_ = pts;
      else exact_[frame] = pts;
    } else if (lost_) {
      continue;
    } else {
      require(frame >= next_, "timing comes after the frame it names", code::kTiming);
      late_[frame] = late;
    }
    require(late_.size() + exact_.size() <= kMostWaiting,
            "timing names more than 524288 frames that are not there", code::kTiming);
    named_ = frame + 1;
  }
}

int64_t Timeline::next() {
  const auto late = late_.find(next_), exact = exact_.find(next_);
  Wide pts = predict(next_) + (late != late_.end() ? late->second : 0);
  if (exact != exact_.end()) pts = exact->second;
  require(pts <= kMostPts && pts >= -kMostPts, "timing: a timestamp is out of range",
          code::kTiming);
  const int64_t found = static_cast<int64_t>(pts);
  if (late != late_.end()) anchor_ = next_, anchor_pts_ = found, late_.erase(late);
  if (exact != exact_.end()) exact_.erase(exact);
  earliest_ = std::min(earliest_, found);
  latest_ = std::max(latest_, found);
  const Wide span = Wide{latest_ - earliest_} * tick_.num + tick_.den;
  // One second more, by which the frame rate of short streams may be wrong.
  if (next_ >= max_fps_ && Wide{next_ + 1} * tick_.den > span * max_fps_) refuse_pace();
  ++next_;
  return found;
}

void Timeline::refuse_pace() const {
  const double ticks = static_cast<double>(latest_ - earliest_);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3g",
                ticks * static_cast<double>(tick_.num) / static_cast<double>(tick_.den));
  throw StreamError(Fault::limit,
                    "timing: " + std::to_string(next_ + 1) + " frames within " + seconds +
                        " s, more than " + std::to_string(max_fps_) + " a second (--max-fps)",
                    code::kLimitRate);
}

int64_t Timeline::end() const { return Timeline(*this).next(); }

void Timeline::restart(int64_t frame) {
  anchor_ = 0, anchor_pts_ = start_;
  next_ = frame, named_ = 0;
  lost_ = false;
  late_.clear();
  exact_.clear();
}

// Where no entry ended the loss, no frame was late up to here.
void Timeline::start_gop() {
  if (lost_) named_ = 0;
  lost_ = false;
}

}  // namespace gv
