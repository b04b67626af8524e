#include "decoder/metadata_obu.hpp"

#include <algorithm>

#include "format/checksums.hpp"
#include "format/packets.hpp"

namespace gv {
namespace {

constexpr uint8_t kOurs[] = {22, 0x89, 'G', 'V', 'C'};  // metadata_type, magic
constexpr uint8_t kVersion = 1, kTrailing = 0x80;
constexpr size_t kCrcBytes = 4, kMostEntries = 4096;

bool is_ours(Bytes body) {
  return body.size >= sizeof kOurs && std::equal(kOurs, kOurs + sizeof kOurs, body.data);
}

}  // namespace

const Bytes* TakenApart::find(int what) const {
  for (const Entry& entry : entries)
    if (entry.what == what) return &entry.data;
  return nullptr;
}

std::vector<Entry> parse_entries(Bytes body) {
  std::vector<Entry> entries;
  if (!is_ours(body)) return entries;
  Bytes sealed = body.from(1);
  while (sealed.data[sealed.size - 1] == 0) --sealed.size;  // the magic ends it at the latest
  require(sealed.size >= sizeof kOurs + kCrcBytes + 1 &&
              sealed.data[sealed.size - 1] == kTrailing,
          "metadata OBU: ends early", code::kMetadataObu);
  const Bytes inside = sealed.first(sealed.size - 1 - kCrcBytes);
  require(Cursor(sealed.from(inside.size), "metadata OBU").uint(kCrcBytes) == crc32(inside),
          "metadata OBU: checksum mismatch", code::kMetadataObu);
  Cursor in(inside.from(sizeof kOurs - 1), "metadata OBU");
  const int version = in.u8();
  if (version != kVersion)
    refuse("metadata OBU: version " + std::to_string(version) + ", this program reads " +
               std::to_string(kVersion),
           code::kMetadataObu);
  while (in.left()) {
    Entry entry;
    entry.what = in.u8();
    entry.data = in.take(in.var());
    if (entry.what > kEntrySound && entry.what < kFirstSkippableEntry)
      refuse("metadata OBU: an entry " + std::to_string(entry.what) + " of a newer version",
             code::kMetadataObu);
    if (entry.what <= kFirstSkippableEntry) entries.push_back(entry);
    require(entries.size() <= kMostEntries, "metadata OBU: more than 4096 entries",
            code::kMetadataObu);
  }
  return entries;
}

bool loses_fit(const TakenApart& key, bool before) {
  if (!key.damage.empty() || !key.find(kEntryHeader)) return true;
  const auto is_stated = [](const Entry& entry) {
    const bool is_fit = entry.data.size && kEnd + entry.data.data[0] == kFit;
    return entry.what == kEntryState || (entry.what == kEntryPacket && is_fit);
  };
  return before && std::none_of(key.entries.begin(), key.entries.end(), is_stated);
}

TakenApart take_apart(Bytes unit) {
  TakenApart out;
  for (const Obu& obu : parse_obus(unit)) {
    if (obu.type == kObuDelimiter) continue;
    if (obu.type != kObuMetadata || !is_ours(obu.body)) {
      out.obus.push_back(obu);
      continue;
    }
    try {
      for (const Entry& entry : parse_entries(obu.body)) out.entries.push_back(entry);
    } catch (const StreamError& error) {
      out.damage.push_back(error.what());
    }
  }
  return out;
}

}  // namespace gv
