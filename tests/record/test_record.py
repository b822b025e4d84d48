import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.cli.app import main
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, write
from support import simulate
from support.simulate import good, one_line

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}


def names(folder):
    return [path.name for path in folder.iterdir()]


# -- runs


def test_a_run_is_read_with_all_its_records(tmp_path):
    skipped = [{"kernel": "cupy", "reason": "no driver"}]
    run = runs.read_run(simulate.write_run(tmp_path, TIMES, repeats=2, skipped=skipped))
    assert (run.id, run.machine) == ("20261124T120000Z-0123abcd", "testbox")
    assert run.kernels == ("numpy", "numba")
    assert len(run.records) == 4
    assert (run.missing, run.problems, run.failures) == ((), (), ())
    assert run.skipped == {"cupy": "no driver"}


def test_an_interrupted_run_lists_what_is_missing(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES, repeats=2)
    (folder / "numba.0.json").unlink()
    (folder / "numba.1.json").unlink()
    run = runs.read_run(folder)
    assert run.missing == (("numba", 0), ("numba", 1))
    assert run.problems == ("interrupted: 2 of 4 processes have no record: numba 1, numba 2",)
    assert run.kernels == ("numpy",)


def test_a_run_that_was_interrupted_at_once_still_says_what_was_planned(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES, repeats=1, skipped=[{"kernel": "cupy", "reason": "no driver"}])
    for file in folder.glob("num*.json"):
        file.unlink()
    run = runs.read_run(folder)
    assert (run.records, len(run.missing), list(run.skipped)) == ((), 2, ["cupy"])


def test_a_run_without_its_plan_file_takes_the_plan_of_its_records(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / "run.json").unlink()
    (folder / "numpy.1.json").unlink()
    assert runs.read_run(folder).missing == (("numpy", 1),)


def damage(path):
    path.write_text(path.read_text()[:-100])
    return path


def test_one_damaged_record_costs_that_record_and_is_named(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    path = damage(folder / "numba.1.json")
    run = runs.read_run(folder)
    assert (len(run.records), run.missing, run.problems) == (5, (), ()), "it is damaged, and not missing"
    (line,) = run.damaged
    assert line.startswith(f"{path}: not JSON: ")
    with pytest.raises(UserError, match=r"numba\.1\.json: not JSON") as error:
        runs.read_run(path)
    one_line(error)


def test_a_run_of_which_no_record_can_be_read_is_refused(tmp_path):
    folder = simulate.write_run(tmp_path, {("numpy", "batched", 100): 2e-6}, repeats=2)
    for repeat in (0, 1):
        damage(folder / f"numpy.{repeat}.json")
    with pytest.raises(UserError, match=r"numpy\.0\.json: not JSON"):
        runs.read_run(folder)


@pytest.mark.parametrize(
    "words",
    [
        ("report", "{run}"),
        ("report", "{run}", "--format=html"),
        ("compare", "{run}:numpy", "{run}:numba"),
        ("explain", "{run}"),
    ],
)
def test_every_command_tells_of_a_damaged_record_and_goes_on(tmp_path, words, capsys):
    folder = simulate.write_run(tmp_path, TIMES)
    path = damage(folder / "numba.1.json")
    with pytest.raises(SystemExit) as ended:
        main([word.format(run=folder) for word in words])
    assert ended.value.code in (0, 1), "1: slower"
    told = capsys.readouterr()
    text = (told.out + told.err).replace("\N{NO-BREAK SPACE}", " ").replace("\n", "")
    assert path.name in text
    assert "not JSON" in text


@pytest.mark.parametrize("damage", ["", "{}", '{"mlpbench": {"schema": 9}}', '{"mlpbench": {"schema": 1}}'])
def test_a_damaged_plan_is_refused(tmp_path, damage):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / "run.json").write_text(damage)
    with pytest.raises(UserError, match=r"run\.json: "):
        runs.read_run(folder)


def test_a_partial_file_of_a_killed_process_is_no_record(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / ".numpy.3.json.abc.partial").write_text("{")
    assert runs.read_run(folder).problems == ()


def rename(folder, _):
    (folder / "numpy.0.json").rename(folder / "numpy.7.json")


def replace_by_that_of_another_run(folder, results):
    other = simulate.write_run(results, TIMES, seed=1)
    (folder / "numpy.0.json").write_text((other / "numpy.0.json").read_text())


def change_weights(folder, _):
    path = folder / "numpy.2.json"
    content = json.loads(path.read_text())
    content["mlpbench"]["weights"]["sha256"] = "f" * 64
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (rename, r"numpy\.7\.json: holds what belongs in numpy\.0\.json"),
        (replace_by_that_of_another_run, "belongs to another run"),
        (change_weights, r"numpy\.2\.json: other specification, data or weights"),
        (lambda folder, _: [path.unlink() for path in folder.iterdir()], "no run in this folder"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, change, told):
    folder = simulate.write_run(tmp_path, TIMES)
    change(folder, tmp_path)
    with pytest.raises(UserError, match=told):
        runs.read_run(folder)


# -- finding runs


def three_runs(tmp_path):
    return [simulate.write_run(tmp_path, TIMES, repeats=1, seed=seed) for seed in (0, 2, 1)]


def test_runs_are_found_newest_first(tmp_path):
    oldest, newest, middle = three_runs(tmp_path)
    (tmp_path / "testbox" / "notes").mkdir()
    assert runs.find_runs(tmp_path) == [newest, middle, oldest]
    assert runs.latest(tmp_path) == newest
    assert runs.find_runs(tmp_path / "nowhere") == []
    with pytest.raises(UserError, match=r"no runs in .*`mlpbench run` makes one"):
        runs.latest(tmp_path / "nowhere")


def test_latest_is_the_newest_complete_run_of_this_machine(tmp_path):
    oldest, newest, middle = three_runs(tmp_path)
    (newest / "numpy.0.json").unlink()
    assert (runs.latest(tmp_path, "testbox"), runs.resolve("latest", tmp_path, "testbox")) == (middle, middle)
    told = f"latest is {middle.name}: {newest.name} is newer, and has not ended: it still runs, or was killed; "
    assert runs.note_on_latest(tmp_path, "testbox") == f"{told}name it to see it"
    # Of another machine only where there is none of this one; one that came with mlpbench is named as such.
    assert runs.latest(tmp_path, "elsewhere") == middle
    (tmp_path / "reference.txt").write_text(f"testbox/{middle.name}\n")
    assert f"latest is testbox/{middle.name}, a reference run" in runs.note_on_latest(tmp_path, "elsewhere")
    for run in (middle, oldest):
        (run / "numpy.0.json").unlink()
    assert runs.latest(tmp_path, "testbox") == newest, "if all were interrupted"
    assert runs.note_on_latest(tmp_path, "testbox") is None


def test_a_smoke_run_hides_no_run_that_has_intervals(tmp_path):
    smoke = simulate.write_run(tmp_path, TIMES, repeats=1, seed=0)
    assert (runs.latest(tmp_path), runs.previous(smoke)) == (smoke, None), "it is better than nothing"
    good = simulate.write_run(tmp_path, TIMES, repeats=3, seed=1)
    smoke = simulate.write_run(tmp_path, TIMES, repeats=1, seed=2)
    assert runs.latest(tmp_path, "testbox") == good
    assert runs.previous(smoke) == good
    assert runs.note_on_latest(tmp_path, "testbox").endswith(
        f"{smoke.name} is newer, and has one repeat alone; name it to see it"
    )
    again = simulate.write_run(tmp_path, TIMES, repeats=2, seed=3)
    assert (runs.latest(tmp_path), runs.previous(again)) == (again, good)
    (good / "numpy.0.json").unlink()
    assert runs.previous(again) is None, "it did not come to its end"


def test_a_run_is_named_by_path_id_or_the_unique_beginning_or_end_of_one(tmp_path):
    oldest, newest, _ = three_runs(tmp_path)
    for argument in (str(oldest), oldest.name, "20261124T120000", f"testbox/{oldest.name}", "120000Z-0123abcd"):
        assert runs.resolve(argument, tmp_path) == oldest
    assert runs.resolve(str(oldest / "numpy.0.json"), tmp_path) == oldest / "numpy.0.json"
    assert runs.resolve("latest", tmp_path) == newest


def test_an_ambiguous_name_lists_the_runs(tmp_path):
    three_runs(tmp_path)
    with pytest.raises(UserError, match="names 3 runs: testbox/20261124T120002Z-0123abcd") as error:
        runs.resolve("0123abcd", tmp_path)
    one_line(error)


def test_an_unknown_name_suggests_the_nearest(tmp_path):
    oldest, newest, _ = three_runs(tmp_path)
    with pytest.raises(UserError, match=f"did you mean {oldest.name}"):
        runs.resolve("20261124T120000Z-0123abce", tmp_path)
    with pytest.raises(UserError, match=f"the newest is {newest.name}"):
        runs.resolve("#", tmp_path)
    for absurd in ("", "x" * 5000):
        with pytest.raises(UserError, match="no run, file or folder"):
            runs.resolve(absurd, tmp_path)


# -- writing


@pytest.mark.parametrize("links", [True, False])
def test_what_is_written_is_read(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    path = tmp_path / "numpy.0.json"
    write.write_atomically(path, good())
    assert runs.read(path).cases[0].rounds_s == (1e-4, 2e-4, 3e-4)
    assert names(tmp_path) == ["numpy.0.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("links", [True, False])
def test_an_existing_file_is_never_overwritten(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    path = tmp_path / "numpy.0.json"
    path.write_text("precious")
    with pytest.raises(UserError, match="there already") as error:
        write.write_atomically(path, good())
    one_line(error)
    assert path.read_text() == "precious"
    assert names(tmp_path) == ["numpy.0.json"]


def without_links(*_, **__):
    raise PermissionError(1, "Operation not permitted")


def test_numbers_that_json_does_not_have_become_null(tmp_path):
    path = tmp_path / "a.json"
    write.write_atomically(path, {"nan": float("nan"), "list": [float("inf"), 1.5], "pair": (1, 2)})
    assert json.loads(path.read_text()) == {"nan": None, "list": [None, 1.5], "pair": [1, 2]}


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write.write_atomically(tmp_path / "numpy.0.json", good())
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        write.write_atomically(tmp_path / "nowhere" / "numpy.0.json", good())


def test_a_writer_that_is_killed_leaves_no_file_of_that_name(tmp_path):
    """The partial file may stay; what has the name of a record is whole."""
    code = """
import os, sys
from pathlib import Path
from mlpbench.bench.record import write
os.fsync = lambda handle: os._exit(9)  # dies when everything is written and nothing is published
write.write_atomically(Path(sys.argv[1]), {"a": 1})
"""
    path = tmp_path / "numpy.0.json"
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code, path], cwd=root, check=False)
    assert ended.returncode == 9
    assert not path.exists()
    assert not any(name.endswith(".json") for name in names(tmp_path))


def test_reading_records_needs_no_heavy_library():
    code = (
        "import sys, bench.record; print(*sorted({'pandas', 'scipy', 'numba', 'cupy', 'vl_convert'} & {*sys.modules}))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
