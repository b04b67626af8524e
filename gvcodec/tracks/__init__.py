"""Sound and subtitles, and tags of files and tracks. In: packets that FFmpeg demuxes, or `tracks`
packets of a stream (docs/spec/tracks.md). Out: `tracks` packets, or packets for FFmpeg's muxers.

    packets           `TrackWriter` and `TrackReader` of `tracks` packets
    copier, opus      `TrackCopier` copies packets of a source, `SoundCoder` re-encodes sound
    codec_parameters  heads of files that carry the parameters of a track's codec
    sound_clock       times and hidden samples of sound; `vobsub`: when subtitles of DVD end
    attached_files    attachments and covers of containers
    tags              titles, languages and other tags that a kind of file keeps
"""
