"""Base tokens: a small untrained model, made here, codes and decodes; what counts is that bits and integers are the same
everywhere, not how it looks."""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gvcodec.errors import DamagedStreamError, MediaError, UsageError, WrongModelError
from gvcodec.types import VideoFormat

torch = pytest.importorskip("torch")

from gvcodec import cli
from gvcodec._core import candidate_errors
from gvcodec.api import decode_planes, encode
from gvcodec.bitstream import Kind, Reader
from gvcodec.entropy.reference import clamp
from gvcodec.structure.tokens import budgets, checkpoint, codec, entropy, model, payload, tree
from gvcodec.structure.tokens.payload import BACKWARD, REFRESH
from gvcodec.structure.tokens.twin import Twin
from gvcodec.train.token_entropy import network_of

SIZES = model.Sizes(width=32, heads=2, local=1, stages=1, tokens=8, channels=12, memory=2, features=8, filters=16, borders=4)
FORMAT = VideoFormat(290, 120, Fraction(25), Fraction(1, 25))


def made_up() -> model.TokenModel:
    """A model whose tokens matter: what begins as zero is random."""
    torch.manual_seed(1)
    net = model.TokenModel(SIZES)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(("motion", "coarse", "refine.coarse")) and name.endswith("weight"):
                parameter.normal_(std=0.05)
        net.to_tokens[1].weight.normal_(std=0.6)
    return net.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    torch.manual_seed(2)
    twin = Twin(SIZES)
    torch.nn.init.normal_(twin.last.weight, std=0.3)
    checkpoint.write(path / checkpoint.NAME, made_up(), network_of(twin), 0.0, 50000.0)
    return path


@pytest.fixture(autouse=True)
def shipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "shipped_folders", lambda: [folder])
    monkeypatch.setenv("GVCODEC_MODELS", str(folder))


def clip(frames: int, width: int = 290, height: int = 120) -> list[tuple[np.ndarray, ...]]:
    """A texture that moves by two pixels a frame."""
    rng = np.random.default_rng(5)
    whole = rng.integers(100, 900, (height // 4 + 2, width // 4 + 40)).repeat(4, 0).repeat(4, 1)
    return [
        tuple(
            np.ascontiguousarray(whole[: -(-height // s), 2 * i : 2 * i + -(-width // s)].astype(np.uint16))
            for s in (1, 2, 2)
        )
        for i in range(frames)
    ]


def test_windows_are_cut_and_joined_again() -> None:
    x = torch.randn(2, 3, 512, 256)
    cut = model.to_windows(x, 16)
    assert cut.shape == (2, 2, 256, 768)
    assert torch.equal(model.from_windows(cut, 3, 16, (2, 1)), x)
    assert torch.equal(cut[0, 1, 17, :16], x[0, 0, 256 + 16, 16:32])


def test_an_untrained_model_repeats_the_frame_before() -> None:
    net = model.TokenModel(SIZES).eval()
    before = torch.rand(1, 1, 256, 256) - 0.5, torch.rand(1, 2, 128, 128) - 0.5
    done = net.decode(
        torch.randn(1, 1, 8, 12) * (torch.arange(12) >= model.STEPS) * (torch.arange(8) < 4)[:, None],
        torch.tensor([[8]]),
        net.begin(before),
        torch.tensor([30.0]),
    )
    assert (done.moved[0] - before[0]).abs().max() < 1e-4
    assert (done.picture[0] - before[0]).abs().max() < 0.03  # the little of the coarse picture that shows


def test_the_tree_of_regions_halves_the_window_again_and_again() -> None:
    regions = tree.regions(128).reshape(128, 16, 16)
    assert (regions[0] == 1).all() and (regions[1] == 1).all()
    for first in (1, 2, 4, 8, 16, 32, 64):
        assert (regions[first : 2 * first].sum(0) == 1).all(), first
    right = tree.sides(32, 4)[:, 5, 1:] > 0
    for node in range(1, 32):
        inside = regions[node].flatten() > 0
        assert torch.equal(right[inside, node - 1], regions[2 * node + 1].flatten()[inside] > 0), node


def moved_in_parts() -> tuple[torch.Tensor, torch.Tensor]:
    """A texture whose right half moves by (6, -2), the lower left 64×64 pixels by (-4, 0)."""
    torch.manual_seed(3)
    whole = torch.nn.functional.interpolate(torch.rand(1, 1, 80, 80), scale_factor=4) - 0.5
    before = whole[..., 32:288, 32:288]
    now = before.clone()
    now[..., 128:] = whole[..., 30:286, 166:294]
    now[..., 192:, :64] = whole[..., 224:288, 28:92]
    return before, now


def test_candidates_are_fetched_at_half_samples_and_edges_are_repeated() -> None:
    rng = np.random.default_rng(4)
    now, before = (rng.integers(0, 256, (256, 512), np.uint8) for _ in range(2))
    vectors = rng.integers(-96, 97, (2, 5, 2)).astype(np.int16)
    vectors[0, 0], vectors[1, 1] = (-96, 96), (96, -95)
    found = candidate_errors(now, before, vectors)
    wide = np.pad(before, 49, mode="edge").astype(int)
    for window, number in np.ndindex(2, 5):
        dx, dy = vectors[window, number].astype(int)
        top, left = 49 + (dy >> 1), 49 + 256 * window + (dx >> 1)
        halves = np.ndindex(1 + (dy & 1), 1 + (dx & 1))
        parts = [wide[top + j : top + j + 256, left + i : left + i + 256] for j, i in halves]
        moved = (sum(parts) + len(parts) // 2) // len(parts)
        off = np.abs(now[:, 256 * window : 256 * window + 256] - moved)[::2] * 2
        assert (found[window, :, number] == off.reshape(16, 8, 16, 16).sum((1, 3)).ravel()).all()
    with pytest.raises(ValueError, match="whole windows"):
        candidate_errors(now[:, :500].copy(), before[:, :500].copy(), vectors)


def test_pictures_are_mixed_where_neighbours_move_apart() -> None:
    torch.manual_seed(5)
    picture = torch.rand(1, 1, 256, 256) - 0.5, torch.rand(1, 2, 128, 128) - 0.5
    alike = torch.tensor([6.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    for mixed, moved in zip(model.overlapped(picture, alike), model.move(picture, alike), strict=True):
        torch.testing.assert_close(mixed, moved)
    apart = torch.zeros(1, 2, 64, 64)
    apart[:, 0, :, 32:] = 20
    luma, chroma = model.overlapped(picture, apart)
    for column, share in ((125, 0.0), (126, 0.125), (127, 0.375), (128, 0.625), (129, 0.875), (130, 1.0)):
        one, other = picture[0][..., column], picture[0][..., column + 20]
        torch.testing.assert_close(luma[..., column], (1 - share) * one + share * other)
    torch.testing.assert_close(chroma[..., 63], 0.75 * picture[1][..., 63] + 0.25 * picture[1][..., 73])


def test_the_tree_finds_motion_in_parts_and_charges_for_it() -> None:
    before, now = moved_in_parts()
    found = model.search(now, before, torch.tensor([32.0]), 32)
    regions = tree.regions(128)
    motion = 0.5 * (regions.t() @ found.steps[0, 0]).reshape(16, 16, 2)
    assert (motion[2:-2, 10:-2] == torch.tensor([6.0, -2.0])).all()
    assert (motion[13:15, 1:3] == torch.tensor([-4.0, 0.0])).all()
    assert (motion[1:11, 1:7] == 0).all()
    assert (found.steps != 0).any(-1).sum() < 12
    dear = tree.choose(now, before, found.vectors, torch.tensor([1e9]), 32)
    assert not dear.any()


@pytest.mark.parametrize("tokens", [8, 32])
def test_leaves_are_the_regions_of_the_last_tokens(tokens: int) -> None:
    torch.manual_seed(6)
    picture = torch.rand(2, 1, 512, 256), torch.rand(2, 2, 256, 128)
    cells = model.leaf_cells(picture, tokens)
    assert cells.shape == (2, 2, tokens // 2, model.LEAF)
    for number in range(tokens // 2):
        top, left, size, _ = tree.rectangle(tokens // 2 + number, 256)
        part = picture[0][1:, :, 256 + top : 256 + top + size, left : left + size]
        small = torch.nn.functional.avg_pool2d(part, size // model.LEAF_SIDE)
        assert torch.allclose(cells[1, 1, number, : model.LEAF_SIDE**2], small.flatten())
    flat = torch.full((1, 1, 256, 256), 0.25), torch.full((1, 2, 128, 128), -0.5)
    again = model.from_leaves(model.leaf_cells(flat, tokens), (1, 1))
    assert all(torch.allclose(a, b) for a, b in zip(flat, again, strict=True))


def test_what_motion_leaves_goes_through_the_linear_map() -> None:
    net = model.TokenModel(dataclasses.replace(SIZES, tokens=32)).eval()
    with torch.no_grad():
        even = torch.zeros(2, model.LEAF)
        even[0, : model.LEAF_SIDE**2] = 1 / model.LEAF_SIDE
        even[1, model.LEAF_SIDE**2 :] = 1 / model.LEAF_SIDE
        net.to_rest.data, net.from_rest.data = even, even.clone()
    before = torch.zeros(1, 1, 256, 256), torch.zeros(1, 2, 128, 128)
    now = before[0].clone(), before[1]
    now[0][..., 64:128, 64:128] = 0.1
    state, q = net.begin(before), torch.tensor([20.0])
    tokens = net.searched(now, state, model.search(now[0], before[0], q, 32), q).round()
    assert (tokens != 0).sum() == 1
    shown = net.decode(tokens, torch.tensor([[32]]), state, q).picture[0]
    assert (shown - now[0])[..., 70:122, 70:122].abs().mean() < 0.02


def test_decoders_move_by_the_steps_of_tokens() -> None:
    before, now = moved_in_parts()
    net = model.TokenModel(dataclasses.replace(SIZES, tokens=32)).eval()
    state = net.begin((before, torch.zeros(1, 2, 128, 128)))
    q = torch.tensor([32.0])
    found = model.search(now, before, q, 32)
    tokens = net.encode((now, torch.zeros(1, 2, 128, 128)), state, found, q).tokens.round()
    done = net.decode(tokens, torch.tensor([[32]]), state, q)
    inner = (..., slice(24, 232), slice(24, 232))
    assert (done.moved[0] - now)[inner].abs().mean() < 0.2 * (before - now)[inner].abs().mean()


@pytest.mark.parametrize("counts", [[8, 8, 8], [0, 8, 0], [3, 0, 7], [1, 1, 0]])
def test_payloads_come_back(counts: list[int], folder: Path) -> None:
    rng = np.random.default_rng(1)
    network = checkpoint.read_network(folder / checkpoint.NAME)
    one, other = (payload.Entropy(network, 3, 8, 12) for _ in range(2))
    for side in (one, other):
        side.restart(33)
    for _ in range(3):
        number = np.array(counts)
        tokens = np.round(rng.laplace(0, 3, (3, 8, 12))).astype(np.int32)
        tokens[np.arange(8)[:, None].repeat(12, 1)[None] >= number[:, None, None]] = 0
        found, there = other.decode(one.encode(tokens, number))
        assert np.array_equal(found, tokens) and np.array_equal(there, number)


def test_a_frame_of_copies_is_no_bytes(folder: Path) -> None:
    coder = payload.Entropy(checkpoint.read_network(folder / checkpoint.NAME), 5, 8, 12)
    assert coder.encode(np.zeros((5, 8, 12), np.int32), np.zeros(5, np.int64)) == b""
    assert not coder.decode(b"")[1].any()


def test_any_bytes_decode_or_are_refused(folder: Path) -> None:
    rng = np.random.default_rng(3)
    coder = payload.Entropy(checkpoint.read_network(folder / checkpoint.NAME), 5, 8, 12)
    refused = 0
    for _ in range(500):
        try:
            tokens, counts = coder.decode(rng.bytes(int(rng.integers(1, 40))))
            assert np.abs(tokens).max() <= payload.LARGEST and counts.max() <= 8
        except DamagedStreamError:
            refused += 1
    assert refused


def test_file_decodes_to_what_the_encoder_saw(folder: Path) -> None:
    data = encode(clip(5), format=FORMAT, base="tokens", tune=0, q=40, keyint=3)
    kinds = [p.kind for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    assert kinds == [Kind.KEY, Kind.INTER, Kind.INTER, Kind.KEY, Kind.INTER]
    frames = list(decode_planes(data))  # checks the loop hash
    assert len(frames) == 5 and frames[4][0].shape == (120, 290) and frames[4][1].shape == (60, 145)
    later = list(decode_planes(data, start=3))
    assert all(np.array_equal(a, b) for x, y in zip(frames[3:], later, strict=True) for a, b in zip(x, y, strict=True))


def test_same_file_and_integers_on_one_and_two_threads() -> None:
    one, two = (encode(clip(4), format=FORMAT, base="tokens", tune=0, q=35, threads=n) for n in (1, 2))
    assert one == two
    for threads in (1, 2):
        assert len(list(decode_planes(one, threads=threads))) == 4


def test_loop_hash_covers_tokens_not_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(clip(3), format=FORMAT, base="tokens", tune=0, q=35)
    before = codec.to_planes
    monkeypatch.setattr(codec, "to_planes", lambda *a: tuple(np.maximum(p, 1) for p in before(*a)))
    assert len(list(decode_planes(data))) == 3


def test_windows_that_do_not_pay_are_exact_copies(folder: Path) -> None:
    sizes = dataclasses.replace(SIZES)
    path = folder / "dear.safetensors"
    checkpoint.write(path, made_up(), checkpoint.read_network(folder / checkpoint.NAME), 1e3, 500.0)
    assert sizes == SIZES
    encoder = codec.TokenEncoder(FORMAT, 40, model=path, refreshes=False)
    first, second = (encoder.send(planes) for planes in clip(2))
    assert second.packets[0].payload == b""
    assert all(np.array_equal(a, b) for a, b in zip(first.loops[0], second.loops[0], strict=True))
    path.unlink()


@pytest.mark.parametrize("alloc", budgets.NAMES)
def test_budgets_decode(alloc: str) -> None:
    frames = clip(20)
    data = encode(frames, format=FORMAT, base="tokens", tune=0, q=30, keyint=18, alloc=alloc)
    assert len(list(decode_planes(data))) == 20


@pytest.mark.parametrize("alloc", ["elbo", "uniqueness"])
def test_budgets_change_what_is_coded(alloc: str) -> None:
    def payloads(name: str) -> list[bytes]:
        encoder = codec.TokenEncoder(FORMAT, 30, alloc=name, refreshes=False)
        return [p.payload for part in (*map(encoder.send, clip(18)), encoder.flush()) for p in part.packets]

    assert payloads(alloc) != payloads("uniform")


def test_router_gives_in_proportion_within_bounds() -> None:
    counts = budgets.routed(np.array([2.0, 8.0, 9.0, 10.0, 30.0]), 512.0, 32)
    assert counts.tolist() == [2, 16, 32, 32, 32]


def test_uniqueness_fuses_frames_and_gives_out_exactly_its_share() -> None:
    rng = np.random.default_rng(7)
    features = rng.normal(size=(8, 15, 24))
    features[3] = features[2]
    unique = budgets.Uniqueness(share=0.5)
    counts = unique.counts(features, 32)
    assert not counts[3].any() and counts.sum() == round(0.5 * 15 * 32 * 8)
    assert counts.max() <= 32 and counts.sum(1).max() <= 2 * 0.5 * 15 * 32
    moved = features.copy()
    moved[4:, 6] += 20  # one window becomes another: it is served first there
    assert unique.counts(moved, 32)[4, 6] == 32
    assert budgets._spread(np.array([0.9, 0.1, 0.0]), 10, 5).tolist() == [5, 5, 0]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gvcodec.media.writer import open_writer

    source, coded = tmp_path / "in.y4m", tmp_path / "out.bin"
    with open_writer(source, FORMAT) as writer:
        for number, planes in enumerate(clip(6)):
            writer.write(planes, number)
    run = [str(source), str(coded), "--base", "tokens", "--keyint", "3", "--tune", "0"]
    assert cli.main(["encode", *run, "-q", "45", "--resume"]) == 0
    assert cli.main(["verify", str(coded)]) == 0
    assert cli.main(["info", str(coded)]) == 0
    part, both = tmp_path / "part.bin", tmp_path / "both.bin"
    assert cli.main(["cut", str(coded), str(part), "--from", "0.12"]) == 0
    assert cli.main(["cat", str(part), str(coded), "-o", str(both)]) == 0
    assert cli.main(["decode", str(both), str(tmp_path / "both.y4m")]) == 0
    limit = 4 * coded.stat().st_size // 5
    assert cli.main(["encode", *run, "--size", str(limit), "-y"]) == 0
    assert coded.stat().st_size <= limit
    coded.write_bytes(coded.read_bytes()[:-60])
    assert cli.main(["repair", str(coded), str(tmp_path / "mended.bin")]) == 0
    assert cli.main(["decode", str(tmp_path / "mended.bin"), str(tmp_path / "mended.y4m")]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(("options", "scale"), [({"q": 40, "scale": Fraction(1, 2)}, "1/2"), ({"q": 64}, "3/4"), ({"q": 69}, "1/2")])
def test_smaller_pictures_are_coded_where_that_is_said_or_pays(options: dict[str, Any], scale: str) -> None:
    """Of an odd size too; the loop hash is that of the integers, and seeking finds the same frames."""
    form = dataclasses.replace(FORMAT, width=289, height=119)
    data = encode(clip(5, 289, 119), format=form, base="tokens", tune=0, keyint=3, **options)
    header = Reader(io.BytesIO(data)).header
    assert header.scale == Fraction(scale) and header.q <= 63
    frames = list(decode_planes(data))
    assert len(frames) == 5 and {f[0].shape for f in frames} == {(119, 289)} and {f[1].shape for f in frames} == {(60, 145)}
    later = list(decode_planes(data, start=4))
    assert all(np.array_equal(a, b) for a, b in zip(frames[4], later[0], strict=True))
    rest = data[len(header.pack()) :]
    for other in {Fraction(1), Fraction(3, 4), Fraction(1, 2)} - {header.scale}:
        with pytest.raises(DamagedStreamError, match="header promises"):
            list(decode_planes(dataclasses.replace(header, scale=other).pack() + rest))



def test_other_options_and_missing_models_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"q": 74}, {"scale": Fraction(1, 2), "q": 64}, {"preset": 3}, {"eye": True}, {"alloc": "any"}):
        with pytest.raises(UsageError):
            encode(clip(1), format=FORMAT, base="tokens", tune=0, **options)
    data = encode(clip(1), format=FORMAT, base="tokens", tune=0)
    monkeypatch.delenv("GVCODEC_MODELS")
    with pytest.raises(WrongModelError):
        list(decode_planes(data))
    monkeypatch.setattr(checkpoint, "shipped_folders", lambda: [folder / "none"])
    with pytest.raises(MediaError, match="no model of base tokens"):
        encode(clip(1), format=FORMAT, base="tokens", tune=0)


def test_damaged_model_files_are_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / checkpoint.NAME).read_bytes()
    path = tmp_path / "m.safetensors"
    wide, older = whole.replace(b'\\"width\\": 32', b'\\"width\\": -9'), whole.replace(b'"form":"2"', b'"form":"1"')
    for data in (b"", whole[:1000], wide, older):
        assert data != whole
        path.write_bytes(data)
        with pytest.raises(MediaError):
            checkpoint.read_sizes(path)
            checkpoint.read_model(path)


def test_gradients_of_bits_are_finite_far_from_what_is_expected() -> None:
    twin = Twin(SIZES)
    values = torch.tensor([[100.0, -127.0, 0.4, 3.0] * 24], requires_grad=True)
    last = np.zeros((1, 8, 12), np.int32)
    side = torch.from_numpy(entropy.side(last, last, 20, np.array([8])))
    twin.bits(side, values).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (values, *twin.parameters()))


def test_integer_network_agrees_with_its_twin() -> None:
    torch.manual_seed(4)
    twin = Twin(SIZES)
    torch.nn.init.normal_(twin.last.weight, std=0.5)
    from gvcodec.entropy import streams

    rng = np.random.default_rng(0)
    values = np.round(rng.laplace(0, 2, (2, 8, 12))).astype(np.int32)
    side = entropy.side(values, np.abs(values) * 16, 20, np.array([8, 5]))
    flat = values.reshape(2, -1)
    scale, mean, inflation = (t.detach().numpy() for t in twin(torch.from_numpy(side), torch.from_numpy(flat).float()))
    before = np.zeros((2, 96, entropy.REACH), np.int32)
    for step in range(96):
        for back in range(min(step, entropy.REACH)):
            before[:, step, back] = flat[:, step - 1 - back]
    seen = np.clip(before, -64, 63).astype(np.int32) + 64
    inputs = np.concatenate([side, seen.astype(np.uint8)], -1).reshape(192, -1)
    out = streams.forward(network_of(twin), inputs).reshape(2, 96, 3)
    assert np.abs(out[..., 0] - scale).max() < 2.0
    assert np.abs(np.clip(out[..., 2], 0, 127) - inflation).max() < 4.0
    assert np.abs(out[..., 1] / 8 - mean).max() < 0.7
    assert clamp(3, 0, 2) == 2


def material(folder: Path) -> None:
    """A made-up clip as training takes it, to train with and held out."""
    import json

    stem, h, w = folder / "moving", 256, 512
    with open(f"{stem}.yuv", "wb") as samples, open(f"{stem}.key", "wb") as keys:
        for number, planes in enumerate(clip(22, w, h)):
            flat = np.concatenate([p.ravel() for p in planes])
            samples.write((flat >> 2).astype(np.uint8).tobytes())
            if number % 10 == 0:
                keys.write((flat >> 2 << 2).astype("<u2").tobytes())
    entries = [
        {"name": "moving", "width": w, "height": h, "frames": 22, "keys": [30] * 3, "held_out": held}
        for held in (False, True)
    ]
    (folder / "index.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))


def test_training_steps_saves_and_resumes(tmp_path: Path) -> None:
    """One step on a made-up clip: weights change, the log is written, the state is resumed."""
    import json

    from gvcodec.train import base_tokens

    material(tmp_path)
    config = base_tokens.Config(
        str(tmp_path), str(tmp_path / "out"), width=32, local=1, stages=1, batch=1, perceptual=0.0, threads=1
    )
    trainer = base_tokens.Trainer(config)
    before = trainer.model.read.weight.clone()
    trainer.step()
    assert not torch.equal(before, trainer.model.read.weight)
    trainer.validate(frames=1)
    trainer.save()
    again = base_tokens.Trainer(config)
    assert (again.steps, again.seen) == (1, 2)
    assert checkpoint.read_sizes(tmp_path / "out" / checkpoint.NAME)[1] == pytest.approx(model.PRICE, rel=1e-3)
    line = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[0])
    assert line["held_out"]["repeat"] > 0


def test_training_goes_on_from_a_model_file(tmp_path: Path) -> None:
    """The same weights, as fp16, and an integer network that comes out as it went in."""
    import json

    from gvcodec.train import base_tokens

    material(tmp_path)
    sizes = {"width": 32, "local": 1, "stages": 1}
    given = {"batch": 1, "perceptual": 0.0, "threads": 1} | sizes
    first = base_tokens.Trainer(base_tokens.Config(str(tmp_path), str(tmp_path / "one"), **given))
    first.step()
    first.save()
    start = tmp_path / "one" / checkpoint.NAME
    told = {"steps": 7, "seen_window_frames": 42, "processor_hours": 0.5}
    start.with_suffix(".json").write_text(json.dumps(told))
    again = base_tokens.Trainer(base_tokens.Config(str(tmp_path), str(tmp_path / "two"), str(start), **given))
    assert (again.steps, again.seen, again.hours) == (7, 42, 0.5)
    again.save()
    one, two = (checkpoint.read_network(tmp_path / name / checkpoint.NAME) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.weight, b.weight)
        assert np.abs(a.multiplier - b.multiplier).max() <= 1
        assert np.abs(a.bias - b.bias).max() <= 1 + np.abs(a.bias).max() // 10_000
    for name, value in checkpoint.read_model(start).state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    again.step()
    with pytest.raises(UsageError, match="sizes"):
        base_tokens.Trainer(base_tokens.Config(str(tmp_path), str(tmp_path / "three"), str(start), width=64))


@pytest.mark.parametrize("rise", [0.1, 0.7, 3.0])
def test_a_gop_ends_where_its_frames_cost_least_on_the_mean(rise: float) -> None:
    """Pictures that are further from the source by `rise` with each frame, behind a keyframe of 4,000 bytes."""
    source = tuple(np.full((8 // s, 8 // s), 400, np.uint16) for s in (1, 2, 2))
    sizes = [4000, *[20] * 199]
    off = [round(2 + rise * i) for i in range(200)]
    price = 0.1 / model.PEAK
    drift, ends = codec._Drift(price), []
    for far, size in zip(off, sizes, strict=True):
        drift.add(source, (source[0] + far, source[1], source[2]), size)
        ends.append(drift.refresh_in(1000, 1) == 1)
    costs = np.array([far / model.PEAK + price * size for far, size in zip(off, sizes, strict=True)])
    mean = np.cumsum(costs) / np.arange(1, 201)
    best = int(mean.argmin())
    found = ends.index(True) if any(ends) else 199
    assert found <= best + 1 + 1 / rise
    assert mean[found] < 1.01 * mean[best]
    assert not any(ends[: best // 2])


@pytest.mark.parametrize(("frames", "known", "place"), [(1, 17, 0), (2, 17, 0), (3, 17, 2), (10, 17, 5), (1000, 17, 9), (1000, 4, 4), (1000, 1, 1)])
def test_a_refresh_lies_between_frames_that_go_forward_and_backward(frames: int, known: int, place: int) -> None:
    """Eight frames have drifted evenly; as many would do so backward where there is room for them."""
    source = tuple(np.full((8 // s, 8 // s), 400, np.uint16) for s in (1, 2, 2))
    drift = codec._Drift(1e-4)
    for i in range(9):
        drift.add(source, (source[0] + 4 * i, source[1], source[2]), 10 if i else 700)
    assert drift.refresh_in(frames, known) == place


@pytest.mark.parametrize(("ahead", "both"), [(codec.AHEAD, True), (0, False)])
def test_tokens_that_drift_get_a_refresh(ahead: int, both: bool) -> None:
    """Nearer to the source than the frame of tokens before it, with look-ahead than the first of those that go backward from it."""
    pictures = clip(30)
    encoder = codec.TokenEncoder(FORMAT, 30, 24, ahead=ahead)
    parts = [*(encoder.send(planes) for planes in pictures), encoder.flush()]
    packets, loops = [p for part in parts for p in part.packets], [x for part in parts for x in part.loops]
    assert [i for i, packet in enumerate(packets) if packet.keyframe] == [0, 24]
    fresh = [i for i, packet in enumerate(packets) if packet.payload.startswith(REFRESH)]
    assert 1 < len(fresh) < 16  # bits cost nothing in this model
    far = [np.abs(a[0].astype(int) - b[0]).mean() for a, b in zip(pictures, loops, strict=True)]
    turns = [i for i, packet in enumerate(packets) if packet.payload.startswith(BACKWARD)]
    assert bool(turns) == both
    for i in fresh:
        backward = [t for t in turns if t < i and not any(t < other < i for other in fresh)]
        assert far[i] < far[backward[0] if backward else i - 1]
    decoder = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
    shown = [loop for packet in packets for loop in decoder.send(packet.payload, packet.keyframe)]
    assert all((a == b).all() for one, other in zip(shown, loops, strict=True) for a, b in zip(one, other, strict=True))


def coded_both_ways() -> list[codec.CodedFrame]:
    """Packets with frames that go backward, the first of them once after the keyframe."""
    encoder = codec.TokenEncoder(FORMAT, 30)
    packets = [p for part in (*map(encoder.send, clip(40)), encoder.flush()) for p in part.packets]
    assert any(packet.payload.startswith(BACKWARD) for packet in packets)
    return packets


def test_frames_that_go_backward_wait_for_their_refresh() -> None:
    """They come with it, all in the order in which they are shown; and they follow what is shown after them."""
    packets = coded_both_ways()
    kinds = [packet.payload[:1] for packet in packets]
    turn = kinds.index(BACKWARD)
    refresh = kinds.index(REFRESH, turn)
    decoder = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
    given = [len(decoder.send(packet.payload, packet.keyframe)) for packet in packets]
    assert given[turn:refresh] == [0] * (refresh - turn) and given[refresh] == refresh - turn + 1
    assert sum(given) == len(packets) and not decoder.flush()

    again = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
    still = [again.send(packet.payload, packet.keyframe) for packet in (*packets[:turn], packets[refresh])][-1][0]
    last = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
    copies = [*packets[:turn], dataclasses.replace(packets[turn], payload=BACKWARD), packets[refresh]]
    shown = [last.send(packet.payload, packet.keyframe) for packet in copies][-1]
    assert len(shown) == 2
    assert all(np.array_equal(a, b) and np.array_equal(b, c) for a, b, c in zip(still, *shown, strict=True))


def test_backward_tokens_without_a_refresh_repeat_the_frame_before() -> None:
    packets = coded_both_ways()
    turn = next(i for i, packet in enumerate(packets) if packet.payload.startswith(BACKWARD))

    def stopped() -> codec.TokenDecoder:
        decoder = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
        for packet in packets[: turn + 1]:
            decoder.send(packet.payload, packet.keyframe)
        return decoder

    (last,) = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens()).send(packets[0].payload, True)
    decoder = stopped()
    decoder.send(b"", False)
    one, other = decoder.flush()
    before = decoder.send(packets[0].payload, True)
    assert len(before) == 1 and all(np.array_equal(a, b) for a, b in zip(before[0], last, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    shown = stopped().send(packets[0].payload, True)
    assert len(shown) == 2 and all(np.array_equal(a, b) for a, b in zip(shown[0], one, strict=True))
    decoder = stopped()
    assert not decoder.abandon() and len(decoder.send(packets[0].payload, True)) == 1
    decoder = stopped()
    for _ in range(payload.MOST_BACKWARD - 1):
        assert not decoder.send(b"", False)
    with pytest.raises(DamagedStreamError, match="backward"):
        decoder.send(b"", False)


def test_a_file_whose_tokens_go_backward(tmp_path: Path) -> None:
    """Seeking into them, cutting in front of them, and losing their refresh."""
    source = clip(40)
    data = encode(source, format=FORMAT, base="tokens", tune=0, q=30, keyint=20)
    payloads = [p.payload for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    turns = [i for i, one in enumerate(payloads) if one.startswith(BACKWARD)]
    assert turns and turns[-1] > 20
    frames = list(decode_planes(data))
    assert len(frames) == 40
    later = list(decode_planes(data, start=turns[-1]))
    assert all(np.array_equal(a, b) for a, b in zip(frames[turns[-1]], later[0], strict=True))
    whole, part, both, mended = (tmp_path / f"{name}.bin" for name in ("whole", "part", "both", "mended"))
    whole.write_bytes(data)
    assert cli.main(["cut", str(whole), str(part), "--from", "0.8"]) == 0
    assert cli.main(["cat", str(part), str(whole), "-o", str(both)]) == 0
    assert [len(list(decode_planes(path.read_bytes()))) for path in (part, both)] == [20, 60]
    fresh = payloads.index(next(one for one in payloads if one.startswith(REFRESH)))
    place = data.index(payloads[fresh])
    whole.write_bytes(data[: place + 3] + bytes([data[place + 3] ^ 1]) + data[place + 4 :])
    assert cli.main(["repair", str(whole), str(mended)]) == 0
    assert len(list(decode_planes(mended.read_bytes()))) == fresh + 20


def test_without_refreshes_there_are_tokens_alone() -> None:
    encoder = codec.TokenEncoder(FORMAT, 30, refreshes=False)
    packets = [p for planes in clip(26) for p in encoder.send(planes).packets]
    assert len(packets) == 26 and not any(packet.payload.startswith(REFRESH) for packet in packets)


def test_a_refresh_that_is_none_is_refused() -> None:
    encoder = codec.TokenEncoder(FORMAT, 30)
    packets = [p for part in (*map(encoder.send, clip(12)), encoder.flush()) for p in part.packets]
    fresh = next(packet.payload for packet in packets if packet.payload.startswith(REFRESH))
    for bad in (fresh[:1], fresh[:9], REFRESH + packets[0].payload[1:9], fresh[:1] + bytes(50)):
        decoder = codec.TokenDecoder(FORMAT, 1, checkpoint.find_tokens())
        with pytest.raises(DamagedStreamError):
            decoder.send(bad, False)
        decoder.send(packets[0].payload, True)
        with pytest.raises(DamagedStreamError):
            decoder.send(bad, False)


def test_no_refresh_just_before_a_keyframe_or_the_end() -> None:
    """Dear refreshes that the frames behind them do not pay for."""
    source = tuple(np.full((8 // s, 8 // s), 400, np.uint16) for s in (1, 2, 2))
    drift = codec._Drift(1e-3)
    for i in range(30):
        drift.add(source, (source[0] + i, source[1], source[2]), 10 if i else 100)
    assert [drift.refresh_in(n, 1) for n in (1, 2, 3, 30, 1000)] == [0, 0, 0, 1, 1]

    encoder = codec.TokenEncoder(FORMAT, 30, 240, ahead=4)
    for planes in clip(3):
        assert not encoder.send(planes).packets
    encoder.send(clip(1)[0], force_key=True)
    encoder._since_key = 101  # this one is that frame of its GOP
    encoder._ahead.popleft()
    assert encoder._to_come(ended=False) == 3  # this one and two that wait
    encoder._ahead.clear()
    assert encoder._to_come(ended=True) == 1
    assert encoder._to_come(ended=False) == 140


def test_refreshes_are_dearer_at_the_end_of_a_size() -> None:
    prices = [codec.TokenEncoder(FORMAT, q)._refresh_price for q in (20, 58, 62)]
    assert prices[0] == prices[1] and prices[2] == 4 * prices[1]
