"""Latent tokens of standard pictures: four integers for each 16² patch of an AV1 picture, which
tell a restorer what the source has there and the picture has not.

    python -m gvcodec.training latent CONFIG.toml --minutes 120

`material` cuts crops out of coded pictures, `model` is encoder and restorer, `entropy` the code
length of the integers, `objective` the losses, `watch` alarms and validation, `run` the trainer.
"""

from gvcodec.training.latent.run import main

__all__ = ["main"]
