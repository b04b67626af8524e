"""Everything that comes in. In: a path, URI, pipe, file object or pictures, read by FFmpeg. Out:
planes with times on one clock, packets of sound and subtitles, and metadata.

    a video     opening, timeline, reader ─► conversion, planes ─► encoder; options in `inputs`
    sound       copying, tracks (as it is), sound_coding (as Opus), sound_clock; sound_source
    metadata    source_metadata, side_data ─► metadata (the packet); container_tags
    containers  boxes (MP4, Matroska), codec_parameters, mp4_limits, playlist"""
