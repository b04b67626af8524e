"""Base tokens: windows of a frame as one-dimensional latent tokens (`model`), coded by an integer
network."""
