"""Every option of the encoder, once in each base that has it, with the encoders that are here: the
file decodes to as many frames."""

from dataclasses import fields
from fractions import Fraction

import pytest

import gvcodec
from gvcodec.config import SPEEDS, EncoderConfig
from gvcodec.models import GVC1D_MINI
from gvcodec.option_rules import TOKENS
from tests.clips import make_clip

CLIP = make_clip(96, 80, 8, seed=5)
#: Values of an option, with what they need: keywords of `gvcodec.encode`.
VALUES = {
    "q": ({"q": 62.5}, {"q": 67}, {"q": 30, "base": "vvc"}),
    "base_q": ({"base_q": 40.25}, {"base_q": 50, "base": "vvc"}),
    "maxrate": ({"maxrate": 50_000},),
    "base": ({"base": "av1"}, {"base": "vvc"}),
    "scale": ({"scale": Fraction(1, 2)}, {"scale": Fraction(3, 4), "base": "vvc"}),
    "speed": tuple({"speed": speed, "preset": None, "tokens": "off"} for speed in SPEEDS),
    "fit": ({"fit": None}, {"fit": 0}, {"fit": 20}),
    "painter": ({"painter": "off"},),
    "look": ({"look": 0}, {"look": 80}),
    "fit_by": ({"fit_by": "small"},),
    "model": ({"model": str(GVC1D_MINI.find()), "base": "gvc1d"},),
    "device": ({"device": "cpu", "tokens": "search", "fit": None},),
    "keyint": ({"keyint": 3}, {"keyint": 0, "base": "vvc"}),
    "low_delay": ({"low_delay": True},),
    "preset": ({"preset": 7}, {"preset": 3, "base": "vvc"}),
    "eye": ({"eye": True}, {"eye": True, "low_delay": True}, {"eye": True, "q": 67}),
    "encoder_params": ({"encoder_params": "tune=0:sharpness=2"},),
    "zones": ({"zones": "0:00.1-0:00.2:q=+8"},),
    "alloc": ({"alloc": "uniqueness", "keyint": 4},),
    "embed_model": ({"embed_model": True},),
    "tokens": tuple({"tokens": tokens, "fit": None} for tokens in TOKENS),
    "file_format": ({"file_format": "1.0"},),
    "threads": ({"threads": 2},),
}
#: Options for models that are not in the package; their own tests have them.
ELSEWHERE = {"token_share"}
_PRESETS = {"av1": 10, "vvc": 4}


def test_the_table_has_every_option() -> None:
    options = {field.name for field in fields(EncoderConfig) if field.metadata}
    assert set(VALUES) == options - ELSEWHERE
    assert all(name in value for name, values in VALUES.items() for value in values)


def name_of(settings: dict[str, object]) -> str:
    return ",".join(f"{name}={str(value)[-20:]}" for name, value in settings.items())


@pytest.mark.parametrize(
    "settings",
    {name_of(value): value for values in VALUES.values() for value in values}.values(),
    ids=name_of,
)
def test_a_file_with_the_option_has_all_frames(settings: dict[str, object]) -> None:
    preset = _PRESETS.get(str(settings.get("base", "av1")))
    stream = gvcodec.encode(CLIP, **{"fit": 0, "threads": 1, "preset": preset} | settings)
    assert len(list(gvcodec.decode_planes(stream))) == len(CLIP)
