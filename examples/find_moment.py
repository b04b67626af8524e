"""Moments that look like a picture, found without decoding: `python examples/find_moment.py
[VIDEO]`"""

from made_clip import given_or_made

import gvcodec

source = given_or_made()
stream, best = source.with_suffix(".gvc"), source.with_suffix(".best.gvc")
gvcodec.encode_file(source, stream, q=45, fit=0, preset=8, keyint=10, overwrite=True)
gvcodec.summarize(stream)

# A picture, a video, FILE@1:15, or words with an embedder for them; files and folders.
result = gvcodec.search(f"{source}@0.2", stream, count=3)
for moment in result.moments:
    print(f"{moment.score:.3f}  {moment.seconds:g} s, frame {moment.frame}, GOP {moment.gop}")
first = result.moments[0]
gvcodec.cut(stream, best, first.seconds, first.seconds + 0.01, overwrite=True)
share = result.bytes_read / result.bytes
print(f"read {share:.0%} of {result.bytes} bytes; the best GOP is in {best}")
