"""Peers and TOML codecs write streams that a separate process decodes."""

from dataclasses import replace

import numpy as np
import pytest

from eval.codecs import Options, resolve
from eval.codecs.peers import PEERS
from eval.metrics import Measurer
from eval.rd.encoding import decode, encode, intra_frames
from eval.tools import EvalError
from eval.video import prepare
from tests.eval_helpers import HEIGHT, WIDTH, frames_of, small_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("peers")


@pytest.fixture(scope="module")
def clip(folder):
    return small_clip(folder, frames=10)


@pytest.mark.parametrize("name", PEERS)
def test_both_forms(name, clip, folder):
    low, random = resolve([name], Options("fast"))
    assert (low.name, low.delay) == (f"{name}-ld", "low")
    assert (random.name, random.delay) == (f"{name}-ra", "random")
    for codec in (low, random):
        encoded = encode(codec, clip, 35, folder / "streams")
        # AV1 hides frames of a hierarchy in packets with others; every coded frame is there all the
        # same.
        assert 0 < len(encoded.frame_bytes) <= 10 and sum(encoded.frame_bytes) == encoded.size
        decoded, _ = decode(codec, "", encoded, clip, folder)
        assert Measurer(clip, {"psnr_y": 1})(decoded)["psnr_y"]["worst"] > 25
    assert low.identity(low.encode) != random.identity(random.encode)


def test_the_control_adds_noise_to_luma_of_the_same_stream(clip, folder):
    (codec,) = resolve(["svtav1-tuned-noise-ra"], Options("fast"))
    encoded = encode(codec, clip, 35, folder / "streams")
    assert list(codec.outputs) == ["", "noise-0.5", "noise-1", "noise-2"]
    # One file holds the decoded frames of all outputs in turn.
    shown = {}
    for output in codec.outputs:
        video, _ = decode(codec, output, encoded, clip, folder)
        shown[output] = [video.planes(i) for i in range(10)]
    for noise in (0.5, 1.0, 2.0):
        pairs = list(zip(shown[""], shown[f"noise-{noise:g}"], strict=True))
        errors = [float(np.square(a[0] - b[0].astype(float)).mean()) for a, b in pairs]
        # Rounding adds 1/12.
        assert np.mean(errors) == pytest.approx(noise**2 + 1 / 12, rel=0.1)
        assert all(np.array_equal(a[i], b[i]) for a, b in pairs for i in (1, 2))


@pytest.fixture(scope="module")
def cut(clip, folder):
    """Ten frames, the last five of which are upside down and inverted: another scene."""
    frames = [clip.raw.planes(i) for i in range(10)]
    frames[5:] = [tuple(255 - plane[::-1] for plane in planes) for planes in frames[5:]]
    return prepare("cut", ["cut"], lambda: frames_of(frames, WIDTH, HEIGHT), 0, folder)


@pytest.mark.parametrize("name", [n for n in PEERS if not n.startswith("svtav1-")])
def test_one_intra_frame_where_the_conditions_say_so(name, cut, folder):
    for codec in resolve([name], Options("fast")):
        data = encode(codec, cut, 35, folder / "streams").stream.read_bytes()
        assert intra_frames(data, codec.elementary) == [0]
    for codec in resolve([name], Options("fast", 4)):
        data = encode(codec, cut, 35, folder / "streams").stream.read_bytes()
        assert intra_frames(data, codec.elementary)[:2] == [0, 4]


def test_a_second_intra_frame_is_refused(clip, folder):
    for name in ("x264-ra", "x265-ra", "svtav1-ld"):
        codec = resolve([name], Options("fast"))[0]
        words = (word.replace("{keyint}", "5") for word in codec.encode)
        often = tuple(word.replace("scenecut=0", "min-keyint=1") for word in words)
        with pytest.raises(EvalError, match=f"{name}: intra frames 0, 5 "):
            encode(replace(codec, encode=often), clip, 35, folder / "streams")


def test_vvenc_does_not_take_its_own_second(folder):
    """ffmpeg's `-g` does not reach it, which coded an intra frame every second."""
    long = small_clip(folder, frames=48, kind="zoom")
    for codec in resolve(["vvenc"], Options("fast")):
        data = encode(codec, long, 40, folder / "streams").stream.read_bytes()
        assert intra_frames(data, "vvc") == [0]
        by_itself = tuple(word.replace(":intraperiod=1048576", "") for word in codec.encode)
        with pytest.raises(EvalError, match=r"intra frames 0, 24 \(coding"):
            encode(replace(codec, encode=by_itself), long, 40, folder / "streams")


def test_an_encoder_that_writes_nothing_fails(tmp_path, clip):
    script = "import sys; open(sys.argv[1], 'w')"
    (codec,) = resolve(["x264-ld"], Options())
    codec = replace(codec, encode=("{python}", "-c", script, "{stream}"), elementary=None)
    with pytest.raises(EvalError, match="wrote no stream"):
        encode(codec, clip, 1, tmp_path / "streams")
    assert not list((tmp_path / "streams").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[codec.a]\ndecode = 'x'\nq = [0, 1]", "codec.a lacks 'encode'"),
        ("[codec.a]\nencode = 'x'\ndecode = 'x'\nq = 3", "smallest, largest"),
        ("[codec", "a.toml"),
        ("", "no \\[codec.NAME\\]"),
    ],
)
def test_mistakes_in_templates(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(EvalError, match=message):
        resolve(["a"], Options(templates=(tmp_path / "a.toml",)))


def test_unknown_names_in_templates(tmp_path, clip):
    (tmp_path / "a.toml").write_text("[codec.a]\nencode = 'x {colour}'\ndecode = 'x'\nq = [0, 1]")
    with pytest.raises(EvalError, match="colour"):
        encode(resolve(["a"], Options(templates=(tmp_path / "a.toml",)))[0], clip, 1, tmp_path)
