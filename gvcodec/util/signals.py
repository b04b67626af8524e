"""SIGINT, SIGTERM and SIGHUP end the command line at once, whatever it does: even a library that
does not return to Python does not hold them up.

A thread waits for the signal, undoes everything registered with `OnAbort` (temporary files, child
processes), and ends the process with 128 and the signal's number, as a shell does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

_NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
#: Seconds that making a file or a process may delay the end.
_LOCK_TIMEOUT = 0.5
#: Seconds that all clean-up together may take (a dead network drive, a full pipe on stderr).
_CLEANUP_TIMEOUT = 1.5

_lock = threading.RLock()
_actions: dict[OnAbort, Callable[[], None]] = {}


class OnAbort:
    """`action` runs when a signal ends the process, unless cancelled."""

    def __init__(self, action: Callable[[], None]) -> None:
        _actions[self] = action

    def cancel(self) -> None:
        _actions.pop(self, None)


def defer_signals() -> threading.RLock:  # type: ignore[valid-type]
    """In a `with` block of this no signal ends the process: the block creates something together
    with the `OnAbort` that removes it."""
    return _lock


@contextlib.contextmanager
def guard_signals() -> Iterator[None]:
    """While the block runs, signals end the process. A signal that is ignored (nohup) stays so, and
    all are once the block is through: the work is done, and the exit code says so. After an error
    they end the process as they do by default."""
    numbers = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, lambda *_: None)
    read_end, write_end = socket.socketpair()
    write_end.setblocking(False)
    before = signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
    threading.Thread(
        target=_wait_for_signal, args=(read_end, numbers), name="signals", daemon=True
    ).start()
    after: signal.Handlers = signal.SIG_DFL
    try:
        yield
        after = signal.SIG_IGN
    finally:
        # Not while a signal ends the process: it alone says how.
        with _lock:
            for number in numbers:
                signal.signal(number, after)
            signal.set_wakeup_fd(before)
            # The watch ends with its socket.
            write_end.close()


def _wait_for_signal(wakeup: socket.socket, numbers: list[int]) -> None:
    with wakeup:
        while signal_byte := wakeup.recv(1):
            if signal_byte[0] in numbers:
                _exit_process(128 + signal_byte[0])


def _exit_process(exit_code: int) -> None:
    last = threading.Timer(_CLEANUP_TIMEOUT, os._exit, (exit_code,))
    last.daemon = True
    last.start()
    # Kept: nothing new is made from now on.
    _lock.acquire(timeout=_LOCK_TIMEOUT)
    while _actions:
        with contextlib.suppress(OSError, KeyError):
            _actions.popitem()[1]()
    with contextlib.suppress(OSError):
        over_a_bar = b"\r\x1b[K" if os.isatty(2) else b""
        os.write(2, over_a_bar + b"gvcodec: interrupted\n")
    os._exit(exit_code)
