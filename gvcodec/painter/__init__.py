"""The painter: a network of integers that paints decoded base frames, outside the
coding loop.

`open` has what encoder and decoder call. `model` is the file, `cpu` the C++ painter, `video` paints
a stream; `twin` is the same in torch, for fitting (`fit`), training and other devices (`device`).
torch is imported by the last four only.
"""

from __future__ import annotations

import os

# torch's worker threads spin while they wait. On a machine with anything else to do that costs up
# to fifteen times the time of the work itself (measured on two cores), and sleeping instead costs
# nothing. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
