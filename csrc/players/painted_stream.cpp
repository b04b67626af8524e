#include "players/painted_stream.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "decoder/metadata_obu.hpp"

namespace dav1d {
namespace {

constexpr size_t kMostUnits = 1024;  // dav1d delays pictures by at most 256 units

// The painter: one of the files in $GVCODEC_MODELS, which are separated by colons.
bool give_model(gvc_decoder* decoder) {
  const char* variable = std::getenv("GVCODEC_MODELS");
  std::istringstream list(variable ? variable : "");
  for (std::string path; std::getline(list, path, ':');) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    if (gvc_give_model(decoder, data, bytes.size()) == GVC_OK) return true;
  }
  return false;
}

}  // namespace

PaintedStream::PaintedStream(const Library& of, const Settings& settings)
    : library(of), allocator(settings.allocator), threads_(std::max(0, settings.n_threads)) {
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
    if (!parts.damage.empty() || !parts.entries.empty()) clean = gv::restore_av1(gv::strip_av1(parts.obus));
    has_header = parts.find(gv::kEntryHeader), is_key = parts.begins_sequence();
    if (is_key && (is_ours_ || !clean.empty())) fit_lost_ = gv::loses_fit(parts, fit_lost_);
  } catch (const gv::StreamError&) {  // dav1d reports the error
  }
  is_ours_ = is_ours_ || !clean.empty();
  if (!is_ours_) return library.send_data(context, in);
  Unit unit{bytes.copy(), next_tag_,  in->m.offset,
            !clean.empty(), has_header, is_key && fit_lost_};
  in->m.offset = unit.tag;
  const int code =
      clean.empty() ? library.send_data(context, in) : send_without_metadata(context, *in, clean);
  if (code) in->m.offset = unit.offset;
  if (code == -EAGAIN) return code;
  units_.push_back(std::move(unit)), ++next_tag_;
  if (units_.size() > kMostUnits) units_.pop_front();
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

// The rest of the GOP has base pictures.
void PaintedStream::give_up(const char* reason) {
  gvc_error error;
  gvc_get_error(decoder_.get(), &error);
  if (!has_warned_)
    std::fprintf(stderr, "gvcodec: base frames are shown: %s\n", reason ? reason : error.text);
  has_warned_ = true;
  gvc_seek(decoder_.get(), 0);
}

// False for a unit that is not painted.
bool PaintedStream::open_unit(const Unit& unit) {
  const auto send = [&] {
    return gvc_send_unit(decoder_.get(), unit.data.data(), unit.data.size());
  };
  if (unit.loses_fit)
    std::fputs("gvcodec: painting data are damaged: base frames up to the next keyframe\n", stderr);
  gvc_code code = decoder_ ? send() : GVC_PLAIN;
  // Another stream may begin here.
  if (code == GVC_PLAIN && (unit.has_header || (unit.has_metadata && !decoder_))) {
    const gvc_settings settings{sizeof settings, 0, threads_, 0, 0, 0};
    gvc_decoder* decoder = nullptr;
    gvc_open(&settings, &decoder);
    decoder_.reset(decoder);
    code = decoder ? send() : GVC_PLAIN;
  }
  if (code == GVC_PLAIN) return false;
  uint8_t id[8];
  gvc_unit av1;
  while (code == GVC_OK && gvc_next_unit(decoder_.get(), &av1) == GVC_OK) {
  }
  const bool lacks_model = code == GVC_OK && gvc_wants_model(decoder_.get(), id) == GVC_OK;
  if (code == GVC_OK && (!lacks_model || give_model(decoder_.get()))) return true;
  give_up(lacks_model ? "the painter of this stream is in no file of $GVCODEC_MODELS" : nullptr);
  return false;
}

bool PaintedStream::paint(Picture& p) {
  const auto is_its_unit = [&](const Unit& unit) { return unit.tag == p.m.offset; };
  const auto place = std::find_if(units_.begin(), units_.end(), is_its_unit);
  if (place == units_.end()) return false;
  const Unit unit = std::move(*place);
  units_.erase(units_.begin(), place + 1);  // those before it have no picture
  p.m.offset = unit.offset;
  if (p.layout != kLayoutI420 || !open_unit(unit)) return false;
  const Picture base = p;
  void* const base_memory = allocator_data(p, library.major);
  if (paint_into(p, base)) return true;
  p = base, allocator_data(p, library.major) = base_memory;
  give_up(can_resize_ ? nullptr : "VLC keeps the size of the first picture");
  return false;
}

bool PaintedStream::paint_into(Picture& p, const Picture& base) {
  gvc_header header;
  if (gvc_get_header(decoder_.get(), &header)) return false;
  if (!can_resize_ && (header.width != base.w || header.height != base.h)) return false;
  p.w = header.width, p.h = header.height;
  std::fill_n(p.data, 3, nullptr);
  allocator_data(p, library.major) = nullptr;
  if (allocator.alloc(&p, allocator.cookie)) return false;
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
  gvc_code code = gvc_give_base(decoder_.get(), &from);
  if (code == GVC_OK) code = gvc_get_picture(decoder_.get(), &to);
  if (code != GVC_OK) allocator.release(&p, allocator.cookie);
  return code == GVC_OK;
}

}  // namespace dav1d
