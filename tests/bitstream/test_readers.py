"""Every reader of the format says of every test file what `conformance/readers.json` records."""

import json

import pytest

from conformance.readers import library, page, python
from conformance.readers.__main__ import FILE
from conformance.readers.answers import Answer, differences
from conformance.readers.inputs import Input, inputs

RECORDED: dict[str, Answer] = json.loads(FILE.read_text("utf-8"))
INPUTS = list(inputs())


def recorded(given: Input, reader: str) -> Answer | None:
    """What the file has of a reader: the answer of `python` with what differs, or a verdict; None
    where the reader has no parser."""
    entry = RECORDED[given.name]
    if reader in entry.get("silent", ()):
        return None
    other = entry.get(reader, {})
    answer = {**entry, **other} if other.get("verdict") is None else other
    return {k: v for k, v in answer.items() if not isinstance(v, dict | list)}


def assert_as_recorded(given: Input, reader: str, answer: Answer | None) -> None:
    wanted = recorded(given, reader)
    assert (answer is None) == (wanted is None), given.name
    if answer is not None and wanted is not None:
        assert differences(answer, wanted) == {}, (given.name, answer, wanted)


def test_all_files_are_recorded() -> None:
    assert [given.name for given in INPUTS] == list(RECORDED)


@pytest.mark.parametrize("parser", sorted(python.PARSERS))
def test_gvcodec_says_what_is_recorded(parser: str) -> None:
    for given in INPUTS:
        if given.parser == parser:
            assert_as_recorded(given, "python", python.answer(given))


@pytest.mark.parametrize("parser", sorted(library.PARSERS))
def test_the_library_says_what_is_recorded(parser: str) -> None:
    for given in INPUTS:
        if given.parser == parser:
            assert_as_recorded(given, "library", library.answer(given))


@pytest.mark.skipif(not page.has_node(), reason="needs Node")
def test_the_page_says_what_is_recorded() -> None:
    for given, answer in zip(INPUTS, page.answers(INPUTS), strict=True):
        assert_as_recorded(given, "page", answer)
