"""One AV1 file that plays everywhere: a stream in MP4, Matroska or WebM, its packets for painting
in metadata OBUs (`gvcodec.bitstream.metadata_obu`). `files` opens streams whatever file holds
them."""
