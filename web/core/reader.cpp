// The stream as a page calls it: handles, codes below 0 for errors (csrc/include/gvc.h), facts as
// JSON. Numbers of a file are double, which JavaScript has: exact up to 2^53.
#include "decoder/metadata_obu.hpp"
#include "model/painter_model.hpp"
#include "web/core/errors.hpp"
#include "web/core/json.hpp"
#include "web/core/page_gop.hpp"
#include "web/core/page_stream.hpp"

using namespace gv;

namespace {

std::string facts;  // given last

std::string text_of(const std::optional<Id>& id) {
  return json(id ? hex({id->data(), id->size()}) : std::string());
}

std::string text_of(const Ratio& ratio) {
  return "[" + std::to_string(ratio.num) + "," + std::to_string(ratio.den) + "]";
}

std::string text_of(const Header& h) {
  constexpr const char* kScales[] = {"1", "0.75", "0.5"};
  const auto number = [](const char* name, int64_t value) {
    return json(std::string(name)) + ":" + std::to_string(value) + ",";
  };
  const char* base = h.base == Base::av1 ? "av1" : h.base == Base::vvc ? "vvc" : "gvc1d";
  return "{" + number("width", h.width) + number("height", h.height) + number("startPts", h.start) +
         number("q", h.q) + number("bitDepth", h.bits) + "\"rate\":" + text_of(h.rate) +
         ",\"tick\":" + text_of(h.tick) + ",\"sar\":" + text_of(h.sar) +
         ",\"base\":" + json(std::string(base)) + ",\"scale\":" + kScales[h.scale] +
         ",\"bundled\":" + (h.bundled ? "true" : "false") +
         ",\"baseModelId\":" + text_of(h.base_model) + ",\"painterId\":" + text_of(h.painter) +
         ",\"gvc1dId\":" + text_of(h.gvc1d) + ",\"needs\":\"" + std::to_string(h.needs_major) +
         "." + std::to_string(h.needs_minor) + "\",\"colour\":{" +
         number("primaries", h.primaries) + number("transfer", h.transfer) +
         number("matrix", h.matrix) + number("location", h.chroma_location) +
         "\"full\":" + (h.full_range ? "true" : "false") + "}}";
}

}  // namespace

extern "C" {

int last_code() { return last_error().code; }
const char* last_text() { return last_error().text.c_str(); }

// Opening a .gvc file: `stream_step` says 1 once all is known, 0 where it needs bytes from
// `stream_offset` on.
PageStream* stream_open(double file_size) {
  return guard_handle([&] { return new PageStream(static_cast<uint64_t>(file_size)); });
}
void stream_close(PageStream* stream) { delete stream; }
double stream_offset(const PageStream* stream) { return static_cast<double>(stream->offset()); }
int stream_send(PageStream* stream, const uint8_t* data, size_t size) {
  return guard([&] { return stream->send({data, size}), 0; });
}
void stream_finish(PageStream* stream) { stream->finish(); }
int stream_step(PageStream* stream) {
  return guard([&] { return static_cast<int>(stream->open()); });
}
const Header* stream_header(const PageStream* stream) { return &stream->header(); }
// { baseHash, problem, packets: before the one at fault }
const char* stream_facts(const PageStream* stream) {
  facts = "{\"baseHash\":" + json(stream->base_hash()) + ",\"problem\":" + json(stream->problem()) +
          ",\"packets\":" + std::to_string(stream->packets()) + "}";
  return facts.c_str();
}
// Six numbers a GOP: see `PageStream::gops`.
const double* stream_gops(const PageStream* stream) { return stream->gops().data(); }
size_t stream_gop_count(const PageStream* stream) { return stream->gops().size() / 6; }

// A header alone, that of a one-file.
Header* header_open(const uint8_t* data, size_t size) {
  return guard_handle([&] {
    require(header_size({data, size}) == size, "header: file ends early");
    return new Header(parse_header({data, size}));
  });
}
void header_close(Header* header) { delete header; }
const char* header_facts(const Header* header) {
  facts = text_of(*header);
  return facts.c_str();
}

// A GOP of a stream with this header.
PageGop* gop_open(const Header* header, double first, double frames, double offset, double bytes,
                  int is_cut) {
  return guard_handle([&] {
    const auto whole = [](double number) { return static_cast<uint64_t>(number); };
    const GopEntry gop{whole(first), whole(frames), whole(offset), whole(bytes), false};
    return new PageGop(*header, gop, is_cut);
  });
}
void gop_close(PageGop* gop) { delete gop; }
int gop_send(PageGop* gop, const uint8_t* data, size_t size) {
  return guard([&] { return gop->send({data, size}), 0; });
}
int gop_send_sample(PageGop* gop, const uint8_t* data, size_t size, const uint8_t* packed,
                    size_t packed_bytes) {
  return guard([&] { return gop->send_sample({data, size}, {packed, packed_bytes}), 0; });
}
int gop_finish(PageGop* gop) {
  return guard([&] { return gop->finish(), 0; });
}
// Frames so far.
int gop_count(const PageGop* gop) { return static_cast<int>(gop->units().size()); }
// { units: [[place, size], bytes of the payload, share of the file], fit: [[place, size]] or [],
// hasTokens, tracks: [[place, size]…], paintedHash, problem, newer }
const char* gop_facts(const PageGop* gop) {
  const auto& fit = gop->fit();
  const auto& painted = gop->painted_hash();
  facts = "{\"units\":" + json_list(gop->units(), [](const PageGop::Unit& unit) {
            return "[" + json(Bytes(unit.data)) + "," + std::to_string(unit.bytes) + "," +
                   std::to_string(unit.share) + "]";
          });
  facts += ",\"fit\":" + (fit ? "[" + json(Bytes(*fit)) + "]" : std::string("[]")) +
           ",\"hasTokens\":" + (fit && has_tokens(*fit) ? "true" : "false") + ",\"tracks\":" +
           json_list(gop->tracks(), [](const Buffer& payload) { return json(Bytes(payload)); });
  facts += ",\"paintedHash\":" + json(painted ? hex(*painted) : std::string()) +
           ",\"problem\":" + json(gop->problem()) + ",\"newer\":" + json(gop->newer()) + "}";
  return facts.c_str();
}
// As many as the GOP has frames, and one more; null where the container has them.
const double* gop_times(const PageGop* gop) {
  return gop->times().empty() ? nullptr : gop->times().data();
}

// Entries of our metadata OBUs in a sample of a one-file: { entries: [type, [place, size]], damaged
// }
int sample_read(const uint8_t* data, size_t size) {
  return guard([&] {
    const TakenApart parts = take_apart({data, size});
    facts = "{\"entries\":" + json_list(parts.entries, [](const Entry& entry) {
              return "[" + std::to_string(entry.what) + "," + json(entry.data) + "]";
            });
    facts += std::string(",\"damaged\":") + (parts.damage.empty() ? "false" : "true") + "}";
    return 0;
  });
}
const char* sample_facts() { return facts.c_str(); }

}  // extern "C"
