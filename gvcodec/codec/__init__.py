"""Encoder and decoder of whole streams: base layer, painter, latent tokens, packets.

What goes in and comes out:

    encode_stream   frames of a reader ─► `Encoder` ─► packets ─► `Writer`; paints each meanwhile,
                    for the `painted` packet
    encoder         planes ─► base encoder, samples for fitting ─► packets; all wait for `flush`,
                    which chooses the painter's strength (not: low delay, `--fit off`)
    latents         with tokens: the last pass of `flush`, over decoded and painted frames
    decoder         packets ─► base decoder, painter, restoration ─► planes with timestamps
    restoring       LATENT packets in a decoder
    hashing         hashes of base and painted frames, PSNR-Y of base frames
    gops            streams as sequences of GOPs, for `gvcodec.edit`
"""
