"""The rate search finds what trying every quality number would find, in few encodes."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eval.rd.rates import CLOSE, TARGETS, Search


@given(st.floats(0.02, 0.25), st.floats(-4, 4), st.integers(0, 63), st.floats(0, 0.4))
def test_finds_the_nearest_rate(slope, shift, guess, wobble):
    def rate(q):
        return math.exp(shift - slope * (q + wobble * math.sin(q)))

    calls = []
    search = Search(lambda q: calls.append(q) or rate(q), 0, 63, guess)
    for target in sorted(TARGETS, reverse=True):
        q, reached = search(target)
        distances = [abs(math.log(rate(i) / target)) for i in range(64)]
        assert distances[q] <= max(min(distances) + 1e-9, CLOSE)
        assert reached == (distances[q] < math.log(1.3))
    assert len(calls) == len(set(calls)) <= 40


def test_says_what_is_out_of_reach():
    assert Search(lambda q: 0.05 + (51 - q) * 0.01, 10, 51, 36)(0.005) == (51, False)
