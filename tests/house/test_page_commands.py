"""Every command line of the pages: it runs here on a tiny clip, or a reason says why it does not.

Commands run one after the other, block by block, in a folder with the files that pages name.
Options that only cost time are changed: fitting is off, presets are fast, one job works.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import gvcodec
from eval.__main__ import main
from eval.rd import command
from gvcodec import cli
from gvcodec.cli._habits import map_ffmpeg_options
from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour
from tests.clips import make_clip, write_pictures

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/*.md")), ROOT / "examples/README.md"]
#: Lines that do not run here.
REASONS = {
    r"^gvcodec serve ": "serves until it is stopped",
    r"^(gvcodec with|mpv|vlc) ": "another program: tests/cli/test_with.py",
    r"^\./(demo|test)\.sh": "sets up a machine: .ci/run and the workflow `commands` run both",
    r"^(git clone|cd |python3 -m venv|pip install|ray |\. \.venv)": "changes the machine",
    r"^ffmpeg -f v4l2": "needs a camera; tests/bitstream/test_pace.py has both ends of the pipe",
    r"^gvcodec play": "serves until Ctrl-C: tests/player",
    r"s3://|--cluster": "needs S3 or a cluster: tests/batch",
    r"^gvcodec compare": "needs the ffmpeg of the peers: tests/cli/test_compare.py",
    r"^python -m training": "hours, and folders of clips: tests/training",
    r"^python -m eval weights": "downloads the original packages' weights",
    r"^python -m eval rd": "hours; its arguments are parsed, tests/eval/test_runs.py runs it",
}
#: Written by commands, which replace nothing without -y.
_OVERWRITE = ("encode", "decode", "cut", "cat", "repair", "index", "extract")


def lines_of(block: str) -> Iterator[str]:
    for line in block.replace("|\n", "| ").splitlines():
        words = re.sub(r"\s+# .*", "", line).strip()
        yield from filter(None, (part.strip() for part in words.split("&&")))


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [(page.name, found) for page in PAGES for found in pattern.findall(page.read_text())]


def reason(line: str) -> str | None:
    return next((why for pattern, why in REASONS.items() if re.search(pattern, line)), None)


SHELL = [(f"{page}-{number}", text) for number, (page, text) in enumerate(blocks("sh"))]
RUN = [(name, text) for name, text in SHELL if not all(map(reason, lines_of(text)))]
#: Of batches and sets: tests/batch/test_batch.py, tests/condense/test_condense.py.
PYTHON = [(f"{page}-{n}", text) for n, (page, text) in enumerate(blocks("python"))]
PYTHON = [(n, text) for n, text in PYTHON if not re.search(r"gvcodec\.batch|gvset", text)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages name: twelve frames of 64×48, streams and pictures of them."""
    folder = tmp_path_factory.mktemp("files")
    colour = Colour(matrix=1)
    images = [rgb_from_planes(planes, colour) for planes in make_clip(64, 48, 12)]
    write_pictures(folder / "in.mp4", images, rate=4)
    for name in ("films", "more", "frames"):
        (folder / name).mkdir()
    for name in ("lecture.mp4", "film.mp4", "camera.mov", "films/a.mp4", "more/b.mkv"):
        shutil.copy(folder / "in.mp4", folder / name)
    options = {"fit": 0, "preset": 10, "keyint": 4, "frames": 12}
    for name in ("out.gvc", "lecture.gvc", "films/a.gvc"):
        gvcodec.encode_file(folder / "in.mp4", folder / name, **options)
        gvcodec.summarize(folder / name, overwrite=True)
    data = bytearray((folder / "out.gvc").read_bytes())
    data[len(data) // 2] ^= 8
    (folder / "broken.gvc").write_bytes(data)
    (folder / "unfinished.gvc").write_bytes((folder / "out.gvc").read_bytes()[:-4])
    pictures = {f"frames/{number:05}.png": number for number in range(1, 4)}
    for name, number in {**pictures, "slide.png": 5, "photo.jpg": 5}.items():
        Image.fromarray(images[number]).save(folder / name)
    (folder / "list.csv").write_text("uri\nin.mp4\n")
    return folder


def gvcodec_run(line: str) -> int:
    """A line after `gvcodec`, with what makes it quick."""
    words = shlex.split(line)
    command = words[0]
    if command in ("encode", "batch") and "--status" not in words:
        words += ["--fit", "off", "--preset", "4" if "vvc" in words else "10"]
        words += ["--jobs", "1"] if "--jobs" in words else []
    if command in _OVERWRITE and "-y" not in words:
        words.append("-y")
    try:
        return cli.main(words)
    except SystemExit as ended:  # --version, --help
        return int(ended.code or 0)


@pytest.mark.usefixtures("inline_batch")
@pytest.mark.parametrize(("name", "text"), RUN, ids=[name for name, _ in RUN])
def test_commands_of_a_block_run(name, text, files, tmp_path, monkeypatch, request):
    shutil.copytree(files, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    if "--base vvc" in text:
        request.getfixturevalue("vvenc")
    if "gvcodec batch" in text:
        Path("films/a.gvc").unlink()
    for line in lines_of(text):
        if reason(line) is not None:
            continue
        if line.startswith("for file in "):
            streams = sorted(Path("archive").glob("*.gvc"))
            assert streams and not any(gvcodec_run(f"verify {stream}") for stream in streams)
            continue
        if line == "python -m eval --help":
            with pytest.raises(SystemExit, match="0"):
                import_module("eval.__main__").main(["--help"])
            continue
        assert line.startswith("gvcodec "), f"{name}: {line}: run it, or give a reason"
        # What cannot be decoded gives code 3, and what is left is written.
        wanted = 3 if "--ignore-errors" in line or " broken.gvc" in line else 0
        assert gvcodec_run(line.removeprefix("gvcodec ")) == wanted, line


def test_every_reason_is_of_a_line() -> None:
    every = [line for _, text in SHELL for line in lines_of(text)]
    for pattern in REASONS:
        assert any(re.search(pattern, line) for line in every), pattern


LINES = [line for _, text in SHELL for line in lines_of(text)]


@pytest.mark.parametrize("line", [ln for ln in LINES if ln.startswith("gvcodec ") and reason(ln)])
def test_arguments_of_what_does_not_run_are_parsed(line: str) -> None:
    words = map_ffmpeg_options(shlex.split(line)[1:])
    cli.parser(words).parse_args(words)


@pytest.mark.parametrize("line", [ln for ln in LINES if ln.startswith("python -m eval rd")])
def test_arguments_of_the_evaluation_are_parsed(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(command, "run", given.append)
    assert main(shlex.split(line)[3:]) == 0 and len(given) == 1


@pytest.mark.parametrize(("name", "text"), PYTHON, ids=[name for name, _ in PYTHON])
def test_python_of_a_block_runs(name, text, files, tmp_path, monkeypatch):
    """As it is, but that frames beyond the tiny clip are its last one."""
    if "torch" in text:
        pytest.importorskip("torch")
    shutil.copytree(files, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    text = re.sub(r"\b(q=\d+|size=\"\d+k\")(?=[,)])", r"\1, fit=0, preset=10", text)
    text = re.sub(r"\"(out|piece)\.gvc\", (?=q=)", r'"\1.gvc", overwrite=True, ', text)
    with gvcodec.open("out.gvc", fidelity=True) as video:
        images = [image for image in video for _ in range(3)]
        fmt, planes = video.header.format, next(video.decode_range(0, 1)).planes
    gvcodec.encode_file("in.mp4", "out.gvc", fit=0, preset=10, overwrite=True)
    names = {"images": images, "fmt": fmt, "planes": planes}
    exec(compile(text, name, "exec"), names)  # noqa: S102
