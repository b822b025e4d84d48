"""The code in docs/explain.md, on a run whose numbers are known, gives the numbers that `mlpbench explain` gives."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from mlpbench.bench.analysis import explain
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.summary import summarize
from support import evidence_files as files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain.md"


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_page_recomputes_the_explanation(tmp_path, monkeypatch, noise):
    run = files.write(tmp_path / "results", noise=noise)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict = {}
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "explain.md", "exec"), names)
    (kernel,) = explain.find(run, summarize([run])).kernels
    assert names["best"] == kernel.attribution.batch_size
    for name in PARTS:
        assert names["parts"][name].median() == pytest.approx(kernel.attribution.parts[name].value, rel=1e-6)
    (share,) = [one.verdict.share for one in kernel.shares if (one.mode, one.batch_size) == ("batched", names["best"])]
    assert names["share"] == pytest.approx(share, rel=1e-9)
    assert names["t0"] == pytest.approx(kernel.fit.line.t0_s, rel=1e-4)
    assert names["r_inf"] == pytest.approx(kernel.fit.line.r_inf, rel=1e-4)
    assert len(printed.getvalue().splitlines()) == 3
