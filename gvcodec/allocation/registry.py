"""The allocators of window budgets by their names."""

from __future__ import annotations

from collections.abc import Callable

from gvcodec.allocation.elbo import ElboRouter
from gvcodec.allocation.oracle import Oracle
from gvcodec.allocation.uniqueness import Uniqueness
from gvcodec.allocation.windows import Allocator, WindowBudgets
from gvcodec.errors import UsageError

_ALLOCATORS: dict[str, Callable[[], Allocator]] = {
    "uniqueness": Uniqueness,
    "elbo": ElboRouter,
    "oracle": Oracle,
}
#: What `--alloc` takes.
NAMES = ("uniform", *_ALLOCATORS)


def budgets(name: str) -> WindowBudgets | None:
    """The allocator of a name, for the encoder; None for `uniform`, which needs none. Raises
    `UsageError`."""
    if name not in NAMES:
        raise UsageError(f"no allocator {name!r}; there are {', '.join(NAMES)}")
    return WindowBudgets(_ALLOCATORS[name]()) if name in _ALLOCATORS else None
