"""Base `klt`, our own integer loop: `codec` holds its encoder and decoder, `reference_*` what the
core does, for reading."""
