"""Encoder and decoder of whole streams: read `encoder`, then `decoder`. In: planes with times, or
packets. Out: a stream, or base and painted frames with times.

encoder        frames ─► base, painter stage, packets in the order of the file
encode_stream  a source with its sound and metadata ─► encoder ─► stream
painter_stage  source, base frames ─► strength, weights and tokens of each GOP
frame_captions closed captions of frames ─► their packets
file_order     coded frames, times, tracks ─► packets in the order of the file
decoder        packets ─► base frames ─► painted frames with timestamps, hashes
fidelity       hashes of base and painted frames, PSNR
gops           streams as sequences of GOPs, for `gvcodec.edit`
"""
