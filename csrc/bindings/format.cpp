// Python bindings of libgvc's parsers and of its decoder (csrc/format, csrc/model, csrc/include).
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <mutex>

#include "bindings/arrays.hpp"
#include "bindings/turn.hpp"
#include "decoder/metadata_obu.hpp"
#include "format/stream_reader.hpp"
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

nb::dict header_fields(const nb::bytes& data, const std::vector<int>& bases) {
  gv::require(gv::header_size(view(data)) == data.size(), "header: file ends early");
  const gv::Header h = gv::parse_header(view(data), bases);
  nb::dict d;
  d["width"] = h.width, d["height"] = h.height, d["start"] = h.start, d["bits"] = h.bits;
  d["rate"] = nb::make_tuple(h.rate.num, h.rate.den);
  d["tick"] = nb::make_tuple(h.tick.num, h.tick.den);
  d["sar"] = nb::make_tuple(h.sar.num, h.sar.den);
  d["primaries"] = h.primaries, d["transfer"] = h.transfer, d["matrix"] = h.matrix;
  d["full_range"] = h.full_range, d["chroma_location"] = h.chroma_location;
  d["base"] = static_cast<int>(h.base), d["scale"] = h.scale, d["q"] = h.q;
  d["bundled"] = h.bundled, d["embeds_models"] = h.embeds_models;
  d["needs"] = nb::make_tuple(h.needs_major, h.needs_minor);
  d["base_model"] = id_of(h.base_model), d["painter"] = id_of(h.painter);
  d["gvc1d"] = id_of(h.gvc1d);
  return d;
}

std::optional<std::pair<int, uint64_t>> packet_head(const nb::bytes& data) {
  const std::optional<gv::PacketHead> head = gv::parse_packet_head(view(data));
  if (!head) return std::nullopt;
  return std::make_pair(head->kind, head->whole);
}

std::pair<int, nb::bytes> parse_packet(const nb::bytes& whole) {
  const gv::Packet packet = gv::parse_packet(view(whole));
  return {packet.kind, to_bytes(packet.payload)};
}

using GopFields = std::tuple<uint64_t, uint64_t, uint64_t, uint64_t, bool>;

std::vector<GopFields> parse_index(const nb::bytes& payload, uint64_t begin, uint64_t end,
                                   bool bundled) {
  std::vector<GopFields> entries;
  const int most = bundled ? gv::kMostBundled : 1;
  for (const gv::GopEntry& gop : gv::parse_index(view(payload), begin, end, most))
    entries.emplace_back(gop.first_frame, gop.frames, gop.offset, gop.size, gop.fitted);
  return entries;
}

// Calls below take less than a millisecond and keep the interpreter's lock.
class PacketReader {
 public:
  PacketReader(uint64_t header_size, bool bundled, bool latents) : reader_(0) {
    gv::Header header;
    header.bundled = bundled;
    if (latents) header.gvc1d.emplace();
    reader_.begin(header, header_size);
  }
  void send(const nb::bytes& data) {
    if (data.size()) reader_.send(view(data));
    else reader_.finish();
  }
  std::optional<std::tuple<int, nb::bytes, size_t>> next() {
    const std::optional<gv::Packet> packet = reader_.next();
    if (!packet) return std::nullopt;
    return std::make_tuple(packet->kind, to_bytes(packet->payload), packet->whole.size);
  }
  std::optional<nb::bytes> base_hash() const {
    const std::optional<gv::Id>& hash = reader_.base_hash();
    if (!hash) return std::nullopt;
    return to_bytes({hash->data(), hash->size()});
  }
  const gv::StreamReader& reader() const { return reader_; }

 private:
  gv::StreamReader reader_;
};

using Fraction = std::pair<int64_t, int64_t>;

void open_timeline(gv::Timeline* self, int64_t start, Fraction rate, Fraction tick,
                   uint64_t max_fps) {
  const uint32_t most = static_cast<uint32_t>(std::min<uint64_t>(max_fps, UINT32_MAX));
  new (self) gv::Timeline({rate.first, rate.second}, {tick.first, tick.second}, start, most);
}

std::vector<nb::bytes> unbundle(gv::Unbundler& unbundler, bool key, const nb::bytes& bundle) {
  std::vector<nb::bytes> payloads;
  for (const gv::Buffer& payload : unbundler.send(key, view(bundle)))
    payloads.push_back(to_bytes(payload));
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

using EntryFields = std::vector<std::pair<int, nb::bytes>>;

EntryFields entry_list(const std::vector<gv::Entry>& entries) {
  EntryFields out;
  for (const gv::Entry& e : entries) out.emplace_back(e.what, to_bytes(e.data));
  return out;
}

std::tuple<nb::bytes, EntryFields, std::vector<std::string>> unit_parts(const nb::bytes& unit) {
  const gv::TakenApart parts = gv::take_apart(view(unit));
  gv::Buffer payload;
  for (const gv::Obu& obu : parts.obus) gv::append_obu(payload, obu);
  return {to_bytes(payload), entry_list(parts.entries), parts.damage};
}

std::vector<std::tuple<int, nb::bytes, nb::bytes>> parse_obus(const nb::bytes& unit) {
  std::vector<std::tuple<int, nb::bytes, nb::bytes>> out;
  for (const gv::Obu& obu : gv::parse_obus(view(unit))) {
    gv::Buffer head = {obu.head};
    gv::append(head, obu.extension);
    out.emplace_back(obu.type, to_bytes(head), to_bytes(obu.body));
  }
  return out;
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
  int set_model(const nb::bytes& data) {
    const Turn turn(mutex_);
    return checked(gvc_set_model(decoder_, view(data).data, data.size()));
  }
  nb::object missing_model() {
    uint8_t id[8];
    return checked(gvc_missing_model(decoder_, id)) == GVC_OK ? nb::object(to_bytes({id, 8}))
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
  int send_base(const Plane& y, const Plane& u, const Plane& v) {
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
      code = gvc_send_base(decoder_, &p);
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
const char* error_name(const gv::StreamError& error) {
  switch (error.fault) {
    case gv::Fault::damaged:
      return std::strcmp(error.code, gv::code::kNotGvcodec) ? "DamagedStreamError"
                                                            : "NotGvcodecError";
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
      const nb::object type = nb::module_::import_("gvcodec.errors").attr(error_name(e));
      const nb::object code = *e.code ? nb::object(nb::str(e.code)) : nb::none();
      PyErr_SetObject(type.ptr(), type(e.what(), "code"_a = code).ptr());
    }
  });
  m.def(
      "header_size", [](const nb::bytes& data) { return gv::header_size(view(data)); }, "data"_a,
      "Bytes of the header at the start of `data`, 0 if more bytes are needed.");
  m.def("header_fields", &header_fields, "header"_a, "bases"_a = std::vector<int>(),
        "Fields of a stream's header, by name; `bases`: numbers of bases that Python reads.");
  m.def("packet_head", &packet_head, "data"_a,
        "(kind, bytes) of the packet at the start of `data`; None if more bytes are needed.");
  m.def(
      "packet_size", [](const nb::bytes& data) { return gv::packet_size(view(data)); }, "data"_a,
      "Bytes of the packet at the start of `data`, 0 if more bytes are needed. Raises "
      "`DamagedStreamError` for one that is larger than its kind may be.");
  m.def("parse_packet", &parse_packet, "whole"_a, "(kind, payload) of a whole packet.");
  m.def("parse_index", &parse_index, "payload"_a, "begin"_a, "end"_a, "bundled"_a,
        "[(first frame, frames, offset, size, fitted)] of an `index` packet at offset `end`.");
  m.def(
      "closes_gop",
      [](const nb::bytes& payload, uint32_t crc, uint64_t frames) {
        return gv::closes_gop(view(payload), crc, frames);
      },
      "payload"_a, "crc"_a, "frames"_a,
      "Whether a `gop` packet fits the packets before it: their CRC-32, frames since the start.");
  nb::class_<PacketReader>(m, "PacketReader",
                           "Packets of a stream in file order, with every check of the container.")
      .def(nb::init<uint64_t, bool, bool>(), "header_size"_a, "bundled"_a, "latents"_a)
      .def("next", &PacketReader::next,
           "(kind, payload, bytes) of the next packet other than `gop`, `index` and `end`; None "
           "where `missing` bytes must be sent, or at the end.")
      .def("send", &PacketReader::send, "data"_a, "The next bytes; empty at the end of the file.")
      .def("missing", [](const PacketReader& self) { return self.reader().missing(); })
      .def_prop_ro("at_end", [](const PacketReader& self) { return self.reader().at_end(); })
      .def_prop_ro("packets", [](const PacketReader& self) { return self.reader().packets(); })
      .def_prop_ro("offset", [](const PacketReader& self) { return self.reader().place(); })
      .def_prop_ro("base_hash", &PacketReader::base_hash);
  nb::class_<gv::Timeline>(m, "Timeline", "Times of frames, from payloads of `timing` packets.")
      .def("__init__", &open_timeline, "start"_a, "rate"_a, "tick"_a, "max_fps"_a)
      .def(
          "send",
          [](gv::Timeline& self, const nb::bytes& payload) { self.send(view(payload)); },
          "payload"_a)
      .def("receive", &gv::Timeline::next)
      .def("restart", &gv::Timeline::restart, "frame"_a)
      .def("mark_lost", &gv::Timeline::mark_lost)
      .def("start_gop", &gv::Timeline::start_gop);
  m.def("read_fit", &read_fit, "payload"_a, "model"_a, "width"_a, "height"_a, "q"_a,
        "A `fit` payload by a painter's file: (noise, keep, factors, [(tensor, exponent, values)], "
        "levels of regions or None); None for one that paints nothing.");
  m.def("parse_obus", &parse_obus, "unit"_a,
        "[(type, head with the size flag set, body)] of a temporal unit.");
  m.def(
      "check_av1",
      [](const nb::bytes& payload) { gv::check_av1(gv::parse_obus(view(payload))); }, "payload"_a,
      "Raises `DamagedStreamError` unless the payload shows exactly one frame.");
  m.def(
      "restore_av1",
      [](const nb::bytes& payload) { return to_bytes(gv::restore_av1(view(payload))); },
      "payload"_a, "The temporal unit of a frame's payload.");
  m.def(
      "strip_av1",
      [](const nb::bytes& unit) { return to_bytes(gv::strip_av1(gv::parse_obus(view(unit)))); },
      "unit"_a, "The payload of a temporal unit.");
  m.def("unit_parts", &unit_parts, "unit"_a,
        "Of a one-file's temporal unit: OBUs of AV1, [(type, data)] of our entries, a line for "
        "each OBU of ours that is damaged.");
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
      .def("missing_model", &Decoder::missing_model)
      .def("set_model", &Decoder::set_model, "data"_a)
      .def("size", &Decoder::size,
           "(width, height, coded width, coded height, base, frames or -1), None before the header.")
      .def("next_unit", &Decoder::next_unit, "(code, unit, frame, key).")
      .def("send_base", &Decoder::send_base, "y"_a, "u"_a, "v"_a, "Planes of 10 bits.")
      .def("picture", &Decoder::picture, "(y, u, v, frame, pts, painted), or None.")
      .def("hashes", &Decoder::hashes, "(code, frames, end, base hash, painted hash).")
      .def("error", &Decoder::error, "(code, packet, frame, offset, text) of the last error.");
}
