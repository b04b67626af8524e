"""SIGINT, SIGTERM and SIGHUP end the command line within two seconds, whatever it does, and no
partial output stays.

The first signal raises `Interrupted` in the main thread, so that `with` blocks clear up. A thread
watches: when that takes longer than `_GRACE`, because the main thread is inside a library, or when
a second signal comes, it runs the actions of `OnAbort` and ends the process. Exit codes are 128
and the signal's number, as in a shell.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
#: Seconds that clearing up may take; two in all are promised, and a busy machine needs some of
#: them.
_GRACE = 1.0
#: Seconds until an interrupt that a callback swallowed is raised again.
_AGAIN = 0.01
#: Seconds that making a file or a process may take.
_LOCKED = 0.3

_lock = threading.RLock()
_actions: dict[OnAbort, Callable[[], None]] = {}
_holding = 0
_caught: int | None = None
_raised = False


class Interrupted(KeyboardInterrupt):
    """A signal asks for the end. `exit_code` is that of the process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class OnAbort:
    """`action` runs when the process ends early, unless cancelled; without wait or lock."""

    def __init__(self, action: Callable[[], None]) -> None:
        with _lock:
            _actions[self] = action

    def cancel(self) -> None:
        _actions.pop(self, None)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Signals wait until the end of the block: what it makes and the `OnAbort` that undoes it come
    together."""
    global _holding
    with _lock:
        _holding += 1
        try:
            yield
        finally:
            _holding -= 1
    if _caught is not None and not _holding and not _raised:
        _raise()


@contextlib.contextmanager
def guard_signals(last: bool = False) -> Iterator[None]:
    """While the block runs, signals end it with `Interrupted`. A signal that is ignored (nohup)
    stays so. `last`: the process ends after the block, and once that is through, signals are
    ignored: its work is done, and its exit code says so."""
    global _caught, _raised
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _caught, _raised = None, False
    numbers = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _handle) for number in numbers}
    hook, sys.unraisablehook = sys.unraisablehook, _lost
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, numbers), name="signals", daemon=True).start()
    try:
        yield
        if last:
            before = dict.fromkeys(numbers, signal.SIG_IGN)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        sys.unraisablehook = hook
        # The watch ends with its socket.
        writing.close()


def abort() -> None:
    """Run the actions of `OnAbort`, each once."""
    # An interrupt may have hit between taking the lock and keeping it.
    locked = _lock.acquire(timeout=_LOCKED)
    while _actions:
        with contextlib.suppress(OSError, KeyError):
            _actions.popitem()[1]()
    if locked:
        _lock.release()


def leave(exit_code: int) -> NoReturn:
    """End the process at once: destructors of encoders may finish their work first."""
    abort()
    with contextlib.suppress(OSError):
        # Over a progress bar.
        os.write(2, b"\r\x1b[K" * os.isatty(2) + b"gvcodec: interrupted\n")
    os._exit(exit_code)


def _handle(number: int, frame: object) -> None:
    global _caught
    if _caught is None:
        _caught = number
        if not _holding:
            _raise()


def _raise() -> NoReturn:
    global _raised
    _raised = True
    assert _caught is not None
    raise Interrupted(_caught)


def _lost(unraisable: UnraisableHookArgs) -> None:
    """An interrupt that was raised while the interpreter ran a callback of its own comes again
    right after it."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt) and hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda number, frame: _raise())
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    else:
        sys.__unraisablehook__(unraisable)


def _watch(wakeup: socket.socket, numbers: list[int]) -> None:
    """Until the other side ends: leave `_GRACE` after the first signal, at once with the second."""
    first: int | None = None
    with wakeup:
        while True:
            ready = select.select([wakeup], [], [], None if first is None else _GRACE)[0]
            come = wakeup.recv(1) if ready else b""
            if ready and not come:
                return
            if first is not None and (not ready or come[0] in numbers):
                leave(128 + first)
            if come and come[0] in numbers:
                first = come[0]
