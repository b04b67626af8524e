"""A browser's tab for the tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import browser


@pytest.fixture(scope="module")
def tab() -> Iterator[Callable[[str], browser.Page]]:
    with browser.Browser() as chromium:
        yield chromium.open
