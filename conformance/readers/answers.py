"""Answers: a verdict ("accepted", "damaged", "newer", "limit", "no model", "other hash",
"unsupported") and, of accepted files, digests: the first 8 bytes of SHA-256, hexadecimal.

| key of a stream | digest of |
|---|---|
| header | its fields as text |
| payloads | u32 size and bytes of each frame packet, unbundled, in decode order |
| fits | the same of the `fit` payload in force in each GOP; size 2^32 − 1 where there is none |
| times | times of all frames and of the end, as text |
| base, painted | the digests of all frames, as text |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

Answer = dict[str, Any]


def digest(data: bytes | str) -> str:
    """Digest of bytes, or of a text's UTF-8."""
    data = data.encode() if isinstance(data, str) else data
    return hashlib.sha256(data).hexdigest()[:16]


def digest_of_parts(parts: Iterable[bytes | None]) -> str:
    """Digest of sizes and bytes; None has the size 2^32 − 1 and no bytes."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update((0xFFFFFFFF if part is None else len(part)).to_bytes(4, "little"))
        whole.update(part or b"")
    return whole.hexdigest()[:16]


def differences(answer: Answer, reference: Answer) -> Answer:
    """Fields in which an answer differs; if the verdict differs, only the verdict. Keys that one of
    the two lacks are left out."""
    if answer["verdict"] != reference["verdict"]:
        return {"verdict": answer["verdict"]}
    return {k: v for k, v in answer.items() if k in reference and reference[k] != v}
