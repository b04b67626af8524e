"""Everything that comes in. In: a path, URI, pipe, file object or pictures, read by FFmpeg. Out:
planes with times on one clock, packets of sound and subtitles, and metadata.

    a video     opening (the door) ─► demuxer, timeline ─► frame_reader ─► frame_range ─► reader,
                which converts by conversion, planes; options in `inputs`; source_check at the end
    sound       copying, tracks (as it is), sound_coding (as Opus), sound_clock; sound_source
    metadata    source_metadata, side_data ─► metadata (the packet); container_tags
    containers  boxes (MP4, Matroska), file_checks, codec_parameters, playlist, pictures"""
