"""Everything that comes in. In: a path, URI, pipe, file object or pictures, read by FFmpeg. Out:
planes with times on one clock, packets of sound and subtitles, and metadata.

    a video     opening (the door) ─► demuxer, timeline ─► frame_reader ─► frame_range ─► reader,
                which converts frames by conversion, deinterlacing; source_check at the end
    pictures    pictures (numbered files of a folder); playlist (the files of an HLS recording)
    sound       copying (packets wait for their frames), sound_source (sound for frames of arrays)
    metadata    source_metadata (tags, chapters), side_data (HDR, captions of frames)
    damage      file_checks (truncated files, gaps)"""
