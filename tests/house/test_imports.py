"""Decoding does not import the encoder."""

import subprocess
import sys

#: Modules of the package that decoding AV1 loads: a budget, to be lowered.
MOST = 56
CODE = """
import sys
import gvcodec.api.decoding
import gvcodec.base.standard.decoders
print(*(name for name in sys.modules if name.split(".")[0] == "gvcodec"))
"""
#: What only encoding needs.
FOREIGN = (
    *("allocation", "codec.encoder", "edit", "media.reader", "media.source_metadata"),
    *("painter.steady", "rate"),
)


def test_decoding_loads_few_modules_and_no_encoder() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert "gvcodec.codec.decoder" in names
    assert len(names) <= MOST, len(names)
    foreign = tuple(f"gvcodec.{name}" for name in FOREIGN)
    assert not [name for name in names if name.startswith(foreign)]
