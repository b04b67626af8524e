"""Rate control in real bytes: `budget` says how many there are, `passes` runs an encoder over a
video, `size` finds the file that fits (`size_standard`, `size_motion`), `target` the
smallest file of a quality.
"""
