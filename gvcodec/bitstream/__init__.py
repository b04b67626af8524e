"""The gvcodec file format, version 0.7. This docstring is its specification.

Integers are little-endian. `u8`, `u16`, `u32` have fixed size. `var` is LEB128: seven bits a byte,
low bits first, the top bit set on all bytes but the last, at most nine bytes, no superfluous
trailing zero byte. `svar` is a `var` holding a zigzag-coded signed number (0, -1, 1, -2, … as 0, 1,
2, 3, …). CRC-16 is the CCITT one (polynomial 0x1021, start value 0xFFFF, not reflected), CRC-32
that of zlib.

    file    = header { packet }                      the last packet is `end`, nothing follows it
    header  = 89 47 56 43  u8 major  u8 minor  var size  size bytes of fields
              u32 CRC-32                             of all bytes before it
    fields  = u8 flags                               1: base model id follows, 2: painter id follows,
                                                     4: gvc1d id follows, there may be `latent` packets,
                                                     8: key and inter packets hold bundles (base av1)
              var width  var height                  1…16384 each, at most 2^26 luma samples together
              var rate_num  var rate_den             nominal frames a second
              var tick_num  var tick_den             time base of timestamps, seconds
              svar pts                               timestamp of the first frame
              u8 primaries  u8 transfer  u8 matrix   CICP (ITU-T H.273), 2 = unspecified
              u8 bits                                1: full range, 2: source has 10 bits (else 8), 4…: chroma location << 2
              var sar_num  var sar_den               sample aspect ratio
              u8 base                                1 av1, 3 vvc, 4 motion (with a base model id), 5 none (packets are empty)
              u8 scale                               base layer is coded at 0: 1, 1: 3/4, 2: 1/2 of the size
              u8 q                                   quality index, 0…63
              [8 bytes base model id]  [8 bytes painter id]  [8 bytes gvc1d id]
                                                     first 8 bytes of the models' SHA-256 (gvc1d: gvcodec.gvc1d.files)

    packet  = var (size << 2 | kind)  [u8 type, if kind = 3]  size bytes of payload
              u16 CRC-16                             of all bytes before it
    kind 0  inter     base layer, one frame; needs earlier packets of its GOP
    kind 1  key       base layer, one frame; starts a closed GOP: nothing before it is referenced or shown later.
                      In a stream with bundles a key or inter packet holds one to 32 frames, the first of that kind
                      (payload: gvcodec.bitstream.bundles); what is said of frame packets holds for each of its frames
    kind 2  gop       ends a GOP: u32 CRC-32 of the packets since the last `gop` (or the header), whole, in order
                      [var frames in the file up to here]
    kind 3, type 0    end       8 bytes base hash  u32 distance from the start of `index` to the start of `end`
            type 1    index     var frames  var gops  { var frames_in_gop  var size  u8 fitted }; size: bytes from the first
                                packet of this GOP to the first of the next; a GOP begins after the
                                `gop` before it; fitted: 1 when a `fit` precedes its `key`. The
                                fit in force is that of the nearest fitted GOP at or before the one
                                to be decoded.
            type 2    fit       changed weights of the painter, in force from the next `key` until the next `fit`
            type 3    timing    { var skip  svar late }: of the frames in display order after the last one named, skip as
                                many, then the next one is `late` ticks later than predicted. late =
                                0 means: forget what was named; var frame  svar time follow, frame
                                number `frame` is shown at start + time. An entry for the frame after
                                the last says when the last one ends
            type 4    tracks    next bytes of: var count  { var tick_num  var tick_den  var flags
                                var size  language  var size  title  var size  head } for each track,
                                then { var track << 3 | form  svar pts - end before  [var duration, if form & 1]
                                [var hidden at the start  var at the end, if form & 2]  var size  packet }
                                copied from the source. "End before" is pts + duration of the track's packet
                                before, whose duration also holds where none is given; a lone var count << 3 sets
                                both to 0 for all tracks. form & 4: decoding cannot begin here. Packets of a
                                track come in order of pts. A tick of sound is one sample. Hidden samples
                                (ticks) are decoded but not heard; those at the start are part of the duration,
                                those at the end are not. head: a Matroska or MP4 file with the codec parameters
                                of this track, its packets void. flags: 1 default, 2 dub, 4 original,
                                8 comment, 16 lyrics, 32 karaoke, 64 forced, 128 hearing impaired,
                                256 visual impaired, 512 clean effects, 2^16 captions, 2^17 descriptions.
                                Texts are UTF-8 of up to 256 bytes
            type 5    latent    latent tokens of one frame (payload: gvcodec.gvc1d.payload). That before the n-th
                                frame packet of a GOP is of the n-th frame in display order
            type 64   summary   one vector for every few frames, for search (payload: gvcodec.retrieval.summary); first packet of its GOP
            type 65   score     reserved: quality scores
            type 66   metadata  before the first `key`: { u8 field  var size  size bytes }. Fields, all of which may be missing:
                                1 title, UTF-8;  2 chapter: svar begin  var duration, in
                                microseconds on the clock of the timestamps, then its title, UTF-8
                                (any number of chapters);  3 mastering display (SMPTE ST 2086): var
                                x and var y of red, green, blue, white in 1/50000, var largest and
                                var least luminance in 1/10000 cd/m²; 4 var largest and var mean
                                content light level in cd/m²;  5 a tag of the source: name, byte 0,
                                text, UTF-8 (any number of them);  6 svar time of the first frame on
                                the clock of the source, microseconds;  7 encoder of the base: var
                                1 SVT-AV1, 2 VVenC, then its version: var major, minor, patch and
                                commits since, as far as they are known. Others are skipped
            type 67   painted   after the last frame: 8 bytes painted hash; of streams of the integer painter
            A reader skips types that it does not know. Those below 64 change the painted picture:
            without them there are base frames only.

Sizes of payloads: at most 2^26 bytes, `summary`, `fit`, `timing`, `latent` and `gop` 2^20,
`metadata` 2^16.

Frames in packets are in decode order. Every GOP holds exactly one `key`, only `summary`, `fit`,
`timing`, `tracks`, `metadata` and `latent` packets may come before it, and one `gop` closes it. At
most one `latent` packet precedes a frame packet, and none the end of a GOP. `timing`
precedes the packet whose decoding can release the frame it names. Each GOP makes sense by
itself: once a frame has been late, a `timing` packet that begins with late = 0 precedes each
`key`; a `tracks` packet after the first begins with count << 3 and holds whole packets.

Timestamps. Frame n is predicted at p + round((n - m) / rate / tick), round half up, where m is the
last frame that was late (0 at the start) and p its timestamp. A constant frame rate costs nothing,
a dropped frame one entry. An entry for the frame after the last says when the last one ends.

Base hash: first 8 bytes of SHA-256 over the base layer's reconstruction of all frames in
display order, at full size, planes Y, U, V row by row, samples as u16 in 0…1023.

Painted hash: the same of all painted frames. A stream that was cut or joined has none.

A file with any one byte changed, or cut anywhere, is refused: `DamagedStreamError` names the
packet. `Salvage` reads it all the same and says what is lost.

Before version 1.0 the format may change with every release: this one reads 0.7 only, and says of
a file in another version that it is one (`FormatVersionError`).
"""

from gvcodec.bitstream.header import MAX_PIXELS, MAX_SIDE, SequenceHeader
from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.reader import GopEntry, Reader
from gvcodec.bitstream.recovery import Loss, Salvage
from gvcodec.bitstream.timing import PtsDecoder, PtsEncoder
from gvcodec.bitstream.writer import HASH_BYTES, Writer

__all__ = [
    "HASH_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "GopEntry",
    "Kind",
    "Loss",
    "Packet",
    "PtsDecoder",
    "PtsEncoder",
    "Reader",
    "Salvage",
    "SequenceHeader",
    "Writer",
]
