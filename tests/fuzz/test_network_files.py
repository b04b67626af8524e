"""Mutated files of base gvc1d end with frames or one line."""

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.robustness import network_files


def test_mutated_files_end_with_frames_or_a_line() -> None:
    findings = network_files.run(300)
    assert findings.wrong == []
    ends = Counter[str]()
    for kind, count in findings.codes.items():
        ends[kind.split(": ")[1].split(",")[0]] += count
    assert sum(ends.values()) == 300
    known = {"decode 0 (same frames)", "decode 0 (other frames)"}
    assert set(ends) <= known | {f"decode {code}" for code in (2, 3, 4, 5, 9)}
    assert ends["decode 0 (same frames)"] > 20 and ends["decode 3"] > 100
    # Damage reached the network: frames with right checksums were refused.
    assert any("of_frames: decode 3" in kind for kind in findings.codes)


def test_a_decoder_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gvcodec.gvc1d.frame_coder import FrameCoder

    def fail(self: FrameCoder, packet: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(FrameCoder, "decode", fail)
    findings = network_files.run(12, keep=tmp_path)
    assert any("ZeroDivisionError" in text for text in findings.wrong)
    assert list(tmp_path.glob("1-*.gvc"))


def test_a_call_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_files, "HANG", 0.2)
    monkeypatch.setattr(network_files.cli, "main", lambda words: endless())
    code, _ = network_files.call("info", "x")
    assert str(code).startswith("TimeoutError")


def endless() -> int:
    while True:
        pass
