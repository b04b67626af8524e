// A .gvc file as a page reads it: header, index or, without one, all packets up to the first
// damaged one.
#pragma once

#include "format/stream_reader.hpp"

namespace gv {

class PageStream {
 public:
  // `file_size`: bytes.
  explicit PageStream(uint64_t file_size) : file_size_(file_size), reader_(file_size) {}

  // Whether all is known; false: `send` bytes from `offset` on, or `finish` where there are none.
  // Throws `StreamError` where nothing of the file can be shown.
  bool open();
  uint64_t offset() const { return reader_.offset(); }
  void send(Bytes bytes) { reader_.send(bytes); }
  void finish() { reader_.finish(); }

  const Header& header() const { return *header_; }
  // First frame, frames, offset, bytes, whether it has a `fit`, whether its end is missing.
  const std::vector<double>& gops() const { return gops_; }
  // Of the file; hexadecimal, empty where it is not known.
  const std::string& base_hash() const { return base_hash_; }
  // Why only a part of the file plays; empty where all does.
  const std::string& problem() const { return problem_; }
  int64_t packets() const { return reader_.packets(); }

 private:
  bool read_index();
  bool scan();
  void begin_scan(const std::string& reason);
  void take(const GopEntry& gop, bool is_cut);

  uint64_t file_size_;
  StreamReader reader_;
  std::optional<Header> header_;
  bool scanning_ = false;
  std::vector<double> gops_;
  std::string base_hash_, problem_, reason_;
};

}  // namespace gv
