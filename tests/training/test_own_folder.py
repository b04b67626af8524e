"""Training on a folder of one's own: what is held out, which clips are too small, when runs end."""

import json
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from gvcodec.batch.engines import Inline
from gvcodec.errors import UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.util.ffmpeg import find_ffmpeg
from tests.training.test_gvc1d import CONFIG
from training import __main__ as training
from training import tokens
from training.crops import Cache
from training.held_out import HeldOut, parse_held_out
from training.loop import Loop, Schedule, Work
from training.settings import time_limit

NAMES = ("garden_1", "garden_2", "kitchen_1", "street_1")


def make_clip(path: Path, side: int) -> None:
    source = f"testsrc2=s={side}x{side}:r=5,noise=alls=12:allf=t"
    words = ["-f", "lavfi", "-i", source, "-frames:v", "4", "-c:v", "libx264", "-qp", "10"]
    subprocess.run([find_ffmpeg("libx264"), "-v", "error", *words, str(path)], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of three sources, one too small."""
    place = tmp_path_factory.mktemp("clips")
    for name in NAMES:
        make_clip(place / f"{name}.mp4", 256)
    make_clip(place / "thumb_1.mp4", 48)
    return place


def run(*words: object) -> int:
    return training.main([str(word) for word in words])


@pytest.fixture(scope="module")
def material(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    names = cache.with_suffix(".txt")
    names.write_text("# of one camera\ngarden\n")
    words = ["--data", folder, "--cache", cache, "--held-out", names, "--bases", "av1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.material._KINDS", [("av1", 50, 50, Fraction(1))])
        patch.setattr("training.material.open_engine", lambda *_: Inline())
        assert run("material", *words, "--frames", 4, "--minutes", 10) == 0
    return cache


def write_config(path: Path, **values: object) -> Path:
    text = [f"{k} = {json.dumps(str(v) if isinstance(v, Path) else v)}" for k, v in values.items()]
    path.write_text("\n".join(text))
    return path


def steps_of(card: Path) -> int:
    return int(json.loads(card.read_text())["steps"])


def test_material_holds_out_what_a_file_names(material: Path) -> None:
    entries = [json.loads(line) for line in (material / "index.jsonl").read_text().splitlines()]
    sides = {entry["clip"]: entry["held_out"] for entry in entries}
    assert set(sides) == {f"{name}.mp4" for name in NAMES}
    assert all(held == clip.startswith("garden") for clip, held in sides.items())


def test_material_names_the_clip_that_is_too_small(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["--data", folder, "--cache", tmp_path / "cache", "--minutes", 0]
    assert run("material", *words) == 0
    (line, split) = capsys.readouterr().out.splitlines()
    assert "thumb_1.mp4: 48×48" in line and "256×256" in line
    assert split.startswith("4 clips, 0 of them held out") and "--held-out" in split
    alone = tmp_path / "alone"
    alone.mkdir()
    make_clip(alone / "thumb_1.mp4", 48)
    for data, what in ((alone, "thumb_1.mp4: 48×48"), (tmp_path, "no videos"), ("none", "folder")):
        assert run("material", "--data", data, "--cache", tmp_path / "no") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert what in line
    assert not (tmp_path / "no").exists()


@pytest.mark.usefixtures("made_weights")
def test_the_painter_trains_two_steps_on_other_held_out_clips(
    material: Path, tmp_path: Path, capsys
) -> None:
    out, before = tmp_path / "out", signal.getsignal(signal.SIGTERM)
    config = write_config(
        tmp_path / "painter.toml", cache=material, out=out, initial=PAINTER.find(), size=128,
        batch=1, validate_samples=1, threads=1,
    )  # fmt: skip
    assert run("painter", config, "--steps", 2, "--held-out", 0.3) == 0
    assert steps_of(out / "painter.json") == 2
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().out.endswith(f"{out / 'painter.safetensors'}\n")
    made, shipped = (PainterNetwork.load(p) for p in (out / "painter.safetensors", PAINTER.find()))
    assert made.sizes == shipped.sizes
    assert "config" in json.loads((out / "log.jsonl").read_text().splitlines()[0])
    card = json.loads((out / "painter.json").read_text())
    rule = parse_held_out("0.3")
    held = Cache(material, True, rule=rule)
    assert card["data"]["held_out_clips"] == len(held.entries) > 0
    assert all(rule.has(entry["clip"]) for entry in held.entries)
    assert "held_out" not in card["config"]
    assert run("painter", config, "--steps", 50, "--minutes", 0, "--held-out", 0.3) == 0
    assert steps_of(out / "painter.json") == 2  # time is over first


@pytest.mark.usefixtures("made_weights")
def test_tokens_train_two_steps(material: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(tokens, "_DIRECTIONS", 2)
    out = tmp_path / "out"
    sizes = {"width": 16, "local": 1, "over": 1, "crops": 1, "validate_samples": 1}
    config = write_config(
        tmp_path / "tokens.toml", cache=material, out=out, painter=PAINTER.find(), **sizes
    )
    assert run("tokens", config, "--steps", 2) == 0
    assert steps_of(out / "tokens.json") == 2
    torch.save({"digest": "of other clips"}, tmp_path / "targets.pt")
    again = ["--out", tmp_path / "other", "--targets", tmp_path / "targets.pt", "--steps", 1]
    capsys.readouterr()
    assert run("tokens", config, *again) == 2
    assert "--held-out" in capsys.readouterr().err


def test_gvc1d_trains_two_steps(folder: Path, tmp_path: Path, capsys) -> None:
    config, out = tmp_path / "own.toml", tmp_path / "out"
    data = f'kind = "folder"\npath = "{folder}"\nsize = 128'
    config.write_text(CONFIG.replace('kind = "world"', data))
    assert run("gvc1d", config, "--out", out, "--steps", 2, "--held-out", 0.3) == 0
    assert "left out: thumb_1.mp4: 48×48 is too small" in capsys.readouterr().err
    assert (out / "weights.safetensors").is_file()
    state = torch.load(out / "state.pt", weights_only=True)
    assert state["step"] == 2
    text = config.read_text().replace("size = 128", "size = 320")
    config.write_text(text.replace("[model]", "[model]\nwindow = 320"))
    assert run("gvc1d", config, "--out", tmp_path / "b", "--held-out", 0.3) == 2
    assert "320×320" in capsys.readouterr().err.splitlines()[-1]
    config.write_text(CONFIG)
    assert run("gvc1d", config, "--out", tmp_path / "c", "--held-out", 0.3) == 2


def test_values_of_held_out(tmp_path: Path) -> None:
    assert parse_held_out("0.25") == HeldOut(share=0.25)
    names = tmp_path / "names.txt"
    names.write_text("a_\n\n# no\nb\n")
    rule = parse_held_out(str(names))
    assert rule.has("a_1.mp4") and rule.has("b.mp4") and not rule.has("c.mp4")
    assert rule.has("dev1_x.mp4")  # the project's list counts as well
    (tmp_path / "empty").write_text("# nothing\n")
    for value in ("1", "-0.1", "nan", str(tmp_path / "none"), str(tmp_path / "empty")):
        with pytest.raises(UsageError, match="--held-out"):
            parse_held_out(value)


class Sum(Work):
    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        time.sleep(0.002)
        return self.model(torch.ones(1, 1)).sum(), {}


def test_a_run_ends_with_its_minutes_or_its_steps_whichever_comes_first() -> None:
    def steps(minutes: float, steps: int) -> int:
        loop = Loop(Sum(), Schedule(1e-3, 1.0))
        loop.run(minutes, steps)
        return loop.steps

    assert steps(10, 3) == 3
    assert 0 < steps(0.002, 10**9) < 1000
    assert 0 < steps(0.002, 0) < 1000


def test_an_hour_is_the_limit_of_runs_without_any() -> None:
    from argparse import Namespace

    assert time_limit(Namespace(minutes=None, steps=0)) == 60
    assert time_limit(Namespace(minutes=None, steps=5)) == float("inf")
    assert time_limit(Namespace(minutes=2.0, steps=5)) == 2


def test_help_describes_every_program(capsys) -> None:
    assert training.main(["--help"]) == 0
    text = capsys.readouterr().out
    programs = [*Path(training.__file__).parent.glob("*.py")]
    programs += Path(training.__file__).parent.glob("gvc1d/*.py")
    names = {path.stem for path in programs if "\ndef main(" in path.read_text()} - {"train"}
    assert {name.rpartition(".")[2] for name in training.WHAT} - {"gvc1d"} == names - {
        "__main__",
        "__init__",
    }
    for name, line in training.WHAT.items():
        assert f"  {name} " in text and line in text
    for name in ("painter", "tokens", "gvc1d"):
        assert "minutes" in training.WHAT[name]
