"""Token budgets for `--alloc`. In: features or tokens of windows. Out: the number of tokens of each
window of each frame.

    uniqueness.py   UniComp: tokens go to frames and tokens that differ from the others
    router.py       InfoTok: windows get tokens in proportion to bits + distortion, or a prediction
    patches.py      features of luma alone, without an encoder

A count is a prefix of the tokens of a window. Everything here runs in the encoder: a stream holds
counts or masks as integers and a decoder needs none of it.
"""
