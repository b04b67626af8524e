"""One browser for the tests of the page, and pages of it, which go with their test."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, browser
from tests.player_helpers import SHOWN, running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    with browser() as chromium:
        yield chromium


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[[str], Page]]:
    yield lambda address: Page(chromium, address)
    for context in chromium.contexts:
        context.close()


@pytest.fixture
def play(tab: Callable[[str], Page]) -> Callable[..., AbstractContextManager[Page]]:
    """`gvcodec play PATH OPTIONS` once `shown` holds; no console errors unless `expected`."""

    @contextmanager
    def opened(
        path: Path, *options: str, query: str = "", shown: str = SHOWN, expected: bool = False
    ) -> Iterator[Page]:
        with running(path, *options) as server:
            page = tab(server.address + query)
            page.until(shown)
            yield page
            assert expected or page.errors() == []

    return opened
