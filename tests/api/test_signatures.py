"""What programs may build on: every public name with its parameters, as `signatures.txt` has them.

A name that is gone or takes less breaks somebody's program: it goes on to work for two minor
versions after `DeprecationWarning` says so. What is new, or meant to change, goes into the snapshot
by `python -m tests.api.test_signatures`.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import gvcodec

SNAPSHOT = Path(__file__).with_name("signatures.txt")


def signatures() -> list[str]:
    """A line a name, of a class also each public method, property and field."""
    lines = []
    for name in gvcodec.__all__:
        found = getattr(gvcodec, name)
        lines += _class(name, found) if inspect.isclass(found) else [_signature(name, found)]
    return lines


def _class(name: str, kind: type) -> Iterator[str]:
    bases = [base.__name__ for base in kind.__bases__ if base is not object]
    yield f"class {name}({', '.join(bases)})"
    if is_dataclass(kind):
        for field in fields(kind):
            default = "" if field.default is MISSING else f" = {field.default!r}"
            yield f"{name}.{field.name}: {field.type}{default}"
    elif "__init__" in vars(kind):
        yield _signature(f"{name}.__init__", kind.__init__)
    own = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    for member in sorted(set(dir(kind)) - own):
        found = inspect.getattr_static(kind, member)
        if member.startswith("_") or issubclass(kind, BaseException):
            continue
        if isinstance(found, property):
            yield f"{name}.{member}: property"
        elif callable(plain := getattr(found, "__func__", found)):
            yield _signature(f"{name}.{member}", plain)


def _signature(name: str, function: Any) -> str:
    text = str(inspect.signature(function))
    # Addresses, and how Python writes what a module is called.
    return f"{name}{re.sub(r' at 0x[0-9a-f]+', '', text)}"


def test_public_names_and_their_parameters_are_those_of_the_snapshot() -> None:
    before, now = SNAPSHOT.read_text("utf-8").splitlines(), signatures()
    gone, new = [x for x in before if x not in now], [x for x in now if x not in before]
    renewed = "python -m tests.api.test_signatures takes this over, once it is meant"
    assert (gone, new) == ([], []), renewed


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(signatures()) + "\n", "utf-8")
