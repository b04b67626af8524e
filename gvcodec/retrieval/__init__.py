"""Video that is found without being decoded: one small vector for every few frames, inside the
file.

    summary      the payload of a `summary` packet: vectors as temporal differences through the
        stream coder
    embedders    what turns pictures into vectors, a plug-in named by eight bytes
    compressor   the 16 patch tokens of a picture become one vector
    lp_comp      LP-Comp: patch tokens and latent tokens of a frame become one token (XComp)
    making       summary packets for a stream, while it is encoded or later
    files        reads only the index and the summary packets of a file
    queries      what is searched for: a picture, a clip, a time in a file, words
    ranking      which moments fit a query best: by cosines, or by QC-Comp (XComp)
    exact        the frame that is meant, by decoding those around a moment
"""
