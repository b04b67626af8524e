"""Everything that goes out. In: planes with times, packets of sound and subtitles, and metadata.
Out: files of every kind that FFmpeg writes, or a stream for a pipe.

    writer        opens the output: y4m and PNG itself, other files by `output`
    output        a file by a process of `ffmpeg`, or a pipe
    feed          the Matroska stream into that process or pipe
    track_muxing  tracks into a container: which fit, which samples of their sound are hidden"""
