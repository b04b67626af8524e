"""PeerTube, immich and jellyfin: their own argument lists, through the wrapper of the recipes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour, VideoFormat
from tests.clips import write_pictures
from tests.conftest import moving_texture
from tests.networks import other_biases
from tests.recipes.commands import blocks, server_command

ROOT = Path(__file__).resolve().parents[2]
FFMPEG = shutil.which("ffmpeg")
WIDTH, HEIGHT, FRAMES, RATE = 160, 96, 12, 25
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="`gvcodec with` needs Linux"),
    pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg"),
]


def run(*words: object) -> None:
    subprocess.run(
        [*map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The wrapper as the pages install it, a film with sound, and its one-files."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "bin").mkdir()
    wrapper = folder / "bin/ffmpeg"
    (line,) = blocks("index", "sh")
    run(*line.replace("/opt/gvcodec/ffmpeg", str(wrapper)).split())
    gvcodec_command = folder / "bin/gvcodec"
    gvcodec_command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m gvcodec "$@"\n')
    gvcodec_command.chmod(0o755)
    pictures = folder / "pictures.mp4"
    clip = moving_texture(WIDTH, HEIGHT, FRAMES)
    write_pictures(pictures, [rgb_from_planes(p, Colour(matrix=1)) for p in clip], rate=RATE)
    sine = ("-f", "lavfi", "-i", "sine=d=0.48", "-c:v", "copy", "-c:a", "aac", "-ac", 2)
    film = folder / "film.mp4"
    run(FFMPEG, "-i", pictures, *sine, film)
    for kind in ("mp4", "mkv"):
        silent = folder / f"silent.{kind}"
        write_strongly_painted(silent)
        run(FFMPEG, "-i", silent, *sine, folder / f"one.{kind}")
    painted, base = (decode(folder / "one.mp4", *option) for option in ((), ("--fidelity",)))
    return SimpleNamespace(
        folder=folder,
        wrapper=wrapper,
        command=gvcodec_command,
        film=film,
        painted=painted,
        base=base,
    )


def write_strongly_painted(path: Path) -> None:
    """A one-file without sound whose painted pictures differ much from base frames."""
    fmt = VideoFormat(WIDTH, HEIGHT, Fraction(RATE), Fraction(1, RATE), 8)
    config = gvcodec.EncoderConfig(q=50, base="av1", preset=10, fit=0, keyint=FRAMES)
    encoder = Encoder(fmt, config, fit_payloads={0: other_biases(3)})
    with open(path.with_suffix(".gvc"), "wb") as file:
        encode_stream(encoder, file, zip(moving_texture(WIDTH, HEIGHT, FRAMES), range(FRAMES)))
    assert main(["extract", str(path.with_suffix(".gvc")), str(path)]) == 0


def decode(path: Path, *options: str) -> np.ndarray:
    """Luma that `gvcodec decode` writes, (frames, H, W)."""
    output = path.with_suffix(".y4m")
    assert main(["decode", str(path), str(output), "-y", "--quiet", *options]) == 0
    return pictures_of(output)


def start(server: SimpleNamespace, words: list[str], **variables: str) -> subprocess.Popen[bytes]:
    options = {"GVCODEC_ENCODE_OPTIONS": "--preset 10 --fit off"}
    programs = {"GVCODEC_REAL_FFMPEG": str(FFMPEG), "GVCODEC_COMMAND": str(server.command)}
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options | programs | variables
    return subprocess.Popen(
        [server.wrapper, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=server.folder,
    )


def call(server: SimpleNamespace, words: list[str], **variables: str) -> str:
    """What the wrapper says."""
    process = start(server, words, **variables)
    _, messages = process.communicate(timeout=100)
    assert process.returncode == 0, messages.decode()
    return messages.decode()


def pictures_of(path: Path) -> np.ndarray:
    """Luma that a player without gvcodec shows, scaled to the film's size: (frames, H, W)."""
    with av.open(str(path)) as container:
        frames = [f.reformat(WIDTH, HEIGHT, "gray") for f in container.decode(video=0)]
    return np.stack([frame.to_ndarray().astype(np.float64) for frame in frames])


def painted_share(server: SimpleNamespace, shown: np.ndarray) -> float:
    """How much of the painted texture pictures have: 0 for base frames, 1 for painted ones, less
    where H.264 removes texture."""
    assert len(shown) == FRAMES
    texture = server.painted - server.base
    return float(((shown - server.base) * texture).sum() / np.square(texture).sum())


def check_painted(server: SimpleNamespace, words: list[str], output: str) -> None:
    """The wrapper adds the painted texture to what the server's ffmpeg alone shows."""
    call(server, words)
    painted = painted_share(server, pictures_of(server.folder / output))
    run(FFMPEG, *words)
    base = painted_share(server, pictures_of(server.folder / output))
    assert 0.7 < painted - base < 1.3


def test_peertube_makes_painted_renditions_of_an_upload(server: SimpleNamespace) -> None:
    output = server.folder / "rendition.mp4"
    words = server_command("peertube", 0, IN=server.folder / "one", OUT=output.with_suffix(""))
    words = [word.replace("h=480", f"h={HEIGHT}") for word in words]
    check_painted(server, words, output.name)
    with av.open(str(output)) as container:
        assert [s.codec_context.name for s in container.streams] == ["h264", "aac"]


def test_peertube_writes_one_files_for_a_profile_of_the_plugin(server: SimpleNamespace) -> None:
    profile, priority = (json.loads(text) for text in blocks("peertube", "json"))
    (encoder,), (preference,) = profile["vod"], priority["vod"]
    assert encoder["encoderName"] == preference["encoderName"] == "libsvtav1"
    output = server.folder / "profile.mp4"
    words = server_command(
        "peertube", 1, IN=server.film.with_suffix(""), OUT=output.with_suffix("")
    )
    assert words[words.index("-vcodec") + 1] == encoder["encoderName"]
    options = " ".join(encoder["outputOptions"]).split()
    assert words[-1 - len(options) : -1] == options  # as the plugin appends them
    words = [word.replace("h=480", f"h={HEIGHT}") for word in words]
    call(server, words)
    check_one_file(output, sound="aac")


def check_one_file(path: Path, sound: str) -> None:
    facts = gvcodec.info(path)
    assert facts.base == "av1" and facts.frames == FRAMES and facts.q == 50
    assert not np.array_equal(decode(path), decode(path, "--fidelity"))
    with av.open(str(path)) as container:
        assert [s.codec_context.name for s in container.streams][1:] == [sound]


def test_hls_of_peertube_passes_through(server: SimpleNamespace) -> None:
    words = server_command("peertube", 1, IN=server.film.with_suffix(""), OUT=server.folder / "h")
    words = [word.replace("h=480", f"h={HEIGHT}") for word in words]
    words[-1:] = ["-preset", "12", "-f", "hls", "-hls_segment_type", "fmp4", "h.m3u8"]
    words.remove("faststart"), words.remove("-movflags")
    call(server, words)
    assert b"GVC" not in (server.folder / "h0.m4s").read_bytes()


def test_immich_writes_one_files(server: SimpleNamespace) -> None:
    output = server.folder / "copy.mp4"
    words = server_command("immich", 0, IN=server.film.with_suffix(""), OUT=output.with_suffix(""))
    call(server, [word.replace("-2:720", f"-2:{HEIGHT}") for word in words])
    check_one_file(output, sound="aac")


def test_jellyfin_transcodes_painted_pictures(server: SimpleNamespace) -> None:
    output = server.folder / "hls"
    words = server_command("jellyfin", 0, IN=server.folder / "one", OUT=output)
    check_painted(server, words, "hls0.ts")
    assert output.with_suffix(".m3u8").read_text().rstrip().endswith("#EXT-X-ENDLIST")


def test_a_failure_of_either_program_is_the_servers_and_leaves_no_output(
    server: SimpleNamespace, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    for broken in ({"IN": "missing"}, {"IN": server.film.with_suffix("")}):
        words = server_command("immich", 0, **broken, OUT=output.with_suffix(""))
        process = start(server, words, GVCODEC_ENCODE_OPTIONS="--no-such-option")
        assert process.communicate(timeout=60)[1] and process.returncode
        assert not output.exists()


def test_sigterm_ends_what_the_wrapper_started(server: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "slow").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    words = server_command("immich", 0, IN=server.film.with_suffix(""), OUT=tmp_path / "out")
    process = start(server, words, GVCODEC_COMMAND=str(tmp_path / "slow"))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
