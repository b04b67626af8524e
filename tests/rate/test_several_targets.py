"""Several targets of one file, and zones with a target of their own."""

import re

import pytest

import gvcodec
from gvcodec.batch.driver import _notes_of
from gvcodec.errors import UsageError
from gvcodec.rate.quality import METRICS, QualityMetric
from gvcodec.rate.target import Target, encode_to_target, parse_target
from gvcodec.zones import TARGET_METRICS, parse_zones
from tests.clips import format_of, make_clip, write_clip
from tests.conftest import run as command
from tests.errors import raises
from tests.rate.test_rate import FAST, opener, unwatched


@pytest.fixture
def stub_metrics(monkeypatch) -> None:
    """SSIMULACRA2 stands in by an affine of PSNR, so that tests need no package."""

    def stand_in(judge: QualityMetric, coded, fidelity: bool = False) -> float:
        metric, judge._metric = judge._metric, "psnr"
        value = plain(judge, coded, fidelity)
        judge._metric = metric
        return value if metric == "psnr" else 2 * value

    plain = QualityMetric.__call__
    monkeypatch.setattr(QualityMetric, "__call__", stand_in)
    monkeypatch.setattr("gvcodec.rate.target.require_metric", lambda metric: None)


def test_several_targets_are_read_in_order() -> None:
    target = parse_target("ssimulacra2=70, psnr=36")
    assert [str(one) for one in target.all] == ["ssimulacra2 70", "psnr 36"]
    assert str(target) == "ssimulacra2 70, psnr 36"
    assert [one.of for one in target.with_pool("p5").all] == ["p5", "p5"]
    for text in ("psnr=36,psnr=30", "psnr=36,", "psnr=36,vmaf=90", "psnr=36;lpips=.1"):
        with pytest.raises(ValueError):
            parse_target(text)


@pytest.mark.parametrize(
    ("text", "decides"),
    [("psnr=33,ssimulacra2=50", "psnr"), ("psnr=28,ssimulacra2=66", "ssimulacra2")],
)
def test_all_targets_hold_and_one_decides(stub_metrics, text: str, decides: str) -> None:
    clip, target = make_clip(96, 80, 6, seed=6), parse_target(text)
    reached = encode_to_target(opener(clip), FAST, target, unwatched)
    for one, value in zip(target.all, reached.values, strict=True):
        assert one.excess(value) >= 0
    assert f"{decides} decides, of {target}" in reached.encoded_pass.notes
    # The other one alone is met by a smaller file.
    other = next(one for one in target.all if one.metric != decides)
    alone = encode_to_target(opener(clip), FAST, other, unwatched)
    assert len(alone.encoded_pass.data) < len(reached.encoded_pass.data)


def test_targets_of_which_one_is_out_of_reach_are_refused(stub_metrics) -> None:
    clip = make_clip(48, 32, 3)
    with pytest.raises(UsageError, match=r"out of reach: the best is psnr [\d.]+, ssimulacra2"):
        encode_to_target(opener(clip), FAST, parse_target("psnr=90,ssimulacra2=50"), unwatched)


def test_a_file_better_than_any_target_is_described() -> None:
    """No distance at all is no target that can be asked for."""
    assert str(Target("lpips", 0.2).with_values([0.0])) == "lpips 0"


def test_what_decides_in_some_chunks_is_counted() -> None:
    psnr, lpips = (f"{name} decides, of lpips 0.2, psnr 32" for name in ("psnr", "lpips"))
    rows = [{"notes": [psnr]}, {"notes": [lpips]}, {"notes": [psnr, "alpha left out"]}]
    assert _notes_of({"notes": ["alpha left out"]}, rows) == [
        "alpha left out",
        f"{psnr}, in 2 of 3 chunks",
        f"{lpips}, in 1 of 3 chunks",
    ]
    assert _notes_of({"notes": []}, rows[:1]) == [psnr]


def test_a_second_target_is_refused(tmp_path) -> None:
    words = ("encode", tmp_path / "in.y4m", tmp_path / "a.gvc", "--target", "psnr=30")
    assert "--target: is given twice" in command(*words, "--target", "psnr=36", code=2).err
    assert "a target of psnr is given twice" in command(*words[:-1], "psnr=30,psnr=36", code=2).err


def test_zones_know_the_metrics_of_targets() -> None:
    assert set(TARGET_METRICS) == set(METRICS)
    (zone,) = parse_zones("0:10-0:20:lpips=.1,psnr=30")
    assert zone.target == "lpips=.1,psnr=30" and str(zone).endswith(":lpips=.1,psnr=30")
    (zone,) = parse_zones("1-:q=-2.5")
    assert parse_zones(str(zone)) == (zone,)


@pytest.mark.parametrize("way", [{"jobs": 1, "start": 0.48}, {"size": 20_000}])
def test_a_zone_reaches_its_target(tmp_path, way: dict) -> None:
    clip, output = make_clip(96, 80, 75, seed=6), tmp_path / "a.gvc"
    source = write_clip(tmp_path / "in.y4m", clip, format_of(clip, 10))
    options = {"fit": 0, "preset": 10, "sound": "none"} | way
    done = gvcodec.encode_file(source, output, zones="1-2:psnr=33", **options)
    start = way.get("start", 0.0)
    note = next(n for n in done.notes if n.startswith("zone 1-2 s: psnr 33."))
    assert re.search(r" at q [\d.]+$", note)
    inside = tmp_path / "zone.gvc"
    gvcodec.cut(output, inside, 1.03 - start, 2 - start)
    psnr = gvcodec.verify(inside, source).painted_psnr or gvcodec.verify(inside, source).base_psnr
    assert psnr is not None and 32.8 <= psnr[0] < 34


def test_what_a_zone_cannot_have_is_refused(tmp_path) -> None:
    source = write_clip(tmp_path / "in.y4m", make_clip(48, 32, 10))
    words = ("encode", source, tmp_path / "a.gvc", "--preset", "10", "--fit", "off", "--zones")
    said = command(*words, "0-1:psnr=x", code=2)
    assert "'psnr=x' of zones is not q=N and not psnr=DECIBEL" in said.err
    assert "zone 0-0.2 s: psnr 99 is out of reach" in command(*words, "0-0.2:psnr=99", code=2).err
    assert "zone 5-6 s: the source has no frame there" in command(*words, "5-6:psnr=30").err
    assert not list(tmp_path.glob("*.part"))
    with raises(UsageError, "base-feature"):
        gvcodec.encode(make_clip(48, 32, 2), zones="0-1:psnr=30")
