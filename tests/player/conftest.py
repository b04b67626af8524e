"""One browser for the tests of the page, and tabs of it, which go with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[browser.Browser]:
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
