"""GVC1D: the learned codec, in two forms with a network each. Pictures and their context become 1-D
latent tokens, and back. Decoding integers takes no torch; encoding and restoring do.

Base gvc1d, a codec by itself (`--base gvc1d`; its loop over frames is `gvcodec.base.gvc1d`):

    codec_network  the whole network, one frame through it as training sees it
    transform      lapped transform of 16×16 regions, learned
    token_order    the integers of a window from coarse to fine, and their contexts
    exact          the integer loop: transform and prediction, the same on every machine
    loop_filter    an integer network corrects frames in the loop; `filter_network`: in training
    motion_choice  the encoder's vectors of 16×16 blocks; `block_motion`: their bytes
    rounding       the encoder's integers: by rate and distortion, or by the Analyst
    refiner        Restorer and Analyst: local and global attention, last picture, 1-D memory
    context_model  the entropy model in torch, for training and rounding
    frame_payload  bytes of a frame, state of a GOP, entropy coding
    model_file     its weight file

Latent tokens over another base (`--tokens`, LATENT packets), and of single pictures:

    config         sizes of a network: `SMALL` (shipped), `LARGE` (the paper's)
    token_network  the whole network: context, analysis, synthesis
    picture        4:2:0 planes as tensors; `blocks`: windows, regions, their cosine transform
    encoder        source ⊕ latent slots ⊕ context → tokens
    decoder        mask tokens ⊕ tokens ⊕ context → picture; `layers`: what both share
    direct         patterns that tokens stand for from the start; `patterns`: the same without torch
    buffer         short-term context: the last frame's features and picture, moved by block motion
    memory         long-term context: a few vectors a window; `scenes`: its direct path
    quantise       rounding at eight rates; the bits that training pays
    entropy_model  contexts of tokens for the integer network; `token_places`: neighbours
    payload        bytes of a LATENT packet
    token_encoder  the encoder's decisions: which frames have tokens, how many, which integers
    frame_options  the choices for one frame; `frame_loss`: the loss that they lower
    codec          tokens in a decoder: packets to integers, shown frames to restored ones
    checkpoint     weights and configuration on disk; `files`: as streams name them
    tokenizer      tokens of single pictures, for search and condensed sets

Both: `transformer`, attention inside windows and across them. Budgets of `--alloc`:
`gvcodec.allocation`.
"""
