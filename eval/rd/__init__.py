"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files, `command`,
`sizes` and `speed` are commands."""
