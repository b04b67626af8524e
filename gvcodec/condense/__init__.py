"""A data set of labelled clips condensed to a few small streams on which a network can still be
trained (VideoCompressa).

    clips        what is condensed: clips as small pictures with labels, from a list or from a
        folder a class
    coded        clips as GOPs of one stream, real bytes counted
    codes        clips as latent codes of the tokenizer, by rANS
    learning     a small classifier that sees the order of frames; training, accuracy and loss
    choosing     which clips, how many frames of each, which quality
    selector     which frames, by a ConvNet and straight-through Gumbel-Softmax
    joint        selector, codes and task optimised together
    making       the three methods, from clips to the bytes of the file
    gvset        the file and its reader, `CondensedSet`

`gvset` needs NumPy and the core only (of codes, torch and the tokenizer), `clips` and `coded` no
torch.
"""

from gvcodec.condense.gvset import CondensedSet

__all__ = ["CondensedSet"]
