"""Where the bits of a `klt` stream go, frame by frame.

`frame_quality` and `buffer` choose the quality of frames, for a file of a given size and to keep a
decoder's buffer from running dry. `klt` puts the encoder together with what steers it.
"""
