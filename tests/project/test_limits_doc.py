"""The code in docs/limits.md gives the numbers that the report gives; the table of targets is the one in the code."""

import io
import json
import re
from contextlib import redirect_stdout

import limits_targets
import pytest

from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.summary import summarize
from support import evidence_files as files
from support import limit_runs
from support.sources import ROOT

PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_page_recomputes_a_cell_and_a_share(tmp_path, monkeypatch, noise):
    run = limit_runs.write(tmp_path / "elsewhere", noise=noise)
    peaks = {repeat: files.measured(1, files.PEAK * (1 - repeat / 10), spread=1.25) for repeat in range(3)}
    run = files.write_of_repeats(run.path, peaks)
    found = limits.find(run, summarize([run]))
    sweep = tmp_path / "results" / "testbox" / "20261124T130000Z-0123abcd"
    sweep.mkdir(parents=True)
    (sweep / "run.json").write_text(json.dumps({"mlpbench": {"kind": "sweep"}}))
    run.path.rename(sweep / "784-50-100-10_threads-1")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict = {}
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "limits.md", "exec"), names)
    place = next(row.places[0] for row in found.rows if row.kernel == "numba-simd")
    assert names["best"] == place.peer
    assert names["ratios"].median() == pytest.approx(place.ratio.value, rel=1e-6)
    assert printed.getvalue().startswith("onnxruntime-bound takes ")
    share = next(one for one in found.shares if (one.kernel, one.what) == ("numba-simd", "peak"))
    assert names["shares"].median() == pytest.approx(share.ratio.value, rel=1e-6)
    assert len(names["shares"]) == share.ratio.n == 3


def test_the_targets_in_the_page_are_those_in_the_code():
    shown = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 1 + len(limits_targets.BATCH_SIZES):
            threads = int(re.search(r", (\d)\b", cells[0])[1])
            for kernel in re.findall(r"`([^`]+)`", cells[0]):
                shown[kernel, threads] = tuple(map(float, cells[1:]))
    assert shown == limits_targets.PEERS
