"""The network that refines the entropy model's predictions (`klt-2` on), as tensors of the model
file.

`refiner.token.*`: weight (units, 80) int8, bias and multiplier (units,) int32, shift (1,); for each
kind of decision any, last, sig, size: `token` (hidden, units) and `decision` (hidden, 16) int8,
`row` (288, hidden) and `multiplier` (hidden,) int32, `out` (hidden,) int8, `scale` (shift, output
bias, multiplier, shift). `refiner.relatives.*` (count, 4) int16: for each index of key, inter and
coarse tokens earlier ones of the nearest frequencies, -1 = none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gvcodec import _core

KINDS = ("any", "last", "sig", "size")
TABLES = ("key", "inter", "coarse")


def core_refiner(tensors: Mapping[str, np.ndarray]) -> _core.RefinerModel | None:
    """As the C++ core takes it; None when the model has no such network. Raises `KeyError`,
    `ValueError`."""
    from gvcodec import _core

    if "refiner.token.weight" not in tensors:
        return None
    at = {
        name.removeprefix("refiner."): tensor
        for name, tensor in tensors.items()
        if name.startswith("refiner.")
    }
    token = (
        at["token.weight"],
        at["token.bias"],
        at["token.multiplier"],
        int(at["token.shift"][0]),
    )
    networks = []
    for kind in KINDS:
        shift, *scale = at[f"{kind}.scale"].tolist()
        parts = [at[f"{kind}.{part}"] for part in ("token", "decision", "row", "multiplier")]
        networks.append((*parts, shift, at[f"{kind}.out"], *scale))
    return _core.RefinerModel([at[f"relatives.{table}"] for table in TABLES], token, networks)
