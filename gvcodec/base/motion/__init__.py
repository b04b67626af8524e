"""Base motion: standard pictures, and between them frames as trees of motion steps, in integers."""
