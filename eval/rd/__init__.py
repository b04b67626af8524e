"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files,
`forecast` says how long it takes; `command`, `keep`, `settings`, `sizes`,
`speed` and `quality` are commands.
"""
