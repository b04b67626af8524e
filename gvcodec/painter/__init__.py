"""The painter: a small integer network that paints decoded base frames, outside the coding loop.

`open` has what encoder and decoder call. `model` is the file, `video` paints a stream by the C++
painter; `network` is the same in torch, for fitting (`fit`) and training, which alone import it;
`strength` keeps GOPs from flickering.
"""
