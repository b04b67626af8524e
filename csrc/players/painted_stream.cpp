#include "players/painted_stream.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "decoder/metadata_obu.hpp"

namespace dav1d {
namespace {

constexpr size_t kMaxUnits = 1024;         // dav1d delays pictures by at most 256 units
constexpr off_t kMaxModelBytes = 4 << 20;  // painters have 0.1 MB

// Whether the file at `path` is the painter. Devices, pipes and large files are not opened.
bool set_model(gvc_decoder* decoder, const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) || !S_ISREG(status.st_mode) || status.st_size > kMaxModelBytes)
    return false;
  std::vector<char> bytes(static_cast<size_t>(status.st_size));
  if (!std::ifstream(path, std::ios::binary).read(bytes.data(), status.st_size)) return false;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  return gvc_set_model(decoder, data, bytes.size()) == GVC_OK;
}

// The painter: one of the files in $GVCODEC_MODELS, or of the models in its folders. Not by
// std::filesystem, whose iterators end the program when there is no memory.
bool set_model(gvc_decoder* decoder) {
  const char* variable = std::getenv("GVCODEC_MODELS");
  std::istringstream list(variable ? variable : "");
  for (std::string path; std::getline(list, path, ':');) {
    if (set_model(decoder, path)) return true;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
    while (const dirent* file = folder ? readdir(folder.get()) : nullptr) {
      const char* ending = std::strrchr(file->d_name, '.');
      if (ending && !std::strcmp(ending, ".safetensors") &&
          set_model(decoder, path + "/" + file->d_name))
        return true;
    }
  }
  return false;
}

}  // namespace

PaintedStream::PaintedStream(const Library& of, const Settings& settings, const char* obstacle)
    : library(of),
      allocator(settings.allocator),
      threads_(std::max(0, settings.n_threads)),
      max_pixels_(settings.frame_size_limit),
      obstacle_(obstacle) {
  Dl_info info{};
  dladdr(reinterpret_cast<void*>(allocator.alloc), &info);
  can_resize_ = !info.dli_fname || !std::strstr(info.dli_fname, "libdav1d_plugin");
}

int PaintedStream::send(Context* context, Data* in) {
  if (!in->data || !in->sz) return library.send_data(context, in);
  const gv::Bytes bytes{in->data, in->sz};
  gv::Buffer clean;
  bool has_header = false, is_key = false;
  try {
    const gv::TakenApart parts = gv::take_apart(bytes);
    if (!parts.damage.empty() || !parts.entries.empty())
      clean = gv::restore_av1(gv::strip_av1(parts.obus));
    has_header = parts.find(gv::kEntryHeader), is_key = parts.begins_sequence();
    if (is_key && (is_ours_ || !clean.empty())) fit_lost_ = gv::loses_fit(parts, fit_lost_);
  } catch (const gv::StreamError&) {  // dav1d reports the error
  }
  is_ours_ = is_ours_ || !clean.empty();
  if (!is_ours_) return library.send_data(context, in);
  if (obstacle_) warn(obstacle_);
  if (obstacle_) return library.send_data(context, in);
  units_.push_back({bytes.copy(), next_tag_, in->m.offset, !clean.empty(), has_header,
                    is_key && fit_lost_});
  in->m.offset = next_tag_;
  const int code =
      clean.empty() ? library.send_data(context, in) : send_without_metadata(context, *in, clean);
  if (code) in->m.offset = units_.back().offset;
  if (code == -EAGAIN) return units_.pop_back(), code;
  ++next_tag_;
  if (units_.size() > kMaxUnits) units_.pop_front();
  return code;
}

// The host's properties, with its attachments, move to the new data, or back.
int PaintedStream::send_without_metadata(Context* context, Data& in, const gv::Buffer& clean) {
  Data data{};
  uint8_t* bytes = library.data_create(&data, clean.size());
  if (!bytes) return -ENOMEM;
  std::copy(clean.begin(), clean.end(), bytes);
  std::swap(data.m, in.m);
  const int code = library.send_data(context, &data);
  if (code) std::swap(data.m, in.m);
  library.data_unref(code ? &data : &in);
  return code;
}

void PaintedStream::flush() {
  units_.clear();
  fit_lost_ = false;
  if (decoder_) gvc_seek(decoder_.get(), 0);
}

// One line for each decoder; `reason` null: the error of libgvc.
void PaintedStream::warn(const char* reason) {
  gvc_error error;
  gvc_get_error(decoder_.get(), &error);
  if (!has_warned_)
    std::fprintf(stderr, "gvcodec: base frames are shown: %s\n", reason ? reason : error.text);
  has_warned_ = true;
}

// The rest of the GOP has base pictures.
void PaintedStream::give_up(const char* reason) {
  warn(reason);
  gvc_seek(decoder_.get(), 0);
}

// False for a unit that is not painted.
bool PaintedStream::open_unit(const Unit& unit) {
  const auto send = [&] {
    return gvc_send_unit(decoder_.get(), unit.data.data(), unit.data.size());
  };
  if (unit.loses_fit)
    std::fputs("gvcodec: painting data are damaged: base frames up to the next keyframe\n", stderr);
  gvc_code code = decoder_ ? send() : GVC_FOREIGN;
  // Another stream may begin here.
  if (code == GVC_FOREIGN && (unit.has_header || (unit.has_metadata && !decoder_))) {
    const gvc_settings settings{sizeof settings, 0, threads_, 0, max_pixels_, 0};
    gvc_decoder* decoder = nullptr;
    gvc_open(&settings, &decoder);
    decoder_.reset(decoder);
    code = decoder ? send() : GVC_FOREIGN;
  }
  if (code == GVC_FOREIGN) return false;
  uint8_t id[8];
  gvc_unit av1;
  while (code == GVC_OK && gvc_next_unit(decoder_.get(), &av1) == GVC_OK) {
  }
  const bool lacks_model = code == GVC_OK && gvc_missing_model(decoder_.get(), id) == GVC_OK;
  if (code == GVC_OK && (!lacks_model || set_model(decoder_.get()))) return true;
  give_up(lacks_model ? "the painter of this stream is in no file of $GVCODEC_MODELS" : nullptr);
  return false;
}

bool PaintedStream::paint(Picture& p) noexcept {
  const auto is_its_unit = [&](const Unit& unit) { return unit.tag == p.m.offset; };
  const auto place = std::find_if(units_.begin(), units_.end(), is_its_unit);
  if (place == units_.end()) return false;
  const Unit unit = std::move(*place);
  units_.erase(units_.begin(), place);  // those before it have no picture
  p.m.offset = unit.offset;
  const Picture base = p;
  void* const base_memory = allocator_data(p, library.major);
  const char* reason;
  try {
    // With all layers a unit has several pictures: the first one is painted.
    if (unit.data.empty() || p.layout != kLayoutI420 || !open_unit(unit)) return false;
    reason = paint_into(p, base);
    if (!reason) return true;
  } catch (const std::exception&) {
    reason = "out of memory";
  }
  p = base, allocator_data(p, library.major) = base_memory;
  give_up(*reason ? reason : nullptr);
  return false;
}

// Null once the picture is painted; else why it is not, "" for the error of libgvc.
const char* PaintedStream::paint_into(Picture& p, const Picture& base) {
  gvc_header header;
  if (gvc_get_header(decoder_.get(), &header)) return "";
  if (header.coded_width != base.w || header.coded_height != base.h)
    return "the AV1 pictures are of another size than the stream says";
  if (!can_resize_ && (header.width != base.w || header.height != base.h))
    return "VLC keeps the size of the first picture";
  p.w = header.width, p.h = header.height;
  std::fill_n(p.data, 3, nullptr);
  allocator_data(p, library.major) = nullptr;
  if (allocator.alloc(&p, allocator.cookie)) return "out of memory";
  const auto view = [](const Picture& of) {
    return gvc_picture{{of.data[0], of.data[1], of.data[2]},
                       {of.stride[0], of.stride[1], of.stride[1]},
                       of.w,
                       of.h,
                       of.bpc,
                       0,
                       0,
                       0};
  };
  const gvc_picture from = view(base);
  gvc_picture to = view(p);
  gvc_code code = gvc_send_base(decoder_.get(), &from);
  if (code == GVC_OK) code = gvc_get_picture(decoder_.get(), &to);
  if (code != GVC_OK) allocator.release(&p, allocator.cookie);
  return code == GVC_OK ? nullptr : "";
}

}  // namespace dav1d
