"""Operations on coded streams: verify, cut, join, repair, extract, replace a source. In: a stream.
Out: a stream or a report. Nothing is re-encoded, except the GOPs that an exact cut divides."""
