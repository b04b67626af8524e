// A library in front of libdav1d that paints: `gvcodec with` preloads it. Calls of dav1d that are
// not here reach the real library.
#include <dlfcn.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <unordered_map>

#include "players/painted_stream.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

using namespace dav1d;

namespace {

using Owner = std::pair<const Library*, Allocator>;  // of a painted picture

// All decoders, and the painted pictures that the host holds, by their first plane. Never
// destroyed: threads of the host may outlive main().
std::mutex mutex;
auto& streams = *new std::unordered_map<Context*, std::unique_ptr<PaintedStream>>;
auto& pictures = *new std::unordered_map<void*, Owner>;

PaintedStream* stream_of(Context* context) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto place = streams.find(context);
  return place == streams.end() ? nullptr : place->second.get();
}

// The decoder's own library; that of the caller for a decoder that is not painted.
const Library* library_of(const PaintedStream* stream, void* caller) {
  return stream ? &stream->library : find_library(caller);
}

// Why pictures of a decoder with these settings cannot be painted; null if they can.
const char* find_obstacle(const Library& library, const Settings& settings) {
  Dl_info info;
  const bool is_own = !dladdr(reinterpret_cast<void*>(settings.allocator.alloc), &info) ||
                      info.dli_fbase == library.base;
  return is_own ? "the program leaves the memory of pictures to dav1d" : nullptr;
}

}  // namespace

EXPORT int dav1d_open(Context** out, const Settings* settings) {
  const Library* library = find_library(CALLER);
  if (!library) return -ENOSYS;
  const int code = library->open(out, settings);
  if (code) return code;
  if (library->major != 6 && library->major != 7) {
    static std::once_flag once;
    std::call_once(once, [] {
      std::fputs("gvcodec: base frames are shown: this libdav1d is neither .so.6 nor .so.7\n",
                 stderr);
    });
    return code;
  }
  try {
    const char* obstacle = find_obstacle(*library, *settings);
    auto stream = std::make_unique<PaintedStream>(*library, *settings, obstacle);
    const std::lock_guard<std::mutex> lock(mutex);
    streams.insert_or_assign(*out, std::move(stream));
  } catch (const std::exception&) {  // it shows base pictures
  }
  return code;
}

EXPORT void dav1d_close(Context** context) {
  if (!context || !*context) return;
  const Library* library = library_of(stream_of(*context), CALLER);
  std::unique_lock<std::mutex> lock(mutex);
  streams.erase(*context);
  lock.unlock();
  if (library) library->close(context);
}

EXPORT int dav1d_send_data(Context* context, Data* in) try {
  PaintedStream* stream = stream_of(context);
  const Library* library = library_of(stream, CALLER);
  if (!library) return -ENOSYS;
  return stream && in ? stream->send(context, in) : library->send_data(context, in);
} catch (const std::exception&) {
  return -ENOMEM;
}

EXPORT int dav1d_get_picture(Context* context, Picture* out) {
  PaintedStream* stream = stream_of(context);
  const Library* library = library_of(stream, CALLER);
  const int code = library ? library->get_picture(context, out) : -ENOSYS;
  if (code || !stream || !stream->paint(*out)) return code;
  try {
    const std::lock_guard<std::mutex> lock(mutex);
    pictures.insert_or_assign(out->data[0], Owner{library, stream->allocator});
  } catch (const std::exception&) {
    stream->allocator.release(out, stream->allocator.cookie);
    library->picture_unref(out);
    return -ENOMEM;
  }
  return code;
}

EXPORT void dav1d_flush(Context* context) {
  PaintedStream* stream = stream_of(context);
  const Library* library = library_of(stream, CALLER);
  if (library) library->flush(context);
  if (stream) stream->flush();
}

// A painted picture still holds the references to the base picture and its headers.
EXPORT void dav1d_picture_unref(Picture* picture) {
  if (!picture) return;
  std::unique_lock<std::mutex> lock(mutex);
  const auto node = pictures.extract(picture->data[0]);
  lock.unlock();
  const auto [library, allocator] = node ? node.mapped() : Owner{find_library(CALLER), {}};
  if (node) allocator.release(picture, allocator.cookie);
  if (library) library->picture_unref(picture);
}
