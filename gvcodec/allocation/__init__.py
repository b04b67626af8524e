"""Which window of which frame gets how many tokens: budgets for `--alloc`.

    uniqueness.py   UniComp: frames and tokens unlike the others get the tokens
    router.py       InfoTok: windows get tokens in proportion to bits + distortion, or a prediction
    patches.py      features of luma alone, where there are no encoder features

Tokens of a window are ordered from coarse to fine, so a count is a prefix that decodes. Everything
here runs in the encoder: a stream holds counts or masks as integers and a decoder needs none of it.
"""
