"""Runs and sweeps, read back as far as they came, found, and named as people and tables name them."""

import json
import shutil
from functools import partial

import pytest

from mlpbench.bench.analysis import compare, frame, sides
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import find_runs, latest, named, note_on_latest, previous, read_run, read_runs, resolve
from mlpbench.bench.report import render
from mlpbench.bench.wings.history import history
from support import simulate
from support.refusals import refusal

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}
SETTINGS = make_settings(["784-50-100-10"], [2, 1], ["float32", "float64"])
LABELS = ["threads-2_float32", "threads-2_float64", "threads-1_float32", "threads-1_float64"]
SKIPPED = [{"kernel": "cupy", "reason": "no driver"}]


refused = partial(refusal, UserError, "")


def damage(path):
    path.write_text(path.read_text()[:-100])
    return path


# -- runs


def test_a_run_is_read_with_all_its_records(tmp_path):
    run = read_run(simulate.write_run(tmp_path, TIMES, repeats=2, skipped=SKIPPED))
    assert (run.id, run.machine) == ("20261124T120000Z-0123abcd", "testbox")
    assert run.kernels == ("numpy", "numba")
    assert len(run.records) == 4
    assert (run.missing, run.problems, run.failures) == ((), (), ())
    assert run.skipped == {"cupy": "no driver"}
    assert (run.setting.point, run.setting.label) == (("784-50-100-10", 2, "float32", None), "")
    assert list(read_runs(run.path)) == [run]
    assert len(read_runs(run.path / "numpy.0.json")) == 1


def test_an_interrupted_run_lists_what_is_missing_and_what_was_planned(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES, repeats=2, skipped=SKIPPED)
    (folder / ".numpy.3.json.abc.partial").write_text("{")  # of a killed process: no record
    for file in folder.glob("numba.*.json"):
        file.unlink()
    run = read_run(folder)
    assert run.missing == (("numba", 0), ("numba", 1))
    assert run.problems == ("interrupted: 2 of 4 processes have no record: numba 1, numba 2",)
    assert run.kernels == ("numpy",)
    for file in folder.glob("num*.json"):
        file.unlink()
    run = read_run(folder)
    assert (run.records, len(run.missing), list(run.skipped)) == ((), 4, ["cupy"])


def test_a_run_without_its_plan_file_takes_the_plan_of_its_records(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / "run.json").unlink()
    (folder / "numpy.1.json").unlink()
    assert read_run(folder).missing == (("numpy", 1),)


def test_one_damaged_record_costs_that_record_and_is_named(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    path = damage(folder / "numba.1.json")
    run = read_run(folder)
    assert (len(run.records), run.missing, run.problems) == (5, (), ()), "it is damaged, and not missing"
    (line,) = run.damaged
    assert line.startswith(f"{path}: not JSON: ")
    assert "numba.1.json: not JSON" in refused(read_run, path)
    for name in ("numpy", "numba"):
        for repeat in range(3):
            if (name, repeat) != ("numba", 1):
                damage(folder / f"{name}.{repeat}.json")
    assert "numba.0.json: not JSON" in refused(read_run, folder), "no record is left"


@pytest.mark.parametrize("content", ["", "{}", '{"mlpbench": {"schema": 9}}', '{"mlpbench": {"schema": 1}}'])
def test_a_damaged_plan_is_refused(tmp_path, content):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / "run.json").write_text(content)
    assert "run.json: " in refused(read_run, folder)
    for target, said in (("run.json", "Too many levels of symbolic links"), ("nowhere", "a link to nothing")):
        (folder / "run.json").unlink()
        (folder / "run.json").symlink_to(target)
        assert said in refused(read_runs, folder)


# -- sweeps


@pytest.fixture
def sweep(tmp_path):
    skipped = {"threads-1_float64": [{"kernel": "numba", "reason": "no float64"}]}
    return simulate.write_sweep(tmp_path, TIMES, SETTINGS, lambda setting: 2 / setting.threads, skipped=skipped)


def test_all_settings_are_read_in_the_order_of_the_header(sweep):
    of_sweep = read_runs(sweep)
    assert [run.path.name for run in of_sweep] == LABELS
    assert [run.setting for run in of_sweep] == SETTINGS
    assert [run.id for run in of_sweep] == [f"{sweep.name}.{label}" for label in LABELS]
    assert [len(run.records) for run in of_sweep] == [6, 6, 6, 3]
    assert [list(run.skipped.values()) for run in of_sweep] == [[], [], [], ["no float64"]]
    data = frame.load(sweep)
    assert set(zip(data["threads"], data["dtype"], strict=True)) == {(s.threads, s.dtype) for s in SETTINGS}
    told = refused(read_run, sweep)
    assert "a sweep over several settings: name one of them, as " in told
    assert all(label in told for label in LABELS)
    assert read_run(sweep / LABELS[1]).setting == SETTINGS[1]


def test_a_sweep_is_reported_as_its_settings_together(sweep):
    of_sweep = read_runs(sweep)
    assert all(label in render.render(of_sweep, "csv") for label in LABELS)
    text = render.render(of_sweep, "json")
    assert "no float64" in text
    content = json.loads(text)
    assert [run["setting"]["threads"] for run in content["runs"]] == [2, 2, 1, 1]
    cases = {(case["run"], case["setting"]["label"], case["setting"]["dtype"]) for case in content["cases"]}
    assert cases == {(f"{sweep.name}.{s.label}", s.label, s.dtype) for s in SETTINGS}
    assert {item["run"] for item in content["headline"]["kernels"]} == {run for run, *_ in cases}


def test_a_sweep_that_was_interrupted_is_read_as_far_as_it_came(sweep):
    damage(sweep / LABELS[1] / "numpy.1.json")
    for label in LABELS[2:]:
        for path in (sweep / label).glob("num*.json"):
            path.unlink()
    of_sweep = read_runs(sweep)
    assert [len(run.records) for run in of_sweep] == [6, 5, 0, 0]
    assert "numpy.1.json: not JSON" in of_sweep[1].damaged[0]
    assert "interrupted: 6 of 6 processes have no record" in of_sweep[2].problems[0]
    assert of_sweep[2].setting == SETTINGS[2], "known without any record"
    assert "1 thread, float32" in render.render(of_sweep, "md")


def replaced(sweep, source):
    shutil.rmtree(sweep / LABELS[0])
    shutil.move(source, sweep / LABELS[0])


def of_float64(sweep, _):
    for path in (sweep / LABELS[0]).glob("num*.json"):
        with simulate.edited(path) as content:
            content["mlpbench"]["spec"].update(dtype="float64")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda sweep, _: shutil.rmtree(sweep / LABELS[1]), f"the setting {LABELS[1]} of this sweep is missing"),
        (lambda sweep, _: (sweep / "x").mkdir(), f"x: belongs to no setting of this sweep ({LABELS[0]}, "),
        (lambda sweep, _: shutil.copy(sweep / LABELS[0] / "numpy.0.json", sweep), "numpy.0.json: belongs to no "),
        (
            lambda sweep, other: replaced(sweep, simulate.write_sweep(other, TIMES, SETTINGS, seed=7) / LABELS[0]),
            "threads-2_float32: holds 20261124T120007Z-0123abcd.threads-2_float32, not {sweep}.threads-2_float32",
        ),
        (
            lambda sweep, other: replaced(sweep, simulate.write_run(other, TIMES, seed=7)),
            "it was renamed or copied; take it away",
        ),
        (of_float64, "is of 784-50-100-10 float64, not of the setting threads-2_float32"),
    ],
    ids=["gone", "foreign", "record", "of another sweep", "an ordinary run", "another network"],
)
def test_folders_that_are_not_those_of_the_header(sweep, tmp_path, change, told):
    change(sweep, tmp_path / "other")
    assert told.format(sweep=sweep.name) in refused(read_runs, sweep)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda block: block.update(settings=[]), "two settings or more"),
        (lambda block: block["settings"].pop(), "belongs to no setting"),
        (lambda block: block["settings"].append(block["settings"][0]), "two settings or more"),
        (lambda block: block["settings"][0].update(threads=10**9), "belongs to no setting"),
        (lambda block: block["settings"][0].update(varies=[]), "two settings or more"),
        (lambda block: block.update(settings="all"), "Expected `array`"),
        (lambda block: block.update(run_id="../elsewhere"), "Expected `str`"),
        (lambda block: block.update(run_id="other"), "it was renamed or copied"),
        (lambda block: block.pop("run_id"), "field `run_id`"),
        (lambda block: block.update(schema=9), "upgrade mlpbench"),
    ],
)
def test_a_damaged_header(sweep, edit, told):
    with simulate.edited(sweep / "run.json") as content:
        edit(content["mlpbench"])
    assert told in refused(read_runs, sweep)


# -- runs among others


def on(folder, host=None, machine="testbox", seed=0):
    """Return a run on a host, in a results folder of its own."""
    environment = simulate.environment(machine={"name": machine, "host": host})
    where = folder / f"{machine}-{host}-{seed}"
    return simulate.read(simulate.write_run(where, TIMES, seed=seed, repeats=2, environment=environment))


def test_runs_of_several_machines_carry_the_name_of_theirs(tmp_path):
    first, second, third = on(tmp_path, "a" * 12), on(tmp_path, "b" * 12), on(tmp_path, "c" * 12, "bigbox")
    assert [run.name for run in named([first, third])] == ["testbox", "bigbox"]
    hosts = [run.name for run in named([first, second, third])]
    assert hosts == ["testbox (host aaaaaa)", "testbox (host bbbbbb)", "bigbox"]
    again = on(tmp_path, "a" * 12, seed=1)
    assert named([first, again, third])[1].name == f"{again.id} on testbox"
    assert named([first, again])[0].name == first.id, "one host needs no name"
    assert named([first, on(tmp_path, None, seed=2)])[1].name.endswith("testbox (host not known)")
    assert named([first, second])[0].title == "The run on testbox (host aaaaaa)"
    # Two hosts are two runs, even of one name: repeats of the same number did not run side by side.
    assert not sides.same_run(first, second)
    comparison = compare.compare(first, second)
    assert not comparison.paired
    assert f"machine: host: {'a' * 12} against {'b' * 12}" in comparison.differences


def test_tables_and_the_history_tell_machines_apart(tmp_path):
    document = render.build([on(tmp_path, "a" * 12), on(tmp_path, "b" * 12), on(tmp_path, "c" * 12, "bigbox")])
    assert render.write(document, "md").count("bigbox") > 2
    blocks = {section.slug: section.blocks for section in document.sections}
    (times,) = blocks["machines"]
    assert list(times.columns) == ["kernel", "testbox (host aaaaaa)", "testbox (host bbbbbb)", "bigbox"]
    assert {row[0] for row in blocks["kernel-by-kernel"][0].rows} == set(times.columns[1:])
    alone = render.build([on(tmp_path, "a" * 12, seed=1), on(tmp_path, "a" * 12, seed=2)])
    assert "machines" not in {section.slug for section in alone.sections}
    for seed, host in enumerate("abab"):
        environment = simulate.environment(machine={"host": host * 12})
        folder = simulate.write_run(tmp_path / "all", TIMES, seed=seed, environment=environment).parent
    assert {series.task.rpartition("host ")[2] for series in history.find(folder).series} == {"a" * 12, "b" * 12}


def test_tables_name_the_runs_of_one_sweep_by_their_settings(sweep, tmp_path):
    of_sweep = read_runs(sweep)
    words = ["2 threads, float32", "2 threads, float64", "1 thread, float32", "1 thread, float64"]
    assert [run.name for run in named(of_sweep)] == words
    assert named(of_sweep)[2].title == "The run with 1 thread, float32"
    assert [run.name for run in named(of_sweep[:1])] == [of_sweep[0].id], "alone, it is told by its id"
    mixed = [*of_sweep, read_run(simulate.write_run(tmp_path, TIMES, seed=9))]
    assert [run.name for run in named(mixed)] == [run.id for run in mixed]
    assert named([of_sweep[0], of_sweep[0]])[0].name == of_sweep[0].id


# -- finding runs


def three_runs(tmp_path):
    return [simulate.write_run(tmp_path, TIMES, repeats=1, seed=seed) for seed in (0, 2, 1)]


def test_latest_is_the_newest_complete_run_of_this_machine(tmp_path):
    oldest, newest, middle = three_runs(tmp_path)
    (tmp_path / "testbox" / "notes").mkdir()
    assert find_runs(tmp_path) == [newest, middle, oldest]
    assert latest(tmp_path) == newest
    assert find_runs(tmp_path / "nowhere") == []
    assert refused(latest, tmp_path / "nowhere").endswith("`mlpbench run` makes one")
    (newest / "numpy.0.json").unlink()
    assert (latest(tmp_path, "testbox"), resolve("latest", tmp_path, "testbox")) == (middle, middle)
    told = f"latest is {middle.name}: {newest.name} is newer, and has not ended: it still runs, or was killed; "
    assert note_on_latest(tmp_path, "testbox") == f"{told}name it to see it"
    # Of another machine only where there is none of this one; one that came with mlpbench is named as such.
    assert latest(tmp_path, "elsewhere") == middle
    (tmp_path / "reference.txt").write_text(f"testbox/{middle.name}\n")
    assert f"latest is testbox/{middle.name}, a reference run" in note_on_latest(tmp_path, "elsewhere")
    for run in (middle, oldest):
        (run / "numpy.0.json").unlink()
    assert latest(tmp_path, "testbox") == newest, "if all were interrupted"
    assert note_on_latest(tmp_path, "testbox") is None


def test_a_smoke_run_hides_no_run_that_has_intervals(tmp_path):
    smoke = simulate.write_run(tmp_path, TIMES, repeats=1, seed=0)
    assert (latest(tmp_path), previous(smoke)) == (smoke, None), "it is better than nothing"
    good = simulate.write_run(tmp_path, TIMES, repeats=3, seed=1)
    smoke = simulate.write_run(tmp_path, TIMES, repeats=1, seed=2)
    assert (latest(tmp_path, "testbox"), previous(smoke)) == (good, good)
    assert note_on_latest(tmp_path, "testbox").endswith(
        f"{smoke.name} is newer, and has one repeat alone; name it to see it"
    )
    again = simulate.write_run(tmp_path, TIMES, repeats=2, seed=3)
    assert (latest(tmp_path), previous(again)) == (again, good)
    (good / "numpy.0.json").unlink()
    assert previous(again) is None, "it did not come to its end"


def test_a_run_is_named_by_path_id_or_the_unique_beginning_or_end_of_one(tmp_path):
    oldest, newest, _ = three_runs(tmp_path)
    for argument in (str(oldest), oldest.name, "20261124T120000", f"testbox/{oldest.name}", "120000Z-0123abcd"):
        assert resolve(argument, tmp_path) == oldest
    assert resolve(str(oldest / "numpy.0.json"), tmp_path) == oldest / "numpy.0.json"
    assert "names 3 runs: testbox/20261124T120002Z-0123abcd" in refused(resolve, "0123abcd", tmp_path)
    assert f"did you mean {oldest.name}" in refused(resolve, "20261124T120000Z-0123abce", tmp_path)
    assert f"the newest is {newest.name}" in refused(resolve, "#", tmp_path)
    for absurd in ("", "x" * 5000):
        assert "no run, file or folder" in refused(resolve, absurd, tmp_path)


def test_a_setting_is_named_behind_its_sweep(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    old, sweep = simulate.write_run(tmp_path, TIMES), simulate.write_sweep(tmp_path, TIMES, SETTINGS, seed=1)
    child = sweep / LABELS[1]
    assert find_runs(tmp_path) == [sweep, old]
    for way in ("latest/", f"{sweep.name}/", f"testbox/{sweep.name}/", f"{sweep.name[:16]}/", f"{sweep.name}."):
        assert resolve(f"{way}{child.name}", tmp_path) == child, way
    assert (resolve(old.name, tmp_path), resolve(sweep.name, tmp_path)) == (old, sweep)
    told = f"no setting 'threads-3' in {sweep.name}; it has {', '.join(sorted(LABELS))}"
    for way in ("latest/", f"{sweep.name}."):
        assert refused(resolve, f"{way}threads-3", tmp_path) == told
    assert refused(resolve, f"{old.name}/threads-1", tmp_path).endswith("it has none")
    for strange in (f"{tmp_path}/nowhere", "latest/..", "latest/.", "latest/", "/threads-1", "latest//threads-1"):
        assert refused(resolve, strange, tmp_path).startswith("no "), strange
