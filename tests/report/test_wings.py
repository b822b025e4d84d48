"""Each wing deleted in turn leaves a program that reports: nothing else names its modules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

from mlpbench.bench.report import charts, sections

ROOT = Path(__file__).resolve().parents[2]
CORE = {"sections": {"compare", "gaps", "machine", "task", "times", "trust"}, "charts": {"base", "style", "times"}}
WINGS = {
    "book": ["sections.book", "charts.book"],
    "device": ["sections.device"],
    "energy": ["sections.spent"],
    "explain": ["sections.explain", "charts.explain"],
    "heatmap": ["sections.heatmap", "charts.heatmap"],
    "history": ["sections.history", "charts.history"],
    "latency": ["sections.latency"],
    "scaling": ["sections.scaling", "charts.scaling"],
}
#: Hidden modules cannot be found or imported, as if their files were gone; all others are imported again.
CODE = """
import json, pkgutil, sys
from pathlib import Path
from mlpbench.bench.record import runs

HERE, every = "mlpbench.bench.report", pkgutil.iter_modules
wings, *folders = map(json.loads, sys.argv[1:])
chosen = [runs.read_runs(Path(folder)) for folder in folders]
slugs = {}
for wing, hidden in {"none": [], **wings}.items():
    for name in [name for name in sys.modules if name.startswith(HERE)]:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(f"{HERE}.{name}" for name in hidden))
    pkgutil.iter_modules = lambda path: [
        one for one in every(path) if f"{Path(one.module_finder.path).name}.{one.name}" not in hidden
    ]
    from mlpbench.bench.report import render
    slugs[wing] = []
    for run in chosen:
        document = render.build(run)
        slugs[wing] += [section.slug for section in document.sections]
        assert all(render.write(document, name) for name in ("md", "html", "json"))
print(json.dumps(slugs))
"""


def test_every_module_is_of_the_core_or_of_a_wing():
    named = {name for wing in WINGS.values() for name in wing}
    named |= {f"{folder}.{name}" for folder, names in CORE.items() for name in names}
    there = {
        f"{package.__name__.rpartition('.')[2]}.{module.name}"
        for package in (sections, charts)
        for module in iter_modules(package.__path__)
    }
    assert named == there


def test_a_report_is_whole_without_any_one_wing(reports):
    folders = [str(reports.runs(name)[0].path) for name in ("explained", "book")]
    folders.append(str(reports.runs("axes")[0].path.parent))
    words = [sys.executable, "-c", CODE, *map(json.dumps, (WINGS, *folders))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    slugs = json.loads(ended.stdout)
    whole = slugs.pop("none")
    gone = {wing: set(whole) - set(left) for wing, left in slugs.items()}
    shown = {"book": {"book"}, "explain": {"explained"}, "heatmap": {"heatmap"}, "scaling": {"threads"}}
    assert gone == {wing: shown.get(wing, set()) for wing in WINGS}
