"""Decoding does not import the encoder."""

import pytest

import gvcodec
from gvcodec import public
from tests.conftest import in_process

PRINT = """
import sys
import gvcodec.base.standard.decoders
print(*(name for name in sys.modules if name.split(".")[0] == "gvcodec"))
"""
#: Modules of the package that decoding AV1 loads: to a video file, and to arrays.
BUDGETS = {
    "import gvcodec.api.decoding": 56,
    "import gvcodec; gvcodec.decode_file": 57,
    "import gvcodec; gvcodec.decode; gvcodec.Decoder; gvcodec.Reader": 42,
}
#: What only encoding needs.
FOREIGN = (
    "allocation",
    "bitstream.writer",
    "codec.encoder",
    "config",
    "edit",
    "entropy",
    "source",
    "painter.model",
    "painter.strength",
    "rate",
)


@pytest.mark.parametrize("code", BUDGETS)
def test_decoding_loads_few_modules_and_no_encoder(code: str) -> None:
    names = in_process("-c", code + PRINT, text=True).stdout.split()
    assert "gvcodec.codec.decoder" in names
    assert len(names) <= BUDGETS[code], len(names)
    foreign = tuple(f"gvcodec.{name}" for name in FOREIGN)
    assert not [name for name in names if name.startswith(foreign)]


def test_each_public_name_is_where_the_table_says() -> None:
    for name in public.__all__:
        value = getattr(gvcodec, name)
        assert value is getattr(public, name)
        assert getattr(value, "__name__", name) == name or name in ("open", "State")
    with pytest.raises(AttributeError):
        public.absent  # noqa: B018
