"""Renderer, painter, noise, motion and payload of the appearance track."""

import hashlib
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec.appearance import Painter, checkpoint, checkpoint_id, find_checkpoint
from gvcodec.appearance.checkpoint import load_checkpoint, save_checkpoint
from gvcodec.appearance.motion import search, warp
from gvcodec.appearance.payload import GROUPS, IDENTITY, Delta, pack, step_of, unpack
from gvcodec.appearance.renderer import FilterBank, Renderer, new_renderer
from gvcodec.appearance.texture import REFRESH, fresh
from gvcodec.appearance.weight_coder import Decoder, Encoder
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.models import CHECKPOINT_VARIABLE
from gvcodec.types import Planes, VideoFormat

WIDTH, HEIGHT = 118, 70


def video_format(width: int = WIDTH, height: int = HEIGHT) -> VideoFormat:
    return VideoFormat(width, height, Fraction(25), Fraction(1, 25))


def picture(shift: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Planes:
    """A smooth picture that moves to the right by `shift` pixels."""
    y, x = np.mgrid[0:height, 0:width]
    luma = 500 + 200 * np.sin((x - shift) / 5) * np.cos(y / 7) + 60 * np.sin((x - shift) * y / 90)
    half = (height + 1) // 2, (width + 1) // 2
    chroma = 512 + 80 * np.sin((np.arange(half[1]) - shift / 2) / 9)[None].repeat(half[0], 0)
    return luma.astype(np.uint16), chroma.astype(np.uint16), (1023 - chroma).astype(np.uint16)


def lively() -> Renderer:
    """A renderer whose zero-initialised layers are not zero."""
    renderer = new_renderer()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in (n for group in GROUPS[:3] for n in group):
            weight = dict(renderer.named_parameters())[name]
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return renderer


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    save_checkpoint(new_renderer(), folder / "new.safetensors")
    save_checkpoint(lively(), folder / "lively.safetensors")
    return {name: folder / f"{name}.safetensors" for name in ("new", "lively")}


def paint(
    checkpoint: Path, frames: int = 4, tuned: bytes | None = None, threads: int = 1
) -> list[Planes]:
    painter = Painter(video_format(), "av1", Fraction(1), 40, checkpoint, threads)
    painter.start_gop(tuned)
    return [painter.paint(picture(3 * t)) for t in range(frames)]


def equal(a: list[Planes], b: list[Planes]) -> bool:
    return all(
        np.array_equal(p, q) for x, y in zip(a, b, strict=True) for p, q in zip(x, y, strict=True)
    )


def test_new_renderer_is_identity(checkpoints):
    assert equal(paint(checkpoints["new"]), [picture(3 * t) for t in range(4)])


def test_painting_is_reproducible_and_starts_anew_with_each_gop(checkpoints):
    painter = Painter(video_format(), "av1", Fraction(1), 40, checkpoints["lively"], 1)
    passes = []
    for _ in range(2):
        painter.start_gop(None)
        passes.append([painter.paint(picture(3 * t)) for t in range(4)])
    assert equal(*passes)
    assert equal(passes[0], paint(checkpoints["lively"]))
    assert not equal(passes[0], [picture(3 * t) for t in range(4)])


def test_threads_do_not_change_the_picture_beyond_rounding(checkpoints):
    before = torch.get_num_threads()
    one, two = (
        paint(checkpoints["lively"], 6, threads=1),
        paint(checkpoints["lively"], 6, threads=2),
    )
    torch.set_num_threads(before)
    error = np.mean([(a[0].astype(float) - b[0]) ** 2 for a, b in zip(one, two, strict=True)])
    assert error < 1023**2 / 10**4.5


def test_condition_matters(checkpoints):
    renderer = load_checkpoint(checkpoints["lively"])
    with torch.no_grad():
        for block in renderer.blocks:
            block.condition.weight.normal_(generator=torch.Generator().manual_seed(2))
    path = checkpoints["lively"].with_name("conditioned.safetensors")
    save_checkpoint(renderer, path)
    pictures = []
    for base, scale, q in (("av1", 1, 40), ("vvc", 1, 40), ("av1", 2, 40), ("av1", 1, 10)):
        painter = Painter(video_format(), base, Fraction(1, scale), q, path, 1)
        painter.start_gop(None)
        pictures.append(painter.paint(picture())[0])
    assert len({p.tobytes() for p in pictures}) == 4


@pytest.mark.parametrize(
    "arguments", [("vp9", Fraction(1), 40), ("av1", Fraction(1), 64), ("av1", Fraction(1), -1)]
)
def test_painter_refuses_arguments(checkpoints, arguments):
    with pytest.raises(UsageError):
        Painter(video_format(), *arguments, checkpoint=checkpoints["new"])


def test_painter_refuses_frames_of_another_size(checkpoints):
    painter = Painter(video_format(), "av1", Fraction(1), 40, checkpoints["new"])
    painter.start_gop(None)
    with pytest.raises(UsageError, match="96×64"):
        painter.paint(picture(width=96, height=64))


def test_a_base_may_have_a_renderer_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "shipped_folders", lambda: [tmp_path / "none", tmp_path])
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)
    (tmp_path / "base.safetensors").write_bytes(b"all")
    (tmp_path / "base-vvc.safetensors").write_bytes(b"one")
    assert find_checkpoint(base="vvc").read_bytes() == b"one"
    assert find_checkpoint(base="av1").read_bytes() == find_checkpoint().read_bytes() == b"all"
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(tmp_path / "base.safetensors"))
    assert find_checkpoint(base="vvc").read_bytes() == b"all"


def test_checkpoint_id_and_bad_files(checkpoints, tmp_path):
    wanted = hashlib.sha256(checkpoints["new"].read_bytes()).digest()[:8]
    assert checkpoint_id(checkpoints["new"]) == wanted
    with pytest.raises(MediaError, match="no checkpoint"):
        checkpoint_id(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"no weights in here")
    with pytest.raises(MediaError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "bad")


def test_shipped_checkpoint_loads_and_is_small():
    renderer = load_checkpoint()
    assert sum(p.numel() for p in renderer.parameters()) < 300_000


def test_bands_add_up_to_the_picture():
    bank, x = FilterBank(), torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    fine, coarse, rest = bank(torch.nn.functional.pixel_unshuffle(x, 2))
    assert fine.shape == (1, 12, 48, 48) and coarse.shape == (1, 6, 48, 48)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    low = torch.nn.functional.conv2d(x, torch.outer(taps, taps)[None, None], padding=2)
    high = torch.nn.functional.pixel_shuffle(fine.unflatten(1, (3, 4)).sum(1), 2)
    assert torch.allclose((high + low)[..., 4:-4, 4:-4], x[..., 4:-4, 4:-4], atol=1e-6)
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    half = torch.nn.functional.conv2d(x, torch.outer(taps, taps)[None, None], stride=2, padding=1)
    assert torch.allclose(
        (coarse.sum(1, keepdim=True) + rest)[..., 8:-8, 8:-8], half[..., 8:-8, 8:-8], atol=1e-6
    )


def test_noise_is_white_and_the_same_everywhere():
    noise, redraw = fresh(256, 256, 5)
    assert abs(float(noise.mean())) < 0.02 and abs(float(noise.std()) - 1) < 0.02
    spectrum = torch.fft.rfft2(noise[0, 0]).abs().square().mean(0)[1:]
    assert float(spectrum.max() / spectrum.min()) < 2
    assert abs(float(redraw.float().mean()) * REFRESH - 1) < 0.2
    assert not torch.equal(fresh(256, 256, 6)[0], noise)
    digest = hashlib.sha256(
        (noise * 147.8 + 510).round().to(torch.int16).numpy().tobytes()
    ).hexdigest()
    assert digest[:16] == "fa62e43f52fee6cc"


def test_motion_is_found_and_followed():
    rng = np.random.default_rng(0)
    texture = rng.integers(300, 700, (100, 130)).astype(np.uint16)
    smooth = (
        (texture[:-1, :-1] + texture[1:, :-1] + texture[:-1, 1:] + texture[1:, 1:]) >> 2
    ).astype(np.uint16)
    before, after = (
        np.ascontiguousarray(smooth[10:74, 10:106]),
        np.ascontiguousarray(smooth[7:71, 15:111]),
    )
    vectors = search(after, before)
    assert vectors.shape == (2, 4, 6)
    assert vectors[:, 1:-1, 1:-1].flatten(1).float().median(1).values.tolist() == [-3, 5]
    moved, inside = warp(torch.from_numpy(before.astype(np.float32))[None, None], vectors[None])
    good = inside[0, 0, 16:48, 16:80].numpy()
    assert np.abs(moved[0, 0, 16:48, 16:80].numpy() - after[16:48, 16:80])[good].mean() < 5


def test_no_lattice_in_flat_areas(checkpoints):
    """Whatever the weights, a slow gradient must not come out with a pattern of the sampling grids
    (2, 4, 8 pixels)."""
    y, x = np.mgrid[0:128, 0:128]
    flat = (400 + x + y // 2).astype(np.uint16)
    chroma = np.full((64, 64), 512, np.uint16)
    for path in (checkpoints["lively"], None):
        painter = Painter(video_format(128, 128), "av1", Fraction(1), 50, path, 1)
        total = np.zeros((64, 64))
        for _ in range(3):
            painter.start_gop(None)
            for _ in range(3):
                error = painter.paint((flat, chroma, chroma))[0].astype(float) - flat
            window = np.outer(np.hanning(64), np.hanning(64))
            for top in (16, 32, 48):
                for left in (16, 32, 48):
                    crop = error[top : top + 64, left : left + 64]
                    total += np.abs(np.fft.fft2((crop - crop.mean()) * window)) ** 2
        for period in (2, 4, 8):
            for line in (64 // period, 64 - 64 // period):
                for axis in (total[line], total[:, line]):
                    neighbours = [np.roll(total, s, 0)[line].mean() for s in (-3, 3)]
                    assert axis.mean() < 4 * max(max(neighbours), 1e-3 * total.mean()), (
                        path,
                        period,
                    )


values = st.lists(
    st.tuples(st.integers(-30000, 30000) | st.integers(-3, 3), st.integers(0, 4)), max_size=300
)


@given(values)
def test_coder_round_trip(pairs):
    encoder = Encoder()
    for value, kind in pairs:
        encoder.put(value, kind)
    decoder = Decoder(encoder.finish())
    assert [decoder.get(kind) for _, kind in pairs] == [value for value, _ in pairs]
    decoder.finish()


def test_coder_comes_close_to_entropy():
    values = np.round(np.random.default_rng(0).laplace(0, 1.2, 3000)).astype(int)
    encoder = Encoder()
    for value in values.tolist():
        encoder.put(value)
    _, counts = np.unique(values, return_counts=True)
    entropy = -(counts * np.log2(counts / 3000)).sum() / 8
    assert len(encoder.finish()) < 1.06 * entropy


def some_deltas(groups: tuple[int, ...], scale: float = 3.0) -> list[Delta]:
    weights, rng = dict(new_renderer().named_parameters()), np.random.default_rng(0)
    names = [name for i in groups for name in GROUPS[i]]
    return [
        Delta(
            n,
            np.round(rng.normal(0, scale, weights[n].numel())).clip(-127, 127).astype(np.int64),
            40,
        )
        for n in names
    ]


@pytest.mark.parametrize("groups", [(0,), (0, 1), (1, 2), (0, 1, 2, 3)])
def test_payload_round_trip(groups):
    deltas, renderer = some_deltas(groups), new_renderer()
    got = unpack(pack(deltas), renderer)
    assert set(got) == {d.name for d in deltas}
    for delta in deltas:
        assert np.array_equal(
            got[delta.name].flatten().numpy(), (delta.values * step_of(40)).astype(np.float32)
        )
    assert unpack(IDENTITY, renderer) is None
    assert unpack(pack([Delta(d.name, d.values * 0, 40) for d in deltas]), renderer) == {}


def test_tuned_weights_paint_and_do_not_stay(checkpoints):
    plain = paint(checkpoints["new"])
    assert equal(paint(checkpoints["lively"], tuned=IDENTITY), plain)
    painter = Painter(video_format(), "av1", Fraction(1), 40, checkpoints["new"], 1)
    painter.start_gop(pack(some_deltas((0, 1, 2))))
    assert not np.array_equal(painter.paint(picture())[0], picture()[0])
    painter.start_gop(None)
    assert np.array_equal(painter.paint(picture())[0], picture()[0])


@settings(max_examples=300)
@given(
    st.binary(max_size=80)
    | st.binary(max_size=60).map(lambda tail: bytes([1, 3, 40, 40, 40, 255, 40, 40, 40]) + tail)
)
def test_any_payload_is_read_or_refused(payload):
    try:
        deltas = unpack(payload, RENDERER)
    except DamagedStreamError:
        return
    assert deltas is None or all(torch.isfinite(d).all() for d in deltas.values())


RENDERER = new_renderer()


def test_cut_and_extended_payloads_are_refused():
    payload = pack(some_deltas((0, 1)))
    for damaged in (
        payload[:-8],
        payload + b"\1",
        payload[:5],
        b"",
        b"\2",
        bytes([1, 16]) + payload[2:],
        b"\0\0",
    ):
        with pytest.raises(DamagedStreamError):
            unpack(damaged, RENDERER)


def test_tuning_is_told_how_long_and_how_much(monkeypatch):
    from gvcodec import appearance, factory
    from gvcodec.appearance.tuning_samples import Part
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.encoder import EncoderConfig

    calls = []
    monkeypatch.setattr(appearance, "tune", lambda *a, **k: calls.append((a, k)) or b"tuned")
    header = SequenceHeader(video_format(), "av1", Fraction(1), 40, 0, None, b"12345678")
    for config in (
        EncoderConfig(tune=5.0),
        EncoderConfig(tune_steps=7, tune_parts=3, tune_by="small"),
    ):
        assert factory.tune([Part(0, [], 1000)], header, config, None) == ({0: b"tuned"}, "")
    (first, plain), (_, steered) = calls
    assert first[5] == 5.0 and plain["steps"] is None and plain["groups"] is None
    assert (
        plain["leader"] == ""
        and steered["leader"] == "small"
        and steered["steps"] == 7
        and steered["groups"] == 3
        and steered["stream_bytes"] == 1000
    )


def test_parts_share_the_time_and_begin_with_what_is_in_force(monkeypatch):
    from gvcodec import appearance, factory
    from gvcodec.appearance.tuning_samples import Part
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.encoder import EncoderConfig

    answers, given = [None, b"one", None, b"two"], []

    def fit(*arguments, steps, before, stream_bytes, **rest):
        given.append((arguments[5], steps, before, stream_bytes))
        return answers[len(given) - 1]

    monkeypatch.setattr(appearance, "tune", fit)
    header = SequenceHeader(video_format(), "av1", Fraction(1), 40, 0, None, b"12345678")
    parts = [Part(100 * number, [], 1000 + number) for number in range(4)]
    said: list[str] = []
    config = EncoderConfig(tune_steps=130)
    assert factory.tune(parts, header, config, said.append) == ({100: b"one", 300: b"two"}, "")
    assert given == [
        (0.0, 32, before, 1000 + n) for n, before in enumerate((None, None, b"one", b"one"))
    ]
    assert said[3] == "tuning: part 4 of 4, from frame 300"


#: Steps after which tuning looks whether it gains, in these tests.
LOOKS = 4, 6


def moving(frames=2, side=48, blur=False):
    """Runs of (loop, source) of a texture that moves; `blur`: loop frames without its finest
    part."""
    rng = np.random.default_rng(5)
    wide = rng.integers(200, 800, (side + 40, side + 40)).astype(np.uint16)
    chroma = np.full((side // 2, side // 2), 512, np.uint16)
    runs = []
    for run in range(2):
        pairs = []
        for t in range(frames):
            y, x = 4 * run + t, 2 * t
            source = np.ascontiguousarray(wide[y : y + side, x : x + side])
            mean = (
                sum(
                    wide[y + i : y + i + side, x + j : x + j + side] for i in (0, 1) for j in (0, 1)
                )
                // 4
            )
            pairs.append(
                (
                    (mean.astype(np.uint16) if blur else source, chroma, chroma),
                    (source, chroma, chroma),
                )
            )
        runs.append(pairs)
    return runs


def fitted(monkeypatch, samples, steps, checkpoint=None):
    """Payload, number of steps taken, what was said; with few small crops."""
    from gvcodec.appearance import tuning

    for name, value in {"_LOOKS": LOOKS, "_POOL": 2, "_VALIDATION": 2, "_BATCH": 1}.items():
        monkeypatch.setattr(tuning, name, value)
    taken, said, update = [], [], tuning.Tuner.update
    monkeypatch.setattr(
        tuning.Tuner, "update", lambda self, *a: taken.append(1) or update(self, *a)
    )
    arguments = (samples, video_format(48, 48), "av1", Fraction(1), 40, 0.0, checkpoint)
    return (
        tuning.tune(*arguments, progress=said.append, steps=steps, leader="small"),
        len(taken),
        said,
    )


def test_tuning_stops_early_when_it_does_not_pay(monkeypatch):
    payload, steps, said = fitted(monkeypatch, moving(), 12)
    assert (
        steps == LOOKS[-1]
        and "tuning: no gain after 6 steps" in said
        and payload in (None, IDENTITY)
    )


@pytest.mark.parametrize(("painted", "wanted"), [(1.3, None), (1.6, IDENTITY)])
def test_the_contrast_guard_does_not_choose_loop_frames(monkeypatch, painted, wanted):
    """Painting comes with 0.5 of it here, and looks better, or worse, without counting that."""
    from gvcodec.appearance import tuning

    found = {True: {"total": 1.0}, False: {"total": painted, "contrast": 0.5}}
    monkeypatch.setattr(tuning.Tuner, "parts", lambda self, renderer: found[renderer is None])
    assert fitted(monkeypatch, moving(), 2)[0] == wanted


def test_tuning_goes_on_while_it_pays(monkeypatch, checkpoints):
    _, steps, said = fitted(monkeypatch, moving(blur=True), 12, checkpoints["new"])
    assert steps == 12 and not any("no gain" in line for line in said)


def test_a_still_picture_is_not_tuned(monkeypatch):
    from gvcodec.encoder import Encoder, EncoderConfig

    still = [[run[0]] * 3 for run in moving()[:1]]
    for samples in (still, [still[0][:1]]):
        with pytest.warns(UserWarning, match="nothing moves"):
            assert fitted(monkeypatch, samples, 60)[:2] == (None, 0)
    encoder = Encoder(video_format(48, 48), EncoderConfig(base="av1", preset=10, threads=1))
    encoder.send_frame(still[0][0][1])
    encoder.flush()
    assert encoder.notes == ["tuning is left out: nothing moves"] and not encoder.tuned


def test_tuning_by_default_does_not_depend_on_the_clock(monkeypatch):
    from gvcodec.appearance import tuning
    from gvcodec.cli import parser
    from gvcodec.encoder import EncoderConfig

    plain = EncoderConfig()
    assert 2 * tuning._LOOKS[-1] < plain.tune_steps
    assert plain.tune is None and plain.tunes and not EncoderConfig(tune=0).tunes
    command = ["encode", "a", "b"]
    assert parser().parse_args(command).tune == (None, plain.tune_steps)
    for word, wanted in (("30", (30.0, 0)), ("off", (0.0, 0)), ("7steps", (None, 7))):
        assert parser().parse_args([*command, "--tune", word]).tune == wanted
    quick = fitted(monkeypatch, moving(blur=True), 3)
    clock = itertools.count(0, 1000.0)
    monkeypatch.setattr(tuning.time, "monotonic", lambda: next(clock))
    assert fitted(monkeypatch, moving(blur=True), 3)[:2] == quick[:2]
