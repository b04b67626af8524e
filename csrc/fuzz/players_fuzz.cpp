// Fuzzing of the library in front of libdav1d (csrc/players): build/fuzz/players_fuzz CORPUS, with
// -close_fd_mask=2, since it prints lines.
//
// An input is u8 flags, u8 size of pictures, u32 seed, u16 which allocation fails, then units { u8
// kind, u8 size, bytes }: bit 0 of a kind seals the bytes as entries, bit 1 as those of a keyframe.
// A dav1d that invents pictures lies behind it, delays them, and refuses some units. All memory is
// released, every picture has the properties of its unit, and other AV1 is as without the library.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "decoder/metadata_obu.hpp"
#include "fuzz/failing_new.hpp"
#include "fuzz/inputs.hpp"
#include "players/dav1d_abi.hpp"

using dav1d::Allocator;
using dav1d::Context;
using dav1d::Data;
using dav1d::DataProps;
using dav1d::Library;
using dav1d::Picture;
using gvfuzz::require;

extern "C" {
int dav1d_open(Context** out, const dav1d::Settings* settings);
void dav1d_close(Context** context);
int dav1d_send_data(Context* context, Data* in);
int dav1d_get_picture(Context* context, Picture* out);
void dav1d_flush(Context* context);
void dav1d_picture_unref(Picture* picture);
}

namespace {

enum Flag : uint8_t {
  kTen = 1,        // bits of the samples
  kSeven = 2,      // .so.7
  kOwnMemory = 4,  // the program leaves the memory of pictures to dav1d
  kRefuses = 8,    // some units and some memory
  kGrey = 16,      // some pictures are not 4:2:0
  kLimit = 32,     // frame_size_limit
  kNoMemory = 64,  // one allocation fails
  kKeeps = 128     // pictures until the end
};

constexpr int kDelay = 3, kQueue = 8, kMaxUnits = 40;
constexpr int64_t kOffset = 1000;  // of the first unit in its file

struct State {
  uint8_t flags = 0;
  int side = 0;
  uint32_t seed = 1;
  int pictures = 0, data = 0, tokens = 0;  // that live

  bool chance(int of) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % static_cast<uint32_t>(of) == 0;
  }
} state;

// --- The program's memory of pictures ---------------------------------------------------------

void*& memory_of(Picture& picture) {
  return dav1d::allocator_data(picture, state.flags & kSeven ? 7 : 6);
}

int allocate_picture(Picture* p, void*) {
  if (state.flags & kRefuses && state.chance(8)) return -ENOMEM;
  const size_t row = static_cast<size_t>(p->w) * (p->bpc > 8 ? 2 : 1);
  const size_t luma = row * static_cast<size_t>(p->h);
  const size_t half = static_cast<size_t>((p->w + 1) / 2) * (p->bpc > 8 ? 2 : 1);
  const size_t chroma = half * static_cast<size_t>((p->h + 1) / 2);
  auto* memory = static_cast<uint8_t*>(std::calloc(luma + 2 * chroma, 1));
  if (!memory) return -ENOMEM;
  ++state.pictures;
  p->data[0] = memory, p->data[1] = memory + luma, p->data[2] = memory + luma + chroma;
  p->stride[0] = static_cast<ptrdiff_t>(row), p->stride[1] = static_cast<ptrdiff_t>(half);
  memory_of(*p) = memory;
  return 0;
}

void release_picture(Picture* p, void*) {
  --state.pictures;
  std::free(memory_of(*p));
}

// --- dav1d --------------------------------------------------------------------------------------

// Dav1dPicture in the whole.
union Whole {
  Picture picture;
  char bytes[512];
};

struct Decoder {
  Allocator allocator;
  DataProps queue[kQueue];
  int waiting;
  bool drains;
};

// A base picture; `seq_hdr` points at it, as dav1d's own reference does.
struct Reference {
  Whole whole;
  Allocator allocator;
};

void drop_token(DataProps& m) {
  if (m.user_data_ref) --state.tokens, std::free(m.user_data_ref);
  m = {};
}

int open(Context** out, const dav1d::Settings* settings) {
  auto* decoder = static_cast<Decoder*>(std::calloc(1, sizeof(Decoder)));
  decoder->allocator = settings->allocator;
  *out = reinterpret_cast<Context*>(decoder);
  return 0;
}

Decoder& decoder_of(Context* context) { return *reinterpret_cast<Decoder*>(context); }

void flush(Context* context) {
  Decoder& d = decoder_of(context);
  for (int n = 0; n < d.waiting; ++n) drop_token(d.queue[n]);
  d.waiting = 0;
}

void close(Context** context) {
  flush(*context);
  std::free(*context);
  *context = nullptr;
}

uint8_t* data_create(Data* data, size_t size) {
  *data = {};
  auto* memory = static_cast<uint8_t*>(std::malloc(size ? size : 1));
  if (!memory) return nullptr;
  ++state.data;
  data->data = memory, data->sz = size, data->ref = reinterpret_cast<dav1d::Ref*>(memory);
  return memory;
}

void data_unref(Data* data) {
  if (data->ref) --state.data, std::free(data->ref);
  drop_token(data->m);
  *data = {};
}

int send_data(Context* context, Data* in) {
  Decoder& d = decoder_of(context);
  if (d.waiting == kQueue || (d.waiting && state.chance(4))) return -EAGAIN;
  if (state.flags & kRefuses && state.chance(8)) return -EINVAL;
  d.queue[d.waiting++] = in->m;
  in->m = {};
  data_unref(in);
  d.drains = false;
  return 0;
}

int get_picture(Context* context, Picture* out) {
  Decoder& d = decoder_of(context);
  if (d.waiting == 0 || (!d.drains && d.waiting < kDelay)) return d.drains = true, -EAGAIN;
  auto* reference = static_cast<Reference*>(std::calloc(1, sizeof(Reference)));
  reference->allocator = d.allocator;
  Picture& p = reference->whole.picture;
  p.seq_hdr = reference;
  p.w = state.side & 128 ? state.side % 64 + 1 : 64;  // 64×64 for pictures of 40×24
  p.h = state.side & 64 ? 2 * state.side + 1 : 64;
  p.layout = state.flags & kGrey && state.chance(4) ? 0 : dav1d::kLayoutI420;
  p.bpc = state.flags & kTen ? 10 : 8;
  p.m = d.queue[0];
  if (d.allocator.alloc(&p, d.allocator.cookie)) {
    p.m = {};  // it still waits
    std::free(reference);
    return -ENOMEM;
  }
  std::memset(p.data[0], 3, static_cast<size_t>(p.stride[0]) * p.h);
  if (state.flags & kRefuses && state.chance(8)) {  // one of several layers; the next one follows
    p.m.user_data_ref = nullptr;
  } else {
    std::memmove(d.queue, d.queue + 1, sizeof(DataProps) * static_cast<size_t>(--d.waiting));
  }
  std::memcpy(static_cast<void*>(out), reference->whole.bytes, sizeof(Whole));
  return 0;
}

void picture_unref(Picture* p) {
  if (auto* reference = static_cast<Reference*>(p->seq_hdr)) {
    reference->allocator.release(&reference->whole.picture, reference->allocator.cookie);
    drop_token(p->m);
    std::free(reference);
  }
  std::memset(static_cast<void*>(p), 0, sizeof(Whole));
}

// --- The program --------------------------------------------------------------------------------

// Files that are no painter, a folder with one, and where the library looks for them.
void place_models() {
  static std::string folder = "/tmp/gvcodec-fuzz-XXXXXX", file;
  require(mkdtemp(folder.data()));
  file = folder + "/painter.safetensors";
  FILE* painter = std::fopen(file.c_str(), "wb");
  require(painter && std::fwrite(gvfuzz::painter().data(), gvfuzz::painter().size(), 1, painter));
  std::fclose(painter);
  require(!setenv("GVCODEC_MODELS", ("/dev/zero:/proc/self/mem::" + folder).c_str(), 1));
  std::atexit([] { unlink(file.c_str()), rmdir(folder.c_str()); });
}

class Program {
 public:
  Program(Context* context, bool is_ours) : context_(context), is_ours_(is_ours) {}

  void send(const gv::Buffer& unit, int64_t number) {
    Data data;
    std::copy(unit.begin(), unit.end(), data_create(&data, unit.size()));
    data.m.timestamp = number, data.m.offset = kOffset + number;
    data.m.user_data_ref = static_cast<dav1d::Ref*>(std::malloc(1));
    ++state.tokens;
    for (int turn = 0; turn < 4 && data.sz; ++turn) {
      const int code = dav1d_send_data(context_, &data);
      require(!data.sz || data.m.offset == kOffset + number);
      if (code && code != -EAGAIN) break;
      take_picture();
    }
    data_unref(&data);
  }

  void drain() {
    for (int idle = 0; idle < 6;) idle = take_picture() ? 0 : idle + 1;
  }

  void drop_pictures() {
    for (; kept_count_; --kept_count_) dav1d_picture_unref(&kept_[kept_count_ - 1].picture);
  }

 private:
  bool take_picture() {
    Whole whole = {};
    if (dav1d_get_picture(context_, &whole.picture)) return false;
    Picture& p = whole.picture;
    require(p.m.offset == kOffset + p.m.timestamp);
    const auto* luma = static_cast<const uint8_t*>(p.data[0]);
    require(luma[0] == luma[static_cast<size_t>(p.stride[0]) * p.h - 1] || is_ours_);
    require(is_ours_ || luma[0] == 3);
    if (state.flags & kKeeps && kept_count_ < kMaxUnits) kept_[kept_count_++] = whole;
    else dav1d_picture_unref(&p);
    return true;
  }

  Context* context_;
  bool is_ours_;
  Whole kept_[kMaxUnits];
  int kept_count_ = 0;
};

std::vector<gv::Buffer> read_units(gvfuzz::Bytes& in) {
  std::vector<gv::Buffer> units;
  while (in.left() && units.size() < kMaxUnits) {
    const uint8_t kind = in.byte();
    const std::vector<uint8_t> bytes = in.take(in.byte());
    units.push_back(kind & 1 ? gvfuzz::sealed_unit(bytes, kind & 2) : bytes);
  }
  return units;
}

bool has_metadata(const gv::Buffer& unit) {
  try {
    const gv::TakenApart parts = gv::take_apart(unit);
    return !parts.entries.empty() || !parts.damage.empty();
  } catch (const gv::StreamError&) {
    return false;
  }
}

void play(const std::vector<gv::Buffer>& units, bool is_ours) {
  dav1d::Settings settings = {};
  settings.n_threads = 1;
  settings.frame_size_limit = state.flags & kLimit ? 500 : 0;
  settings.allocator = {nullptr, allocate_picture, release_picture};
  Context* context = nullptr;
  if (dav1d_open(&context, &settings)) return;
  Program program(context, is_ours);
  int64_t number = 0;
  for (const gv::Buffer& unit : units) {
    program.send(unit, number++);
    if (state.chance(16)) dav1d_flush(context);
  }
  program.drain();
  if (state.chance(2)) program.drop_pictures();  // before or after the decoder
  dav1d_close(&context);
  program.drop_pictures();
}

}  // namespace

// In the place of csrc/players/find_library.cpp.
const Library* dav1d::find_library(void*) {
  static const char own = 0;
  Dl_info info = {};
  if (state.flags & kOwnMemory) dladdr(&own, &info);
  static Library library;
  library = {state.flags & kSeven ? 7 : 6,
             info.dli_fbase,
             open,
             close,
             send_data,
             get_picture,
             flush,
             picture_unref,
             data_create,
             data_unref};
  return &library;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool placed = (place_models(), true);
  require(placed);
  gvfuzz::Bytes in(data, size);
  state = {};
  state.flags = in.byte();
  state.side = in.byte();
  state.seed = in.value<uint32_t>();
  const uint16_t number = in.value<uint16_t>();
  const std::vector<gv::Buffer> units = read_units(in);
  const bool is_ours = std::any_of(units.begin(), units.end(), has_metadata);
  if (state.flags & kNoMemory) {
    const gvfuzz::FailingNew failing(number, false);
    play(units, is_ours);
  } else {
    play(units, is_ours);
  }
  require(state.pictures == 0 && state.data == 0 && state.tokens == 0);
  return 0;
}
