"""A video to a stream and back: `python examples/encode_decode.py [VIDEO]`"""

from made_clip import given_or_made

import gvcodec

source = given_or_made()
stream, decoded = source.with_suffix(".gvc"), source.with_suffix(".decoded.mkv")

# Without fit=0 the painter is fitted to the video, which takes about a minute.
coded = gvcodec.encode_file(source, stream, q=45, fit=0, preset=8, overwrite=True)
print(f"{stream}: {coded.frames} frames, {coded.size} bytes, {coded.bpp:.4f} bpp")

report = gvcodec.info(stream)
print(f"{report.width}×{report.height}, base {report.base}, keyframes at {report.keyframes}")

checked = gvcodec.verify(stream, source)
print(f"PSNR-Y of the base frames: {checked.base_psnr[0]:.2f} dB; painted: {checked.painted_psnr}")

gvcodec.decode_file(stream, decoded, overwrite=True)  # fidelity=True: the base frames
print(f"{decoded}: plays everywhere")
