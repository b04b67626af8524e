"""Times, texts, sound and subtitles, vectors for search (Times, texts, tracks)."""

from __future__ import annotations

import hashlib
import unicodedata
from fractions import Fraction

from conformance.decoder.entropy import Rans
from conformance.decoder.header import Header, fraction
from conformance.decoder.heads import check_head
from conformance.decoder.wire import Bytes, require


class Timeline:
    """Times of frames in display order, from `timing` packets (timing)."""

    def __init__(self, header: Header) -> None:
        self.start, self.step = header.start, 1 / (header.rate * header.tick)
        self.next = self.following = 0
        self.anchor = 0, header.start
        self.late: dict[int, int] = {}
        self.exact: dict[int, int] = {}

    def send(self, payload: bytes) -> None:
        read = Bytes(payload)
        while read.remaining:
            n, late = self.following + read.var(0, 2**40), read.svar()
            if late:
                require(n >= self.next, "the time of a frame that was shown")
                self.late[n] = late
            else:
                n = read.var(0, 2**40)
                time = _bounded(self.start + read.svar())
                if n < self.next:
                    self.anchor = n, time
                else:
                    self.exact[n] = time
            self.following = n + 1
            require(len(self.late) + len(self.exact) <= 2**19, "too many times")

    def receive(self) -> int:
        """The time of the next frame."""
        n, (m, time) = self.next, self.anchor
        a, b = self.step.numerator, self.step.denominator
        predicted = time + (2 * (n - m) * a + b) // (2 * b)
        time = _bounded(self.exact.pop(n, predicted + self.late.get(n, 0)))
        if self.late.pop(n, 0):
            self.anchor = n, time
        self.next += 1
        return time


def _bounded(time: int) -> int:
    require(abs(time) <= 2**60, "a time beyond 2^60")
    return time


def read_metadata(payload: bytes) -> dict[str, object]:
    """metadata."""
    fields: dict = {"title": "", "chapters": [], "mastering": None, "light": None}
    fields |= {"tags": [], "start": 0}
    read = Bytes(payload)
    while read.remaining:
        number = read.number(1)
        data = Bytes(read.take(read.var()))
        if number == 1:
            fields["title"] = read_text(data.rest())
        elif number == 2:
            begin, duration = data.svar(2**52), data.var(0, 2**52)
            fields["chapters"].append([begin, duration, read_text(data.rest())])
        elif number == 3:
            places = [data.var(0, 65535) for _ in range(8)]
            fields["mastering"] = places + [data.var(0, 2**32 - 1) for _ in range(2)]
        elif number == 4:
            fields["light"] = [data.var(0, 65535) for _ in range(2)]
        elif number == 5:
            name, _, text = data.rest().partition(b"\0")
            fields["tags"].append([read_text(name), read_text(text)])
        elif number == 6:
            fields["start"] = data.svar(2**52)
        elif number == 7:
            for _ in range(8):  # encoder of the base and its version, as far as they are known
                _ = data.var() if data.remaining else None
        elif number == 8:
            track = data.var(0, 64)
            kind, _, text = _decoded(data.rest()).partition("\0")
            if kind in ("title", "language"):
                name = [track, kind, _cleaned(text)[:256]]
                fields["names"] = [*fields.get("names", []), name]
    return fields


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        require(False, "a text is not UTF-8")
        raise


def _is_printable(sign: str) -> bool:
    return sign == " " or unicodedata.category(sign)[0] not in "CZ"


def read_text(data: bytes) -> str:
    return _cleaned(_decoded(data))


def _cleaned(text: str) -> str:
    return "".join(" " if _is_control(c) else c for c in text).strip()


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs") or sign in "\u202d\u202e"


class Tracks:
    """All `tracks` packets of a file (tracks)."""

    def __init__(self) -> None:
        self.tracks: list[dict] | None = None
        self._end: list[int] = []
        self._duration: list[int] = []
        self._pts: list[int | None] = []

    def send(self, payload: bytes) -> None:
        read = Bytes(payload)
        if self.tracks is None:
            self.tracks = self._read_tracks(read)
            self._pts = [None] * len(self.tracks)
            self._restart()
        while read.remaining:
            self._read_packet(read)

    def _restart(self) -> None:
        self._end, self._duration = [0] * len(self._pts), [0] * len(self._pts)

    def _read_tracks(self, read: Bytes) -> list[dict]:
        tracks, heads = [], 0
        for _ in range(read.var(0, 64)):
            tick = Fraction(read.var(1, 2**31), read.var(1, 2**31))
            flags = read.var(0, 0x303FF)
            language, title = (_decoded(read.take(read.var(0, 256))) for _ in range(2))
            require(all(map(_is_printable, language + title)), "unprintable characters")
            head = read.take(read.var(0, 2**20))
            heads += len(head)
            require(heads <= 2**20, "heads of tracks together")
            check_head(head)
            track = {"tick": fraction(tick), "flags": flags, "language": language, "title": title}
            tracks.append(track | {"head": hashlib.sha256(head).hexdigest(), "packets": []})
        return tracks

    def _read_packet(self, read: Bytes) -> None:
        head = read.var()
        track, form = head >> 3, head & 7
        require(track <= len(self._pts), "packet of an unknown track")
        if track == len(self._pts):
            self._restart()
            return
        pts = self._end[track] + read.svar()
        if form & 1:
            self._duration[track] = read.var(0, 2**62)
        duration = self._duration[track]
        hidden = (read.var(0, duration), read.var(0, 2**62)) if form & 2 else (0, 0)
        data = read.take(read.var())
        before = self._pts[track]
        require(abs(pts) <= 2**62 and (before is None or pts >= before), "time of a packet")
        self._end[track], self._pts[track] = pts + duration, pts
        assert self.tracks is not None
        digest = hashlib.sha256(data).hexdigest()
        self.tracks[track]["packets"].append([pts, duration, *hidden, not form & 4, digest])


def read_summary(payload: bytes, frames: int) -> list[list[int]] | None:
    """Vectors of a GOP (summary)."""
    read = Bytes(payload)
    if not payload or read.number(1) != 1:
        return None
    read.take(8)
    dim, stride = read.var(1, 1024), read.var(1, 2**32)
    _step, leak, first, later = (read.number(1) for _ in range(4))
    require(leak <= 8 and first < 64 and later < 64, "prediction of a summary")
    count = -(-frames // stride)
    require(count * dim <= 2**23, "vectors of a summary")
    rans, vectors = Rans(read.rest()), []
    for n in range(count):
        before = vectors[-1] if vectors else [0] * dim
        vector = []
        for b in before:
            difference = rans.integer(later if n else first)
            predicted = (abs(b) * leak + 4) >> 3
            value = difference + (predicted if b > 0 else -predicted)
            require(abs(difference) <= 254 and abs(value) <= 127, "a number of a summary")
            vector.append(value)
        vectors.append(vector)
    rans.close()
    return vectors
