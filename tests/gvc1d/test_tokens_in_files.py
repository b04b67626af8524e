"""Latent tokens through everything that handles streams; a random network, a real direct path."""

import io
import json
import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import gvcodec
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.latents import LatentPass
from gvcodec.container.write import write_one_file
from gvcodec.errors import GvcodecError
from gvcodec.gvc1d import files, frame_options
from gvcodec.gvc1d.token_encoder import LatentEncoder
from gvcodec.models import GVC1D_SMALL
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.psnr import psnr
from tests.clips import make_clip, read_film, write_clip
from tests.conftest import clips_equal, packets_in, planes_equal, run, run_without_torch, stream_of
from tests.conftest import coded as coded_as
from tests.gvc1d.tiny import write_model
from tests.player_helpers import answer, flat, running

WIDTH, HEIGHT, FRAMES = 100, 72, 6
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))
#: Of every encode here.
PLAIN = {"base": "av1", "base_q": 60.0, "preset": 10, "fit": 0.0, "threads": 1, "keyint": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(WIDTH, HEIGHT, FRAMES, seed=7)


def encode(frames: list[Planes], model: Path | str, /, **options: object) -> bytes:
    return coded_as(FORMAT, frames, **{**PLAIN, "model": str(model), **options})


def decode(data: bytes, model: Path, **options: object) -> list[Planes]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, models=[model], threads=1, **options)
    shown = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.base_hash)
    return shown


def luma_error(shown: list[Planes], frames: list[Planes]) -> float:
    return float(np.mean([psnr(a[0], b[0]) for a, b in zip(shown, frames, strict=True)]))


@pytest.fixture(scope="module")
def plain(frames, model) -> bytes:
    return encode(frames, model)


@pytest.fixture(scope="module")
def coded(frames, model) -> bytes:
    return encode(frames, model, tokens=8, token_rate=0)


def test_tokens_bring_frames_nearer_to_the_source(frames, model, plain, coded) -> None:
    kinds = [packet.kind for packet in packets_in(coded)]
    assert kinds.count(Kind.LATENT) == FRAMES and kinds.count(Kind.PAINTED) == 1
    painted, restored = decode(plain, model), decode(coded, model)
    assert luma_error(restored, frames) > luma_error(painted, frames) + 0.3
    # Base and painter are as they were.
    base = decode(coded, model, fidelity=True)
    assert all((a[0] == b[0]).all() for a, b in zip(base, decode(plain, model, fidelity=True)))
    hashes = [[p.payload for p in packets_in(d) if p.kind is Kind.PAINTED] for d in (plain, coded)]
    assert hashes[0] == hashes[1]


def test_without_tokens_a_file_has_no_byte_more(frames, model, plain) -> None:
    """ "auto" leaves out tokens that do not pay: the coarsest rate of noise does not."""
    grey = [tuple(np.full_like(p, 512) for p in planes) for planes in frames]
    assert encode(grey, model, tokens="auto") == encode(grey, model)
    assert Reader(io.BytesIO(plain)).header.gvc1d_id is None


@pytest.fixture(scope="module")
def source(frames, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.y4m"
    write_clip(str(path), FORMAT, frames)
    return path


def save(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


@pytest.fixture
def here(model, monkeypatch) -> None:
    """The model is among those that are looked for."""
    monkeypatch.setenv("GVCODEC_MODELS", str(model.parent))


@pytest.mark.usefixtures("here")
def test_cut_and_cat_keep_tokens(coded, plain, model, tmp_path) -> None:
    whole = save(tmp_path, "a.gvc", coded)
    run("cut", whole, tmp_path / "b.gvc", "--from", "0.12")
    assert clips_equal(decode((tmp_path / "b.gvc").read_bytes(), model), decode(coded, model)[3:])
    # A stream without tokens goes with one that has some, in either order.
    other = save(tmp_path, "c.gvc", plain)
    for names in ((whole, other), (other, whole)):
        run("cat", *names, "-o", tmp_path / "d.gvc", "-y")
        both = decode((tmp_path / "d.gvc").read_bytes(), model)
        parts = [f for name in names for f in decode(Path(name).read_bytes(), model)]
        assert clips_equal(both, parts)


@pytest.mark.usefixtures("here")
def test_info_and_verify_tell_of_tokens(coded, tmp_path, capsys) -> None:
    path = save(tmp_path, "a.gvc", coded)
    found = gvcodec.info(path)
    assert (found.token_frames, found.window_tokens, found.token_rates) == (FRAMES, 8, [0])
    run("info", path)
    assert re.search(r"latent +6 ", capsys.readouterr().out)
    run("verify", path)
    assert f"tokens of {FRAMES} frames are exact" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_a_file_that_plays_everywhere_holds_tokens(source, model, tmp_path) -> None:
    words = ["--base", "av1", "--base-q", "60", "--preset", "10", "--fit", "off", "--keyint", "3"]
    words += ["--tokens", "8", "--token-rate", "0", "--model", str(model), "--threads", "1"]
    run("encode", source, tmp_path / "a.mp4", *words)
    run("decode", tmp_path / "a.mp4", tmp_path / "a.y4m")
    run("encode", source, tmp_path / "b.gvc", *words)
    run("decode", tmp_path / "b.gvc", tmp_path / "b.y4m")
    assert (tmp_path / "a.y4m").read_bytes() == (tmp_path / "b.y4m").read_bytes()


@pytest.mark.usefixtures("here")
def test_damage_costs_the_restoration_of_a_gop_and_no_base_frame(coded, plain, model, tmp_path):
    packets = packets_in(coded)
    second = [p for p in packets if p.kind is Kind.LATENT][1]
    painted, restored = decode(plain, model), decode(coded, model)
    at = coded.index(second.pack())
    bad = Packet(Kind.LATENT, b"\xff" + bytes(30))
    reader = Reader(io.BytesIO(coded))
    packets = [bad if packet == second else packet for packet in reader.packets()]
    broken = stream_of(reader.header, packets, reader.base_hash)
    run("decode", save(tmp_path, "a.gvc", broken), tmp_path / "no.y4m", code=3)
    assert not (tmp_path / "no.y4m").exists()
    data = bytearray(coded)
    data[at + len(second.pack()) - 1] ^= 1
    path = save(tmp_path, "a.gvc", bytes(data))
    run("decode", path, tmp_path / "no.y4m", code=3)
    assert not (tmp_path / "no.y4m").exists()
    run("repair", path, tmp_path / "b.gvc")
    mended = decode((tmp_path / "b.gvc").read_bytes(), model)
    for shown, wanted in zip(mended, [*painted[:3], *restored[3:]], strict=True):
        assert planes_equal(shown, wanted)


def test_a_reader_enters_at_any_gop(coded, model, tmp_path) -> None:
    whole = decode(coded, model)
    with gvcodec.open(save(tmp_path, "a.gvc", coded), models=[model]) as video:
        assert video.painted
        found = [frame.planes for frame in video.decode_range(4, 6)]
    assert clips_equal(found, whole[4:])


@pytest.mark.parametrize("alloc", ["uniqueness", "elbo", "both", "rd"])
def test_budgets_share_tokens(frames, model, alloc: str) -> None:
    data = encode(frames, model, token_rate=0, tokens=4, alloc=alloc)
    heads = [packet.payload for packet in packets_in(data) if packet.kind is Kind.LATENT]
    assert any(head[0] & 0x80 for head in heads) or len({head[1] for head in heads}) > 1
    assert len(decode(data, model)) == FRAMES


def test_search_moves_tokens_to_where_they_cost_less(frames, model, monkeypatch) -> None:
    """Gradient descent lowers what the encoder minimises, loss and bytes together."""
    costs: list[float] = []
    monkeypatch.setattr(LatentEncoder, "_take", lambda self, option: costs.append(option.cost))
    look = frame_options.FrameOptions.look
    monkeypatch.setattr(
        frame_options.FrameOptions, "look", lambda self, frame, judged: look(self, frame, True)
    )
    grey = tuple(np.full_like(plane, 512) for plane in frames[0])
    for steps in (0, 12):
        settings = frame_options.TokenSettings(8, 2, steps, "uniform")
        LatentEncoder(FORMAT, model, settings, 2000.0, 1).send(frames[0], grey, grey)
    assert costs[1] < costs[0] - 0.001


def test_auto_takes_what_pays(frames, model, monkeypatch) -> None:
    """At a price of bytes that the tokens of this network are worth, and not at the real one."""
    given = {"tokens": "auto", "token_rate": 2, "base_q": 63.0, "keyint": 0}
    without = encode(frames, model, base_q=63.0, keyint=0)
    monkeypatch.setattr(frame_options, "SLOPE", 10.0)
    assert encode(frames, model, **given) == without
    monkeypatch.setattr(frame_options, "SLOPE", 1e-3)
    data = encode(frames, model, **given)
    assert 0 < [packet.kind for packet in packets_in(data)].count(Kind.LATENT) <= FRAMES
    assert luma_error(decode(data, model), frames) > luma_error(decode(without, model), frames)


def test_what_the_encoder_decides_on_is_what_a_decoder_shows(frames, model, monkeypatch) -> None:
    """Runs without packets, frames without tokens: the encoder's pictures are the decoder's."""
    seen = []
    take = LatentEncoder._take

    def watched(self, option) -> None:
        planes = None if option.state is None else self._frames.planes(option.state.picture)
        seen.append(planes)
        take(self, option)

    picks = iter(["all", "run", "none", "all", "run", "run"])

    def choose(self, look, memory, first, runs_on):
        pick = next(picks)
        if pick == "none":
            return frame_options.Option(look.plain, -1.0)
        counts = np.full(self._entropy.windows, 8, np.uint8)
        latent = self.round(look.y, counts, 0) if pick == "all" else None
        return self.option(look, latent, memory)._replace(cost=-1.0)

    monkeypatch.setattr(LatentEncoder, "_take", watched)
    monkeypatch.setattr(frame_options.FrameOptions, "choose", choose)
    data = encode(frames, model, tokens="auto", token_rate=1, keyint=0)
    runs = [p.payload[0] >> 3 & 15 for p in packets_in(data) if p.kind is Kind.LATENT]
    assert runs == [1, 2] and [planes is None for planes in seen] == [n == 2 for n in range(6)]
    shown, painted = decode(data, model), decode(encode(frames, model, keyint=0), model)
    for found, wanted, plain in zip(shown, seen, painted, strict=True):
        assert planes_equal(found, plain if wanted is None else wanted)


def test_without_torch_frames_are_painted_and_one_line_says_so(coded, plain, model, tmp_path):
    path, other = save(tmp_path, "a.gvc", coded), save(tmp_path, "p.gvc", plain)
    printed = run_without_torch("decode", path, tmp_path / "a.y4m", "--model", model)
    assert "frames are not restored: torch is not installed" in printed
    run_without_torch("decode", other, tmp_path / "p.y4m")
    assert (tmp_path / "a.y4m").read_bytes() == (tmp_path / "p.y4m").read_bytes()
    assert "are exact" in run_without_torch("verify", path, "--model", model)


def test_a_missing_model_is_one_line(coded, tmp_path, capsys) -> None:
    path = save(tmp_path, "a.gvc", coded)
    run("decode", path, tmp_path / "a.y4m", code=4)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "--fidelity does without" in printed
    run("decode", path, tmp_path / "a.y4m", "--fidelity")


@pytest.mark.parametrize(
    "options, what",
    [
        ({"tokens": 0}, "tokens is auto, off or 1…64"),
        ({"tokens": "many"}, "tokens is auto"),
        ({"tokens": 4, "token_rate": 8}, "token_rate is 0…7"),
        ({"tokens": 4, "low_delay": True}, "not for low delay"),
        ({"tokens": 16}, "has 8 tokens a window"),
        ({"tokens": 4, "model": "nowhere.safetensors"}, "nowhere.safetensors: no such"),
    ],
)
def test_bad_settings_are_one_line(frames, model, options: dict[str, object], what: str) -> None:
    with pytest.raises(GvcodecError, match=what):
        encode(frames[:1], model, **options)


@pytest.mark.usefixtures("here")
def test_chunks_give_the_same_file(source, model, tmp_path) -> None:
    chunked = {**PLAIN, "tokens": 4, "model": str(model), "threads": 0}
    for jobs in (1, 2):
        gvcodec.encode_file(source, tmp_path / f"{jobs}.gvc", jobs=jobs, **chunked)
    data = (tmp_path / "1.gvc").read_bytes()
    assert data == (tmp_path / "2.gvc").read_bytes()
    assert sum(packet.kind is Kind.LATENT for packet in packets_in(data)) == FRAMES


@pytest.mark.usefixtures("here")
def test_a_size_counts_tokens(source, model, tmp_path) -> None:
    """Rate control meets a size with the tokens in it."""
    given = {name: value for name, value in PLAIN.items() if name != "base_q"}
    whole = {**given, "tokens": 2, "token_rate": 7, "model": str(model)}
    done = gvcodec.encode_file(source, tmp_path / "a.gvc", size=2500, **whole)
    data = (tmp_path / "a.gvc").read_bytes()
    assert len(data) == done.size <= 2500
    assert sum(packet.kind is Kind.LATENT for packet in packets_in(data)) == FRAMES


def test_the_player_is_given_restored_frames(coded, model, tmp_path) -> None:
    path = save(tmp_path, "a.gvc", coded)
    with running(Path(path), "--model", str(model)) as server:
        _, data = answer(server, "/native?from=0&painted=1")
        one = 2 * sum(plane.size for plane in decode(coded, model, fidelity=True)[0])
        first = data[8 + one : 8 + 2 * one]
    assert first == flat(decode(coded, model)[0])
    with running(Path(path)) as server:  # its model is not found: base frames, and why
        facts = json.loads(answer(server, "/play.json")[1])
    assert facts["paints"] is False and "is missing" in facts["reason"]


def test_a_model_without_an_entropy_network_takes_the_shipped_one(tmp_path, monkeypatch) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    model = write_model(shipped, Path(GVC1D_SMALL.name).stem)
    other = tmp_path / "other.safetensors"
    other.write_bytes(model.read_bytes())
    monkeypatch.setattr("gvcodec.gvc1d.files.shipped_folders", lambda: [shipped])
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [shipped])
    assert files.entropy_file(other) == files.entropy_file(model) == files.entropy_beside(model)
    assert files.find_pair(files.pair_id(other), [other]) == other
    files.entropy_beside(model).unlink()
    with pytest.raises(GvcodecError, match="training latent_entropy"):
        files.choose_pair(str(other))


def test_packets_of_a_reordered_base_belong_to_frames_as_they_are_shown(model, monkeypatch) -> None:
    """H.266 codes frames in another order; the n-th LATENT packet is of the n-th frame shown."""
    data = (Path(__file__).parents[1] / "golden" / "vvc.bin").read_bytes()
    reader = Reader(io.BytesIO(data))
    packets, header = list(reader.packets()), reader.header
    given = gvcodec.EncoderConfig(base="vvc", tokens=8, token_rate=1, model=str(model), threads=1)
    latents = LatentPass(header.format, given.resolve())
    painted = decode(data, model)
    for planes in painted:  # each has a colour of its own, which its tokens bring
        latents.send((planes[0], planes[1] // 8 * 4, planes[2] // 8 * 4))
    seen = []
    take = LatentEncoder._take

    def watched(self, option) -> None:
        seen.append(self._frames.planes(option.state.picture))
        take(self, option)

    monkeypatch.setattr(LatentEncoder, "_take", watched)
    payloads = latents.run(header, packets, 100.0)
    assert sorted(payloads) == list(range(len(painted)))
    own = (Packet(Kind.LATENT, payloads[number]) for number in range(len(painted)))
    together = [p for old in packets for p in ([next(own), old] if old.is_frame else [old])]
    header = replace(header, gvc1d_id=latents.model_id)
    shown = decode(stream_of(header, together, reader.base_hash), model)
    assert clips_equal(shown, seen)
    assert not any(planes_equal(a, b) for a, b in zip(shown, painted, strict=True))


@pytest.mark.usefixtures("here")
def test_a_piece_of_a_file_that_plays_everywhere_keeps_its_tokens(coded, model, tmp_path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    whole = tmp_path / "a.mp4"
    write_one_file(Reader(io.BytesIO(coded)), whole, False)
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-ss", "0.121", "-i", str(whole)]
    subprocess.run([*words, "-c", "copy", str(tmp_path / "b.mp4")], check=True)
    run("decode", tmp_path / "b.mp4", tmp_path / "b.y4m")
    assert clips_equal(read_film(tmp_path / "b.y4m").planes, decode(coded, model)[3:])


def test_a_device_that_is_not_there_is_one_line(coded, model) -> None:
    with pytest.raises(GvcodecError, match="no device"):
        decode(coded, model, device="cuda:99")
