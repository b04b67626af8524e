"""Training: the painter, the small perceptual network, the entropy network of `tokens`, summaries,
and their material.

    python -m gvcodec.training material --data CLIPS --cache FOLDER
    python -m gvcodec.training painter CONFIG.toml --minutes 60
    python -m gvcodec.training perceptual --cache FOLDER --out FOLDER

`loop` is the trainer that all share, `alarms` what ends a run that learns nothing.
"""
