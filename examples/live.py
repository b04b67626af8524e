"""A live stream: each frame is shown before the next is coded: `python examples/live.py`

Packets would go through a socket; here they go from an encoder to a decoder. Between processes,
`gvcodec encode - - --low-delay | gvcodec decode - - --low-delay` does the same.
"""

from fractions import Fraction

from made_clip import HEIGHT, RATE, WIDTH, pictures

import gvcodec
from gvcodec.planes import planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.types import Colour, VideoFormat

colour = Colour(matrix=rgb_matrix(HEIGHT))
fmt = VideoFormat(WIDTH, HEIGHT, Fraction(RATE), Fraction(1, RATE), 8, colour)
config = gvcodec.EncoderConfig(q=45, low_delay=True, fit=0, preset=8, keyint=10)

encoder = gvcodec.Encoder(fmt, config)
decoder = gvcodec.Decoder(encoder.header, low_delay=True)
delays = []
frames_out = 0
for number, image in enumerate(pictures()):  # a camera
    encoder.send_frame(planes_from_rgb(image))
    size = 0
    while (packet := encoder.receive_packet()) is not None:
        size += len(packet.payload)
        decoder.send_packet(packet)
    while (frame := decoder.receive_frame()) is not None:
        picture = rgb_from_planes(frame.planes, colour)
        delays.append(number - frames_out)
        frames_out += 1
        print(f"frame {number}: {size} bytes, shown as {picture.shape}")
assert delays == [0] * frames_out, "a frame waited for the next one"
encoder.flush()
