"""The roofline plot, as an Altair specification: every case under the roofs of its machine."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from mlpbench.bench.analysis.explain import Explanation, KernelExplanation
from mlpbench.bench.analysis.roofline import Roofs
from mlpbench.bench.cases import CPU
from mlpbench.bench.report.charts import base
from mlpbench.bench.report.charts.style import PAGE
from mlpbench.bench.report.sections.explain import case_words

#: Pixels: of the chart, and from the name of one roof to the next.
_HEIGHT, _LINE = 380, 13


def roofline_chart(found: Explanation, names: Sequence[str]) -> dict[str, Any]:
    """Return the Vega-Lite specification of the roofline plot: FLOP/s against arithmetic intensity, and the roofs."""
    rows = [row for kernel in found.kernels for row in _symbols(kernel)]
    devices = {kernel.device for kernel in found.kernels} & set(found.devices)
    used = {kernel.threads for kernel in found.kernels if kernel.device == CPU} & set(found.roofs)
    used = used or (set() if devices else set(found.roofs))
    left, right = min(row["x"] for row in rows) / 2, max(row["x"] for row in rows) * 4
    drawn_roofs = [*(found.roofs[n] for n in sorted(used)), *(found.devices[device] for device in sorted(devices))]
    roofs = [row for one in drawn_roofs for row in _roof(one, left, right)]
    heights = [row["y"] for row in [*rows, *roofs]]
    # Levels are named once: with one thread and with several the lines are nearly the same.
    named = [one for one in drawn_roofs if one.device != CPU or one.threads == max(used)]
    labels = _level_names(named, left, heights) + _peak_names(drawn_roofs, right, heights)
    names_fit = left / (3.5 if devices else 2.8)  # the names of levels stand to the left of the roofs
    number = "format(datum.value, '~g')"
    x = base.log_axis("x", "arithmetic intensity (FLOP per byte)", [names_fit, right], number)
    both = alt.Chart().encode(x, base.log_axis("y", "GFLOP/s", heights, number))
    lines = both.transform_filter("datum.kind == 'roof'").encode(detail=[alt.Detail("roof:N")])
    words = both.transform_filter("datum.kind == 'name'").encode(text=alt.Text("label:N"))
    styled = base.styled(both, names, {"kernel": "kernel", "case": "case", "rate": "achieved"})
    layers = [
        lines.transform_filter("datum.threads != 1").mark_line(color=PAGE.muted, strokeWidth=1.5),
        lines.transform_filter("datum.threads == 1").mark_line(color=PAGE.muted, strokeWidth=1.5, strokeDash=[5, 3]),
        words.transform_filter("datum.at == 'left'").mark_text(align="right", dx=-5, color=PAGE.muted),
        words.transform_filter("datum.at == 'right'").mark_text(align="right", dy=-8, color=PAGE.muted),
        base.symbols(styled.transform_filter("datum.kind == 'case'")),
    ]
    return base.drawn(layers, [*roofs, *labels, *rows], "Every case under the roofs of this machine.", _HEIGHT)


def apart(values: Sequence[float], least: float) -> list[float]:
    """Return the values, each moved up until it is ``least`` above the next lower one: those that have room stay."""
    moved, lowest = list(values), -math.inf
    for index in sorted(range(len(values)), key=values.__getitem__):
        moved[index] = max(values[index], lowest)
        lowest = moved[index] + least
    return moved


def _line_height(heights: Sequence[float]) -> float:
    """Return the decades that a line of words takes in the chart of these heights."""
    low, high = base.axis_ends(heights)
    return math.log10(high / low) * _LINE / _HEIGHT


def _level_names(roofs: Sequence[Roofs], left: float, heights: Sequence[float]) -> list[dict[str, Any]]:
    """Return the names of the levels at the left ends of their roofs, moved apart where those are near each other."""
    ends = [
        (name if one.device == CPU else f"{one.device} {name}", left * rate / 1e9)
        for one in roofs
        for name, rate in one.read_s.items()
    ]
    places = apart([math.log10(height) for _, height in ends], _line_height(heights))
    return [
        {"kind": "name", "x": left, "y": 10**place, "label": label, "at": "left"}
        for (label, _), place in zip(ends, places, strict=True)
    ]


def _peak_names(roofs: Sequence[Roofs], right: float, heights: Sequence[float]) -> list[dict[str, Any]]:
    """Return the names of the peaks above the right ends of their roofs, in one line where those are nearly one."""
    named: list[dict[str, Any]] = []
    for one in sorted(roofs, key=lambda one: one.flop_s):
        height, label = one.flop_s / 1e9, f"{one.arithmetic}, {one.whose}"
        if named and math.log10(height / named[-1]["y"]) < _line_height(heights):
            named[-1] |= {"y": height, "label": f"{named[-1]['label']}; {label}"}
        else:
            named.append({"kind": "name", "x": right, "y": height, "label": label, "at": "right"})
    return named


def _symbols(kernel: KernelExplanation) -> Iterator[dict[str, Any]]:
    for share in kernel.shares:
        if share.verdict is not None:
            at = {"x": share.intensity, "y": share.flop_s / 1e9}
            told = {"case": case_words(share), "rate": f"{share.flop_s / 1e9:.3g} GFLOP/s"}
            yield {"kind": "case", "kernel": kernel.kernel, **at, **told}


def _roof(roofs: Roofs, left: float, right: float) -> Iterator[dict[str, Any]]:
    """Yield the ends of the roofs of so many threads, or a device: slanted ones from the left to the peak, and it."""
    peak = roofs.flop_s / 1e9
    shared = {"kind": "roof", "threads": roofs.threads if roofs.device == CPU else 0}
    for name, rate in roofs.read_s.items():
        ridge = min(max(peak / (rate / 1e9), left), right)
        line = {**shared, "roof": f"{roofs.whose} {name}"}
        yield {**line, "x": left, "y": left * rate / 1e9}
        yield {**line, "x": ridge, "y": min(peak, ridge * rate / 1e9)}
    start = min([peak / (rate / 1e9) for rate in roofs.read_s.values()], default=left)
    flat = {**shared, "roof": f"{roofs.whose} peak", "y": peak}
    yield {**flat, "x": max(start, left)}
    yield {**flat, "x": right}


CHARTS = {"roofline": roofline_chart}
