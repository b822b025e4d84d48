"""One process for each kernel and repeat, and a result file whatever becomes of it."""

import errno
import json
import os
import re

import pytest
from msgspec.structs import replace

from mlpbench.bench import cases as cases_
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child
from mlpbench.bench.machine.environment import machine_id
from mlpbench.bench.machine.threads import THREAD_VARIABLES, choose
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.record import runs
from mlpbench.bench.report.sections import gaps
from mlpbench.bench.run import process
from support import processes, simulate
from support.terminal import refusal

OPTIONS = Options(spec="20-10-3:relu", dtype="float64", data="random")
#: Where processes can be bound: those of a process.
PROCESSORS = getattr(os, "sched_getaffinity", lambda _: None)
CASES = [cases_.Case("per_sample", 100), cases_.Case("batched", 1), cases_.Case("batched", 10)]


def plan(*kernels, repeats=1, threads=3, cases=CASES, seed=1):
    settings = {"seed": seed, "threads": threads, "command": ["mlpbench"], "commit": None}
    return make_plan(profile("smoke"), list(kernels or ["numpy"]), cases, repeats=repeats, **settings)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Execute a plan with a stand-in for the measuring process; return its outcomes, folder and phases."""

    def run(body, the_plan, on_phase=None):
        monkeypatch.setattr("sys.executable", processes.interpreter(tmp_path, body))
        workload, seen = Workload(OPTIONS, rows=20), []
        folder = processes.open_run(tmp_path / "results", the_plan, workload)
        said = processes.facts_of(folder, the_plan, workload)
        for kernel, repeat in the_plan.order:
            good = simulate.record(kernel, repeat, [], the_plan.as_dict(), **said)
            (tmp_path / f"{kernel}.{repeat}.good").write_text(json.dumps(good), encoding="utf-8")
        return processes.run_plan(the_plan, workload, folder, on_phase or (lambda *at: seen.append(at))), folder, seen

    return run


def left(outcome):
    return json.loads(outcome.job.path.read_text(encoding="utf-8"))


def test_the_command_is_what_one_types_by_hand():
    def words(*cases):
        return process.pytest_command(plan(cases=cases), OPTIONS, "numba")

    of_all = words(*CASES, cases_.Case("book", 10))
    assert of_all[:2] == ["pytest", str(process.Path(process.__file__).parent.with_name("test_forward.py"))]
    modes, sizes = ["--mode=per_sample", "--mode=batched", "--mode=book"], ["--batch-size=1", "--batch-size=10"]
    what = ["--spec=20-10-3:relu", "--dtype=float64", "--data=random"]
    assert of_all[2:] == ["--kernel=numba", *modes, *sizes, *what, *plan().clock]
    assert not [word for word in words(CASES[0]) if word.startswith("--batch-size")]
    fewer = words(cases_.Case("per_sample", 10), *CASES[1:])
    assert [word for word in fewer if "rows" in word or "size" in word] == [*sizes, "--per-sample-rows=10"]


def test_processes_run_one_after_the_other_each_with_its_words_and_its_threads(execute, tmp_path, monkeypatch):
    """Threads are set before any library loads, pytest's variables are not passed on, and only they are bound."""
    for name, value in (("PYTEST_ADDOPTS", "--nonsense"), ("PYTEST_PLUGINS", "nonsense"), ("OMP_NUM_THREADS", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    binding, before = choose(1), PROCESSORS(0)
    the_plan = replace(plan("numpy", "numpy-out", "numba", repeats=3, seed=5), binding=binding)
    assert the_plan.order != [(kernel, repeat) for repeat in range(3) for kernel in the_plan.kernels]
    body = """
    now("compiling"); print("noise, and mlpbench now: half"); case("numpy-batched-1", "FAILED")
    now("timing one at a time"); leave(words=words, at=time.monotonic(), variables=dict(os.environ),
          processors=sorted(getattr(os, "sched_getaffinity", lambda _: ())(0)))
    """
    outcomes, folder, seen = execute(body, the_plan)
    phases = ("starting", "compiling", "timing one at a time")
    assert seen == [(*at, phase) for at in the_plan.order for phase in phases]
    assert [(outcome.job.kernel, outcome.job.repeat) for outcome in outcomes] == list(the_plan.order)
    moments = [left(outcome)["at"] for outcome in outcomes]
    assert moments == sorted(moments)
    for outcome in outcomes:
        words, variables, job = left(outcome)["words"], left(outcome)["variables"], outcome.job
        assert words[:3] == ["-P", "-m", "pytest"]
        told = {f"--mlpbench-repeat={job.repeat}", f"--mlpbench-run={folder / 'run.json'}"}
        assert {*process.pytest_command(the_plan, OPTIONS, job.kernel)[1:], *told} <= set(words)
        assert {variables[name] for name in THREAD_VARIABLES} == {"3"}
        assert left(outcome)["processors"] == list(binding.processors or ())
        assert not {"PYTEST_ADDOPTS", "PYTEST_PLUGINS"} & set(variables)
        assert process.Path(variables["TMPDIR"]).parent == tmp_path / "tmp"
    assert PROCESSORS(0) == before
    names = ["run.json", *(f"{kernel}.{repeat}.json" for kernel, repeat in the_plan.order)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names), "and nothing partial"
    assert list((tmp_path / "tmp").iterdir()) == []


#: What Python says of a crash, as pytest asks it to.
CRASH = """
Thread 0x00007f0000000002 (most recent call first):
  File "threading.py", line 324 in wait

Current thread 0x00007f0000000001 (most recent call first):
  File "own.py", line 9 in forward
  File "other.py", line 7 in forward
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", ["died of SIGSEGV", "it said: I begin"]),
        ("os.kill(os.getpid(), signal.SIGKILL)", ["died of SIGKILL", "memory runs out"]),
        ("print('ERROR: no such thing'); print('bye'); sys.exit(3)", ["ended with 3", "said: ERROR: no such thing"]),
        ("sys.exit(5)", ["ended with 5 and no result", "said: I begin"]),
        ("pass", ["ended with 0 and no result"]),
        ("print('x' * 10**6); sys.exit(5)", ["ended with 5 and no result; it said: xxx"]),
        ("leave(); os.kill(os.getpid(), signal.SIGABRT)", ["died of SIGABRT"]),
        ("now('warming'); case('numpy-batched-1', '')\n    os._exit(0)", ["no result while warming; it said: I begin"]),
        (
            "print(CRASH, flush=True)\n    os.kill(os.getpid(), signal.SIGSEGV)",
            ['SIGSEGV; it said: File "own.py", line 9 in forward'],
        ),
    ],
)
def test_a_process_that_dies_leaves_a_record_with_its_reason_and_the_others_go_on(execute, body, words):
    body = f"CRASH = {CRASH!r}\nif kernel == 'numpy':\n    print('I begin', flush=True)\n    {body}\nelse:\n    done()"
    outcomes, folder, _ = execute(body, plan("numpy", "numpy-out"))
    problems = {outcome.job.kernel: outcome.problems for outcome in outcomes}
    assert problems["numpy-out"] == ()
    (problem,) = problems["numpy"]
    assert all(word in problem for word in words), problem
    assert len(problem) < 500, "a record with a line of many megabytes is not read"
    run = runs.read_run(folder)
    assert run.missing == ()
    (failure,) = run.failures
    assert (failure.kernel, failure.mode, failure.phase, failure.reason) == ("numpy", None, "process", problem)
    assert len(run.records) == 2


#: What stands in the place of a record, and why it is none.
NO_RECORDS = {
    'text = \'{"mlpbench": {"failu\'': "not JSON",
    "text = '{\"a\":' + 100_000 * '['": "nested deeper than",
    "text = '[1, 2]'": "expected an object, got list",
    "text = '{\"benchmarks\": []}'": 'no "mlpbench" block',
    "good['mlpbench']['kernel'] = 'numba'": "the record of numba, repeat 0",
    "good['mlpbench']['repeat'] = 7": "the record of numpy, repeat 7",
    "good['mlpbench']['plan']['run_id'] = '20260101T000000Z-0123abcd'": "perhaps of another run",
    "good['mlpbench']['data']['sha256'] = 64 * '0'": "other data or weights",
    "good['mlpbench']['spec']['sizes'][0] = 7": "of another specification",
    "good['mlpbench']['failures'] = 3": "Expected `array`",
    "text = '{\"a\": [' + 9 * 2**20 * '1,' + '1]}'": "larger than 16 MiB",
}


@pytest.mark.parametrize("forged", NO_RECORDS)
def test_a_record_that_cannot_be_read_is_a_failure_and_is_kept_beside_it(execute, forged):
    body = f"""
    done()
    if kernel == "numpy":
        good, text = json.load(open(raw)), None
        {forged}
        open(raw, "w").write(text or json.dumps(good))
    """
    outcomes, folder, _ = execute(body, plan("numpy", "numpy-out"))
    problems = {outcome.job.kernel: outcome.problems for outcome in outcomes}
    assert problems["numpy-out"] == ()
    (problem,) = problems["numpy"]
    assert problem.startswith("its process left a record that does not count: numpy.0.json.unreadable: ")
    assert NO_RECORDS[forged] in problem
    run = runs.read_run(folder)
    assert (len(run.records), run.damaged, run.missing) == (2, (), ())
    (failure,) = run.failures
    assert (failure.kernel, failure.mode, failure.phase, failure.reason) == ("numpy", None, "record", problem)
    kept = (folder / "numpy.0.json.unreadable").read_text()
    assert kept.startswith(('{"', "[1"))
    assert json.loads(kept)["mlpbench"] if "good" in forged else '"kernel"' not in kept


def test_a_link_in_the_place_of_a_record_is_not_followed(execute, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (outcome,), folder, _ = execute(f"os.symlink({str(tmp_path / 'secret')!r}, raw)", plan())
    assert "ended with 0 and no result" in outcome.problems[0]
    assert sorted(path.name for path in folder.iterdir()) == ["numpy.0.json", "run.json"]


WHOLE = "done(); open(raw.replace('.json', '.whole'), 'w').close(); "


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("sys.exit(9)", "ended with 9"),
        ("time.sleep(600)", "was stopped 0.2 s after its work was done"),
    ],
)
def test_a_process_that_ends_badly_keeps_a_record_that_was_whole_and_its_end_is_named(
    execute, monkeypatch, body, ended
):
    monkeypatch.setattr(child, "TICK_S", 0.1)
    monkeypatch.setattr(child, "GRACE_S", 0.2)
    (outcome,), folder, _ = execute(WHOLE + body, plan())
    assert outcome.problems == (f"the process {ended}; its record was whole by then, and counts",)
    run = runs.read_run(folder)
    assert (run.failures, run.records[0].ran.ended) == ((), ended)
    assert f"numpy.0.json was whole when its process {ended}: it counts." in gaps.notices([run])


def test_a_full_folder_for_temporary_files_ends_the_run_before_anything_is_measured(execute, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(process.Path, "write_bytes", full)
    said = refusal(execute, "raise SystemError", plan())
    assert re.fullmatch(r"no room .*: No space left on device; .* another folder with TMPDIR", said)


def test_a_process_that_hangs_is_stopped_and_its_record_says_so(execute, monkeypatch):
    processes.over_when_heard(monkeypatch)
    body = 'print(os.getpid(), subprocess.Popen(["sleep", "60"]).pid, flush=True); time.sleep(60)'
    (outcome,), folder, _ = execute(body, plan())
    (problem,) = outcome.problems
    assert problem.startswith("the process was stopped after 600 s; it said: ")
    assert "memory" not in problem
    processes.gone(*map(int, problem.split()[-2:]))
    assert len(runs.read_run(folder).failures) == 1


def test_an_interrupt_stops_the_process_and_all_that_it_started(execute, tmp_path):
    def interrupt(_kernel, _repeat, phase):
        if phase == "timing":
            raise KeyboardInterrupt

    body = f"""
    child = subprocess.Popen(["sleep", "60"])
    open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
    now("timing")
    time.sleep(60)
    """
    with pytest.raises(KeyboardInterrupt):
        execute(body, plan(), interrupt)
    processes.gone(*map(int, (tmp_path / "pids").read_text().split()))
    (folder,) = (tmp_path / "results").glob("*/*")
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_result_is_never_overwritten(execute, tmp_path):
    the_plan = plan()
    taken = tmp_path / "results" / machine_id() / the_plan.run_id / "numpy.0.json"
    said = refusal(execute, f"open({str(taken)!r}, 'w').write('mine'); leave()", the_plan)
    assert "is there already and is not overwritten" in said
    assert taken.read_text() == "mine"


def test_a_run_that_is_there_is_not_written_into_and_is_readable_before_anything_has_run(tmp_path):
    the_plan = plan("numpy", "numpy-out", repeats=2)
    folder = processes.open_run(tmp_path, the_plan)
    run, before = runs.read_run(folder), (folder / "run.json").read_bytes()
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert (run.records, run.missing, run.plan.seed) == ((), the_plan.order, 1)
    assert folder.parent.name == run.environment.machine.name == machine_id()
    assert "is not overwritten: choose another --results" in refusal(processes.open_run, tmp_path, the_plan)
    assert (folder / "run.json").read_bytes() == before


def test_threads_are_really_in_force(tmp_path, monkeypatch):
    """The whole way with a real process: what BLAS says of itself there, and what the record keeps."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    the_plan = plan(threads=1, cases=CASES[2:])
    workload, seen = Workload(OPTIONS), []
    folder = processes.open_run(tmp_path / "results", the_plan, workload)
    (outcome,) = processes.run_plan(the_plan, workload, folder, lambda *at: seen.append(at))
    assert outcome.problems == ()
    phases = ["starting", "importing", "preparing", "checking", "warming batch 10"]
    assert list(dict.fromkeys(seen))[:5] == [("numpy", 0, phase) for phase in phases]
    assert any(phase.startswith("timing") for _, _, phase in seen)
    (found,) = runs.read_run(folder).records
    assert found.threads == 1
    (blas,) = (pool for pool in found.environment.blas if pool["user_api"] == "blas")
    assert blas["num_threads"] == found.environment.threads == 1
    assert all((blas["internal_api"], blas["version"]))
    assert found.environment.variables["NUMBA_NUM_THREADS"] == "1"
    assert found.spec.dtype == "float64"
