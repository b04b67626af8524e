"""GVC1D, the learned codec behind `--base gvc1d`. Decoding takes no torch; encoding does.

    open           opens its encoder and decoder, chooses the model
    encoder        one frame in, one packet out: search, prediction, transform, rounding, packet
    decoder        packets back to frames, in integers
    frame_payload  bytes of a frame, state of a GOP, entropy coding
    exact          the integer loop: transform and prediction, the same on every machine
    loop_filter    an integer network corrects frames in the loop; `filter_network`: in training
    motion         the encoder's vectors of 16×16 blocks, and their bytes
    rounding       the encoder's integers, by rate and distortion
    token_order    the integers of a window from coarse to fine, and their contexts
    context_model  the entropy model in torch, for training and rounding
    transform      lapped transform of 16×16 regions, learned; `blocks`: where it begins
    codec_network  the whole network, one frame through it as training sees it
    model_file     its weight file
    pictures       planes as whole windows, and back
    compressai     the network under the names of CompressAI (an extra)

The paper's own form (torch): `paper`, with a map of its own.

Tokens of single pictures, which search, router and condensed sets read:

    tokenizer      pictures to tokens and back; weights and configuration on disk
    config         sizes of a network
    token_network  the network: encoder, decoder, steps, training's price of bits
    picture        4:2:0 planes as tensors; `blocks`: windows, regions, their cosine transform
    transformer    attention in windows and across them
    direct         patterns that tokens stand for from the start
"""
