"""A run in Python: options as the command has them, progress in a callback, and nothing printed."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import mlpbench
from support import processes
from support.terminal import refusal

OPTIONS = {"profile": "smoke", "spec": "20-10-3", "batch_size": [1, 10], "threads": 1}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Let processes find times without measuring."""
    monkeypatch.chdir(tmp_path)
    processes.probed_at_once(monkeypatch)

    def measure(sample_s=lambda plan, at, case: 1e-6 if at[0] == "numpy" else 2e-6, **more):
        processes.measured(monkeypatch, sample_s, **more)

    measure()
    return measure


def test_it_returns_results_and_tells_each_step(measured, capsys, tmp_path):
    heard = []
    found = mlpbench.run("numpy", "numpy-out", repeats=2, on_progress=heard.append, **OPTIONS)
    assert capsys.readouterr() == ("", "")
    (run,) = found.runs
    assert run.path.parents[1] == (tmp_path / "results").relative_to(tmp_path)
    assert run.kernels == ("numpy", "numpy-out")
    assert found.problems == ()
    assert set(found.cases()["batch_size"]) == {1, 10, 100}
    ended = [progress for progress in heard if progress.doing == "ended"]
    assert [(progress.done, progress.total) for progress in ended] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert next(each for each in ended if each.kernel == "numpy").times["batched", 10] == pytest.approx(1e-6)
    first, *_ = doing = [progress for progress in heard if progress.doing == "timing batched 10"]
    assert len(doing) == 4
    assert str(first) == f"{first.kernel} {first.repeat + 1}: timing batched 10 (0 of 4 processes ended)"
    words = ("mlpbench", "run", "numpy", "numpy-out", "--repeats=2", "--profile=smoke", "--spec=20-10-3")
    assert run.plan.command == (*words, "--batch-size=1", "--batch-size=10", "--threads=1")


def test_a_settings_file_counts_and_a_failure_leaves_other_times(measured, tmp_path):
    measured(lambda plan, at, case: None if case[1] == "batched" else 1e-6)
    (tmp_path / "mlpbench.toml").write_text('[run]\nresults = "perf"\nkernels = ["numpy"]\n')
    with ThreadPoolExecutor() as pool:  # it runs in another thread too
        found = pool.submit(mlpbench.run, **OPTIONS).result()
    assert found.runs[0].path.parts[0] == "perf"
    assert "mlpbench.toml: run.kernels" in found.runs[0].plan.options_from_file
    assert set(found.cases()["mode"]) == {"per_sample"}


def test_ctrl_c_and_what_the_callback_raises_end_the_run_and_what_was_finished_is_kept(measured, tmp_path):
    def stop(progress):
        if progress.doing == "ended":
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        mlpbench.run("numpy", repeats=3, on_progress=stop, results=tmp_path / "raised", **OPTIONS)
    measured(interrupts=lambda at, folder: at[1] == 1)
    with pytest.raises(KeyboardInterrupt):
        mlpbench.run("numpy", repeats=3, **OPTIONS)
    for results in ("raised", "results"):
        assert [record.repeat for record in mlpbench.load(tmp_path / results).runs[0].records] == [0]


@pytest.mark.parametrize(
    ("kernels", "options", "said"),
    [
        (("numpi",), {}, "unknown kernel 'numpi'"),
        (("numpy",), {"profil": "smoke"}, "unknown option 'profil' (did you mean profile?)"),
        (("numpy",), {"profile": "smok"}, "unknown profile 'smok' (did you mean smoke?)"),
        (("numpy",), {"repeats": 0}, "repeats"),
        (("numpy",), {"dry_run": True}, "unknown option 'dry_run'"),
        (("numpy",), {"spec": "20-10-3:relo"}, "hidden must be one of"),
        (("numpy",), {"repeats": [1, 2]}, "repeats: expected one text or number"),
        (("numpy",), {"peers": "yes"}, "peers: expected true or false, got 'yes'"),
    ],
)
def test_a_mistake_is_a_user_error_before_anything_runs(measured, tmp_path, kernels, options, said):
    assert said in refusal(mlpbench.run, *kernels, **options)
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_pandas_and_no_numba(tmp_path):
    code = "import json, sys; from mlpbench import check, compare, load, run; print(json.dumps([*sys.modules]))"
    loaded = json.loads(processes.python("-c", code, cwd=tmp_path).stdout)
    assert "mlpbench.bench.api.run" in loaded
    assert not {"pandas", "numba", "scipy", "vl_convert"} & {name.partition(".")[0] for name in loaded}
