"""GVC1D in the paper's own form (arXiv 2603.15302), small: learned queries, mask tokens, no
transform. Networks are floats (torch); the integers between them are exact. Names are TA-TiTok's.

    source 4:2:0, a quarter of its size ─► windows ─► encoder: queries ⊕ patches ⊕ context
                                                          │ 64 tokens of 16 integers a window
    picture ◄─ windows ◄─ decoder: mask tokens ⊕ tokens ⊕ context

    sizes, windows  of a window; pictures as patches of windows, and back
    layers          what encoder and decoder share: the context, features of integers
    encoder         patches of a window ─► its tokens; `quantise`
    decoder         tokens ─► patches
    token_counts    the entropy model: adaptive counts
    payload         bytes of a frame
    weights         the weight file

The loop over frames is `gvcodec.gvc1d.paper.loop`.
"""
