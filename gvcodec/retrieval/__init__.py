"""Search in video without decoding it: one small vector for every few frames, inside the file. In:
a query (picture, clip, time, words) and files. Out: ranked moments.

    summary      the payload of a `summary` packet: vectors as temporal differences through the
        stream coder
    embedders    pictures to vectors; a plug-in named by eight bytes
    compressor   the 16 patch tokens of a picture become one vector
    thumbnails   small pictures of frames for networks
    lp_comp      LP-Comp: patch tokens and latent tokens of a frame become one token (XComp)
    making       summary packets for a stream, while it is encoded or later
    files        reads only the index and the summary packets of a file
    queries      a picture, a clip, a time in a file, words
    ranking      scores of moments: by cosines, or by QC-Comp (XComp)
    exact        the matching frame, by decoding those around a moment
"""
