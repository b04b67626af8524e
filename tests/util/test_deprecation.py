"""Old names keep working for a major version, and say which name to use."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest

import gvcodec
from gvcodec import EncoderConfig, public
from gvcodec.util.deprecation import renamed_attributes, renamed_keywords
from gvcodec.util.progress import State


@renamed_attributes(breadth="width")
@dataclass(frozen=True, slots=True)
class Picture:
    width: int


@renamed_keywords(breadth="width")
def area(height: int, width: int = 1) -> int:
    return height * width


def test_old_attributes_give_the_new_ones_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="Picture.breadth is deprecated: use width"):
        assert Picture(3).breadth == 3  # type: ignore[attr-defined]


def test_old_keywords_reach_the_new_ones_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="keyword breadth is deprecated: use width"):
        assert area(2, breadth=3) == 6  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="deprecated name of width"):
        area(2, breadth=3, width=3)  # type: ignore[call-arg]


def test_new_names_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert area(2, width=Picture(3).width) == 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fits", "uses_fitting"),
        ("steadies", "chooses_strengths"),
        ("steers", "uses_tokens"),
        ("shares_scenes", "allocates_by_scene"),
        ("coarsest", "max_base_q"),
        ("steps", "fit_step_count"),
    ],
)
def test_settings_keep_their_names_of_1_0(old: str, new: str) -> None:
    config = EncoderConfig(q=30)
    with pytest.warns(DeprecationWarning, match=f"use {new}"):
        assert getattr(config, old) == getattr(config, new)


def test_progress_keeps_its_names_of_1_0() -> None:
    with pytest.warns(DeprecationWarning, match="use seconds_left"):
        assert State("encode", 0.5, 7.0).left == 7.0  # type: ignore[attr-defined]


def test_renamed_classes_are_still_found_under_their_names_of_1_0() -> None:
    for old, new in public.NEW_NAMES.items():
        with pytest.warns(
            DeprecationWarning, match=f"gvcodec.{old} is deprecated: use gvcodec.{new}"
        ):
            assert getattr(gvcodec, old) is getattr(gvcodec, new)
        assert old not in dir(gvcodec)


def test_a_decoder_takes_its_keywords_and_gives_its_attributes_of_1_0() -> None:
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    data = gvcodec.encode(frames, preset=10, fit=0, painter="off", threads=1)
    reader = gvcodec.Reader(io.BytesIO(data))
    with pytest.warns(DeprecationWarning, match="use verify_only"):
        decoder = gvcodec.Decoder(reader.header, only_check=True)  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="use expected_painted_hash"):
        assert decoder.painted_wanted is None  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="use is_changed"):
        assert not reader.changed  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="use is_painted"):
        assert not reader.header.enhanced  # type: ignore[attr-defined]


def test_hold_still_holds_a_process_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gvcodec.encode(np.zeros((2, 64, 64, 3), np.uint8), preset=10, fit=0, threads=1)
    asked: list[bool] = []
    limit = lambda header, painted, limits, enforce_rlimit: (
        asked.append(enforce_rlimit) or contextlib.nullcontext()
    )
    monkeypatch.setattr("gvcodec.edit.verify.memory_limit", limit)
    with pytest.warns(DeprecationWarning, match="use enforce_rlimit"):
        gvcodec.verify(data, hold=True)  # type: ignore[call-arg]
    assert asked == [True]


def test_fitting_is_accepted_and_has_no_effect() -> None:
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.warns(DeprecationWarning, match="have no effect") as one:
        config = EncoderConfig(q=30, fit=20, fit_by="small")
    with pytest.warns(DeprecationWarning, match="have no effect") as other:
        data = gvcodec.encode(frames, preset=10, threads=1, fit=5)
    assert [warning.filename for warning in (*one, *other)] == [__file__] * 2
    assert config == EncoderConfig(q=30) and data == gvcodec.encode(frames, preset=10, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not EncoderConfig(fit=0).chooses_strengths
        assert replace(config, q=40).fit is None
