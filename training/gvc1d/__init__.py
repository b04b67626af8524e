"""Training of tokens over a base and of pictures: `python -m training gvc1d CONFIG.toml`.

On several GPUs or machines: `torchrun --nproc-per-node=N --nnodes=M -m training gvc1d CONFIG.toml`.

Base gvc1d has a program of its own: `python -m training gvc1d.shards`, then `gvc1d.codec`.

    shards     short runs of clips with their motion
    codec      the program that trains base gvc1d from them
    export     its network as a weight file
    cost       what training LARGE takes
    paper_form the paper's own layout, small, beside a fixed transform
    parts      what the parts of base gvc1d are worth
    spoilt     its network with a part taken away, shuffled, as it began
    settings   the keys of a configuration
    titok      published weights to begin from
    run        frames of a run, and the network that takes them
    data       runs of frames from any tree of videos and pictures
    gan        the discriminator of the last stage
    card       what each part of a trained network is worth
"""

from training.gvc1d.train import main

__all__ = ["main"]
