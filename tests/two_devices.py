"""Two devices on one processor: tensors made without a device must be moved first."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import gvcodec

_MAKERS = {torch.tensor, torch.zeros, torch.ones, torch.full, torch.arange, torch.empty}
_MAKERS |= {torch.rand, torch.randn, torch.eye, torch.linspace}


class OnHost(torch.Tensor):
    """A tensor made without a device, which must meet no others before `to`."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        given = [*args[1:], *kwargs.values()]
        moves = func is torch.Tensor.to and any(
            isinstance(value, torch.device | torch.Tensor) for value in given
        )
        if not moves:
            strangers = [t for t in flat if isinstance(t, torch.Tensor) and not isinstance(t, cls)]
            assert not strangers, f"{func.__name__} of tensors on two devices"
        result = super().__torch_function__(func, types, args, kwargs)
        return result.as_subclass(torch.Tensor) if moves else result


def _from_package() -> bool:
    """Whether the caller's caller, torch left out, is the package."""
    frame = sys._getframe(2)
    while frame.f_back and "torch" in Path(frame.f_code.co_filename).parts:
        frame = frame.f_back
    return Path(gvcodec.__file__).parent in Path(frame.f_code.co_filename).parents


class _MadeOnHost(torch.overrides.TorchFunctionMode):
    """Makes tensors `OnHost` that the package makes without a device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result, bare = func(*args, **(kwargs or {})), not (kwargs or {}).get("device")
        if func in _MAKERS and bare and _from_package():
            return result.as_subclass(OnHost)
        return result


@contextlib.contextmanager
def two_devices(monkeypatch) -> Iterator[list[Any]]:
    """The arrays that became tensors meanwhile."""
    made: list[Any] = []
    taken = torch.from_numpy

    def from_numpy(array):
        made.append(array)
        return taken(array).as_subclass(OnHost)

    with monkeypatch.context() as patch, _MadeOnHost():
        patch.setattr(torch, "from_numpy", from_numpy)
        yield made


def moved_whole(load: Callable[..., Any]) -> Callable[..., Any]:
    """`load` without the rule: what files hold is moved as a whole."""
    taken = torch.from_numpy

    def loaded(*given):
        changed, torch.from_numpy = torch.from_numpy, taken
        try:
            with torch._C.DisableTorchFunction():
                return load(*given)
        finally:
            torch.from_numpy = changed

    return loaded
