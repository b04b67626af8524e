// Packets of a one-file: entries of metadata OBUs inside the temporal units of an AV1 track
// (docs/spec/one-file.md).
#pragma once

#include "format/obus.hpp"

namespace gv {

enum EntryType : int {
  kEntryHeader = 0,
  kEntryPlace = 1,
  kEntryPacket = 2,
  kEntryTrailer = 3,
  kEntryState = 4,
  kEntryGop = 6,
  kEntryEnd = 7,
  kEntrySound = 8,  // the last that is known
  kFirstSkippableEntry = 64
};

struct Entry {
  int what = 0;
  Bytes data;
};

struct TakenApart {
  std::vector<Obu> obus;  // without ours and without delimiters
  std::vector<Entry> entries;
  std::vector<std::string> damage;  // a line for each one of ours that cannot be read

  // Data of the first entry of a type, or null.
  const Bytes* find(int what) const;
  // Whether it begins with a sequence header, as every keyframe does.
  bool begins_sequence() const { return !obus.empty() && obus[0].type == kObuSequence; }
};

// Whether the weights in force in the GOP of a keyframe may be lost, as those of the GOP before were
// (`before`): its OBU is damaged, or it follows such a GOP and its writer repeats no weights.
bool loses_fit(const TakenApart& key, bool before);

// Views of a temporal unit. Throws `StreamError` where its OBUs do not fit into each other.
TakenApart take_apart(Bytes unit);
// Entries of the body of a metadata OBU, from its metadata_type on; nothing if it is not ours.
// Throws `StreamError`.
std::vector<Entry> parse_entries(Bytes body);

}  // namespace gv
