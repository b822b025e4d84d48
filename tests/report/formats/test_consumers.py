"""The exports, read by the programs that they are for."""

import json
import shutil
import subprocess

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record import runs
from mlpbench.bench.report.formats import exports
from support import simulate

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


def test_github_action_benchmark_takes_every_result(tmp_path):
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm is not installed")
    ran(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path, "zod@4", cwd=tmp_path)
    run = runs.read_run(simulate.write_run(tmp_path / "results", TIMES))
    found = json.loads(ran(node, "-e", SCHEMA, input=exports.render([run], "github-action-benchmark"), cwd=tmp_path))
    assert [value for _, value in found] == [case.sample.value for case in summarize([run])]
