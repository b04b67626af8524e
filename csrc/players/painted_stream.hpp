// One decoder of the host: temporal units on their way to dav1d, and its pictures, painted.
#pragma once

#include <deque>
#include <memory>

#include "format/cursor.hpp"
#include "include/gvc.h"
#include "players/dav1d_abi.hpp"

namespace dav1d {

class PaintedStream {
 public:
  // `obstacle`: why nothing can be painted, or null. It is reported for streams of gvcodec.
  PaintedStream(const Library& of, const Settings& settings, const char* obstacle);

  // As dav1d_send_data. dav1d gets units of gvcodec without our metadata, since dav1d 1.0 prints a
  // line for each; any other AV1 as it is.
  int send(Context* context, Data* in);
  // Replaces the base picture by the painted one, in memory of `allocator`. False, and the picture
  // is as before, if it cannot be painted.
  bool paint(Picture& picture) noexcept;
  // After dav1d_flush: the next unit is a keyframe.
  void flush();

  const Library& library;
  const Allocator allocator;

 private:
  struct Unit {
    gv::Buffer data;
    int64_t tag, offset;  // DataProps::offset inside dav1d, and the host's
    bool has_metadata, has_header, loses_fit;
  };

  int send_without_metadata(Context* context, Data& in, const gv::Buffer& clean);
  bool open_unit(const Unit& unit);
  const char* paint_into(Picture& picture, const Picture& base);
  void warn(const char* reason);
  void give_up(const char* reason);

  const int threads_;
  const uint64_t max_pixels_;  // of a picture, 0: no limit of the host
  const char* const obstacle_;
  // VLC's pictures keep the size of base pictures, which is another one for reduced and odd sizes.
  bool can_resize_;
  std::unique_ptr<gvc_decoder, void (*)(gvc_decoder*)> decoder_{nullptr, gvc_close};
  std::deque<Unit> units_;  // whose pictures have not come
  int64_t next_tag_ = INT64_MIN + 1;
  bool is_ours_ = false, has_warned_ = false;
  bool fit_lost_ = false;  // since the last keyframe sent (`gv::loses_fit`)
};

}  // namespace dav1d
