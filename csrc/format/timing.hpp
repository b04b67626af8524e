// Times of frames that leave the nominal frame rate (docs/spec/tracks.md: timing).
#pragma once

#include <map>

#include "format/header.hpp"

namespace gv {

class Timeline {
 public:
  // `start`: of the first frame, ticks; `max_fps`: frames for each second that the timestamps span.
  Timeline(Ratio rate, Ratio tick, int64_t start, uint32_t max_fps);

  // A `timing` payload. Throws `StreamError` for entries that cannot be read or come too late.
  void send(Bytes payload);
  // Time of the next frame, ticks. Throws `StreamError` out of all bounds and above `max_fps`.
  int64_t next();
  // Time of the frame after the last one, without waiting for it.
  int64_t end() const;
  // Continues with the first frame of a GOP, from any state.
  void restart(int64_t frame);
  // A payload may be lost: entries that count from it are skipped, up to the next GOP.
  void mark_lost() { lost_ = true; }
  // A keyframe follows; payloads of its GOP before it have been sent.
  void start_gop();

 private:
  __extension__ typedef __int128 Wide;
  Wide predict(int64_t frame) const;
  [[noreturn]] void refuse_pace() const;

  Ratio rate_, tick_;
  int64_t start_;
  uint32_t max_fps_;
  int64_t anchor_ = 0, anchor_pts_;  // a frame and its time
  int64_t next_ = 0, named_ = 0;     // the frame to come; the frame after the last one named
  bool lost_ = false;
  std::map<int64_t, int64_t> late_, exact_;
  int64_t earliest_, latest_;
};

}  // namespace gv
