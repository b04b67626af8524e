"""What an engine is given, what it gives back, and what an engine is.

A task names a function "module:function" that takes keywords and gives a dict, both of JSON. What
it raises comes back in its outcome. A worker that dies is replaced and its task tried again,
`Task.tries` times in all, as is one that lost its connection."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Task:
    """`call`: "module:function". `cores` it keeps busy, threads that it may start, `memory` in
    bytes that it takes at most."""

    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    cores: int = 1
    memory: int = 512 << 20
    tries: int = 3

    def pack(self) -> str:
        return json.dumps({"call": self.call, "arguments": self.arguments, "cores": self.cores})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` of the function, or `error`, a line that says what went wrong. `again`: a repetition
    may help; `lost`: the worker died. `tries`: how often it was begun. `seconds` of
    wall time."""

    value: Any = None
    error: str = ""
    again: bool = False
    lost: bool = False
    tries: int = 1
    seconds: float = 0.0

    def packed(self) -> str:
        return json.dumps(asdict(self))


class Engine(Protocol):
    """`cores` of all its machines, `memory` in bytes of the largest."""

    cores: int
    memory: int

    def submit(self, task: Task) -> Future[Outcome]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None: ...
