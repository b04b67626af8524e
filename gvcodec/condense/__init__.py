"""Condensed training sets (VideoCompressa). In: a data set of labelled clips and a number of bytes.
Out: a `.gvset` file of a few small clips on which a network can still be trained.

    clips        clips as small pictures with labels, from a list or from a folder per class
    clip_streams clips as GOPs of one stream, real bytes counted
    codes        clips as latent codes of a GVC1D network, by its entropy model
    learning     a small classifier that sees the order of frames; training, accuracy and loss
    choosing     choice of clips, frames per clip and quality
    selector     choice of frames by a ConvNet and straight-through Gumbel-Softmax
    joint        selector, codes and task optimised together
    making       the three methods, from clips to the bytes of the file
    gvset        the file and its reader, `CondensedSet`

`gvset` needs NumPy and the core only (for codes, torch and a GVC1D network); `clips` and
`clip_streams` need no torch.
"""

from gvcodec.condense.gvset import CondensedSet

__all__ = ["CondensedSet"]
