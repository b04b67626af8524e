"""Training: the painter, the small perceptual network, latent tokens, and their material.

    python -m gvcodec.training material --data CLIPS --cache FOLDER
    python -m gvcodec.training painter CONFIG.toml --minutes 60
    python -m gvcodec.training perceptual --cache FOLDER --out FOLDER
    python -m gvcodec.training latent CONFIG.toml --data CLIPS PHOTOS --minutes 120

`loop` is the trainer that all share, `alarms` what ends a run that learns nothing.
"""
