#include "format/unbundler.hpp"

namespace gv {

// docs/spec/tables/bundles.sample, which the build turns into numbers.
extern const uint8_t kBundlesSample[];
extern const size_t kBundlesSampleSize;

namespace {

constexpr int kRaw = 255, kLong = 255, kLast = 16, kSizeFlag = 2;

// The initial state of each GOP.
const BundleModel& primed_model() {
  static const BundleModel primed(kBundlesSample, kBundlesSampleSize);
  return primed;
}

Buffer restore_frame(Cursor& symbols, Cursor& tails) {
  Buffer payload;
  for (int kind = 0; !(kind & kLast);) {
    kind = symbols.u8();
    uint64_t size = symbols.u8();
    if (size == kLong) size = symbols.uint(3);
    const Bytes head = symbols.take(kind == kRaw ? 0 : std::min<uint64_t>(size, kHead));
    const bool last = kind & kLast;
    if (kind != kRaw)
      payload.push_back(static_cast<uint8_t>((kind & 15) << 3 | (last ? 0 : kSizeFlag)));
    if (!last) append_var(payload, size);
    append(payload, head);
    append(payload, tails.take(size - head.size));
  }
  return payload;
}

}  // namespace

std::vector<Buffer> Unbundler::send(bool key, Bytes bundle) {
  require(bundle.size && bundle.data[0] < kMostBundled, "bundle: number of frames", code::kBundle);
  Cursor in(bundle, "bundle", code::kBundle);
  const int count = in.u8() + 1;
  const Bytes coded = in.take(in.var());
  if (key) model_ = primed_model();
  require(model_.has_value(), "bundle: follows no keyframe", code::kBundle);
  Buffer symbols;
  try {
    symbols = model_->decode(coded.data, coded.size, count);
  } catch (const DamagedStream& error) {
    refuse(error.what(), code::kBundle);
  }
  Cursor heads(symbols, "bundle", code::kBundle);
  std::vector<Buffer> payloads;
  bool whole = true;
  for (int n = 0; n < count; ++n) {
    payloads.push_back(restore_frame(heads, in));
    whole = whole && !payloads.back().empty();
  }
  require(whole && in.left() == 0, "bundle: its sizes do not add up", code::kBundle);
  return payloads;
}

}  // namespace gv
