"""Objects that threads share, and their state in a child process made by `fork`.

    class Counter(Shared):
        @in_turn
        def add(self) -> None: ...

In a child only the thread that forked lives on: the locks of others stay locked, the threads of
decoders are gone.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from gvcodec.errors import UsageError
from gvcodec.util.torch_settings import usual_torch

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound="Shared")


class Shared:
    """One thread at a time is in the methods that are marked `in_turn`; these may call each other.
    What the program has set in torch does not reach them.

    In a child process they raise `UsageError`, unless the class `follows` into it.
    """

    follows = False

    def __init__(self) -> None:
        self._turn: Any = threading.RLock()
        _living.add(self)

    def after_fork(self) -> None:
        """Called in a child process, before anything else happens there."""
        self._turn = threading.RLock() if self.follows else _Left(type(self).__name__)


def keep(thing: object) -> None:
    """Leave a thing open until the process ends: its threads are gone."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class _Left:
    """Stands for the lock of an object that did not follow into this process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> NoReturn:
        raise UsageError(
            f"this {self._name} belongs to the process before fork(): make a new one here"
        )

    def __exit__(self, *_: object) -> None: ...


_living: weakref.WeakSet[Shared] = weakref.WeakSet()


def in_turn(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    @functools.wraps(method)
    def call(self: _S, /, *args: _P.args, **options: _P.kwargs) -> _R:
        with self._turn, usual_torch():
            return method(self, *args, **options)

    return call


def steps_in_turn(
    method: Callable[Concatenate[_S, _P], Iterator[_R]],
) -> Callable[Concatenate[_S, _P], Iterator[_R]]:
    """The same for a generator: each step by itself."""

    @functools.wraps(method)
    def call(self: _S, /, *args: _P.args, **options: _P.kwargs) -> Iterator[_R]:
        items = method(self, *args, **options)
        while True:
            with self._turn, usual_torch():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    return call


def _in_child() -> None:
    for shared in list(_living):
        shared.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
