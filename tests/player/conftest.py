"""One browser for the tests of the page, and pages of it, which go with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import browser
from tests.player_helpers import SHOWN, running


@pytest.fixture(scope="session")
def chromium() -> Iterator[browser.Browser]:
    if browser.find_browser() is None:
        pytest.skip("needs Chromium")
    with browser.Browser() as chromium:
        yield chromium


@pytest.fixture
def tab(chromium: browser.Browser) -> Iterator[Callable[[str], browser.Page]]:
    pages: list[browser.Page] = []

    def opened(address: str) -> browser.Page:
        pages.append(chromium.open(address))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


@pytest.fixture
def play(
    tab: Callable[[str], browser.Page],
) -> Callable[..., AbstractContextManager[browser.Page]]:
    """The page of `gvcodec play PATH OPTIONS`, once `shown` holds; its console has no errors at the
    end, unless some are `expected`."""

    @contextmanager
    def opened(
        path: Path, *options: str, query: str = "", shown: str = SHOWN, expected: bool = False
    ) -> Iterator[browser.Page]:
        with running(path, *options) as server:
            page = tab(server.address + query)
            page.until(shown)
            yield page
            assert expected or page.errors() == []

    return opened
