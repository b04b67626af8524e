"""The ELBO router (InfoTok): a window gets bits in proportion to its evidence lower bound, in bits.

-ELBO = code length + squared error / price of a bit: the second term is the negative log
likelihood, in bits, of the source under a Gaussian around the reconstruction whose variance is the
one that the Lagrange multiplier stands for. The paper's practical form takes the L1 error for the
whole. Both come from one pass: that of the frame before, so that the router costs next to nothing.
Budgets N = β · (-ELBO) / E[-ELBO] are clipped to [N_max/16, N_max], and β is solved for the bits of
the frame before.
"""

from __future__ import annotations

import numpy as np

from gvcodec.allocation.windows import Outcome, Trial, Windows, grid, within_budget
from gvcodec.types import Planes

_RANGE = 16.0


class ElboRouter:
    """`absolute`: the L1 form. `strength` 1 is the paper's proportion, 0 none."""

    def __init__(self, absolute: bool = False, strength: float = 1.0) -> None:
        self._absolute, self._strength = absolute, strength
        self._before: Outcome | None = None

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        before = self._before
        if before is None or before.bits.shape != grid(planes[0]):
            return None
        if self._absolute:
            evidence = before.absolute_error
        else:
            evidence = before.bits + before.squared_error / before.bit_price
        wanted = routed(evidence, float(before.bits.sum()))
        plain = np.maximum(before.bits, 1.0)
        return within_budget(plain * (np.maximum(wanted, 1.0) / plain) ** self._strength, plain)

    def coded(self, outcome: Outcome) -> None:
        self._before = outcome


def routed(evidence: Windows, budget: float) -> Windows:
    """Bits in proportion to `evidence`, none below a sixteenth of the largest, together
    `budget`."""
    share = evidence / max(1e-12, float(evidence.mean()))
    share = np.clip(share, share.max() / _RANGE, share.max())
    result: Windows = share * (budget / max(1e-12, float(share.sum())))
    return result
