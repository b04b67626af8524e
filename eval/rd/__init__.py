"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files, `bd`
compares curves, `measured` keeps points in the checkout; `command`, `keep`, `settings`, `sizes`,
`speed` and `quality` are commands.
"""
