"""A data set of labelled clips condensed to a few small streams that a network still learns from
(VideoCompressa).

    clips        what is condensed: clips as small pictures with labels, from a list or from a
        folder a class
    coded        clips as GOPs of one stream, real bytes counted
    networks     a small classifier that sees the order of frames
    learning     training, accuracy and loss
    choosing     which clips, how many frames of each, which quality
    gvset        the file and its reader, `CondensedSet`

`gvset` needs NumPy and the core only, `clips` and `coded` no torch.
"""

from gvcodec.condense.gvset import CondensedSet

__all__ = ["CondensedSet"]
