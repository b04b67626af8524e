"""Where the bits of a `klt` stream go, frame by frame and window by window.

`pace` and `buffer` choose the quality of frames, for a file of a given size and to keep a decoder's
buffer from running dry. `windows` is the interface of budgets for the windows of a frame, `oracle`,
`elbo` and `uniqueness` are the allocators, `registry` knows their names. `klt` puts the encoder
together with what steers it.
"""
