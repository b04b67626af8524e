// The part of dav1d's ABI that painting needs, of libdav1d.so.6 and .so.7, so that a build needs no
// headers of dav1d. Names of fields and functions are dav1d's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dav1d {

struct Context;
struct Ref;

struct DataProps {
  int64_t timestamp, duration, offset;
  size_t size;
  const uint8_t* user_data;
  Ref* user_data_ref;
};

struct Data {
  const uint8_t* data;
  size_t sz;
  Ref* ref;
  DataProps m;
};

constexpr int kLayoutI420 = 1;

// The beginning of Dav1dPicture.
struct Picture {
  void *seq_hdr, *frame_hdr;
  void* data[3];
  ptrdiff_t stride[2];  // bytes; luma, chroma
  int w, h, layout, bpc;
  DataProps m;
};

// Bytes before its last field; .so.7 has one more field before it.
constexpr size_t allocator_data_at(int major) { return major == 6 ? 256 : 264; }
inline void*& allocator_data(Picture& picture, int major) {
  return *reinterpret_cast<void**>(reinterpret_cast<char*>(&picture) + allocator_data_at(major));
}

struct Allocator {
  void* cookie;
  int (*alloc)(Picture* picture, void* cookie);  // sets data, stride, allocator_data; 0: success
  void (*release)(Picture* picture, void* cookie);
};

// The beginning of Dav1dSettings.
struct Settings {
  int n_threads, max_frame_delay, apply_grain, operating_point, all_layers;
  unsigned frame_size_limit;
  Allocator allocator;
};

// The functions of one loaded libdav1d.
struct Library {
  int major;   // of its ABI; only 6 and 7 can be painted
  void* base;  // of its mapping in memory
  int (*open)(Context** out, const Settings* settings);
  void (*close)(Context** context);
  int (*send_data)(Context* context, Data* in);
  int (*get_picture)(Context* context, Picture* out);
  void (*flush)(Context* context);
  void (*picture_unref)(Picture* picture);
  uint8_t* (*data_create)(Data* data, size_t size);
  void (*data_unref)(Data* data);
};

// The library that code at this address would call if ours were not preloaded; null without one.
const Library* find_library(void* caller);

}  // namespace dav1d
