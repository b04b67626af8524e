"""Operations on coded streams. In: a stream. Out: a stream or a report. Nothing is re-encoded,
except the GOPs that an exact cut divides.

    verify, repair, extract   check a file, save what is intact, write its base bitstream;
                              `lost_header`, `lost_tracks`: parts of repair
    cut, cat                  a part of a stream, streams joined; `spliced_tracks`: their sound
    replace                   a file instead of its source, after a check (`copy_check`) of all its
                              parts (`contents`)"""
