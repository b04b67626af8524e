"""Containers of random parts, to see that `--replace` loses none of them without being told.

    python -m tests.edit.parts 1000 FOLDER [SEED]

A case is a file with a random list of parts (tracks, covers, fonts, tags …), options, and names of
allowed losses. After `encode --replace --delete-originals` FFmpeg's demuxer and decoders compare
what `decode` gives back with the original; nothing here uses the check of the replacement."""

import hashlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import AttachmentStream, Disposition

from gvcodec.cli import main
from tests.clips import ffmpeg

FRAMES = 8
QUICK = ("--preset", "10", "--painter", "off", "--fit", "off", "-q", "60", "--floor", "psnr=5")
#: Parts that a coded file can have.
STORED = {"sound", "subtitle", "tags", "chapters", "attachment", "cover"}
#: FFmpeg's mark of tracks to skip.
_DISCARD_ALL = 48
_TAGS = {
    "artist": " Zoë  Łuk ",
    "com.example.odd": "=;#\\x",
    "location": "+12.3456-004.5678/",
    "creation_time": "1999-12-31T23:59:59.000000Z",
    "comment": "日本語 — two",
    "title": "A film",
}
_TITLES = ("", "Director’s", "Commentary")
_STYLED = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Alignment, Encoding
Style: Loud,Impact,30,&H000000FF,1,8,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass
class Case:
    """`kind`: ending of the source. `sounds`: codec, language and title of each; `subtitles`:
    ending of the text and language; others: the number of parts, or whether there is one."""

    kind: str
    suffix: str = ".gvc"
    picture: str = "plain"
    sounds: list[tuple[str, str, str]] = field(default_factory=list)
    subtitles: list[tuple[str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    cameras: int = 1
    fonts: int = 0
    cover: bool = False
    timecode: bool = False
    telemetry: bool = False
    stereo: bool = False
    chapters: int = 0
    words: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    @property
    def losses(self) -> set[str]:
        """Names of the parts that are there."""
        there = {
            "video": self.cameras > 1,
            "sound": self.sounds and "none" not in self.words,
            "subtitle": self.subtitles and "--no-subtitles" not in self.words,
            "tags": self.tags,
            "attachment": self.fonts,
            "cover": self.cover,
            "timecode": self.timecode,
            "data": self.telemetry,
            "stereo": self.stereo,
            "chapters": self.chapters,
            "alpha": self.picture == "alpha",
            "interlacing": self.picture == "interlaced",
        }
        return {name for name, is_there in there.items() if is_there}

    @property
    def is_storable(self) -> bool:
        # Containers hold some kinds of text alone.
        holds = {".gvc": {self.kind}, ".mkv": {"mkv"}, ".mp4": {"mp4", "mov"}}[self.suffix]
        is_plain = self.kind in holds or not self.subtitles or "--no-subtitles" in self.words
        has_place = not self.fonts or self.suffix != ".mp4" or "attachment" in self.allowed
        return is_plain and has_place and self.losses <= STORED | {*self.allowed}


def make_case(seed: int) -> Case:
    rng = random.Random(seed)

    def happens(share: float) -> bool:
        return rng.random() < share

    kind = rng.choice(("mkv", "mkv", "mkv", "mp4", "mov", "ts"))
    codecs = {"mkv": ("aac", "flac", "libopus", "pcm_s16le", "libmp3lame", "ac3")}.get(
        kind,
        {
            "mov": ("aac", "pcm_s16le"),
            "mp4": ("aac", "libmp3lame", "ac3"),
            "ts": ("aac", "mp2"),
        }.get(kind),
    )
    assert codecs is not None
    texts = {"mkv": ("srt", "ass", "vtt"), "mp4": ("srt",), "mov": ("srt",)}.get(kind, ())
    languages = ("", "eng", "deu", "fra")
    case = Case(kind, rng.choice((".gvc", ".gvc", ".gvc", ".mkv", ".mp4")))
    case.picture = "interlaced" if happens(0.06) else "plain"
    if kind in ("mkv", "mov") and happens(0.06):
        case.picture = "alpha"
    titles = _TITLES if kind == "mkv" else ("",)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        case.sounds.append((rng.choice(codecs), rng.choice(languages), rng.choice(titles)))
    for _ in range(rng.choice((0, 0, 1, 3)) if texts else 0):
        case.subtitles.append((rng.choice(texts), rng.choice(languages)))
    if kind != "ts":
        case.tags = {name: _TAGS[name] for name in _TAGS if happens(0.25)}
        case.chapters = rng.choice((0, 0, 1, 3))
        # FFmpeg writes covers into files without lists of tags alone.
        case.cover = (kind == "mkv" or (kind == "mp4" and not case.tags)) and happens(0.2)
    case.cameras = 1 + happens(0.1)
    case.fonts = rng.choice((1, 2)) if kind == "mkv" and happens(0.12) else 0
    case.stereo = kind == "mkv" and happens(0.06)
    case.timecode = kind in ("mov", "mp4") and happens(0.2)
    case.telemetry = kind == "ts" and happens(0.3)
    case.words = rng.choice(
        ((), (), (), (), ("--no-subtitles",), ("--sound", "opus"), ("--sound", "none"))
    )
    case.allowed = tuple(sorted(n for n in case.losses if happens(0.3))) if happens(0.5) else ()
    return case


class Material:
    """Files that sources are made of, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        moving = ("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d={FRAMES / 25}")
        noise = ("-vf", "noise=alls=60:allf=t,format=yuv420p")
        x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "1")
        fields = "noise=alls=60:allf=t,format=yuv420p,setfield=tff"
        ffmpeg(*moving, *noise, *x264, folder / "plain.mkv")
        ffmpeg(
            *moving,
            "-vf",
            fields,
            *x264[:4],
            "-crf",
            "1",
            "-flags",
            "+ildct+ilme",
            folder / "interlaced.mkv",
        )
        see_through = "noise=alls=60:allf=t,format=rgba,colorchannelmixer=aa=0.5"
        ffmpeg(*moving, "-vf", see_through, "-c:v", "png", folder / "alpha.mov")
        ffmpeg(
            *moving,
            "-vf",
            "hflip,noise=alls=60:allf=t,format=yuv420p",
            *x264,
            folder / "camera2.mkv",
        )
        ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", 1, folder / "cover.jpg")
        for number in range(3):
            tone = f"sine=f={300 + 200 * number}:d={FRAMES / 25 - 0.03 * number}"
            ffmpeg("-f", "lavfi", "-i", tone, folder / f"tone{number}.wav")
            cues = [(0.02, 0.1, f"One {number}"), (0.12 + number / 100, 0.3, "Zwei — drei")]
            self._write_texts(number, cues)
        for number in range(2):
            (folder / f"font{number}.ttf").write_bytes(random.Random(number).randbytes(700))
        (folder / "telemetry.bin").write_bytes(random.Random(9).randbytes(300))
        for number in (1, 3):
            parts = [
                f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n * 300 // number}\n"
                f"END={(n + 1) * 300 // number}\ntitle=Kapitel {n}\n"
                for n in range(number)
            ]
            (folder / f"chapters{number}.txt").write_text(";FFMETADATA1\n" + "".join(parts))

    def _write_texts(self, number: int, cues: list[tuple[float, float, str]]) -> None:
        def time(seconds: float, point: str, digits: int) -> str:
            return f"0:00:{seconds:0{3 + digits}.{digits}f}".replace(".", point)

        srt = [
            f"{n}\n0{time(a, ',', 3)} --> 0{time(b, ',', 3)}\n{t}\n"
            for n, (a, b, t) in enumerate(cues, 1)
        ]
        vtt = [f"0{time(a, '.', 3)} --> 0{time(b, '.', 3)}\n{text}\n" for a, b, text in cues]
        ass = [
            f"Dialogue: 0,{time(a, '.', 2)},{time(b, '.', 2)},Loud,,0,0,0,,{{\\i1}}{text}\n"
            for a, b, text in cues
        ]
        (self.folder / f"text{number}.srt").write_text("\n".join(srt))
        (self.folder / f"text{number}.vtt").write_text("WEBVTT\n\n" + "\n".join(vtt))
        (self.folder / f"text{number}.ass").write_text(_STYLED + "".join(ass))

    def build(self, case: Case, path: Path) -> None:
        """Mux the parts of a case."""
        place, inputs, words = self.folder, list[object](), list[object]()
        picture = "alpha.mov" if case.picture == "alpha" else f"{case.picture}.mkv"
        names = [picture, *["camera2.mkv"] * (case.cameras - 1)]
        names += [f"tone{number}.wav" for number in range(len(case.sounds))]
        names += [f"text{number}.{kind}" for number, (kind, _) in enumerate(case.subtitles)]
        has_picture = case.cover and case.kind != "mkv"
        names += ["cover.jpg"] * has_picture
        for name in names:
            inputs += ["-i", place / name]
        if case.telemetry:
            inputs += ["-f", "data", "-i", place / "telemetry.bin"]
        maps = len(names) + case.telemetry
        if case.chapters:
            words += ["-map_chapters", maps]
            inputs += ["-f", "ffmetadata", "-i", place / f"chapters{case.chapters}.txt"]
        for number in range(maps):
            words += ["-map", number]
        words += ["-c", "copy", "-map_metadata:g", -1]
        for number, (codec, language, title) in enumerate(case.sounds):
            words += [f"-c:a:{number}", codec, f"-metadata:s:a:{number}", f"language={language}"]
            words += [f"-metadata:s:a:{number}", f"title={title}"]
        for number, (kind, language) in enumerate(case.subtitles):
            codec = {"srt": "srt", "ass": "ass", "vtt": "webvtt"}[kind]
            codec = codec if case.kind == "mkv" else "mov_text"
            words += [f"-c:s:{number}", codec, f"-metadata:s:s:{number}", f"language={language}"]
        if has_picture:
            words += [f"-disposition:v:{case.cameras}", "attached_pic"]
        elif case.cover:
            words += ["-attach", place / "cover.jpg", "-metadata:s:t:0", "mimetype=image/jpeg"]
        for number in range(case.fonts):
            words += ["-attach", place / f"font{number}.ttf"]
            at = number + (case.cover and not has_picture)
            words += [f"-metadata:s:t:{at}", "mimetype=application/x-truetype-font"]
        for name, text in case.tags.items():
            words += ["-metadata", f"{name}={text}"]
        if case.tags and case.kind != "mkv":
            words += ["-movflags", "use_metadata_tags"]
        words += ["-metadata:s:v:0", "stereo_mode=left_right"] * case.stereo
        words += ["-timecode", "01:02:03:04"] * case.timecode
        ffmpeg(*inputs, *words, "-strict", -2, path)


def describe(path: Path) -> Counter[tuple[Any, ...]]:
    """Parts of a file, each with what makes it equal to another, by FFmpeg alone."""
    parts = Counter[tuple[Any, ...]]()
    with av.open(str(path)) as container:
        samples: dict[int, list[np.ndarray]] = {}
        hashes: dict[int, Any] = {}
        cues: dict[int, list[tuple[Any, ...]]] = {}
        frames, kinds = list[float](), set[str]()
        streams = list(container.streams)
        video = next(
            s for s in streams if s.type == "video" and not s.disposition & Disposition.attached_pic
        )
        for packet in container.demux():
            stream = packet.stream
            if stream is video:
                for frame in packet.decode():
                    frames.append(float(frame.time))
                    kinds |= {"interlacing"} if frame.interlaced_frame else set()
                    alpha = any(part.is_alpha for part in frame.format.components)
                    kinds |= {"alpha"} if alpha else set()
            elif stream.type == "audio":
                arrays = [frame.to_ndarray() for frame in packet.decode()]
                samples.setdefault(stream.index, []).extend(arrays)
            elif stream.type == "subtitle":
                for rect in stream.codec_context.decode2(packet) or ():
                    begin, end = packet.pts, packet.pts + packet.duration
                    text = rect.dialogue.decode()
                    times = (round(float(t * packet.time_base), 2) for t in (begin, end))
                    styled = rect.ass.decode().split(",", 3)[2:]
                    if text.strip():
                        cues.setdefault(stream.index, []).append((*times, text, styled))
            elif packet.size:
                hashes.setdefault(stream.index, hashlib.sha256()).update(bytes(packet))
        for stream in streams:
            index, language = stream.index, stream.language or ""
            label = "" if language == "und" else language, stream.metadata.get("title", "")
            key: Any = hashes[index].hexdigest() if index in hashes else ""
            if stream.type == "audio":
                sound = np.concatenate(samples[index], axis=1)
                seconds = round(sound.shape[1] / stream.rate, 1)
                parts["sound", stream.channels, seconds, Samples(sound)] += 1
                parts["tags", "sound", *label] += 1
            elif stream.type == "subtitle":
                parts["subtitle", tuple(cue[:3] for cue in cues.get(index, ()))] += 1
                parts["tags", "subtitle", *label] += 1
                if "ass" in stream.codec_context.name:
                    parts["styles", str([cue[3] for cue in cues.get(index, ())])] += 1
            elif isinstance(stream, AttachmentStream):
                parts["attachment", hashlib.sha256(stream.data).hexdigest()] += 1
            elif stream.type == "video" and stream is not video:
                is_cover = stream.disposition & Disposition.attached_pic
                parts["cover" if is_cover else "video", key] += 1
            elif stream.type != "video" and int(stream.discard) != _DISCARD_ALL:
                name = "timecode" if "timecode" in stream.metadata else "data"
                parts[name, stream.metadata.get("timecode", key)] += 1
        for kind in kinds:
            parts[kind,] += 1
        if "stereo_mode" in {name.lower() for name in video.metadata}:
            parts["stereo",] += 1
        known = {name.lower(): text.strip() for name, text in container.metadata.items()}
        for name in _TAGS:
            if text := known.get(name.lower(), ""):
                parts["tags", name, text] += 1
        for chapter in container.chapters():
            begin = round(float(chapter["start"] * chapter["time_base"]), 2)
            parts["chapters", begin, chapter["metadata"].get("title", "")] += 1
        parts["frames", tuple(np.round(np.array(frames) - frames[0], 2))] += 1
    return parts


class Samples:
    """Samples [channels, N], equal to others that begin with them: containers cannot hide how much
    of the last packet is filling."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Samples)
        length = min(self.samples.shape[1], other.samples.shape[1])
        return np.array_equal(self.samples[:, :length], other.samples[:, :length])


def without_codec(parts: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Sound by its length and channels alone, since it is re-encoded."""
    return Counter(part[:3] if part[0] == "sound" else part for part in parts.elements())


def run_case(case: Case, material: Material, folder: Path) -> str:
    """Empty if the file is replaced, else the reason against it. Raises `AssertionError` if a part
    is gone that no name allows."""
    source = folder / f"film.{case.kind}"
    material.build(case, source)
    original, whole = describe(source), source.read_bytes()
    target = source.with_suffix(case.suffix)
    words = ["encode", source, target, "--replace", "--delete-originals", *QUICK, *case.words]
    words += ["--allow-loss", ",".join(case.allowed)] if case.allowed else []
    with redirect_stderr(io.StringIO()) as lines:
        code = main([str(word) for word in words])
    if code:
        message = lines.getvalue().splitlines()[-1]
        assert code == 10, f"exit code {code}: {message}"
        assert source.read_bytes() == whole and list(folder.iterdir()) == [source], "not as before"
        return message
    assert target == source or not source.exists(), "the original is there still"
    back = folder / "back.mkv"
    with redirect_stderr(io.StringIO()) as lines:
        assert main(["decode", str(target), str(back)]) == 0, lines.getvalue()
    copy = describe(back)
    if "opus" in case.words:
        original, copy = without_codec(original), without_codec(copy)
    asked = {"none": "sound", "--no-subtitles": "subtitle", "--deinterlace": "interlacing"}
    allowed = {*case.allowed, *(name for word, name in asked.items() if word in case.words)}
    # Labels go with their tracks.
    lost = [
        part
        for part in original - copy
        if part[0] not in allowed and not (part[0] == "tags" and part[1] in allowed)
    ]
    assert not lost, f"lost: {lost}; there: {list(copy - original)}"
    return ""


def run_cases(seeds: range, folder: Path, shows: bool = False) -> tuple[int, int, int]:
    """How many cases could be stored, how many of these were replaced, and how many cases lost a
    part, if `shows` does not end with the first."""
    material = Material(folder)
    storable = replaced = lost = 0
    for seed in seeds:
        case, place = make_case(seed), folder / "case"
        place.mkdir()
        try:
            reason = run_case(case, material, place)
        except AssertionError as error:
            if not shows:
                raise
            lost += 1
            reason = f"{error}"
        if shows and bool(reason) == case.is_storable:
            print(f"{seed}: {reason or 'replaced'}: {case}", flush=True)
        if shows and seed % 50 == 49:
            print(f"{seed + 1} …", flush=True)
        if case.is_storable:
            storable += 1
            replaced += not reason
        shutil.rmtree(place)
    return storable, replaced, lost


if __name__ == "__main__":
    count, first = int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with tempfile.TemporaryDirectory(dir=sys.argv[2]) as work:
        storable, replaced, lost = run_cases(range(first, first + count), Path(work), True)
    print(f"{count} cases: {lost} lost a part; {replaced} of {storable} storable ones replaced")
    sys.exit(lost > 0)
