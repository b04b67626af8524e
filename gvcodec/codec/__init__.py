"""Encoder and decoder of whole streams: read `encoder`, then `decoder`.

encoder    frames ─► base, painter's strengths, packets in the order of the file ─► stream
decoder    packets ─► base frames ─► painted frames with timestamps, hashes
fidelity   hashes of base and painted frames, PSNR
gops       streams as sequences of GOPs, for `gvcodec.edit`
"""
