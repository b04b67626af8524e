"""Rate control in bytes of the written file: `budget` says how many there are, `one_pass` runs an
encoder over a video, `size` finds the file that fits, along `scale`, and `target` the smallest file
of a quality, which `quality` judges.
"""
