"""GVC1D, the learned codec behind `--base gvc1d` (its loop over frames is `gvcodec.base.gvc1d`).
Decoding takes no torch; encoding does.

    codec_network  the whole network, one frame through it as training sees it
    transform      lapped transform of 16×16 regions, learned; `blocks`: where it begins
    token_order    the integers of a window from coarse to fine, and their contexts
    exact          the integer loop: transform and prediction, the same on every machine
    loop_filter    an integer network corrects frames in the loop; `filter_network`: in training
    motion_choice  the encoder's vectors of 16×16 blocks; `block_motion`: their bytes
    rounding       the encoder's integers, by rate and distortion
    context_model  the entropy model in torch, for training and rounding
    frame_payload  bytes of a frame, state of a GOP, entropy coding
    model_file     its weight file
    pictures       planes as whole windows, and back

The paper's own form (torch): `paper`, with a map of its own.

Tokens of single pictures, which search, router and condensed sets read:

    tokenizer      pictures to tokens and back
    config         sizes of a network: `SMALL` (shipped), `LARGE` (the paper's)
    token_network  the whole network: context, analysis, synthesis
    picture        4:2:0 planes as tensors; `blocks`: windows, regions, their cosine transform
    encoder        source ⊕ latent slots ⊕ context → tokens
    decoder        mask tokens ⊕ tokens ⊕ context → picture; `layers`: what both share
    transformer    attention inside windows and across them
    direct         patterns that tokens stand for from the start; `patterns`: the same without torch
    buffer         short-term context: the last frame's features and picture, moved by block motion
    memory         long-term context: a few vectors a window; `scenes`: its direct path
    quantise       rounding at eight rates; the bits that training pays
    checkpoint     weights and configuration on disk
"""
