"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files, `command`,
`sizes`, `speed` and `quality` are commands."""
