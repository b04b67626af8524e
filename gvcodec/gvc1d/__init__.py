"""GVC1D, the learned codec behind `--base gvc1d`. In: frames, or packets. Out: packets and base
frames. Coding takes exact arithmetic and no torch; only training does.

    open             opens its encoder and decoder, chooses the network
    base_codec       the base: a frame in, a packet out, and back
    frame_coder      a frame as bytes: integers of tokens, coded by the network's predictions
    model            the network: encoder, decoder, entropy model, short-term buffer, memory
    attention_block  its transformer blocks
    ops_exact        operations with the same bits on every machine; `ops_torch`: for training
    budgets          how many tokens each window is sent with
    weights          its weight file
    compressai       the network under the names of CompressAI (an extra)
    tokenizer        tokens of single pictures, for search, router and condensed sets (torch)
"""
