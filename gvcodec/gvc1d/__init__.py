"""GVC1D: the learned codec. Pictures and their context become 1-D latent tokens, and back.

    config        sizes of a network: `SMALL` (shipped), `LARGE` (the paper's)
    picture       4:2:0 planes as tensors, windows and patches of them
    transformer   local attention (inside a window), global attention (across windows)
    direct        the direct path: low patterns and gains that each token carries from the start
    encoder       source ⊕ latent slots ⊕ context → tokens
    decoder       mask tokens ⊕ tokens ⊕ context → picture
    buffer        short-term context: the last frame's features and picture, moved by block motion
    memory        long-term context: a few vectors a window, rewritten by every frame
    quantise      rounding at eight rates
    allocation/   how many tokens each window gets (UniComp, InfoTok)
    model         the whole network: forward, compress, decompress
    entropy_model contexts of tokens as integers, for the integer network and rANS
    payload       bytes of a LATENT packet
    codec         tokens in a decoder: packets to integers, shown frames to restored ones
    search        decisions of the encoder: which frames have tokens, how many, which integers
    frame_loss    the loss that they lower
    checkpoint    weights and configuration on disk
    files         network and entropy network as streams name them
    tokenizer     tokens of single pictures, for search and condensed sets

`config`, `checkpoint`, `entropy_model`, `payload`, `codec` and `files` do without torch until they
restore something.
"""
