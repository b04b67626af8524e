"""The table and the picture of time against quality."""

from pathlib import Path

import pytest

from eval.experiments.frontier import ANCHOR, draw, is_beaten, places


def rows(codec: str, share: float, seconds: float) -> list[dict[str, str]]:
    """Four qualities of one clip, at a share of the anchor's bits."""
    points = ((0.005, 0.30, 0.2, 28), (0.016, 0.16, 0.1, 33), (0.05, 0.08, 0.05, 37))
    points += ((0.028, 0.115, 0.07, 35),)
    return [
        {
            "clip": "a",
            "codec": codec,
            "output": "painted" if codec.startswith("preset") else "",
            "bpp": str(share * bpp),
            "lpips_alex": str(alex),
            "dists": str(dists),
            "psnr_y": str(psnr),
            "seconds": str(seconds),
        }
        for bpp, alex, dists, psnr in points
    ]


def test_a_codec_is_beaten_where_another_is_faster_and_smaller() -> None:
    found = places([*rows(ANCHOR, 1, 4), *rows("preset:6", 0.7, 2), *rows("preset:2", 0.6, 12)])
    assert [place.codec for place in found] == ["preset:6", ANCHOR, "preset:2"]
    assert [place.time() for place in found] == [0.5, 1, 3]
    assert found[0].share("lpips_alex") == pytest.approx(-30, abs=0.5)
    assert [is_beaten(place, found) for place in found] == [False, True, False]


def test_three_rates_suffice() -> None:
    found = places([*rows(ANCHOR, 1, 4)[:3], *rows("fast", 0.7, 2)[:3]])
    assert found[0].share("lpips_alex") == pytest.approx(-30, abs=1)


def test_clips_that_lack_a_quality_do_not_count() -> None:
    assert [p.codec for p in places([*rows(ANCHOR, 1, 4), *rows("fast", 0.7, 2)[:3]])] == [ANCHOR]


def test_the_picture_names_presets(tmp_path: Path) -> None:
    found = places([*rows(ANCHOR, 1, 4), *rows("preset:6", 0.7, 2)])
    draw({"480p": found, "1080p": found[:1]}, tmp_path / "frontier.svg")
    picture = (tmp_path / "frontier.svg").read_text()
    assert "<svg" in picture and ">1080p</text>" in picture
