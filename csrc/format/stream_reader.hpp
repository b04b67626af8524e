// Bytes of a .gvc stream to packets in file order, with every check of the container: checksums,
// order of packets, index, end (docs/spec/container.md: Grammar, Packets).
//
// Bytes are pushed in pieces of any size. Where the reader needs bytes from another place of the
// file, after `seek`, `offset` says so.
#pragma once

#include "format/header.hpp"
#include "format/packets.hpp"

namespace gv {

class StreamReader {
 public:
  // `file_size`: bytes; 0: unknown, so that `seek` is refused.
  explicit StreamReader(uint64_t file_size) : file_size_(file_size) {}

  // The byte of the file that the next `send` begins with.
  uint64_t offset() const { return offset_ + waiting().size; }
  void send(Bytes bytes);
  // No more bytes follow.
  void finish() { finished_ = true; }

  // Null before enough bytes came. Throws `StreamError`.
  const Header* header();
  // Starts behind a header of `size` bytes, which the caller has read.
  void begin(const Header& header, uint64_t size);
  // Bytes that the packet at hand lacks at least, where `next` had too few.
  size_t missing() const;
  // The next packet other than `gop`, `index` and `end`, valid until the next call; nothing if
  // more bytes are needed, or `at_end`. Throws `StreamError`; then only `seek` goes on.
  std::optional<Packet> next();
  bool at_end() const { return ended_; }

  // Continues at the GOP that holds the frame, after `fit` in force there. Throws `StreamError`.
  void seek(uint64_t frame);
  // Continues at this GOP of a file with this header, as an index names it. The `fit` in force is
  // not looked for.
  void enter(const Header& header, const GopEntry& gop);
  // The first frame of the GOP that a `seek` led to, once.
  std::optional<uint64_t> take_restart();

  // Of the packet at hand: packets, frames and bytes before it.
  int64_t packets() const { return packets_; }
  uint64_t frames() const { return frames_; }
  uint64_t place() const { return offset_; }
  // Frames of the file, where the index was read.
  std::optional<uint64_t> total_frames() const;
  // GOPs of the index, or, without one, those that were read from the start of the file.
  const std::vector<GopEntry>& gops() const { return index_.empty() ? seen_ : index_; }
  // The part read of a GOP whose end has not come; no frames if there is none.
  GopEntry open_gop() const {
    return {gop_frame_, frames_ - gop_frame_, gop_offset_, offset_ - gop_offset_, fitted_};
  }
  // Base hash at the end of the file; nothing before it, and after a seek.
  const std::optional<Id>& base_hash() const { return base_hash_; }
  // The same, where a seek has read the end.
  const std::optional<Id>& sought_hash() const { return sought_hash_; }

 private:
  enum class Seeking { none, wanted, end, index, fit };  // next part to read

  Bytes waiting() const { return Bytes(buffer_).from(at_); }
  void skip(size_t bytes);
  std::optional<Packet> read();
  bool take(const Packet& packet);
  void check_order(int kind) const;
  void close_gop(const Packet& packet);
  void end(const Packet& packet);
  void begin_seek();
  void advance_seek(const Packet& packet);
  void jump(uint64_t offset, Seeking then);
  void enter_gop();
  void enter(const GopEntry& gop);

  uint64_t file_size_;
  Buffer buffer_;
  size_t at_ = 0;        // bytes of the buffer that are used up
  uint64_t offset_ = 0;  // of buffer_[at_] in the file
  bool finished_ = false, ended_ = false;
  std::optional<Header> header_;
  uint64_t header_size_ = 0;
  size_t consumed_ = 0;  // bytes of the packet given last

  int64_t packets_ = -1;
  uint64_t frames_ = 0, pending_frames_ = 0;
  bool models_read_ = false;
  // The GOP at hand.
  uint64_t gop_offset_ = 0, gop_frame_ = 0;
  uint32_t crc_ = 0;
  bool in_gop_ = false, fitted_ = false, latent_ = false;
  std::vector<GopEntry> seen_;  // of a file that is read from its start
  uint64_t index_size_ = 0;     // bytes of the index packet; 0 before it
  std::optional<Id> base_hash_, sought_hash_;

  Seeking seeking_ = Seeking::none;
  bool sought_ = false, restarted_ = false;
  uint64_t target_ = 0, index_offset_ = 0;
  std::vector<GopEntry> index_;
  Buffer fit_, given_fit_;  // a `fit` packet in force at the target; the one given out
};

}  // namespace gv
