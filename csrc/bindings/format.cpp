// Python bindings of libgvc's parsers and of its decoder (csrc/format, csrc/model, csrc/include).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "decoder/metadata_obu.hpp"
#include "format/timing.hpp"
#include "format/unbundler.hpp"
#include "include/gvc.h"
#include "model/tokens.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

gv::Bytes view(const nb::bytes& b) { return {reinterpret_cast<const uint8_t*>(b.c_str()), b.size()}; }
nb::bytes to_bytes(gv::Bytes b) { return nb::bytes(reinterpret_cast<const char*>(b.data), b.size); }

nb::object id_of(const std::optional<gv::Id>& id) {
  return id ? nb::object(to_bytes({id->data(), id->size()})) : nb::none();
}

nb::dict header_fields(const nb::bytes& data) {
  gv::require(gv::header_size(view(data)) == data.size(), "header: file ends early");
  const gv::Header h = gv::parse_header(view(data));
  nb::dict d;
  d["width"] = h.width, d["height"] = h.height, d["start"] = h.start, d["bits"] = h.bits;
  d["rate"] = nb::make_tuple(h.rate.num, h.rate.den);
  d["tick"] = nb::make_tuple(h.tick.num, h.tick.den);
  d["sar"] = nb::make_tuple(h.sar.num, h.sar.den);
  d["primaries"] = h.primaries, d["transfer"] = h.transfer, d["matrix"] = h.matrix;
  d["full_range"] = h.full_range, d["chroma_location"] = h.chroma_location;
  d["base"] = static_cast<int>(h.base), d["scale"] = h.scale, d["q"] = h.q;
  d["bundled"] = h.bundled;
  d["needs"] = nb::make_tuple(h.needs_major, h.needs_minor);
  d["base_model"] = id_of(h.base_model), d["painter"] = id_of(h.painter);
  d["gvc1d"] = id_of(h.gvc1d);
  return d;
}

std::vector<int64_t> times_of(const nb::bytes& header, const std::vector<nb::bytes>& payloads,
                              int count) {
  gv::Timeline timeline(gv::parse_header(view(header)), UINT32_MAX);
  for (const nb::bytes& payload : payloads) timeline.send(view(payload));
  std::vector<int64_t> times;
  for (int n = 0; n < count; ++n) times.push_back(timeline.next());
  return times;
}

// Calls take less than a millisecond and keep the interpreter's lock.
nb::list unbundle(gv::Unbundler& unbundler, bool key, const nb::bytes& bundle) {
  nb::list payloads;
  for (const gv::Buffer& payload : unbundler.send(key, view(bundle)))
    payloads.append(to_bytes(payload));
  return payloads;
}

nb::object read_fit(const nb::bytes& payload, const nb::bytes& model, int width, int height,
                    int q) {
  const gv::PainterModel painter = gv::read_painter(view(model));
  const gv::Fit fit = gv::parse_fit(view(payload), painter);
  if (fit.identity) return nb::none();
  nb::list deltas;
  constexpr const char* kNames[] = {"head.bias", "style.bias", "head.weight"};
  for (const gv::Delta& d : fit.deltas)
    deltas.append(nb::make_tuple(kNames[d.name], d.exponent, d.values));
  nb::object levels = nb::none();
  if (fit.tokens)
    levels = nb::cast(gv::read_tokens(gv::Bytes(*fit.tokens), painter, width, height, q).levels);
  const std::vector<int> factors(fit.strength.factors.begin(), fit.strength.factors.end());
  return nb::make_tuple(fit.strength.noise, fit.strength.keep, factors, deltas, levels);
}

nb::list entry_list(const std::vector<gv::Entry>& entries) {
  nb::list out;
  for (const gv::Entry& e : entries) out.append(nb::make_tuple(e.what, to_bytes(e.data)));
  return out;
}

nb::tuple unit_parts(const nb::bytes& unit) {
  const gv::TakenApart parts = gv::take_apart(view(unit));
  gv::Buffer payload;
  for (const gv::Obu& obu : parts.obus) gv::append_obu(payload, obu);
  return nb::make_tuple(to_bytes(payload), entry_list(parts.entries), parts.damaged);
}

nb::list numbers_of(const nb::bytes& data) {
  gv::Cursor in(view(data), "fuzz");
  nb::list out;
  while (in.left()) {
    const int kind = in.u8() % 4;
    if (kind == 0) out.append(in.var());
    else if (kind == 1) out.append(in.svar());
    else if (kind == 2) out.append(to_bytes(in.take(in.var())));
    else out.append(in.uint(4));
  }
  return out;
}

using Plane = nb::ndarray<const uint16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// A decoder of the C interface. Codes below 0 are raised.
class Decoder {
 public:
  Decoder(bool base_only, bool hash, int threads, uint64_t file_size) {
    const uint32_t flags = (base_only ? GVC_BASE_ONLY : 0u) | (hash ? GVC_HASH : 0u);
    const gvc_settings settings = {sizeof(gvc_settings), flags, threads, 0, 0, file_size};
    check(gvc_open(&settings, &decoder_) == GVC_OK, "settings of a decoder");
  }
  Decoder(const Decoder&) = delete;
  ~Decoder() { gvc_close(decoder_); }

  int send(const nb::bytes& data) {
    const Turn turn(mutex_);
    return checked(gvc_send(decoder_, view(data).data, data.size()));
  }
  int send_unit(const nb::bytes& data) {
    const Turn turn(mutex_);
    return checked(gvc_send_unit(decoder_, view(data).data, data.size()));
  }
  int flush() { return checked(gvc_flush(decoder_)); }
  int seek(int64_t frame) { return checked(gvc_seek(decoder_, frame)); }
  uint64_t offset() const { return gvc_offset(decoder_); }
  int set_look(int look, bool tokens) { return checked(gvc_set_look(decoder_, look, tokens)); }
  int give_model(const nb::bytes& data) {
    const Turn turn(mutex_);
    return checked(gvc_give_model(decoder_, view(data).data, data.size()));
  }
  nb::object wants_model() {
    uint8_t id[8];
    return checked(gvc_wants_model(decoder_, id)) == GVC_OK ? nb::object(to_bytes({id, 8}))
                                                            : nb::none();
  }
  nb::object size() {
    gvc_header h;
    if (checked(gvc_get_header(decoder_, &h)) != GVC_OK) return nb::none();
    return nb::make_tuple(h.width, h.height, h.coded_width, h.coded_height, h.base, h.frames);
  }
  nb::tuple next_unit() {
    const Turn turn(mutex_);
    gvc_unit unit = {};
    const int code = checked(gvc_next_unit(decoder_, &unit));
    return nb::make_tuple(code, to_bytes({unit.data, unit.size}), unit.frame, unit.key != 0);
  }
  int give_base(const Plane& y, const Plane& u, const Plane& v) {
    const Turn turn(mutex_);
    gvc_picture p = {};
    const Plane* planes[] = {&y, &u, &v};
    for (int i = 0; i < 3; ++i) {
      const size_t columns = (y.shape(1) + (i ? 1 : 0)) / (i ? 2 : 1);
      const size_t rows = (y.shape(0) + (i ? 1 : 0)) / (i ? 2 : 1);
      check(planes[i]->shape(1) == columns && planes[i]->shape(0) == rows, "planes of 4:2:0");
      p.plane[i] = const_cast<uint16_t*>(planes[i]->data());
      p.stride[i] = static_cast<ptrdiff_t>(2 * columns);
    }
    p.width = static_cast<int>(y.shape(1)), p.height = static_cast<int>(y.shape(0)), p.bits = 10;
    gvc_code code;
    {
      nb::gil_scoped_release unlocked;
      code = gvc_give_base(decoder_, &p);
    }
    return checked(code);
  }
  nb::object picture() {
    const Turn turn(mutex_);
    gvc_header h;
    gvc_picture p = {};
    if (gvc_get_header(decoder_, &h) != GVC_OK || gvc_get_picture(decoder_, &p) != GVC_OK)
      return nb::none();
    const size_t width = static_cast<size_t>(h.width), height = static_cast<size_t>(h.height);
    nb::object out[3];
    for (int i = 0; i < 3; ++i) {
      const size_t columns = i ? (width + 1) / 2 : width, rows = i ? (height + 1) / 2 : height;
      std::vector<uint16_t> samples(columns * rows);
      p.plane[i] = samples.data();
      p.stride[i] = static_cast<ptrdiff_t>(2 * columns);
      out[i] = nb::cast(to_numpy(std::move(samples), {rows, columns}));
    }
    p.width = h.width, p.height = h.height, p.bits = 10;
    checked(gvc_get_picture(decoder_, &p));
    return nb::make_tuple(out[0], out[1], out[2], p.frame, p.pts, p.painted != 0);
  }
  nb::tuple hashes() {
    gvc_hashes h;
    const int code = checked(gvc_get_hashes(decoder_, &h));
    return nb::make_tuple(code, h.frames, h.end_pts,
                          h.has_base ? nb::object(to_bytes({h.base, 8})) : nb::none(),
                          h.has_painted ? nb::object(to_bytes({h.painted, 8})) : nb::none());
  }
  nb::tuple error() const {
    gvc_error e;
    gvc_get_error(decoder_, &e);
    return nb::make_tuple(static_cast<int>(e.code), e.packet, e.frame, e.offset, e.text);
  }

 private:
  int checked(gvc_code code) const {
    if (code >= 0) return code;
    gvc_error e;
    gvc_get_error(decoder_, &e);
    throw gv::StreamError(static_cast<gv::Fault>(code), e.text);
  }

  gvc_decoder* decoder_ = nullptr;
  std::mutex mutex_;
};

// Names of Python's exceptions by the codes of gvc.h.
const char* error_name(gv::Fault fault) {
  switch (fault) {
    case gv::Fault::damaged: return "DamagedStreamError";
    case gv::Fault::newer: return "FormatVersionError";
    case gv::Fault::other_hash: return "VerificationError";
    case gv::Fault::limit: return "LimitError";
    case gv::Fault::no_model: return "WrongModelError";
    default: return "UsageError";
  }
}

}  // namespace

void bind_format(nb::module_& m) {
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const gv::StreamError& e) {
      const nb::object type = nb::module_::import_("gvcodec.errors").attr(error_name(e.fault));
      PyErr_SetString(type.ptr(), e.what());
    }
  });
  m.def("header_fields", &header_fields, "header"_a, "Fields of a stream's header, by name.");
  m.def("times_of", &times_of, "header"_a, "payloads"_a, "count"_a,
        "Times of the first `count` frames, ticks, after these `timing` payloads.");
  m.def("read_fit", &read_fit, "payload"_a, "model"_a, "width"_a, "height"_a, "q"_a,
        "A `fit` payload by a painter's file: (noise, keep, factors, [(tensor, exponent, values)], "
        "levels of regions or None); None for one that paints nothing.");
  m.def(
      "av1_unit",
      [](const nb::bytes& payload) {
        gv::check_av1(gv::parse_obus(view(payload)));
        return to_bytes(gv::restore_av1(view(payload)));
      },
      "payload"_a, "The temporal unit of a frame's payload, which shows one frame.");
  m.def("unit_parts", &unit_parts, "unit"_a,
        "Of a one-file's temporal unit: OBUs of AV1, [(type, data)] of our entries, whether one of "
        "ours is damaged.");
  m.def(
      "metadata_entries",
      [](const nb::bytes& body) { return entry_list(gv::parse_entries(view(body))); }, "body"_a,
      "[(type, data)] of a metadata OBU's body.");
  m.def("numbers_of", &numbers_of, "data"_a,
        "{ u8 kind; var, svar, var size and bytes, or u32 }: numbers as the container has them.");
  nb::class_<gv::Unbundler>(m, "Unbundler", "Frames out of bundles, in the order of a stream.")
      .def(nb::init<>())
      .def("send", &unbundle, "key"_a, "bundle"_a,
           "Payloads of the frames of a bundle; `key`: it begins a GOP. Raises "
           "`DamagedStreamError`.");
  nb::class_<Decoder>(m, "StreamDecoder",
                      "libgvc (csrc/include/gvc.h): bytes to units for an AV1 decoder, its "
                      "pictures to painted ones. Calls return codes of that page and raise "
                      "`GvcodecError` for those below 0.")
      .def(nb::init<bool, bool, int, uint64_t>(), "base_only"_a = false, "hash"_a = true,
           "threads"_a = 1, "file_size"_a = 0)
      .def("send", &Decoder::send, "data"_a)
      .def("send_unit", &Decoder::send_unit, "unit"_a)
      .def("flush", &Decoder::flush)
      .def("seek", &Decoder::seek, "frame"_a)
      .def("offset", &Decoder::offset)
      .def("set_look", &Decoder::set_look, "look"_a, "tokens"_a = true)
      .def("wants_model", &Decoder::wants_model)
      .def("give_model", &Decoder::give_model, "data"_a)
      .def("size", &Decoder::size,
           "(width, height, coded width, coded height, base, frames or -1), None before the header.")
      .def("next_unit", &Decoder::next_unit, "(code, unit, frame, key).")
      .def("give_base", &Decoder::give_base, "y"_a, "u"_a, "v"_a, "Planes of 10 bits.")
      .def("picture", &Decoder::picture, "(y, u, v, frame, pts, painted), or None.")
      .def("hashes", &Decoder::hashes, "(code, frames, end, base hash, painted hash).")
      .def("error", &Decoder::error, "(code, packet, frame, offset, text) of the last error.");
}
