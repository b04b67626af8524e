"""Rate and distortion: `runs` finds the rates and measures, `encoding` makes the files, `command`
and `speed` are commands."""
