"""The roofline plot: every case under the roofs of its machine."""

import math
from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.explain import CaseShare, Explanation
from mlpbench.bench.analysis.roofline import Roofs
from mlpbench.bench.cases import CPU
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.base import Names, Row, Spec
from mlpbench.bench.report.charts.style import MUTED
from mlpbench.bench.report.limits import limit_words

#: Pixels.
_HEIGHT = 380


def roofline_chart(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return FLOP/s against arithmetic intensity, both logarithmic, and the roofs."""
    cases = [row for kernel in explanation.kernels for row in _cases(kernel.kernel, kernel.shares)]
    left, right = min(row["x"] for row in cases) / 2, max(row["x"] for row in cases) * 4
    roofs = _used(explanation)
    lines = [row for one in roofs for row in _lines(one, left, right)]
    heights = [row["y"] for row in [*cases, *lines]]
    most = max((one.threads for one in roofs if one.device == CPU), default=0)
    levels = {
        (name if one.device == CPU else f"{one.device} {name}"): left * rate / 1e9
        # With one thread and with several the levels are nearly the same: they are named once.
        for one in roofs
        if one.device != CPU or one.threads == most
        for name, rate in one.read_s.items()
    }
    peaks = {f"{one.arithmetic}, {one.whose}": one.flop_s / 1e9 for one in roofs}
    rows = [*lines, *_labels(levels, "left", left, heights), *_labels(peaks, "right", right, heights), *cases]
    number = "format(datum.value, '~g')"
    # The names of levels stand to the left of the roofs.
    room = left / (3.5 if explanation.devices else 2.8)
    at = {
        "x": base.log_axis("x", "arithmetic intensity (FLOP per byte)", [room, right], number),
        "y": base.log_axis("y", "GFLOP/s", heights, number),
    }
    roof, label = at | {"detail": [base.field("roof", "nominal")]}, at | {"text": base.field("label", "nominal")}
    told = base.telling({"kernel": "kernel", "case": "case", "rate": "achieved", "share": "share", "limit": "of"})
    layers = [
        base.layer("line", roof, "datum.kind == 'roof'", color=MUTED, strokeWidth=1.5),
        base.layer("line", roof, "datum.kind == 'one thread'", color=MUTED, strokeWidth=1.5, strokeDash=[5, 3]),
        base.layer("text", label, "datum.kind == 'left'", align="right", dx=-5, color=MUTED),
        base.layer("text", label, "datum.kind == 'right'", align="right", dy=-8, color=MUTED),
        base.symbols(at | {"color": base.colour(names), "shape": base.shape(names), **told}, "datum.kind == 'case'"),
    ]
    return base.drawn(layers, {"": rows}, names, "Every case under the roofs of this machine.", _HEIGHT)


def _used(explanation: Explanation) -> list[Roofs]:
    """Return the roofs of the threads and devices that the kernels use; those of the CPU where there are none."""
    devices = sorted({kernel.device for kernel in explanation.kernels} & set(explanation.devices))
    threads = {kernel.threads for kernel in explanation.kernels if kernel.device == CPU} & set(explanation.roofs)
    if not threads and not devices:
        threads = set(explanation.roofs)
    return [*(explanation.roofs[count] for count in sorted(threads)), *(explanation.devices[one] for one in devices)]


def apart(values: Sequence[float], least: float) -> list[float]:
    """Return the values, each moved up until it is ``least`` above the next lower one: those that have room stay."""
    moved, lowest = list(values), -math.inf
    for index in sorted(range(len(values)), key=values.__getitem__):
        moved[index] = max(values[index], lowest)
        lowest = moved[index] + least
    return moved


def _labels(ends: dict[str, float], kind: str, x: float, heights: Sequence[float]) -> Iterator[Row]:
    """Yield names at the ends of roofs, a line of words apart from each other in the chart of these heights."""
    low, high = base.axis_ends(heights)
    line = math.log10(high / low) * 13 / _HEIGHT
    for label, height in zip(ends, apart(list(map(math.log10, ends.values())), line), strict=True):
        yield {"kind": kind, "x": x, "y": 10**height, "label": label}


def _cases(kernel: str, shares: Sequence[CaseShare]) -> Iterator[Row]:
    for share in shares:
        if share.verdict is not None:
            rate = share.flop_s / 1e9
            at = {"kernel": kernel, "kind": "case", "x": share.intensity, "y": rate}
            yield {
                **at,
                "case": words.case(share.mode, share.batch_size),
                "rate": f"{rate:.3g} GFLOP/s",
                "share": words.percent(share.verdict.share),
                "limit": limit_words(share.verdict),
            }


def _lines(roofs: Roofs, left: float, right: float) -> Iterator[Row]:
    """Yield the ends of the roofs of so many threads, or a device: slanted ones from the left to the peak, and it."""
    peak = roofs.flop_s / 1e9
    kind = "one thread" if roofs.device == CPU and roofs.threads == 1 else "roof"
    ridges = {name: peak / (rate / 1e9) for name, rate in roofs.read_s.items()}
    for name, rate in roofs.read_s.items():
        ridge = min(max(ridges[name], left), right)
        for x in (left, ridge):
            yield {"kind": kind, "roof": f"{roofs.whose} {name}", "x": x, "y": min(peak, x * rate / 1e9)}
    for x in (max(min(ridges.values(), default=left), left), right):
        yield {"kind": kind, "roof": f"{roofs.whose} peak", "x": x, "y": peak}


CHARTS = {"roofline": roofline_chart}
