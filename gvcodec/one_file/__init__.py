"""One AV1 file that plays everywhere: a stream in MP4, Matroska or WebM, with the painter's packets
in metadata OBUs (`gvcodec.bitstream.metadata_obu`). In: a stream. Out: a container (`write`), or
the reverse (`read`; `demux` reads the container, `mp4_limits` checks its tables before).
`gvcodec.opening` opens streams in either form."""
