"""Asserts errors by their code: messages may be reworded (`tests/house/test_errors.py` has
them)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gvcodec.errors import GvcodecError


@contextmanager
def raises(kind: type[GvcodecError], code: str) -> Iterator[pytest.ExceptionInfo[GvcodecError]]:
    """The block raises an error of this kind with this code of `gvcodec.errors.CODES`."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
