"""Rate control in bytes of the written file: `one_pass` runs an encoder over a
video and has the `Budget`, `size` finds the file that fits, `target` the smallest file of a
quality, which `quality` judges; `scenes` shares bits among GOPs (`--alloc`).
"""
