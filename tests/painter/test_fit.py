"""Fitting the painter to a video: when it pays, when it stops, what leads it, its optimiser."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from gvcodec import perceptual
from gvcodec.bitstream import SequenceHeader
from gvcodec.cli import parser
from gvcodec.cli.encode import make_job
from gvcodec.codec.encoder import Encoder, EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.fitting import fit as fitting
from gvcodec.painter.fitting.fit import Adam, fit
from gvcodec.painter.fitting.network import PainterNetwork
from gvcodec.painter.payload import BASE, IDENTITY, Delta, in_groups, pack
from gvcodec.painter.payload_choice import choose_payloads
from gvcodec.painter.samples import Part
from gvcodec.painter.video import VideoPainter
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.types import Planes, VideoFormat
from tests.clips import blurred_clip
from tests.conftest import in_process
from tests.errors import raises
from tests.two_devices import moved_whole, two_devices

needs_weights = pytest.mark.skipif(perceptual.find_weights() is None, reason="no metric weights")


@pytest.fixture
def blank(tmp_path):
    """The shipped painter with nothing in its last layers: it adds nothing."""
    twin = PainterNetwork.load(PAINTER.find())
    twin.head.weight.zero_()
    twin.head.bias.zero_()
    twin.save(tmp_path / "blank.safetensors")
    return tmp_path / "blank.safetensors"


def video_format(width: int = 118, height: int = 70) -> VideoFormat:
    return VideoFormat(width, height, Fraction(25), Fraction(1, 25))


def test_parts_share_the_steps_and_begin_with_what_is_in_force(monkeypatch):
    answers, given = [b"zero", b"one", None, b"two"], []

    def fit(*arguments, before, stream_bytes, leader, **rest):
        given.append((arguments[5], before, stream_bytes, leader))
        return answers[len(given) - 1]

    monkeypatch.setattr(fitting, "fit", fit)
    header = SequenceHeader(video_format(), "av1", Fraction(1), 40, 0, None, b"12345678")
    parts = [Part(100 * number, [], 1000 + number) for number in range(4)]
    messages: list[str] = []
    config = EncoderConfig(fit=130, fit_by="small")
    found = choose_payloads(parts, header, config, messages.append)
    assert found == ({0: b"zero", 100: b"one", 300: b"two"}, "")
    before = (None, b"zero", b"one", b"one")
    assert given == [(32, known, 1000 + n, "small") for n, known in enumerate(before)]
    assert messages[3] == "fitting: part 4 of 4, from frame 300"
    answers[:], given[:] = [None, b"one"], []
    assert choose_payloads(parts, header, config, None)[0] == {} and len(given) == 1


#: Steps after which fitting looks whether it will gain, in these tests.
LOOK = 6


def moving(frames=2, side=48, blur=False):
    wide = np.random.default_rng(5).integers(200, 800, (side + 40, side + 40)).astype(np.uint16)
    chroma = np.full((side // 2, side // 2), 512, np.uint16)
    runs = []
    for run in range(2):
        pairs = []
        for t in range(frames):
            y, x = 4 * run + t, 2 * t
            source = np.ascontiguousarray(wide[y : y + side, x : x + side])
            shifts = itertools.product((y, y + 1), (x, x + 1))
            mean = sum(wide[i : i + side, j : j + side] for i, j in shifts) // 4
            base_frame = mean.astype(np.uint16) if blur else source
            pairs.append(((base_frame, chroma, chroma), (source, chroma, chroma)))
        runs.append(pairs)
    return runs


def fitted(monkeypatch, samples, steps, checkpoint=None):
    """Payload, number of steps taken, messages; with few small crops."""
    for name, value in {"FIRST_CHECK": LOOK, "_POOL": 2, "_VALIDATION": 2, "_BATCH": 1}.items():
        monkeypatch.setattr(fitting, name, value)
    taken, messages, update = [], [], fitting.Fitter.update
    counting = lambda self, *a: taken.append(1) or update(self, *a)
    monkeypatch.setattr(fitting.Fitter, "update", counting)
    arguments = (samples, video_format(48, 48), "av1", Fraction(1), 40, steps, checkpoint)
    return (
        fitting.fit(*arguments, progress=messages.append, leader="small"),
        len(taken),
        messages,
    )


def test_fitting_stops_early_when_it_does_not_pay(monkeypatch):
    payload, steps, messages = fitted(monkeypatch, moving(), 12)
    assert steps == LOOK and "fitting: too little gain after 6 steps" in messages
    assert payload in (None, IDENTITY)


@pytest.mark.parametrize(("painted", "wanted"), [(1.3, None), (1.6, None), (1.8, IDENTITY)])
def test_base_frames_are_shown_only_where_they_are_clearly_nearer(monkeypatch, painted, wanted):
    """By more than a tenth, without counting the contrast guard, of which painting has 0.5 here."""
    gap = {"energy_gap": 0.2}
    found = {True: gap | {"total": 1.0}, False: gap | {"total": painted, "contrast": 0.5}}
    monkeypatch.setattr(fitting.Fitter, "parts", lambda self, twin: found[twin is None])
    assert fitted(monkeypatch, moving(), 2)[0] == wanted


def test_all_of_fitting_is_done_on_the_device(monkeypatch, blank):
    samples = moving(3, blur=True)
    wanted = fitted(monkeypatch, samples, 12, blank)[0]
    monkeypatch.setattr(PainterNetwork, "load", staticmethod(moved_whole(PainterNetwork.load)))
    monkeypatch.setattr(fitting, "make_objective", moved_whole(fitting.make_objective))
    with two_devices(monkeypatch) as made:
        found = fitted(monkeypatch, samples, 12, blank)[0]
    assert len(made) > 20 and wanted not in (None, IDENTITY) and found == wanted


def test_fitting_on_a_device_that_is_not_there_is_refused():
    with raises(UsageError, "device"):
        fit(moving(), video_format(), "av1", Fraction(1), 40, 2, device="cuda:7")


def test_fitting_goes_on_while_it_pays(monkeypatch, blank):
    _, steps, messages = fitted(monkeypatch, moving(blur=True), 12, blank)
    assert steps == 12 and not any("too little gain" in line for line in messages)


def test_fitting_that_moves_textures_away_is_left_out(monkeypatch, blank):
    gaps = iter([0.2, 0.2, *[0.25] * 20])
    real = fitting.Fitter.parts
    changed = lambda *given: real(*given) | {"energy_gap": next(gaps)}
    monkeypatch.setattr(fitting.Fitter, "parts", changed)
    assert fitted(monkeypatch, moving(blur=True), 12, blank)[0] in (None, IDENTITY)


def test_a_still_picture_is_not_fitted(monkeypatch):
    still = [[run[0]] * 3 for run in moving()[:1]]
    for samples in (still, [still[0][:1]]):
        with pytest.warns(UserWarning, match="nothing moves"):
            assert fitted(monkeypatch, samples, 60)[:2] == (None, 0)
    encoder = Encoder(video_format(48, 48), EncoderConfig(preset=10, threads=1, fit=5))
    encoder.send_frame(still[0][0][1])
    encoder.flush()
    assert encoder.notes == ["fitting is left out: nothing moves"] and not encoder.fit_payloads


def test_fitting_does_not_depend_on_the_clock(monkeypatch):
    best = EncoderConfig(speed="best", tokens="off")
    assert fitting.FIRST_CHECK < best.fit_step_count
    assert (
        best.fit is None
        and best.uses_fitting
        and not EncoderConfig(speed="best", fit=0).uses_fitting
    )
    command = ["encode", "a", "b"]
    for words, wanted in (((), None), (("--fit", "off"), 0), (("--fit", "7"), 7)):
        assert make_job(parser().parse_args([*command, *words])).config.fit == wanted
    quick = fitted(monkeypatch, moving(blur=True), 3)
    clock = itertools.count(0, 1000.0)
    monkeypatch.setattr(fitting.time, "monotonic", lambda: next(clock))
    assert fitted(monkeypatch, moving(blur=True), 3)[:2] == quick[:2]


def samples(runs: int = 2) -> list[list[tuple[Planes, Planes]]]:
    source, base_frame = blurred_clip(2 * runs, 128)
    whole = [[(base_frame[t], source[t]) for t in (2 * i, 2 * i + 1)] for i in range(runs)]
    return [*whole, [(base_frame[0], source[0])]]  # the last run of a clip may be cut short


FORMAT = VideoFormat(128, 128, Fraction(25), Fraction(1, 25))


def test_fitting_pays_on_what_it_was_fitted_to_and_is_reproducible(
    monkeypatch, blank, some_weights
):
    for name, value in (("_POOL", 4), ("_VALIDATION", 2), ("_BATCH", 1)):
        monkeypatch.setattr(fitting, name, value)
    checkpoint, messages = blank, list[str]()
    arguments = (samples(), FORMAT, "av1", Fraction(1), 50, 6, checkpoint)
    payload = fit(*arguments, progress=messages.append, stream_bytes=100_000)
    assert payload is not None and 10 < len(payload) < 3000
    assert payload == fit(*arguments, stream_bytes=100_000)
    assert any("bytes" in line for line in messages)
    painter = VideoPainter(FORMAT, "av1", Fraction(1), 50, checkpoint, 1)
    painter.start_gop(payload)
    base_frame = samples()[0][0][0]
    assert not np.array_equal(painter.paint(base_frame)[0], base_frame[0])
    # In a stream of next to no bytes nothing pays.
    arguments = (*arguments[:5], 2, checkpoint)
    assert fit(*arguments, stream_bytes=50) is None
    # What is in force costs nothing: it stays, unless it does harm.
    assert fit(*arguments, stream_bytes=50, before=payload) == payload
    biases = in_groups(1, PainterNetwork.load(blank).state_dict())
    bias = Delta("head.bias", np.where(np.arange(15) < 3, -127, 0), 12)
    others = [Delta(name, np.zeros(1, np.int64), 8) for name in biases if name != "head.bias"]
    assert fit(*arguments, stream_bytes=50, before=pack([bias, *others])) == BASE
    painter.start_gop(BASE)
    again = VideoPainter(FORMAT, "av1", Fraction(1), 50, checkpoint, 1)
    again.start_gop(None)
    assert all(map(np.array_equal, painter.paint(base_frame), again.paint(base_frame)))


def test_fitting_without_weights_warns_and_leaves_the_painter(tmp_path, monkeypatch):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.warns(UserWarning, match="no weights"):
        assert fit(samples(), FORMAT, "av1", Fraction(1), 50, 5, leader="vgg") is None
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [tmp_path])
    with pytest.warns(UserWarning, match="no weights"):
        assert fit(samples(), FORMAT, "av1", Fraction(1), 50, 5) is None


def test_the_small_network_leads_where_vgg_is_not_found(tmp_path, monkeypatch, blank):
    for name in ("_VALIDATION", "_BATCH"):
        monkeypatch.setattr(fitting, name, 2)
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    messages: list[str] = []
    arguments = (samples(), FORMAT, "av1", Fraction(1), 50, 3, blank)
    first = fit(*arguments, progress=messages.append)
    assert messages[0] == "fitting: led by the small network" and "3 steps" in messages[-1]
    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE)
    assert fit(*arguments, leader="small") == first


@needs_weights
def test_the_small_network_sees_what_vgg_sees():
    leading = perceptual.guide_network("small")
    assert leading is not None and leading[0] == "small"
    assert sum(w.numel() for w in leading[1].values()) <= 1_000_000
    small, vgg = PerceptualLoss(integer=False, weights=leading[1]), PerceptualLoss(integer=False)
    fast = PerceptualLoss(weights=leading[1])
    cosines = []
    for run in samples()[:2]:
        crops = (np.stack([p[0][:128, :128]] * 3) for p in run[-1])
        base_frame, source = (torch.from_numpy(crop).float()[None] / 1023 for crop in crops)
        pair = [torch.stack(loss(base_frame, loss.reference(source))) for loss in (small, fast)]
        assert torch.allclose(*pair, rtol=0.1, atol=0.005)
        gradients: list[torch.Tensor] = []
        for loss in (small, vgg):
            picture = base_frame.clone().requires_grad_()
            sum(loss(picture, loss.reference(source))).sum().backward()
            gradients.append(picture.grad.sum(1).flatten())
        cosines.append(float(torch.nn.functional.cosine_similarity(*gradients, 0)))
    assert min(cosines) > 0.15


@pytest.mark.parametrize(("width", "height", "fits"), [(96, 66, True), (40, 40, False)])
def test_fitting_of_small_pictures(blank, monkeypatch, width, height, fits, some_weights):
    for name, value in (("_POOL", 2), ("_VALIDATION", 1), ("_BATCH", 1)):
        monkeypatch.setattr(fitting, name, value)
    half = np.s_[: (height + 1) // 2, : (width + 1) // 2]
    cut = lambda planes: (planes[0][:height, :width], *(p[half] for p in planes[1:]))
    small = [[(cut(base_frame), cut(source)) for base_frame, source in run] for run in samples()]
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
    messages: list[str] = []
    arguments = (small, fmt, "av1", Fraction(1), 50, 2, blank)
    if not fits:
        with pytest.warns(UserWarning, match="smaller"):
            assert fit(*arguments) is None
        return
    fit(*arguments, progress=messages.append)
    assert "2 steps" in messages[-1]


def test_it_steps_as_the_optimiser_of_torch_does():
    generator = torch.Generator().manual_seed(3)
    ours = [torch.randn(4, 3, generator=generator).requires_grad_(True) for _ in range(2)]
    theirs = [w.detach().clone().requires_grad_(True) for w in ours]
    mine = Adam(ours, betas=(0.9, 0.98))
    other = torch.optim.AdamW(theirs, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(5):
        rate = 0.1 / (step + 1)
        other.param_groups[0]["lr"] = rate
        for weights in (ours, theirs):
            sum((w**3).sum() for w in weights).backward()
        mine.step(rate)
        other.step()
        mine.clear_gradients()
        other.zero_grad()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_fitting_does_not_load_the_compiler_of_torch():
    code = """
import sys, torch
from gvcodec.painter.fitting.fit import Adam
w = torch.ones(2, requires_grad=True)
optimizer = Adam([w], (0.9, 0.98))
w.sum().backward()
torch.nn.utils.clip_grad_norm_([w], 1.0)
optimizer.step(0.1)
sys.exit("torch._dynamo" in sys.modules)"""
    in_process("-c", code)
