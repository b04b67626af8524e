"""One AV1 file that plays everywhere: a stream in MP4, Matroska or WebM, its packets for painting
in metadata OBUs (`gvcodec.bitstream.metadata_obu`). `gvcodec.opening` opens a stream in whatever
holds it."""
