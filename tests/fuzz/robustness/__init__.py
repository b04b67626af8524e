"""Hostile inputs: `hostile` makes them, `sealed` gives them right checksums, `trials` decodes them,
`worker` gives them to the whole command line."""
