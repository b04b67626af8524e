"""Where the bits go: rate control in real bytes, and budgets for the windows of a frame.

Rate control: `budget` says how many bytes there are, `passes` runs an encoder over a video, `size` finds the file that fits
(`size_klt` with `pace`, `size_standard`), `target` the smallest file of a quality, `buffer` keeps a decoder's buffer from running dry.

Budgets: `windows` is the interface, `oracle`, `elbo` and `uniqueness` are the allocators. `klt` puts the encoder together with what steers it.
"""
