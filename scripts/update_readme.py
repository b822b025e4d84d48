"""Write the figures of README and docs from the committed reference runs: pictures, tables and sentences, part by part.

    python scripts/update_readme.py             writes them, and docs/images
    python scripts/update_readme.py --check     exit 1 if they are not what the runs say

`results/reference.txt` names the runs, one folder a line.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import vl_convert
from rich.console import Console

from mlpbench.bench import words as units
from mlpbench.bench.analysis import headline
from mlpbench.bench.analysis.judge import Judged, judge
from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.cli.console import report_table
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import charts
from mlpbench.bench.report.formats import markdown
from mlpbench.bench.report.sections import times as time_section
from mlpbench.bench.wings.book import section as book
from mlpbench.bench.wings.share import shared
from mlpbench.bench.wings.why import explain
from mlpbench.bench.wings.why import section as explained

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
#: The pages with figures.
PAGES = (README, *(ROOT / "docs" / f"{name}.md" for name in ("book", "explain", "machines")))
#: The kernels of the run that README shows: those of `mlpbench run`.
SHOWN = ("numpy", "numba", "numba-parallel", "numba-simd")
IMAGES = ROOT / "docs" / "images"
#: A part of a page, with its name: everything between two comments.
PART = re.compile(r"(<!-- figures of (?P<name>\w+): begin -->\n).*?(<!-- figures of (?P=name): end -->)", re.DOTALL)
BUS = (
    'Reading weights once for a batch, not once for each image, is what the book calls "bus bandwidth" and this table '
    '"weights". For NumPy, most of the gain comes from making fewer Python calls.'
)


def references() -> list[Path]:
    """Return what `results/reference.txt` names."""
    return [
        ROOT / "results" / line for line in (ROOT / "results" / "reference.txt").read_text(encoding="utf-8").split()
    ]


def reference_runs() -> dict[str, Judged]:
    """Return the committed runs by profile."""
    runs = [judge(record.read_run(path)) for path in references()]
    return {run.plan.profile or "": run for run in runs if run.plan}


def pictures(run: Judged) -> dict[Path, str]:
    """Return the charts of a run as SVG files, for light and for dark pages."""
    cases = summarize([run])
    return {IMAGES / f"time-{theme}.svg": picture(cases, theme) for theme in ("light", "dark")}


def picture(cases: Sequence[CaseSummary], theme: str) -> str:
    """Return the chart of times as SVG with a legend, for a page without JavaScript."""
    names = {case.kernel: case.name for case in cases}
    (chart,) = time_section.time_charts({"": cases}, names).values()
    legend = {"orient": "top", "labelColor": "var(--ink)", "labelFontSize": 13, "symbolOpacity": 1, "symbolSize": 130}
    size = {"width": 720, "height": 380, "padding": 16, "background": "var(--surface)"}
    drawn: dict[str, Any] = {**chart, **size, "config": {**chart["config"], "font": "sans-serif", "legend": legend}}
    painted = re.sub(
        r"var\(--([\w-]+)\)", lambda variable: charts.colours()[variable[1]][theme == "dark"], json.dumps(drawn)
    )
    return str(vl_convert.vegalite_to_svg(painted))


def machine(run: Judged) -> str:
    """Return one sentence: what the figures were measured on, with what, when."""
    env = run.records[0].environment
    libraries = env.libraries
    versions = ", ".join(f"{name} {libraries[name]}" for name in ("numpy", "numba"))
    blas = next((pool for pool in env.blas if pool["user_api"] == "blas"), None)
    with_blas = f", {blas['internal_api']} {blas['version']} ({blas['architecture']})" if blas else ""
    return (
        f"Measured on {run.plan.started[:10]}: {env.machine.cpu_model}, {env.machine.logical_cpus} processors, "
        f"{run.plan.threads} threads; Python {env.python['version']}, {versions}{with_blas}; "
        f"{len({found.repeat for found in run.records})} repeats, medians with 95 % intervals; "
        f"`{' '.join(run.plan.command)}`."
    )


def parts() -> dict[str, list[str]]:
    """Return the lines of each part by its name."""
    runs = reference_runs()
    quick = runs["quick"]
    return {
        "run": run_lines(quick),
        "machines": machine_lines(quick),
        "shared": shared_lines(),
        "gain": gain_lines(quick),
        "book": book_lines(runs["book"]),
    }


def run_lines(run: Judged) -> list[str]:
    """Return the end of a run as a terminal shows it, with `SHOWN` alone."""
    found = headline.find([case for case in summarize([run]) if case.kernel in SHOWN])
    terminal_table = report_table(time_section.kernel_table(found.kernels), "")
    with StringIO() as file:
        console = Console(file=file, width=100)
        console.print(terminal_table)
        console.print(found.lead)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
    return ["```text", *(line for line in lines if line), "```", "", machine(run)]


def machine_lines(run: Judged) -> list[str]:
    """Return a machine's name, its picture, and what batching does for every kernel, the fastest first."""
    lines = [f"## {run.records[0].environment.machine.cpu_model}", ""]
    source = '<source media="(prefers-color-scheme: dark)" srcset="images/time-dark.svg">'
    image = '<img alt="Time per sample against batch size" src="images/time-light.svg">'
    lines += ["<picture>", f"  {source}", f"  {image}", "</picture>", ""]
    cases = summarize([run])
    table = time_section.kernel_table(headline.find(cases).kernels)
    marked = [f"† {units.UNCHECKED}."] if any(case.unchecked for case in cases) else []
    return [*lines, *markdown.table_lines(table), "", *marked, machine(run)]


def shared_lines() -> list[str]:
    """Return a row for each file in results/shared: the fastest case, and the kernels that may be as fast."""
    lines = ["| machine | threads | fastest | rows | time a sample | as fast, as far as intervals tell |"]
    lines += ["| --- | ---: | --- | ---: | ---: | --- |"]
    for path in sorted((ROOT / "results" / "shared").glob("*.json")):
        head = shared.read(path)
        cases = sorted((case for case in head.cases if case.interval_s), key=lambda case: case.sample_s)
        first, (low, high) = cases[0], cases[0].interval_s or (0.0, 0.0)
        ties = {case.kernel for case in cases if case.interval_s and case.interval_s[0] <= high} - {first.kernel}
        time = f"{units.seconds(first.sample_s)} ({units.seconds(low)} to {units.seconds(high)})"
        name = (
            f"[{head.machine['cpu_model']}](../results/shared/{path.name}), {head.machine['logical_cpus']} processors"
        )
        cells = (name, str(head.threads), first.kernel, f"{first.batch_size:,}", time, ", ".join(sorted(ties)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def gain_lines(run: Judged) -> list[str]:
    """Return what the gain of each kernel is made of."""
    causes = explain.find(run, summarize([run]))
    table = explained.gain_table([causes]) if causes else None
    return [*markdown.table_lines(table), "", BUS] if table else ["It was not measured."]


def book_lines(run: Judged) -> list[str]:
    """Return the book's experiment, measured again."""
    found = book.find(summarize([run]))
    return [*(f"* {line}" for finding in found for line in finding.sentences()), "", machine(run)]


def main() -> int:
    """Write or compare; return the exit status."""
    found = parts()

    def written(page: Path) -> str:
        text = page.read_text(encoding="utf-8")
        return PART.sub(lambda part: "\n".join([part[1], *found[part["name"]], "", part[3]]), text)

    wanted = {**{page: written(page) for page in PAGES}, **pictures(reference_runs()["quick"])}
    if "--check" in sys.argv[1:]:
        # The drawing library moves points by fractions of a pixel between versions: pictures only have to be there.
        wrong = [
            path for path, content in wanted.items() if path.suffix != ".svg" and path.read_text("utf-8") != content
        ]
        wrong += [path for path in wanted if not path.exists()]
        print("\n".join(f"not what the reference run says: {path.relative_to(ROOT)}" for path in wrong))
        return 1 if wrong else 0
    IMAGES.mkdir(parents=True, exist_ok=True)
    for path, content in wanted.items():
        path.write_text(re.sub(r"[ \t]+\n", "\n", content), encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
