"""Training of the base renderer: material, losses, loop. Tuning of one video uses the same
losses."""
