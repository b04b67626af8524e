// The C interface: csrc/include/gvc.h. No exception leaves it.
#include "include/gvc.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

#include "common/cpu.hpp"
#include "common/pool.hpp"
#include "decoder/frame_decoder.hpp"
#include "decoder/metadata_obu.hpp"
#include "format/stream_reader.hpp"

using namespace gv;

struct gvc_decoder {
  gvc_decoder(const DecoderSettings& settings_, uint64_t file_size)
      : settings(settings_), reader(file_size) {}

  DecoderSettings settings;
  StreamReader reader;
  std::optional<FrameDecoder> frames;
  Unit unit;  // given last
  bool finished = false, takes_bytes = false, takes_units = false;
  // Of a one-file: bytes of its header, whether units are of a GOP of the stream, and whether the
  // weights in force there may be lost.
  Buffer packed_header;
  bool in_gop = false, fit_lost = false;

  gvc_error error = {GVC_OK, -1, 0, 0, ""};
  char text[256];       // no memory is taken to report that there is none
  bool failed = false;  // an error of the stream: final until a seek
};

namespace {

constexpr uint64_t kMaxPixels = uint64_t{1} << 26;
constexpr uint32_t kUsualFps = 1000;
constexpr int kMaxThreads = 1024;

// `is_final`: the stream cannot go on without a seek.
gvc_code fail(gvc_decoder* d, gvc_code code, const char* text, bool is_final) {
  d->failed = d->failed || is_final;
  std::snprintf(d->text, sizeof d->text, "%s", text);
  d->error = {code, d->reader.packets(), static_cast<int64_t>(d->reader.frames()),
              d->reader.place(), d->text};
  if (d->takes_units) d->error.packet = d->error.frame = d->frames ? d->frames->sent() : 0;
  return code;
}

bool is_final(Fault fault) {
  return fault != Fault::misuse && fault != Fault::no_model && fault != Fault::other_hash;
}

// The result of `call`, or the code of its exception.
template <class Call>
gvc_code guard(gvc_decoder* d, const Call& call) {
  if (!d) return GVC_MISUSE;
  try {
    return call();
  } catch (const StreamError& error) {
    return fail(d, static_cast<gvc_code>(error.fault), error.what(), is_final(error.fault));
  } catch (const std::bad_alloc&) {
    return fail(d, GVC_NO_MEMORY, "out of memory", true);
  } catch (const std::length_error&) {
    return fail(d, GVC_NO_MEMORY, "out of memory", true);
  } catch (const DamagedStream& error) {
    return fail(d, GVC_DAMAGED, error.what(), true);
  } catch (const std::invalid_argument& error) {  // numbers of a model that do not fit together
    return fail(d, GVC_DAMAGED, error.what(), true);
  } catch (const std::exception& error) {
    return fail(d, GVC_INTERNAL, error.what(), true);
  } catch (...) {
    return fail(d, GVC_INTERNAL, "an unknown fault of the library", true);
  }
}

// The same for calls that an error of the stream ends.
template <class Call>
gvc_code guard_stream(gvc_decoder* d, const Call& call) {
  if (d && d->failed) return d->error.code;
  return guard(d, call);
}

[[noreturn]] void misuse(const char* text) { throw StreamError(Fault::misuse, text); }

template <class T>
T& at(T* pointer) {
  if (!pointer) misuse("a null pointer");
  return *pointer;
}

// Throws where rows of the picture cannot be read or written: see gvc_picture.
void check_planes(const gvc_picture& p) {
  for (int i = 0; i < 3; ++i) {
    const ptrdiff_t stride = p.stride[i];
    const ptrdiff_t row = ptrdiff_t{i ? (p.width + 1) / 2 : p.width} * (p.bits == 10 ? 2 : 1);
    if (!p.plane[i]) misuse("a null pointer");
    if (stride < row && stride > -row) misuse("a stride is shorter than a row");
    if (p.bits == 10 && ((reinterpret_cast<uintptr_t>(p.plane[i]) | stride) & 1))
      misuse("samples of 10 bits are at odd addresses");
  }
}

FrameDecoder* open_frames(gvc_decoder& d) {
  if (d.frames || d.takes_units) return d.frames ? &*d.frames : nullptr;
  if (const Header* header = d.reader.header()) return &d.frames.emplace(*header, d.settings);
  return nullptr;
}

const Header* header_of(gvc_decoder& d) {
  return d.frames ? &d.frames->header() : d.takes_units ? nullptr : d.reader.header();
}

gvc_code next_unit(gvc_decoder& d, gvc_unit& unit) {
  FrameDecoder* frames = open_frames(d);
  while (frames && !frames->next_unit(d.unit)) {
    if (d.takes_units) return d.finished ? GVC_END : GVC_AGAIN;
    const std::optional<Packet> packet = d.reader.next();
    if (const auto first = d.reader.take_restart()) frames->restart(static_cast<int64_t>(*first));
    if (!packet) return d.reader.at_end() ? GVC_END : GVC_AGAIN;
    frames->send(*packet);
  }
  if (!frames) return GVC_AGAIN;
  unit = {d.unit.data.data(), d.unit.data.size(), d.unit.frame, d.unit.key};
  return GVC_OK;
}

// Packets that a keyframe of a one-file has with it: the `fit` in force, models.
FrameDecoder::Gop read_gop(const TakenApart& unit, FrameDecoder& frames, bool fit_lost) {
  FrameDecoder::Gop gop;
  gop.paints = !fit_lost;
  for (const Entry& entry : unit.entries) {
    if ((entry.what != kEntryState && entry.what != kEntryPacket) || !entry.data.size) continue;
    const int kind = kEnd + entry.data.data[0];
    Packet packet;
    packet.kind = kind, packet.payload = entry.data.from(1);
    if (kind == kFit) gop.fit = packet.payload.copy();
    else if (kind == kModel) frames.send(packet);
    else if (kind >= kFirstUnknown && kind < kFirstSkippable) gop.paints = false;
  }
  return gop;
}

// Whether the unit is a keyframe of the stream; opens it by the first one.
bool enter_gop(gvc_decoder& d, const TakenApart& unit) {
  const Bytes* packed = unit.find(kEntryHeader);
  if (!packed)  // a keyframe that lost its metadata
    return d.frames && unit.begins_sequence();
  if (!d.frames) {
    require(header_size(*packed) == packed->size, "metadata OBU: not a header");
    d.frames.emplace(parse_header(*packed), d.settings);
    d.packed_header = packed->copy();
  }
  d.in_gop = *packed == Bytes(d.packed_header);  // false: another stream begins here
  return d.in_gop;
}

gvc_code send_unit(gvc_decoder& d, Bytes data) {
  const TakenApart unit = take_apart(data);
  std::optional<FrameDecoder::Gop> gop;
  const bool is_ours = d.frames || unit.find(kEntryHeader) || !unit.damage.empty();
  if (is_ours && unit.begins_sequence()) d.fit_lost = loses_fit(unit, d.fit_lost);
  if (enter_gop(d, unit)) {
    if (const Bytes* place = unit.find(kEntryPlace); place && !d.frames->sent())
      d.frames->restart(static_cast<int64_t>(Cursor(*place, "metadata OBU").var(kMostFrames)));
    gop = read_gop(unit, *d.frames, d.fit_lost);
    d.in_gop = true;
  }
  if (!d.in_gop) return GVC_FOREIGN;
  d.frames->send_frame(strip_av1(unit.obus), gop);
  return GVC_OK;
}

GV_SIMD(void, to_eight_bits, (const uint16_t* from, int width, uint8_t* out), (from, width, out)) {
  for (int x = 0; x < width; ++x) out[x] = static_cast<uint8_t>(std::min((from[x] + 2) >> 2, 255));
}

void write_plane(const std::vector<uint16_t>& plane, int columns, int rows, int bits, int threads,
                 void* to, ptrdiff_t stride) {
  parallel_for(ceil_div(rows, kStripRows), threads, [&](int strip) {
    for (int y = strip * kStripRows; y < std::min(rows, (strip + 1) * kStripRows); ++y) {
      const uint16_t* line = plane.data() + static_cast<size_t>(y) * columns;
      uint8_t* out = static_cast<uint8_t*>(to) + y * stride;
      if (bits == 10) std::copy_n(line, columns, reinterpret_cast<uint16_t*>(out));
      else to_eight_bits(line, columns, out);
    }
  });
}

gvc_code get_picture(gvc_decoder& d, gvc_picture& out) {
  const Picture* picture = d.frames ? d.frames->current() : nullptr;
  if (!picture) return GVC_AGAIN;
  out.frame = picture->frame, out.pts = picture->pts, out.painted = picture->painted;
  if (!out.plane[0]) return GVC_OK;
  const Header& h = d.frames->header();
  if (out.width != h.width || out.height != h.height || (out.bits != 8 && out.bits != 10))
    misuse("the picture has other sizes than the header");
  check_planes(out);
  for (int p = 0; p < 3; ++p)
    write_plane(picture->planes[static_cast<size_t>(p)], p ? (h.width + 1) / 2 : h.width,
                p ? (h.height + 1) / 2 : h.height, out.bits, d.settings.threads, out.plane[p],
                out.stride[p]);
  d.frames->drop_current();
  return GVC_OK;
}

// Whether both are there and equal, or one is missing.
template <class A, class B>
bool agree(const A& have, const B& expected) {
  return !have || !expected ||
         std::equal(have->begin(), have->end(), expected->begin(), expected->end());
}

gvc_code get_hashes(gvc_decoder& d, gvc_hashes& out) {
  out = {};
  if (!d.frames) return GVC_AGAIN;
  const auto base = d.frames->base_hash(), painted = d.frames->painted_hash();
  const auto& base_expected = d.reader.base_hash();
  const auto& painted_expected = d.frames->painted_payload();
  out.frames = d.frames->shown();
  out.end_pts = d.frames->end_pts();
  out.has_base = base.has_value(), out.has_painted = painted.has_value();
  out.expects_base = base_expected.has_value();
  out.expects_painted = painted_expected && painted_expected->size() == kIdBytes;
  if (base) std::copy(base->begin(), base->end(), out.base);
  if (painted) std::copy(painted->begin(), painted->end(), out.painted);
  if (base_expected) std::copy(base_expected->begin(), base_expected->end(), out.expected_base);
  if (out.expects_painted)
    std::copy(painted_expected->begin(), painted_expected->end(), out.expected_painted);
  const bool complete = d.reader.at_end() && base_expected;
  if (complete && !agree(base, base_expected))
    throw StreamError(Fault::other_hash, "decoded frames differ from the encoder's");
  if (complete && !agree(painted, painted_expected))
    throw StreamError(Fault::other_hash, "painted frames differ from the encoder's");
  return GVC_OK;
}

void fill(const Header& h, gvc_header& out) {
  out = {};
  out.width = h.width, out.height = h.height, out.bits = h.bits;
  out.coded_width = coded_side(h.width, h.scale);
  out.coded_height = coded_side(h.height, h.scale);
  out.base = static_cast<int32_t>(h.base), out.scale = h.scale, out.q = h.q;
  out.has_painter = h.painter.has_value(), out.is_bundled = h.bundled;
  out.needs_major = h.needs_major, out.needs_minor = h.needs_minor;
  out.primaries = h.primaries, out.transfer = h.transfer, out.matrix = h.matrix;
  out.full_range = h.full_range, out.chroma_location = h.chroma_location;
  out.rate_num = h.rate.num, out.rate_den = h.rate.den;
  out.tick_num = h.tick.num, out.tick_den = h.tick.den;
  out.sar_num = h.sar.num, out.sar_den = h.sar.den;
  out.start = h.start, out.frames = -1;
  if (h.painter) std::copy(h.painter->begin(), h.painter->end(), out.painter_id);
}

}  // namespace

extern "C" {

uint32_t gvc_version(void) { return GVC_VERSION; }

gvc_code gvc_open(const gvc_settings* given, gvc_decoder** decoder) {
  if (!decoder) return GVC_MISUSE;
  *decoder = nullptr;
  gvc_settings s = {};
  if (given && (given->size < sizeof given->size || given->size > sizeof s)) return GVC_MISUSE;
  if (given) std::memcpy(&s, given, given->size);
  if (s.threads < 0 || s.threads > kMaxThreads || s.flags & ~3u) return GVC_MISUSE;
  DecoderSettings settings;
  settings.base_only = s.flags & GVC_BASE_ONLY;
  settings.hash = s.flags & GVC_HASH;
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  settings.threads = s.threads ? s.threads : clamp(cores, 1, kMaxThreads);
  settings.max_fps = s.max_fps ? s.max_fps : kUsualFps;
  settings.max_pixels = s.max_pixels ? s.max_pixels : kMaxPixels;
  try {
    *decoder = new gvc_decoder(settings, s.file_size);
  } catch (...) {
    return GVC_NO_MEMORY;
  }
  return GVC_OK;
}

void gvc_close(gvc_decoder* d) { delete d; }

void gvc_get_error(const gvc_decoder* d, gvc_error* error) {
  if (error) *error = d ? d->error : gvc_error{GVC_MISUSE, -1, 0, 0, "a null decoder"};
}

uint64_t gvc_offset(const gvc_decoder* d) { return d ? d->reader.offset() : 0; }

gvc_code gvc_send(gvc_decoder* d, const uint8_t* data, size_t size) {
  return guard_stream(d, [&] {
    if (d->takes_units) misuse("either gvc_send or gvc_send_unit");
    if (size) at(data);
    d->takes_bytes = true;
    d->reader.send({data, size});
    return GVC_OK;
  });
}

gvc_code gvc_send_unit(gvc_decoder* d, const uint8_t* data, size_t size) {
  return guard_stream(d, [&] {
    if (d->takes_bytes) misuse("either gvc_send or gvc_send_unit");
    if (size) at(data);
    d->takes_units = true;
    return send_unit(*d, {data, size});
  });
}

gvc_code gvc_flush(gvc_decoder* d) {
  return guard_stream(d, [&] {
    d->finished = true;
    d->reader.finish();
    return GVC_OK;
  });
}

gvc_code gvc_seek(gvc_decoder* d, int64_t frame) {
  return guard(d, [&] {
    if (!d->takes_units) {
      if (frame < 0) misuse("there is no such frame");
      d->reader.seek(static_cast<uint64_t>(frame));
    }
    d->failed = d->finished = d->in_gop = d->fit_lost = false;
    if (d->frames) d->frames->restart(d->takes_units ? 0 : frame);
    return GVC_OK;
  });
}

gvc_code gvc_get_header(gvc_decoder* d, gvc_header* out) {
  return guard_stream(d, [&] {
    const Header* header = header_of(*d);
    if (!header) return GVC_AGAIN;
    fill(*header, at(out));
    if (const auto total = d->reader.total_frames()) out->frames = static_cast<int64_t>(*total);
    return GVC_OK;
  });
}

gvc_code gvc_missing_model(gvc_decoder* d, uint8_t id[8]) {
  return guard_stream(d, [&] {
    const FrameDecoder* frames = open_frames(*d);
    const std::optional<Id> missing = frames ? frames->missing_painter() : std::nullopt;
    if (!missing) return GVC_AGAIN;
    std::copy(missing->begin(), missing->end(), &at(id));
    return GVC_OK;
  });
}

gvc_code gvc_set_model(gvc_decoder* d, const uint8_t* data, size_t size) {
  return guard_stream(d, [&] {
    FrameDecoder* frames = open_frames(*d);
    if (!frames) misuse("a model comes after the header");
    at(data);
    try {
      frames->set_painter({data, size});
    } catch (const StreamError& error) {
      throw StreamError(Fault::no_model, error.what());
    }
    return GVC_OK;
  });
}

gvc_code gvc_next_unit(gvc_decoder* d, gvc_unit* unit) {
  return guard_stream(d, [&] { return next_unit(*d, at(unit)); });
}

gvc_code gvc_send_base(gvc_decoder* d, const gvc_picture* base) {
  return guard_stream(d, [&] {
    if (!d->frames) misuse("a base picture comes after its unit");
    for (void* plane : at(base).plane)
      if (!plane) misuse("a null pointer");
    if (d->frames->current()) return GVC_AGAIN;
    if (!d->frames->fits(base->width, base->height, base->bits))
      return fail(d, GVC_DAMAGED, "the base picture is of another size", false);
    check_planes(*base);
    PictureView view{{}, {}, base->width, base->height, base->bits};
    std::copy_n(base->plane, 3, view.plane);
    std::copy_n(base->stride, 3, view.stride);
    d->frames->send_base(view);
    return GVC_OK;
  });
}

gvc_code gvc_get_picture(gvc_decoder* d, gvc_picture* picture) {
  return guard(d, [&] { return get_picture(*d, at(picture)); });
}

gvc_code gvc_set_look(gvc_decoder* d, int32_t look, int32_t tokens) {
  return guard(d, [&] {
    FrameDecoder* frames = open_frames(*d);
    if (!frames || look < -1 || look > 100) misuse("look is -1…100, after the header");
    frames->set_look(look, tokens != 0);
    return GVC_OK;
  });
}

gvc_code gvc_get_hashes(gvc_decoder* d, gvc_hashes* hashes) {
  return guard(d, [&] { return get_hashes(*d, at(hashes)); });
}

}  // extern "C"
