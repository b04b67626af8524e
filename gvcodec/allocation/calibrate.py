"""Thresholds of uniqueness as quantiles over videos: `python -m gvcodec.allocation.calibrate VIDEO …`.

Prints u of consecutive frames and of pairs of windows of one frame at a few quantiles, over the first frames of each video.
"""

from __future__ import annotations

import argparse

import numpy as np

from gvcodec.allocation.uniqueness import frame_distance, window_features
from gvcodec.errors import MediaError
from gvcodec.media.reader import VideoReader

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantiles of uniqueness over videos.")
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    parser.add_argument("--frames", type=int, default=9, help="of each video (9)")
    options = parser.parse_args()
    frames, windows = distances(options.videos, options.frames)
    for name, values in (("consecutive frames", frames), ("windows of a frame", windows)):
        found = ", ".join(f"{q:g}: {np.quantile(values, q):.2g}" for q in QUANTILES)
        print(f"u of {name} ({len(values)} pairs), by quantile: {found}")


def distances(videos: list[str], frames: int) -> tuple[list[float], list[float]]:
    """u of consecutive frames, and of all pairs of windows in one frame; videos that cannot be read are left out."""
    between: list[float] = []
    within: list[float] = []
    for path in videos:
        before = None
        try:
            with VideoReader(path, frames=frames) as reader:
                for frame in reader:
                    features = window_features(frame.planes[0])
                    if before is not None:
                        between.append(frame_distance(features, before))
                    pairs = np.triu_indices(len(features), 1)
                    within += (1 - features @ features.T)[pairs].tolist()
                    before = features
        except MediaError:
            continue
    return between, within


if __name__ == "__main__":
    main()
