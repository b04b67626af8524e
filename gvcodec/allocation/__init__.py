"""Where the bits go: rate control in real bytes, and budgets for the windows of a frame.

`budget` says how many bytes there are, `passes` runs an encoder over a video, `size` finds the file that fits,
`target` the smallest file of a quality, `buffer` keeps a decoder's buffer from running dry.
"""
