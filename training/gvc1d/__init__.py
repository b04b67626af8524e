"""Training of the learned codec: `python -m training gvc1d CONFIG.toml [--minutes N]`.

On several GPUs or machines: `torchrun --nproc-per-node=N --nnodes=M -m training gvc1d CONFIG.toml`.

    settings   the keys of a configuration
    data       runs of frames from any tree of videos and pictures
    losses     distortion of a run
    alarms     what ends a run that learns nothing
    train      the program
    gan        the discriminator of the last stage
    card       what each part of a trained network is worth
"""

from training.gvc1d.train import main

__all__ = ["main"]
