"""Operations on coded streams: inspect, verify, cut, join, repair. Nothing is re-encoded, but for
the GOPs that an exact cut divides."""
