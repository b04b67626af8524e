"""Bases that are standard bitstreams, AV1 and H.266. In: frames, or packets. Out: packets, or base
frames. `encoder` and `decoders` are the two sides; `encoders` and `pipe` run the encoder's process;
`payloads` strips redundant syntax and restores it, `captions` puts closed captions into packets.
"""
