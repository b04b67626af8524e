"""Rate control in bytes of the written file. In: a source, settings without a quality, and a budget
or a target. Out: the encoded file.

    one_pass  runs the encoder once
    size      the largest file that fits a budget
    target    the smallest file of a quality, measured by `quality`
    bracket   search over q, for both
    scenes    shares bits among GOPs (`--alloc`)
"""
