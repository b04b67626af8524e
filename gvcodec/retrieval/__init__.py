"""Video that is found without being decoded: one small vector for every few frames, inside the
file.

    summary      the payload of a `summary` packet: vectors as temporal differences through the
        stream coder
    embedders    what turns pictures into vectors, a plug-in named by eight bytes
    compressor   LP-Comp: the 16 patch tokens of a picture become one vector
    making       summary packets for a stream, while it is encoded or later
    files        reads only the index and the summary packets of a file
    queries      what is searched for: a picture, a clip, a time in a file, words
    ranking      which moments fit a query best
    single       one GOP as a stream of its own

`summary`, `files` and `ranking` need NumPy alone. Papers: XComp (one token a frame), QC-Comp
(segments chosen by the query).
"""
