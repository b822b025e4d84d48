"""The exports, read by the programs that they are for."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record import runs
from mlpbench.bench.report.formats import action_benchmark
from support import simulate
from support.terminal import called

pytestmark = pytest.mark.heavy

TIMES = {
    (kernel, mode, size): call_s
    for kernel in ("numpy", "numba")
    for mode, size, call_s in (("per_sample", 100, 2e-5), ("batched", 1, 2e-5), ("batched", 100, 2e-6))
}
#: The action's own schema of a result, restated; `zod` is the library that it is written with.
SCHEMA = """
const {z} = require("zod");
const result = z.strictObject({
  name: z.string(), value: z.number(), range: z.string().optional(), unit: z.string(), extra: z.string().optional(),
});
const found = z.array(result).min(1).parse(JSON.parse(require("fs").readFileSync(0, "utf8")));
console.log(JSON.stringify(found.map(one => [one.name, one.value])));
"""


def ran(*words, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_asv_publishes_every_case_with_its_median(tmp_path, capsys):
    pytest.importorskip("asv", reason="asv is not installed")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", tmp_path]
    ran("git", "init", "-q", "-b", "main", tmp_path)
    for number, factor in enumerate((1, 1.2)):
        ran(*git, "commit", "-q", "--allow-empty", "-m", number)
        commit = ran(*git, "rev-parse", "HEAD").strip()
        times = {case: factor * call_s for case, call_s in TIMES.items()}
        run = simulate.write_run(tmp_path / "results", times, seed=number, repeats=5)
        assert called(capsys, "export", run, "--to", "asv", "-o", tmp_path / "asv", "--commit", commit)[0] == 0
    settings = {"version": 1, "project": "x", "repo": ".", "branches": ["main"], "results_dir": "asv"}
    settings |= {"html_dir": "html", "environment_type": "existing", "benchmark_dir": "."}
    (tmp_path / "asv.conf.json").write_text(json.dumps(settings))
    ran(sys.executable, "-m", "asv", "publish", "--no-pull", cwd=tmp_path)
    index = json.loads((tmp_path / "html" / "index.json").read_text())
    shown = {}
    for mode in ("per_sample", "batched"):
        graphs = (tmp_path / "html/graphs").rglob(f"mlpbench.{mode}.json")
        (graph,) = [path for path in graphs if path.parent.name != "summary"]
        kernels, sizes, _ = index["benchmarks"][f"mlpbench.{mode}"]["params"]
        (_, values) = json.loads(graph.read_text())[-1]
        places = [(kernel.strip("'"), mode, int(size)) for kernel in kernels for size in sizes]
        shown |= {place: value for place, value in zip(places, values, strict=True) if value is not None}
    cases = summarize([runs.read_run(run)])
    assert shown == {(case.kernel, case.mode, case.batch_size): case.sample.value for case in cases}


def test_otava_finds_the_step(tmp_path, capsys, monkeypatch):
    otava = os.environ.get("MLPBENCH_TEST_OTAVA") or shutil.which("otava")
    if otava is None:
        pytest.skip("otava is not installed: it needs an environment of its own, MLPBENCH_TEST_OTAVA names its program")
    monkeypatch.chdir(tmp_path)
    made = []
    for number in range(24):
        # From the middle on one case is slower; every other run lacks one.
        times = {**TIMES, ("numpy", "batched", 100): 2e-6 * (1.2 if number >= 12 else 1)}
        times = {case: call_s for case, call_s in times.items() if number % 2 or case[:2] != ("numba", "per_sample")}
        made.append(simulate.write_run(tmp_path / "results", times, seed=3600 * number, noise=0.004, repeats=3))
    assert called(capsys, "export", *made, "--to", "otava-csv", "-o", "h.csv")[0] == 0
    out = ran(otava, "analyze", "mlpbench", "--since", "2020-01-01", env={**os.environ, "OTAVA_CONFIG": "h.yaml"})
    lines = out.splitlines()
    rows = [n for n, line in enumerate(lines) if line.startswith("2026-")]
    assert len(rows) == 24
    (step,) = [n for n, line in enumerate(lines) if "%" in line]
    assert sum(row < step for row in rows) == 12
    assert 18 < float(lines[step].strip().strip("%+")) < 22


def test_github_action_benchmark_takes_every_result(tmp_path):
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed")
    ran(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path, "zod@4", cwd=tmp_path)
    run = runs.read_run(simulate.write_run(tmp_path / "results", TIMES))
    found = json.loads(ran(node, "-e", SCHEMA, input=action_benchmark.render([run]), cwd=tmp_path))
    assert [value for _, value in found] == [case.sample.value for case in summarize([run])]
