"""Everything that goes out. In: planes with times, packets of sound and subtitles, and metadata.
Out: files of every kind that FFmpeg writes, or a stream for a pipe.

    frames  writer (y4m, png), output and feed (a process of `ffmpeg` writes the file)
    tracks  track_muxing (into a container without coding frames), aac_segments"""
