"""Video files through PyAV and FFmpeg. In: a path, URI, pipe, file object or pictures. Out: planes
with times, sound, subtitles and metadata; and the reverse.

    source      inputs (options), opening, reader ─► conversion, planes ─► encoder
    sound       tracks (copied), sound_coding (re-encoded), track_muxing, sound_clock
    metadata    source_metadata, side_data ─► metadata (the packet) ─► container_tags
    output      writer (y4m, png), output, feed (FFmpeg writes the file)
    containers  boxes (MP4, Matroska), codec_parameters, mp4_limits, playlist"""
