"""When base motion codes a refresh: where it costs less than going on from drifted pictures."""

from __future__ import annotations


class Drift:
    """Cost of a frame = distortion (mean differences of a picture) + `price` × bytes. Coming frames
    are assumed to cost at least as much as the last; after a refresh, as much as the frames since
    the previous refresh, that one included."""

    def __init__(self, price: float) -> None:
        self._price = price
        self._costs: list[float] = []

    def restart(self) -> None:
        """After a refresh."""
        self._costs = []

    def add(self, distance: float, size: int) -> None:
        """A frame of `size` bytes that misses `distance` of its source."""
        self._costs.append(distance + self._price * size)

    def refresh_in(self, frames: int, known: int) -> int:
        """Which of the `frames` to come before the next keyframe had better be a refresh, 1 = the
        next, 0 = none.

        `known` of them are there. Those before the refresh are coded from both sides, so that
        either side drifts half as far."""
        drifts = enumerate(self._costs[1:], 1)
        again = [(cost, side) for far, cost in drifts for side in (0, 1)[: 1 + (far < known)]]
        again = again[: frames - 1]
        if self._costs[-1] * (1 + len(again)) <= self._costs[0] + sum(cost for cost, _ in again):
            return 0
        return 1 + sum(side for _, side in again)
