"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files, `command`,
`keep`, `sizes`, `speed` and `quality` are commands."""
