"""Hostile inputs: `mutations` and `hostile` make them, `trials` decodes them, `worker` gives them
to the whole command line."""
