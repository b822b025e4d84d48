"""A sweep over several settings, read back: all of them in order, or one clear line about what is wrong."""

import json
import shutil

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}
SETTINGS = make_settings(["784-50-100-10"], [2, 1], ["float32", "float64"])
LABELS = ["threads-2_float32", "threads-2_float64", "threads-1_float32", "threads-1_float64"]


@pytest.fixture
def folder(tmp_path):
    skipped = {"threads-1_float64": [{"kernel": "numba", "reason": "no float64"}]}
    return simulate.write_sweep(tmp_path, TIMES, SETTINGS, lambda setting: 2 / setting.threads, skipped=skipped)


def refusal(folder):
    with pytest.raises(UserError) as error:
        record.read_runs(folder)
    text = str(error.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content["mlpbench"])
    path.write_text(json.dumps(content))


def test_all_settings_are_read_in_the_order_of_the_header(folder):
    runs = record.read_runs(folder)
    assert [run.path.name for run in runs] == LABELS
    assert [run.setting for run in runs] == SETTINGS
    assert [run.id for run in runs] == [f"{folder.name}.{label}" for label in LABELS]
    assert [len(run.records) for run in runs] == [6, 6, 6, 3]
    assert [list(run.skipped.values()) for run in runs] == [[], [], [], ["no float64"]]


def test_an_ordinary_run_and_a_record_are_read_as_one(tmp_path):
    ordinary = simulate.write_run(tmp_path, TIMES)
    (run,) = record.read_runs(ordinary)
    assert run == record.read_run(ordinary)
    assert (run.setting.point, run.setting.label) == (("784-50-100-10", 2, "float32", None), "")
    assert len(record.read_runs(ordinary / "numpy.0.json")) == 1


def test_tables_name_the_runs_of_one_sweep_by_their_settings(folder, tmp_path):
    runs = record.read_runs(folder)
    words = ["2 threads, float32", "2 threads, float64", "1 thread, float32", "1 thread, float64"]
    assert [run.name for run in record.named(runs)] == words
    assert record.named(runs)[2].title == "The run with 1 thread, float32"
    assert [run.name for run in record.named(runs[:1])] == [runs[0].id], "alone, it is told by its id"
    other = record.read_run(simulate.write_run(tmp_path, TIMES, seed=9))
    mixed = [*runs, other]
    assert [run.name for run in record.named(mixed)] == [run.id for run in mixed]
    assert record.named([runs[0], runs[0]])[0].name == runs[0].id


def test_the_frame_tells_settings_apart(folder):
    data = frame.load(folder)
    assert list(dict.fromkeys(data["run"])) == [f"{folder.name}.{label}" for label in LABELS]
    assert set(zip(data["threads"], data["dtype"], strict=True)) == {(s.threads, s.dtype) for s in SETTINGS}
    batched = data[(data["kernel"] == "numpy") & (data["mode"] == "batched") & (data["dtype"] == "float32")]
    medians = batched.groupby("threads")["sample_s"].median()
    assert medians[1] / medians[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("format_", ["md", "csv", "json", "html"])
def test_a_sweep_is_reported_as_its_settings_together(folder, format_):
    text = render.render(record.read_runs(folder), format_)
    for word in ("2 threads, float64", "1 thread, float32") if format_ in ("md", "html") else LABELS:
        assert word in text
    assert "no float64" in text or format_ == "csv"
    if format_ == "json":
        content = json.loads(text)
        assert [run["setting"]["threads"] for run in content["runs"]] == [2, 2, 1, 1]
        cases = {(case["run"], case["setting"]["label"], case["setting"]["dtype"]) for case in content["cases"]}
        assert cases == {(f"{folder.name}.{s.label}", s.label, s.dtype) for s in SETTINGS}
        assert {item["run"] for item in content["headline"]["kernels"]} == {
            f"{folder.name}.{s.label}" for s in SETTINGS
        }


def test_what_takes_one_run_says_how_to_name_one(folder):
    with pytest.raises(UserError, match="a sweep over several settings: name one of them, as ") as error:
        record.read_run(folder)
    assert all(label in str(error.value) for label in LABELS)
    assert record.read_run(folder / LABELS[1]).setting == SETTINGS[1]


def test_a_sweep_that_was_interrupted_is_read_as_far_as_it_came(folder):
    for label in LABELS[2:]:
        for path in (folder / label).glob("num*.json"):
            path.unlink()
    runs = record.read_runs(folder)
    assert [len(run.records) for run in runs] == [6, 6, 0, 0]
    assert "interrupted: 6 of 6 processes have no record" in runs[2].problems[0]
    assert runs[2].setting == SETTINGS[2], "known without any record"
    assert "1 thread, float32" in render.render(runs, "md")


def swap(folder, _):
    (folder / LABELS[0]).rename(folder / "x")
    (folder / LABELS[1]).rename(folder / LABELS[0])
    (folder / "x").rename(folder / LABELS[1])


def replaced(folder, source):
    shutil.rmtree(folder / LABELS[0])
    shutil.move(source, folder / LABELS[0])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder, _: shutil.rmtree(folder / LABELS[1]), f"the setting {LABELS[1]} of this sweep is missing"),
        (lambda folder, _: (folder / "x").mkdir(), f"x: belongs to no setting of this sweep ({LABELS[0]}, "),
        (lambda folder, _: shutil.copy(folder / LABELS[0] / "numpy.0.json", folder), "numpy.0.json: belongs to no "),
        (swap, "holds {sweep}.threads-2_float64, not {sweep}.threads-2_float32"),
        (
            lambda folder, other: replaced(folder, simulate.write_sweep(other, TIMES, SETTINGS, seed=7) / LABELS[0]),
            "threads-2_float32: holds 20261124T120007Z-0123abcd.threads-2_float32, not {sweep}.threads-2_float32",
        ),
        (
            lambda folder, other: replaced(folder, simulate.write_run(other, TIMES, seed=7)),
            "it was renamed or copied; take it away",
        ),
    ],
    ids=["gone", "foreign", "record", "changed places", "of another sweep", "an ordinary run"],
)
def test_folders_that_are_not_those_of_the_header(folder, tmp_path, damage, told):
    damage(folder, tmp_path / "other")
    assert told.format(sweep=folder.name) in refusal(folder)


def test_records_of_another_network_than_the_setting_says(folder):
    for path in (folder / LABELS[0]).glob("num*.json"):
        change(path, lambda block: block["spec"].update(dtype="float64"))
    assert "is of 784-50-100-10 float64, not of the setting threads-2_float32" in refusal(folder)


def test_a_damaged_record_in_a_setting_costs_that_record(folder):
    path = folder / LABELS[2] / "numpy.1.json"
    path.write_text(path.read_text()[:-100])
    found = record.read_runs(folder)
    assert [len(run.records) for run in found] == [6, 6, 5, 3]
    assert found[2].damaged[0].startswith(f"{path}: not JSON")


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
def test_a_damaged_header(folder, edit, told):
    change(folder / "run.json", edit)
    assert told in refusal(folder)


def test_a_damaged_setting_in_the_plan_of_a_run(folder):
    change(folder / LABELS[0] / "run.json", lambda block: block["plan"].update(sweep=["x"]))
    assert "plan.sweep: Expected `str" in refusal(folder)
