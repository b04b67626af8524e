"""Base tokens: standard pictures, and between them frames as trees of motion steps, in integers."""
