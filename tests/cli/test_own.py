"""A kernel of one's own, from `mlpbench new` to `compare`; what becomes of one that changes on the way."""

import json
import re

import pytest

from mlpbench.bench.record import runs
from support.terminal import called, complaint, repository, typed


def test_new_writes_twelve_lines_and_never_over_a_file(tmp_path, capsys):
    path = tmp_path / "mine.py"
    status, _, err = called(capsys, "new", path)
    assert (status, len(path.read_text(encoding="utf-8").splitlines())) == (0, 12)
    assert f"mlpbenchrunnumpy{path}:fast" in "".join(err.split()), "long lines are folded"
    path.write_text("mine", encoding="utf-8")
    for asked, words in ((path, "File exists"), (tmp_path / "none" / "x.py", "cannot write"), ("x.txt", "in .py")):
        assert words in complaint(*called(capsys, "new", asked))
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.heavy
def test_from_new_to_compare(tmp_path, quicker):
    def mlpbench(*words):
        return typed(*words, cwd=tmp_path, PYTHONPATH=quicker)

    assert mlpbench("new", "mine.py").returncode == 0
    repository(tmp_path, {})
    (listed,) = json.loads(mlpbench("list", "mine.py:fast", "--json").stdout)
    assert (listed["name"], listed["available"]) == ("mine.fast", True)
    ran = mlpbench("run", "numpy", "./mine.py:fast", "--profile", "smoke")
    assert ran.returncode in (0, 1), ran.stderr  # 1 where the machine is so busy that times are refused
    run = runs.read_run(runs.latest(tmp_path / "results"))
    (file,) = (record.kernel_info.file for record in run.records if record.kernel == "mine.fast")
    assert (file.name, file.sha256, file.dirty) == ("mine.py", run.plan.files["mine.fast"].sha256, False)
    assert re.fullmatch("[0-9a-f]{40}", file.commit)
    for words in (("compare", "numpy", "./mine.py:fast"), ("explain",)):
        told = mlpbench(*words)
        assert told.returncode in (0, 1, 4), told.stderr
        assert "mine.fast" in told.stdout


@pytest.mark.heavy
def test_a_file_that_changes_while_it_is_measured(tmp_path, quicker):
    """The first process changes it; what comes after is refused, in one line each, and what is finished is kept."""
    assert typed("new", "mine.py", cwd=tmp_path, PYTHONPATH=quicker).returncode == 0
    path = tmp_path / "mine.py"
    changes = "    open(__file__, 'a').write('#') if len(x) == 100 else None\n"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    e = np", f"{changes}    e = np"), encoding="utf-8")
    words = ("run", "./mine.py:fast", "--profile", "smoke", "--repeats", 3)
    ran = typed(*words, cwd=tmp_path, PYTHONPATH=quicker)
    assert ran.returncode == 1
    assert ran.stderr.count("mine.py has changed since this run began; start it again") == 1, "once for both"
    assert "Traceback" not in ran.stderr
    run = runs.read_run(runs.latest(tmp_path / "results"))
    assert [bool(record.cases) for record in sorted(run.records, key=lambda r: r.repeat)] == [True, False, False]
