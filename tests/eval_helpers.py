"""What the tests of the evaluation share: a small clip, a quick encoder, altered videos."""

from fractions import Fraction
from pathlib import Path

from eval.codecs import Options
from eval.codecs.peers import make
from eval.sequences import procedural
from eval.video import Frames, RawVideo, prepare

WIDTH, HEIGHT = 176, 144
#: Words of a command: the small clip.
PAN = ["--set", "procedural", "--only", "pan"]
#: A codec whose stream has 6000 >> q bytes and whose picture is grey, in two templates.
GREY = r"""
[codec.grey]
label = "grey <b>&"
encode = '''{python} -c 'import sys; open(sys.argv[1], "wb").write(bytes(6000 >> int(sys.argv[2])))'
  {stream} {q}'''
decode = '''{ffmpeg} -v error -f lavfi -i color=gray:s={width}x{height}:r={fps} -frames:v {frames}
  -pix_fmt yuv420p {output}'''
q = [0, 9]
"""


def small_clip(folder: Path, frames: int = 8, kind: str = "pan"):
    made = lambda: procedural(kind, WIDTH, HEIGHT, frames)
    return prepare(f"small-{kind}", [kind], made, 0, folder, set_name="test")


def quick_x264():
    return make("x264", "ld", Options("fast"), ("-preset", "veryfast"))


def altered(clip, path: Path, change) -> RawVideo:
    """A decoded video made by `change(list of frames) -> list of frames`."""
    frames = change([clip.raw.planes(i) for i in range(clip.raw.frames)])
    path.write_bytes(b"".join(plane.tobytes() for planes in frames for plane in planes))
    return RawVideo(path, clip.raw.width, clip.raw.height, len(frames), clip.raw.depth)


def frames_of(planes, width: int, height: int, **format_) -> Frames:
    return Frames(iter(planes), width, height, Fraction(25), **format_)
