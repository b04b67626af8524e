"""One AV1 file that plays everywhere: a stream in MP4, Matroska or WebM, with the painter's packets
in metadata OBUs (`gvcodec.bitstream.metadata_obu`). In: a stream, out: a container (`write`), or
the reverse (`read`). `gvcodec.opening` opens streams in either form."""
