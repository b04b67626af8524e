"""Summaries: the packet, its place in the file, what tools keep of it, and searching by it."""

import importlib
import io
import json
import sys
import types
from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gvcodec.api.decoded_frames import decode_planes
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.bitstream.recovery import Salvage
from gvcodec.bitstream.varint import encode_var
from gvcodec.cli.play import serve
from gvcodec.codec.gops import GopSource
from gvcodec.errors import DamagedStreamError, UsageError, WrongModelError
from gvcodec.models import GUIDE
from gvcodec.retrieval import embedders, files
from gvcodec.retrieval.compressor import lengthen
from gvcodec.retrieval.embedders import PatchTokens
from gvcodec.retrieval.making import SHARE, Budget, summarize
from gvcodec.retrieval.ranking import best, scores
from gvcodec.retrieval.summary import Summary, quantise
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Colour, Planes, VideoFormat
from tests.clips import make_clip, write_clip
from tests.conftest import before_keys, clips_equal, coded, packets_in, rewritten, run
from tests.errors import raises

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
ID = b"toytoyto"


class Toy:
    """Mean colours of 4 × 4 regions; words are made of what they are called after."""

    id, dim, side, step = ID, 48, 16, 8

    def frames(self, rgb: Any) -> Any:
        return rgb.reshape(len(rgb), 4, 4, 4, 4, 3).mean((2, 4)).reshape(len(rgb), 16, 3)

    def compress(self, tokens: Any) -> Any:
        flat = np.asarray(tokens, np.float32).reshape(len(tokens), -1)
        return lengthen(flat - flat.mean(1, keepdims=True) + 1e-3)

    def query(self, asked: Any) -> Any:
        if isinstance(asked, str):
            return np.eye(1, 48, dtype=np.float32)
        return self.compress(self.frames(asked))


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    known = dict(embedders._makers)
    embedders.register("toy", Toy)
    yield
    embedders._makers.clear()
    embedders._makers.update(known)


@pytest.fixture(scope="module")
def scenes() -> list[Planes]:
    found = [make_clip(64, 48, 10, seed) for seed in (1, 5, 9)]
    found.append([(1023 - y, 1023 - u, 1023 - v) for y, u, v in found[0]])
    return [planes for scene in found for planes in scene]


def made(scenes: list[Planes], summary: bool = True, keyint: int = 10) -> bytes:
    settings = {"base_q": 30, "base": "av1", "preset": 10, "fit": 0, "threads": 1}
    stream = coded(FORMAT, scenes, keyint=keyint, **settings)
    if not summary:
        return stream
    summarised = io.BytesIO()
    summarize(Reader(io.BytesIO(stream)), summarised, Toy(), threads=1)
    return summarised.getvalue()


def payloads(data: bytes) -> list[bytes]:
    return [packet.payload for packet in packets_in(data) if packet.kind is Kind.SUMMARY]


def write_still(path: Path, planes: Planes) -> None:
    data = b"".join(np.rint(plane / 4).astype(np.uint8).tobytes() for plane in planes)
    path.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\nFRAME\n" + data)


def test_a_summary_comes_back_at_every_stride_and_shape() -> None:
    rng = np.random.default_rng(0)
    for dim, frames, stride in ((1, 1, 1), (64, 240, 8), (64, 7, 4), (3, 100, 1), (512, 9, 256)):
        walk = np.cumsum(rng.normal(size=(-(-frames // stride), dim)), 0)
        vectors = quantise((walk * 5).astype(np.float32), 4)
        held = Summary.unpack(Summary(ID, stride, 4, vectors).pack(), frames)
        assert (held.embedder, held.stride, held.step) == (ID, stride, 4)
        assert np.array_equal(held.vectors, vectors)


def test_vectors_that_hardly_move_cost_less_than_those_that_jump() -> None:
    rng = np.random.default_rng(1)
    still = np.repeat(rng.integers(-9, 10, (1, 64)), 30, 0)
    jumping = rng.integers(-9, 10, (30, 64))
    sizes = [len(Summary(ID, 8, 8, rows.astype(np.int8)).pack()) for rows in (still, jumping)]
    assert sizes[0] < 90 and sizes[1] > 1000


def head(
    version: int = 1, dim: int = 4, stride: int = 1, step: int = 8, leak: int = 8, first: int = 30
) -> bytes:
    sizes = encode_var(dim) + encode_var(stride)
    return bytes([version]) + ID + sizes + bytes([step, leak, first, 30])


FIELDS = {"version": 2, "dim": 5000, "stride": 1 << 40, "leak": 9, "first": 64}
HOSTILE = {name: head(**{name: value}) for name, value in FIELDS.items()}
HOSTILE |= {"no-dimension": head(dim=0), "no-stride": head(stride=0), "empty": b""}
HOSTILE |= {"short": b"\1" + ID[:3], "bytes-behind": head() + bytes(range(1, 200))}
HOSTILE["escapes"] = head(first=63) + b"\xff" * 100


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_payloads_are_refused(name: str) -> None:
    with pytest.raises(DamagedStreamError, match=r"summary|is above"):
        Summary.unpack(HOSTILE[name], 10)


def test_a_made_up_number_of_vectors_takes_no_memory() -> None:
    with pytest.raises(DamagedStreamError, match="are above"):
        Summary.unpack(head(dim=1024), 1 << 40)


def test_every_gop_begins_with_its_summary_and_frames_stay(scenes: list[Planes]) -> None:
    plain, summarised = made(scenes, summary=False), made(scenes)
    one, other = ([p for p in packets_in(d) if p.is_frame] for d in (plain, summarised))
    assert one == other
    reader = Reader(io.BytesIO(summarised))
    for gop in reader.gops():
        first = next(reader.packets_of(gop))
        assert first.kind is Kind.SUMMARY
        assert len(Summary.unpack(first.payload, gop.frames).vectors) >= 1
    assert clips_equal(decode_planes(plain), decode_planes(summarised))


def test_a_summary_stands_before_the_weights_of_its_gop(scenes: list[Planes]) -> None:
    plain = made(scenes[:20], summary=False)
    new = Packet(Kind.FIT, b"\1\0"), Packet(Kind.SUMMARY, b"\7")
    reader = Reader(io.BytesIO(rewritten(plain, lambda packets: before_keys(packets, repeat(new)))))
    found = [packet.kind for packet in reader.packets() if packet.kind is not Kind.METADATA]
    assert found[:3] == [Kind.SUMMARY, Kind.FIT, Kind.KEY]
    assert all(gop.has_fit for gop in reader.gops())


def test_summaries_take_a_hundredth_where_there_is_room_for_a_vector() -> None:
    rng = np.random.default_rng(3)
    budget = Budget(Toy())
    for size in (200_000, 9_000, 90_000):
        vectors = rng.integers(-4, 5, (240, 48)).astype(np.int8)
        before = budget.spent_bytes
        payload = budget.packet(vectors, 1, size).payload
        assert (
            budget.spent_bytes - before == len(payload) + 5
            and budget.spent_bytes <= SHARE * budget._bytes
        )
    assert Summary.unpack(payload, 240).stride < 256
    assert len(Summary.unpack(Budget(Toy()).packet(vectors, 1, 10).payload, 240).vectors) == 1


def test_cut_cat_and_repair_keep_summaries(tmp_path, scenes: list[Planes]) -> None:
    whole = tmp_path / "whole.gvc"
    whole.write_bytes(made(scenes))
    wanted = payloads(whole.read_bytes())
    assert len(wanted) == 4
    parts = [tmp_path / f"{n}.gvc" for n in range(2)]
    run("cut", whole, parts[0], "--to", "0.8")
    run("cut", whole, parts[1], "--from", "0.8")
    assert [payloads(part.read_bytes()) for part in parts] == [wanted[:2], wanted[2:]]
    joined = tmp_path / "joined.gvc"
    run("cat", *map(str, parts), "-o", joined)
    assert payloads(joined.read_bytes()) == wanted
    damaged = bytearray(whole.read_bytes())
    gop = Reader(io.BytesIO(bytes(damaged))).gops()[1]
    damaged[gop.offset + gop.size - 40] ^= 1
    (tmp_path / "damaged.gvc").write_bytes(damaged)
    run("repair", tmp_path / "damaged.gvc", tmp_path / "mended.gvc", code=3)
    mended = tmp_path / "mended.gvc"
    assert payloads(mended.read_bytes()) == [wanted[0], *wanted[2:]]
    reader = Reader(io.BytesIO(mended.read_bytes()))
    begins = [next(reader.packets_of(gop)).kind for gop in reader.gops()]
    assert [kind is Kind.SUMMARY for kind in begins] == [True, False, True, True]


def test_a_damaged_summary_does_not_move_to_another_gop(scenes: list[Planes]) -> None:
    data = bytearray(made(scenes))
    data[Reader(io.BytesIO(bytes(data))).gops()[2].offset + 8] ^= 1
    salvage = Salvage(io.BytesIO(bytes(data)))
    found = [gop.summary is not None for gop in GopSource(salvage.header, salvage.events())]
    assert found == [True, True, False, True]


def test_summarize_in_place_keeps_frames_and_replaces_summaries(tmp_path, scenes):
    path = tmp_path / "a.gvc"
    plain = made(scenes, summary=False)
    path.write_bytes(plain)
    for _ in range(2):
        run("summarize", path, "-y", "--summary", "toy", "--summary-rate", "1/4")
    data = path.read_bytes()
    assert [len(Summary.unpack(p, 10).vectors) for p in payloads(data)] == [3] * 4
    assert [p for p in packets_in(data) if p.kind is not Kind.SUMMARY] == packets_in(plain)
    assert Reader(io.BytesIO(data)).gops()[-1].frames == 10


def test_search_finds_the_scene_and_reads_little(tmp_path, scenes: list[Planes]) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(scenes))
    said = run("search", f"{path}@0.96", path, "--embedder", "toy", "--json", "-k", "1")
    found = json.loads(said.out)
    assert found["moments"][0]["gop"] == [20, 10]
    assert found["moments"][0]["seconds"] == found["moments"][0]["frame"] / 25
    assert found["bytes"] == len(path.read_bytes()) > 2 * found["bytes_read"]


def test_an_unknown_embedder_is_exit_4_and_a_line(tmp_path, scenes: list[Planes]) -> None:
    path, query = tmp_path / "a.gvc", tmp_path / "query.gvc"
    path.write_bytes(made(scenes))
    query.write_bytes(made(scenes[:5], summary=False))
    error = run("search", query, path, code=4).err
    assert ID.hex() in error and error.count("\n") == 1
    run("search", query, path, "--embedder", "nothing", code=2)


def test_a_summary_by_a_former_embedder_names_its_release(tmp_path, monkeypatch, scenes) -> None:
    ((former, name),) = embedders.FORMER.items()
    assert former not in embedders.shipped_ids()
    monkeypatch.setattr(Toy, "id", former)
    path, query = tmp_path / "a.gvc", tmp_path / "query.gvc"
    path.write_bytes(made(scenes))
    query.write_bytes(made(scenes[:5], summary=False))
    error = run("search", query, path, code=4).err
    assert f"made by embedder {name}, which is missing here" in error
    assert name == "lp of gvcodec 1.0.0"


def test_without_summaries_there_is_a_hint(tmp_path, scenes: list[Planes]) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(scenes[:5], summary=False))
    assert "gvcodec summarize adds one" in run("search", f"{path}@0.1", path, code=2).err


def test_a_refused_summary_is_a_line_and_the_others_are_searched(tmp_path, scenes):
    plain = made(scenes, summary=False)
    good = payloads(made(scenes))
    given = [[Packet(Kind.SUMMARY, payload)] for payload in (HOSTILE["leak"], *good[1:])]
    path = tmp_path / "a.gvc"
    path.write_bytes(rewritten(plain, lambda packets: before_keys(packets, given)))
    shown = run("search", f"{path}@0.96", path, "--json")
    assert "GOP at frame 0: summary: field out of range; left out" in shown.err
    assert json.loads(shown.out)["moments"][0]["gop"] == [20, 10]


def test_a_folder_is_searched(tmp_path, scenes: list[Planes]) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.gvc").write_bytes(made(scenes[10 * number : 10 * number + 20]))
    (folder / "broken.gvc").write_bytes(b"no stream")
    shown = run("search", f"{folder / '1.gvc'}@0.1", folder, "--json", "-k", "2")
    assert "broken.gvc: not a gvcodec file" in shown.err
    moments = json.loads(shown.out)["moments"]
    assert {Path(moment["file"]).name for moment in moments} == {"0.gvc", "1.gvc"}


def test_the_best_moment_is_named_to_the_frame(tmp_path, scenes: list[Planes]) -> None:
    path, still = tmp_path / "a.gvc", tmp_path / "still.y4m"
    path.write_bytes(made(scenes, summary=False))
    run("summarize", path, "-y", "--summary", "toy", "--summary-rate", "1/8")
    for frame in (3, 15, 26):
        write_still(still, scenes[frame])
        found = {}
        for exact in ("0", "1"):
            said = run("search", still, path, "--embedder", "toy", "--json", "--exact", exact)
            found[exact] = json.loads(said.out)["moments"]
        near, there = found["0"][0], found["1"][0]
        assert near["within"] >= abs(near["frame"] - frame) / 25 > 0
        assert (there["frame"], there["within"]) == (frame, 0) and found["1"][1:] == found["0"][1:]
    for exact, word in (("1", " exact "), ("0", " ± 0.")):
        said = run("search", still, path, "--embedder", "toy", "--exact", exact)
        assert word in said.out.splitlines()[0]


def test_a_damaged_gop_leaves_the_moment_near(tmp_path, scenes: list[Planes]) -> None:
    path, still = tmp_path / "a.gvc", tmp_path / "still.y4m"
    data = bytearray(made(scenes))
    gop = Reader(io.BytesIO(bytes(data))).gops()[1]
    data[gop.offset + gop.size - 40] ^= 1
    path.write_bytes(data)
    write_still(still, scenes[15])
    shown = run("search", still, path, "--embedder", "toy", "--json", "-k", "1")
    assert "the exact frame is not known" in shown.err and shown.err.count("\n") == 1
    assert json.loads(shown.out)["moments"][0]["gop"] == [10, 10]


def test_best_moments_are_apart() -> None:
    values = np.zeros((40, 8), np.float32)
    values[:, 0] = 3.0
    values[20] = [0, 3, 0, 0, 0, 0, 0, 0]
    frames = 8 * np.arange(40)
    found = scores(np.array([[0, 3.0, 0, 0, 0, 0, 0, 0]]), np.zeros(1), values, frames)
    first, *others = best(found, frames, 3)
    assert first == 20 and found[first] > 0.99
    assert all(abs(frames[at] - 160) >= 64 for at in others)
    assert len(best(found, frames, 50)) <= 5


@pytest.mark.parametrize("more", [["--summary-rate", "0"], ["--summary", "nothing"]])
def test_an_impossible_summary_is_refused(tmp_path, scenes: list[Planes], more) -> None:
    (tmp_path / "in.gvc").write_bytes(made(scenes[:2], summary=False))
    run("summarize", tmp_path / "in.gvc", "-o", tmp_path / "o.gvc", *more, code=2)
    run("summarize", "-", "-o", tmp_path / "o.gvc", code=2)
    assert not (tmp_path / "o.gvc").exists()


def test_the_shipped_embedder_tells_scenes_apart(scenes: list[Planes]) -> None:
    small = embedders.make("small")
    assert isinstance(small, embedders.Embedder) and embedders.shipped_ids()[small.id] == "small"
    pictures = np.stack([thumbnail(scenes[n], Colour(), small.side) for n in (0, 2, 12, 22, 32)])
    tokens = small.frames(pictures)
    assert tuple(tokens.shape[:2]) == (5, 16)
    vectors = small.compress(tokens)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 8, atol=1e-3)
    cosines = vectors @ vectors.T / 64
    assert cosines[0, 1] > cosines[0, 2:].max()
    with raises(UsageError, "embedder"):
        small.query("words")


def test_patch_tokens_are_those_of_the_network_in_torch(scenes: list[Planes]) -> None:
    torch = pytest.importorskip("torch")
    from gvcodec.perceptual import Features, read_weights

    path = GUIDE.find()
    rgb = np.stack([thumbnail(scenes[n], Colour(), 64) for n in (0, 30)])
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    x = (torch.from_numpy(rgb).movedim(3, 1) / 255 - mean) / deviation
    maps = list(Features("vgg", read_weights(path), blur_pool=True)(x))[1:4]
    wanted = []
    for stage in maps:
        cells = stage.unflatten(3, (4, -1)).unflatten(2, (4, -1)).movedim(4, 3).flatten(4)
        wanted += [cells.mean(4), cells.std(4, correction=0)]
    tokens = torch.cat(wanted, 1).flatten(2).transpose(1, 2).numpy()
    assert tokens.std() > 0.05 and np.allclose(PatchTokens(path)(rgb), tokens, atol=2e-4)


def test_a_checkpoint_for_another_network_is_refused(tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"centre": np.zeros(3, np.float32)}, other, {"network": "00"})
    with pytest.raises(WrongModelError, match="other.safetensors"):
        embedders.make(f"small:{other}")


def test_the_example_searches_by_words(monkeypatch, tmp_path, capsys) -> None:
    torch = pytest.importorskip("torch")

    class Model:
        visual = types.SimpleNamespace(image_size=32, image_mean=(0.5,) * 3, image_std=(0.5,) * 3)
        text_projection = torch.zeros(7, 12)

        def eval(self) -> None: ...
        def encode_image(self, x: Any) -> Any:
            assert x.shape[1:] == (3, 32, 32) and float(x.abs().max()) <= 1
            return x.mean((2, 3)).repeat(1, 4)

        def encode_text(self, x: Any) -> Any:
            return torch.ones(len(x), 12)

    def create(model: str, pretrained: str) -> Any:
        assert (model, pretrained) == ("tiny", str(weights))
        return Model(), None, None

    fake = types.SimpleNamespace(create_model_and_transforms=create)
    fake.get_tokenizer = lambda _: lambda words: words
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    example = importlib.import_module("search_by_words")
    with pytest.raises(WrongModelError, match="no such file of weights"):
        example.Clip("tiny", "/nowhere")
    pickled = tmp_path / "bad.pt"
    pickled.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(WrongModelError, match="safetensors"):
        example.Clip("tiny", str(pickled))
    clip = example.Clip("tiny", str(weights))
    assert isinstance(clip, embedders.Embedder) and (clip.dim, clip.side) == (12, 32)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    for vectors, count in ((clip.query(pictures), 3), (clip.query("a dog"), 1)):
        assert vectors.shape == (count, 12)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 12**0.5, rtol=1e-4)
    source = write_clip(tmp_path / "a.mkv", make_clip(64, 48, 10))
    monkeypatch.setattr(sys, "argv", ["", "tiny", str(weights), "a dog", str(source)])
    example.main()
    assert " s, frame " in capsys.readouterr().out


def test_the_player_shows_the_moments_of_a_summary(tmp_path, scenes: list[Planes]) -> None:
    for summary in (True, False):
        path = tmp_path / f"{summary}.gvc"
        path.write_bytes(made(scenes, summary))
        with serve(str(path), ["--fidelity"]) as server:
            found = json.loads(server.facts)["moments"]
        assert found == sorted(found) and bool(found) == summary
        assert {number // 10 for number in found} == ({0, 1, 2, 3} if summary else set())


def test_the_player_begins_at_what_is_searched_for(tmp_path, scenes: list[Planes]) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(scenes))
    with serve(str(path), ["--fidelity", "--find", f"{path}@0.96"]) as server:
        hits = json.loads(server.facts)["hits"]
    assert hits[0]["frame"] // 10 == 2 and hits == sorted(hits, key=lambda hit: -hit["score"])
    plain = tmp_path / "plain.gvc"
    plain.write_bytes(made(scenes[:5], summary=False))
    run("play", plain, "--no-browser", "--find", f"{path}@0.1", code=2)


def test_a_summary_holds_one_token_a_frame_when_asked(tmp_path, scenes: list[Planes]) -> None:
    source, path = tmp_path / "in.gvc", tmp_path / "out.gvc"
    source.write_bytes(made(scenes, summary=False))
    for rate, stride in (("1", 1), ("1/4", 4), ("0.3", 3)):
        run("summarize", source, "-o", path, "--summary", "toy", "--summary-rate", rate, "-y")
        with files.open_summarised(str(path)) as file:
            wanted = [g.first_frame + n for g in file.gops for n in range(0, g.frames, stride)]
            assert file.vectors[ID].frames.tolist() == wanted
