"""The file of the entropy network of base motion (`gvcodec.entropy.network_file`).

Its inputs are the `TREE_SIDE` activations and `TREE_BACK` values before of
csrc/motion_tree/contexts.hpp. The first eight bytes of the file's SHA-256 stand in every stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvcodec._core import TREE_BACK, TREE_SIDE
from gvcodec.entropy import network_file
from gvcodec.entropy.network import Layer
from gvcodec.models import MOTION


def read_network(path: Path) -> list[Layer]:
    """The entropy network. Raises `MediaError`."""
    return network_file.read_network(
        path, MOTION.form, TREE_SIDE + TREE_BACK, "a model of base motion"
    )


def write_network(path: Path, network: Sequence[Layer]) -> None:
    """Write a model file, atomically."""
    network_file.write_network(path, network, MOTION.form)
