#include "web/core/page_stream.hpp"

#include "web/core/json.hpp"

namespace gv {
namespace {

// A page holds a list of all GOPs: enough for days of video.
constexpr uint64_t kMostIndexBytes = uint64_t{1} << 24;
constexpr size_t kMostGops = size_t{1} << 20;

}  // namespace

bool PageStream::open() {
  const Header* header = reader_.header();
  if (!header) return false;
  if (!header_) {
    header_ = *header;
    try {
      reader_.seek(0);
    } catch (const StreamError&) {
      begin_scan("file ends early");
    }
  }
  return scanning_ ? scan() : read_index();
}

bool PageStream::read_index() {
  try {
    reader_.next();
    if (reader_.gops().empty()) {
      const uint64_t rest = file_size_ - std::min(file_size_, reader_.offset());
      require(!reader_.sought_hash() || rest <= kMostIndexBytes,
              "the index is too large for a page");
      return false;
    }
    require(reader_.gops().size() <= kMostGops, "the file is too long for a page");
  } catch (const StreamError& error) {
    begin_scan(error.what());
    return false;
  }
  for (const GopEntry& gop : reader_.gops()) take(gop, false);
  // One that counts tokens too cannot be checked by pictures alone.
  if (header_->base != Base::gvc1d) base_hash_ = hex({reader_.sought_hash()->data(), kIdBytes});
  return true;
}

void PageStream::begin_scan(const std::string& reason) {
  reader_ = StreamReader(file_size_);
  scanning_ = true;
  reason_ = reason;
}

bool PageStream::scan() {
  try {
    while (reader_.next())
      require(reader_.gops().size() < kMostGops, "the file is too long for a page");
    if (!reader_.at_end()) return false;
    problem_ = reason_;
  } catch (const StreamError& error) {
    problem_ = error.what();
  }
  for (const GopEntry& gop : reader_.gops()) take(gop, false);
  if (reader_.open_gop().frames) take(reader_.open_gop(), true);
  return true;
}

void PageStream::take(const GopEntry& gop, bool is_cut) {
  for (const uint64_t number : {gop.first_frame, gop.frames, gop.offset, gop.size})
    gops_.push_back(static_cast<double>(number));
  gops_.push_back(gop.fitted);
  gops_.push_back(is_cut);
}

}  // namespace gv
