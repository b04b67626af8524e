// Codes of errors: those of gvcodec/errors.py that come from here.
#pragma once

namespace gv::code {

constexpr char kTruncated[] = "truncated";
constexpr char kNumber[] = "number";
constexpr char kNotGvcodec[] = "not-gvcodec";
constexpr char kHeaderChecksum[] = "header-checksum";
constexpr char kHeaderField[] = "header-field";
constexpr char kHeaderVersion[] = "header-version";
constexpr char kBaseRetired[] = "base-retired";
constexpr char kPacketChecksum[] = "packet-checksum";
constexpr char kPacketSize[] = "packet-size";
constexpr char kPacketOrder[] = "packet-order";
constexpr char kGopChecksum[] = "gop-checksum";
constexpr char kIndex[] = "index";
constexpr char kBundle[] = "bundle";
constexpr char kTiming[] = "timing";
constexpr char kLimitRate[] = "limit-rate";
constexpr char kTemporalUnit[] = "temporal-unit";
constexpr char kBaseLayer[] = "base-layer";
constexpr char kMetadataObu[] = "metadata-obu";

}  // namespace gv::code
