"""A file of at most so many bytes: `python examples/exact_size.py [VIDEO]`"""

from made_clip import given_or_made

import gvcodec


def show(state: gvcodec.State) -> None:
    remaining = "" if state.seconds_left is None else f", {state.seconds_left:.0f} s left"
    print(f"\r{state.stage}: {100 * state.share:.0f} %{remaining}   ", end="", flush=True)


source = given_or_made()
stream = source.with_suffix(".gvc")
limit = 12_000 if source.suffix == ".y4m" else source.stat().st_size // 10

coded = gvcodec.encode_file(
    source, stream, size=limit, fit=0, preset=8, progress=show, overwrite=True
)
print(f"\n{coded.size} of {limit} bytes at q {coded.q:.4g}, {coded.passes} passes")
assert coded.size <= limit

try:
    gvcodec.encode_file(source, stream, size=100, preset=8, fit=0, overwrite=True)
except gvcodec.UsageError as error:
    print(error)  # says the smallest size that is possible
