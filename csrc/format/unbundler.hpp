// Frames out of bundles (docs/spec/bases.md: Bundles). The model of their headers is in
// entropy/bundles.hpp.
#pragma once

#include <optional>

#include "entropy/bundles.hpp"
#include "format/cursor.hpp"

namespace gv {

constexpr int kMostBundled = 32;

class Unbundler {
 public:
  // Payloads of the frames in a bundle; `key`: it begins a GOP. Throws `StreamError`.
  std::vector<Buffer> send(bool key, Bytes bundle);
  // The next bundle must begin a GOP.
  void restart() { model_.reset(); }

 private:
  std::optional<BundleModel> model_;
};

}  // namespace gv
