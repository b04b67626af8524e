// Fuzzing of what the page calls (web/core): build/fuzz/page_fuzz CORPUS.
//
// An input is that of stream_fuzz: u8 kind, then packets { u8 kind, u16 size, payload } with right
// checksums; kind 255: a raw file. Bits 3 to 7 of the kind say how large pieces are, whether the
// file has the size that the page was told, and whether GOPs are cut. The file is opened and read
// by GOPs, with tokens, painting and times; then the input is read as samples { u8 size, entries }
// of a one-file. Facts are JSON.
#define last_code painter_last_code
#define last_text painter_last_text
#include "web/core/painter.cpp"
#undef last_code
#undef last_text

#include "fuzz/inputs.hpp"
#include "web/core/page_gop.hpp"
#include "web/core/page_stream.hpp"

extern "C" {
int last_code();
const char* last_text();
PageStream* stream_open(double file_size);
void stream_close(PageStream* stream);
double stream_offset(const PageStream* stream);
int stream_send(PageStream* stream, const uint8_t* data, size_t size);
void stream_finish(PageStream* stream);
int stream_step(PageStream* stream);
const Header* stream_header(const PageStream* stream);
const char* stream_facts(const PageStream* stream);
const double* stream_gops(const PageStream* stream);
size_t stream_gop_count(const PageStream* stream);
Header* header_open(const uint8_t* data, size_t size);
void header_close(Header* header);
const char* header_facts(const Header* header);
PageGop* gop_open(const Header* header, double first, double frames, double offset, double bytes,
                  int is_cut);
void gop_close(PageGop* gop);
int gop_send(PageGop* gop, const uint8_t* data, size_t size);
int gop_send_sample(PageGop* gop, const uint8_t* data, size_t size, const uint8_t* packed,
                    size_t packed_bytes);
int gop_finish(PageGop* gop);
int gop_count(const PageGop* gop);
const char* gop_facts(const PageGop* gop);
const double* gop_times(const PageGop* gop);
int sample_read(const uint8_t* data, size_t size);
const char* sample_facts();
const char* vector_fit(const PainterModel* model, const uint8_t* data, size_t size);
}

namespace {

using gvfuzz::require;

constexpr int kWidth = 40, kHeight = 24;  // of `usual_fields`
constexpr size_t kMaxGops = 8;
constexpr size_t kPieces[] = {7, 61, 1024, 65536};

// Fails for text that JSON.parse would refuse: brackets and strings that do not end, control
// characters.
void require_json(const char* text) {
  require(text != nullptr);
  std::string open;
  bool in_string = false;
  for (; *text; ++text) {
    require(static_cast<unsigned char>(*text) >= ' ');
    if (in_string) {
      if (*text == '\\') require(*++text != 0);
      else in_string = *text != '"';
    } else if (*text == '"') {
      in_string = true;
    } else if (*text == '{' || *text == '[') {
      open += static_cast<char>(*text + 2);
    } else if (*text == '}' || *text == ']') {
      require(!open.empty() && open.back() == *text);
      open.pop_back();
    }
  }
  require(open.empty() && !in_string);
}

// An error has a code and a text.
int checked(int code) {
  require(code >= 0 || (last_code() == code && *last_text()));
  return code;
}

const PainterModel& model() {
  static const PainterModel* opened =
      model_open(gvfuzz::painter().data(), gvfuzz::painter().size());
  return *opened;
}

// Paints two frames of a GOP with this `fit` payload.
void paint(Bytes fit, int look) {
  static const std::vector<uint16_t> base(2 * kWidth * kHeight, 500);
  std::vector<uint16_t> out(base.size());
  if (model_tokens(&model(), fit.data, fit.size, kWidth, kHeight, 35) > 0)
    require_json(model_facts());
  vector_fit(&model(), fit.data, fit.size);
  Painter* painter = painter_open(&model(), kWidth, kHeight, 1, 0, 35, 1);
  require(painter);
  if (painter_start(painter, fit.data, fit.size, look, 1) > 0) {
    require(painter_numbers(painter) && painter_number_count(painter) > 0);
    for (int n = 0; n < 2; ++n) {
      require(painter_move(painter, base.data()) == 0);
      require((n ? painter_carry(painter, base.data(), out.data())
                 : painter_paint(painter, base.data(), 100, out.data())) == 0);
      for (int i = 0; i < kWidth * kHeight; ++i) require(out[static_cast<size_t>(i)] <= kMaxSample);
    }
  }
  painter_close(painter);
}

void read_facts(const PageGop& gop, double frames, bool paints) {
  require_json(gop_facts(&gop));
  require(gop_count(&gop) <= frames);
  if (const double* times = gop_times(&gop))
    require(times[gop_count(&gop)] == times[gop_count(&gop)]);
  if (paints && gop.fit()) paint(*gop.fit(), static_cast<int>(gop.fit()->size() % 5) * 25 - 25);
}

void read_gops(const PageStream& stream, const gv::Buffer& file, size_t piece, bool is_cut) {
  const double* gops = stream_gops(&stream);
  for (size_t n = 0; n < std::min(stream_gop_count(&stream), kMaxGops); ++n) {
    const double* g = gops + 6 * n;
    PageGop* gop = gop_open(stream_header(&stream), g[0], g[1], g[2], g[3], static_cast<int>(g[5]));
    if (!gop) continue;
    size_t at = static_cast<size_t>(std::min<double>(g[2], static_cast<double>(file.size())));
    size_t end =
        static_cast<size_t>(std::min<double>(g[2] + g[3], static_cast<double>(file.size())));
    if (is_cut) end = at + (end - at) / 2;
    for (; at < end; at += std::min(piece, end - at))
      if (checked(gop_send(gop, file.data() + at, std::min(piece, end - at))) < 0) break;
    checked(gop_finish(gop));
    read_facts(*gop, g[1], n == 0);
    gop_close(gop);
  }
}

void read_stream(const gv::Buffer& file, double claimed, size_t piece, bool is_cut) {
  PageStream* stream = stream_open(claimed);
  require(stream);
  int state = 0;
  for (int turns = 0; turns < 5000 && !state; ++turns) {
    state = checked(stream_step(stream));
    if (state) break;
    const double at = stream_offset(stream);
    if (at >= static_cast<double>(file.size())) {
      stream_finish(stream);
      state = checked(stream_step(stream));
      if (!state && stream_offset(stream) >= static_cast<double>(file.size())) break;
      continue;
    }
    const size_t from = static_cast<size_t>(at);
    checked(stream_send(stream, file.data() + from, std::min(piece, file.size() - from)));
  }
  if (state == 1) {
    require_json(stream_facts(stream));
    require_json(header_facts(stream_header(stream)));
    read_gops(*stream, file, piece, is_cut);
  }
  stream_close(stream);
}

void read_samples(gvfuzz::Bytes in) {
  const gv::Buffer packed =
      gvfuzz::sealed_header(gvfuzz::usual_fields(1, false, &gvfuzz::painter_id()));
  Header* header = header_open(packed.data(), packed.size());
  require(header);
  require_json(header_facts(header));
  constexpr int kFrames = 8;
  PageGop* gop = gop_open(header, 0, kFrames, 0, 0, 0);
  require(gop);
  for (int n = 0; in.left() && n < kFrames + 1; ++n) {
    const gv::Buffer sample = gvfuzz::sealed_unit(in.take(in.byte()), n == 0);
    if (checked(sample_read(sample.data(), sample.size())) == 0) require_json(sample_facts());
    checked(gop_send_sample(gop, sample.data(), sample.size(), packed.data(), packed.size()));
  }
  checked(gop_finish(gop));
  read_facts(*gop, kFrames, true);
  gop_close(gop);
  header_close(header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gvfuzz::Bytes in(data, size);
  const uint8_t kind = in.byte();
  gvfuzz::Bytes samples = in;
  const gv::Buffer file = kind == 255 ? in.take(in.left()) : gvfuzz::stream_of(in, kind);
  const double whole = static_cast<double>(file.size());
  const double claims[] = {whole, whole, whole + 7, whole / 2};
  read_stream(file, claims[kind >> 5 & 3], kPieces[kind >> 3 & 3], kind & 128);
  if (size && sample_read(data, size) == 0) require_json(sample_facts());
  read_samples(samples);
  return 0;
}
