"""Points read off published papers, drawn as labelled anchors: HEVC Class B, other machines and
test scripts than ours.

They have axes of their own, apart from what was measured. Only under a profile
(`eval.points.profiles`) and on its paper's own clips a paper's points are beside those measured.
"""

from collections.abc import Mapping, Sequence

from eval.points.profiles import PROFILES

Point = tuple[float, float | None, float | None]

#: Name → (bpp, LPIPS-Alex, DISTS); None where the paper gives no value.
PUBLISHED: dict[str, list[Point]] = {
    "GLC-Video": [
        (0.0073, 0.162, 0.101),
        (0.0103, 0.146, 0.092),
        (0.0143, 0.139, 0.0855),
        (0.0186, 0.135, 0.0825),
    ],
    "VTM": [(0.0101, 0.301, 0.155), (0.0160, 0.259, 0.135), (0.0250, 0.229, 0.1215)],
    "HM": [(0.0115, 0.317, 0.148), (0.0183, 0.272, 0.130)],
    "DCVC-FM": [(0.0212, 0.241, 0.138)],
    # Computed from its published saving of 60.4 % (LPIPS) over GLC-Video.
    **PROFILES["gvc1d"].published,
}


def anchors(metric: str) -> dict[str, list[tuple[float, float]]]:
    """Name → [(bpp, value)] for a metric that has published points, else {}."""
    return columns(PUBLISHED, metric)


def columns(
    table: Mapping[str, Sequence[Point]], metric: str
) -> dict[str, list[tuple[float, float]]]:
    """Name → [(bpp, value)] of one metric, names without a value left out."""
    column = {"lpips_alex": 1, "dists": 2}.get(metric)
    if column is None:
        return {}
    found = {
        name: [(p[0], p[column]) for p in points if p[column] is not None]
        for name, points in table.items()
    }
    return {name: points for name, points in found.items() if points}
