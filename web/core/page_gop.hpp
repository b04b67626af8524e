// A GOP as a page reads it: from its bytes of a .gvc file, or from the samples of a one-file.
#pragma once

#include "decoder/metadata_obu.hpp"
#include "format/stream_reader.hpp"
#include "format/unbundler.hpp"

namespace gv {

class PageGop {
 public:
  struct Unit {
    Buffer data;   // for a decoder: of base av1 a temporal unit
    size_t bytes;  // of the payload
    double share;  // bytes of the file; of a frame in a bundle its share
  };

  // `is_cut`: the file ends in it.
  PageGop(const Header& header, const GopEntry& gop, bool is_cut);

  // Its next bytes, in pieces of any size.
  void send(Bytes bytes);
  // Its next sample of a one-file whose header is `packed`.
  void send_sample(Bytes sample, Bytes packed);
  // No more follow. Throws `StreamError` where the frames have no times.
  void finish();

  const std::vector<Unit>& units() const { return units_; }
  const std::vector<Buffer>& tracks() const { return tracks_; }
  const std::optional<Buffer>& fit() const { return fit_; }
  const std::optional<Buffer>& painted_hash() const { return painted_hash_; }
  // Of all frames and of the end, ticks.
  const std::vector<double>& times() const { return times_; }
  // Why frames are missing, or empty; what a packet of a later version is that painting needs.
  const std::string& problem() const { return problem_; }
  const std::string& newer() const { return newer_; }

 private:
  template <class Read>
  void read_until_damage(const Read& read);
  void take(const Packet& packet);
  void take_entries(const TakenApart& sample, bool is_key);
  void add(Bytes payload, double share);
  void find_times(const std::vector<Buffer>& timing);

  Header header_;
  GopEntry gop_;
  bool is_cut_, of_samples_ = false;
  StreamReader reader_{0};
  Unbundler unbundler_;
  uint32_t crc_ = 0;  // of the payloads of samples
  std::vector<Unit> units_;
  std::vector<Buffer> tracks_, timing_;
  std::optional<Buffer> fit_, painted_hash_;
  std::vector<double> times_;
  std::string problem_, newer_;
};

}  // namespace gv
