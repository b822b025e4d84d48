"""The figures of README and docs are those of the committed reference runs."""

import shutil

import limits_targets
import update_readme as script

from support.processes import python
from support.runs import limits as limit_runs


def test_the_figures_are_those_of_the_reference_runs():
    ran = python(script.__file__, "--check")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_limits_of_a_run_become_a_table_with_date_machine_and_versions(tmp_path):
    run = limit_runs.write(tmp_path / "results", {**limit_runs.TIMES, ("numba", "batched", 1): 3e-6})
    path = limits_targets.write(run.path)
    assert path == run.path.with_name(f"{run.path.name}.limits.json")
    shutil.rmtree(run.path)  # the file is all that is needed
    text = "\n".join(script.limits_lines(path))
    for words in (
        "Best peer's time / the kernel's, like for like: 784-50-100-10, float32, digits.",
        "| numba-simd | kept | 1 | 4.00x (4.00 to 4.00) | 1.20x (1.20 to 1.20) |",
        "| numba-simd | FLOP/s / multiply-adds in registers | 1 | 10,000 | 94.0 % (94.0 to 94.0) | once",
        "Measured on 2026-11-24: Test CPU @ 2.50GHz, 4 processors; Python 3.11.7, numpy 2.4.6, numba 1.2.3",
        "medians with 95 % intervals; `mlpbench run`.",
    ):
        assert words in text
    assert "| numba |" not in text, "a kernel without a target is left out"


def test_the_readme_has_the_limits_that_the_reference_names(tmp_path, monkeypatch):
    run = limit_runs.write(tmp_path / "results")
    path = limits_targets.write(run.path)
    runs = [named for named in script.references() if named.is_dir()]
    monkeypatch.setattr(script, "references", lambda: runs)
    without = script.parts()
    monkeypatch.setattr(script, "references", lambda: [*runs, path])
    assert {**script.parts(), "limits": []} == {**without, "limits": []}
    assert "like for like" in "\n".join(script.parts()["limits"])
    assert without["limits"] == []


def test_every_part_has_one_place_in_one_page():
    """Else a part would be left out, or what stands between two marks never be written again."""
    texts = [page.read_text(encoding="utf-8") for page in script.PAGES]
    assert sorted(part["name"] for text in texts for part in script.PART.finditer(text)) == sorted(script.parts())
    assert sum(text.count("<!-- figures of ") for text in texts) == 2 * len(script.parts())


def test_the_readme_is_short():
    text = script.README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1500
