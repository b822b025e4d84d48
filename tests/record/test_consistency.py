"""What cannot be true: each of these records of a recorded run is named in one line, and is not judged."""

import shutil
from pathlib import Path

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.device import QUANTILES, RoofsFile
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.schema import RecordFile
from support import simulate
from support.refusals import refusal
from support.sources import ROOT
from support.terminal import called

RECORDED = sorted(path.parent for path in (ROOT / "results").glob("*/*/run.json"))
#: One with several kernels.
RUN = next(path for path in RECORDED if (path / "numba-simd.0.json").exists())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a run that came with the sources, in today's schema; its files are smaller, and say when they ran."""
    copied = Path(shutil.copytree(RUN, tmp_path_factory.mktemp("recorded") / RUN.name))
    for path in copied.glob("*.json"):
        with simulate.edited(path) as content:
            kind = {"run.json": RunFile, "roofs.json": RoofsFile}.get(path.name, RecordFile)
            content.update(untrusted.read(path, kind).as_dict())
            if path.name.startswith("num"):
                content["mlpbench"] |= {"anatomy": None, "trust": None}
                content["mlpbench"]["ran"] = {"began_s": 1795566000.0, "took_s": 20.0, "share": 1.0}
    return copied


@pytest.fixture
def folder(recorded, tmp_path):
    """Return a copy of that run."""
    return Path(shutil.copytree(recorded, tmp_path / "results" / RUN.parent.name / RUN.name))


def of(*way):
    """Return what sets a member of a record to a value: ``of("mlpbench", "kernel", "numba")``."""
    *path, last, value = way

    def change(content):
        for step in path:
            content = content[step]
        content[last] = value(content[last]) if callable(value) else value

    return change


def block(*way):
    return of("mlpbench", *way)


def environment(*way):
    return block("environment", *way)


def case(*way, which=0):
    return of("benchmarks", which, *way)


def mode(name, *way):
    """Return a change of the first case of a mode."""

    def change(content):
        (number, *_) = [n for n, one in enumerate(content["benchmarks"]) if one["extra_info"]["mode"] == name]
        case(*way, which=number)(content)

    return change


def both(*changes):
    return lambda content: [change(content) for change in changes]


def accuracy(share):
    return both(*(block("kernel_info", "accuracy", name, share) for name in ("per_sample", "batched")))


def device_times(content):
    hot = {"samples": 100, "seconds": {**dict.fromkeys(QUANTILES, 1e-5), "p50": 1e-3}}
    cases = [{"mode": "batched", "batch_size": 1, "times": {"hot": hot}}]
    content["mlpbench"]["device_times"] = {"cases": cases}


OTHER = "f" * 40
FAILED = {"kernel": "numpy", "mode": "batched", "batch_size": 100, "phase": "gate", "reason": "wrong"}
#: What is done to numpy.1.json, and what is said of it.
IMPOSSIBLE = {
    # another thing in one repeat
    "NumPy": (environment("libraries", "numpy", "2.3.0"), "numpy is 2.3.0, and 2.4.6 in its plan"),
    "Numba": (environment("libraries", "numba", "0.1"), "numba is 0.1, and 0.68.1 in its plan"),
    "pytest-benchmark": (environment("libraries", "pytest-benchmark", "4.0"), "pytest-benchmark is 4.0, and 5.3.1"),
    "Python": (environment("python", "version", "3.14.0"), "python version is 3.14.0, and 3.11.7 in its plan"),
    "implementation": (environment("python", "implementation", "PyPy"), "python implementation is PyPy, and CPython"),
    "commit": (environment("git", "commit", OTHER), f"git commit is {OTHER}, and"),
    "threads": (environment("threads", 7), "threads is 7, and 2 in its plan"),
    "threads of the plan": (block("plan", "threads", 7), "plan threads is 7, and 2 in its plan"),
    "threads of the kernel": (block("kernel_info", "describe", "threads", 7), "kernel threads is 7, and 1 in other"),
    "clock's options": (block("plan", "clock", ["--benchmark-timer=x"]), "plan clock is --benchmark-timer"),
    "seed": (block("plan", "seed", 7), "plan seed is 7, and"),
    "profile": (block("plan", "profile", "full"), "plan profile is full, and"),
    "target of the record's plan": (block("plan", "target", 0.5), "plan target is 0.5, and"),
    "budget": (block("plan", "budget_s", 5.0), "plan budget_s is 5.0, and"),
    "start": (block("plan", "started", "2020-01-01T00:00:00+00:00"), "plan started is 2020-01-01"),
    "device": (block("kernel_info", "device", "cuda"), "kernel device is cuda, and cpu in other records"),
    "card": (environment("gpu", {"available": True, "name": "H100", "uuid": "GPU-7"}), "GPU is GPU-7, and none in"),
    "backend": (block("kernel_info", "backend", "cupy"), "kernel backend is cupy, and numpy in other records"),
    "library": (block("kernel_info", "version", "1.26.0"), "kernel version is 1.26.0, and 2.4.6 in other records"),
    "peer": (block("kernel_info", "peer", True), "kernel peer is True, and False in other records"),
    "machine": (environment("machine", "name", "m1"), "machine name is m1, and amd-epyc-f26-m2-2cpu in its plan"),
    "processor": (environment("machine", "cpu_model", "Xeon"), "machine cpu_model is Xeon, and AMD EPYC in its plan"),
    "cores": (environment("machine", "cores", 64), "machine cores is 64, and 2 in its plan"),
    "system": (environment("os", "release", "4.4.0"), "os release is 4.4.0, and 6.18.44"),
    # the gate, and what it saw
    "error ratio": (block("kernel_info", "max_error_ratio", 50), "max_error_ratio: Expected `float` <= 1.0"),
    "error ratio below 0": (block("kernel_info", "max_error_ratio", -1), "max_error_ratio: Expected `float` >= 0.0"),
    "error below 0": (block("kernel_info", "max_error", -1.0), "max_error: Expected `float` >= 0.0"),
    "times behind a failed gate": (block("failures", [FAILED]), "its kernel was not admitted"),
    "accuracy": (accuracy(0.10), "accuracy (per_sample) is 0.1, and 0.964 in other records"),
    "accuracy a little lower": (accuracy(0.955), "accuracy (per_sample) is 0.955, and 0.964 in other records"),
    "accuracy in one way": (block("kernel_info", "accuracy", "batched", 0.10), "one at a time, and 0.1 in batches"),
    "accuracy above 1": (block("kernel_info", "accuracy", "batched", 1.5), "accuracy.batched: Expected `float` <= 1.0"),
    "accuracy of more rows": (block("kernel_info", "accuracy", "rows", 10**6), "accuracy of 1000000 rows, and"),
    # the times
    "rows of a round": (mode("per_sample", "extra_info", "rows_per_round_call", 1), "per_sample 100: its calls have 1"),
    "rows of a batch": (mode("batched", "extra_info", "rows_per_round_call", 10**6), "its calls have 1000000 rows"),
    "rows of the data": (block("data", "rows", 1), "other specification, data or weights"),
    "weights": (block("weights", "sha256", OTHER), "other specification, data or weights"),
    "another run": (block("plan", "run_id", "20261124T120000Z-0123abcd"), "belongs to another run"),
    "a name with an escape sequence": (block("kernel", "\x1b]0;a\x07b"), "holds what belongs in b.1.json"),
    "another repeat": (block("repeat", 7), "holds what belongs in numpy.7.json"),
    "times of a year": (case("stats", "data", lambda data: [3e7 for _ in data]), "its rounds took"),
    "times of more than a year": (case("stats", "data", [4e7]), "stats.data[0]: Expected `float` <= "),
    "iterations": (case("stats", "iterations", 10**9), "its rounds took"),
    "no time": (case("stats", "data", lambda data: [0.0 for _ in data]), "stats.data[0]: Expected `float` >= "),
    "a case twice": (lambda content: content["benchmarks"].append(content["benchmarks"][0]), "is there twice"),
    "a case beside the plan": (
        both(mode("batched", "extra_info", "batch_size", 7), mode("batched", "extra_info", "rows_per_round_call", 7)),
        "batched 7: its plan does not have this case",
    ),
    "a case that is missing": (lambda content: content["benchmarks"].pop(), "was planned, and neither measured"),
    "percentiles": (device_times, "expected times that ascend"),
    "energy": (case("extra_info", "joules", -1), "joules: Expected `float` >= 0.0"),
}
#: Of these another file is changed.
FILES = {"threads of the kernel": "numba-simd.1.json"}
#: What is told, though no record is to blame; and what is another run's file, so that none is read.
OF_THE_RUN = {"a case that is missing"}
OF_ANOTHER = {"rows of the data", "weights", "another run", "another repeat", "a name with an escape sequence"}
#: The same of the plan, run.json.
IMPOSSIBLE_PLANS = {
    "target": (block("plan", "target", 5), "plan.target: Expected `float` <= 1.0"),
    "budget": (block("plan", "budget_s", "long"), "plan.budget_s: Expected `float"),
    "kernel": (block("plan", "kernels", lambda names: names[1:]), "its plan does not have this kernel"),
    "repeats": (both(block("plan", "repeats", 1), block("plan", "budget_s", None)), "it is repeat 2, and its plan has"),
    "interval": (block("ending", "cases", 0, "half_width", -0.5), "half_width: Expected `float` >= 0.0"),
}


def lines_of(folder):
    """Return what reading a run says of it, and the names of the files that are left."""
    try:
        run = runs.read_run(folder)
    except UserError as error:
        return [str(error)], None
    return [*run.damaged, *run.contradictions, *run.problems], {record.path.name for record in run.records}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_nothing_is_said_of_runs_as_they_were_recorded(path):
    lines, there = lines_of(path)
    assert lines == []
    assert there == {file.name for file in path.glob("*.json")} - {"run.json", "roofs.json"}
    for name in there:
        assert runs.read_run(path / name).damaged == ()


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_record_is_named_in_one_line_and_not_judged(folder, name):
    change, words = IMPOSSIBLE[name]
    file = FILES.get(name, "numpy.1.json")
    lines, before = lines_of(folder)
    assert (lines, len(before)) == ([], 26)
    with simulate.edited(folder / file) as content:
        change(content)
    (line,), there = lines_of(folder)
    assert file in line
    assert words in line
    assert line.isprintable()
    if name not in OF_ANOTHER:
        assert there == before - (set() if name in OF_THE_RUN else {file}), "the others are judged"


@pytest.mark.parametrize("name", IMPOSSIBLE_PLANS)
def test_a_plan_that_cannot_be_true_is_told(folder, name):
    change, words = IMPOSSIBLE_PLANS[name]
    with simulate.edited(folder / "run.json") as content:
        change(content)
    lines, there = lines_of(folder)
    assert any(words in line for line in lines)
    assert all(line.isprintable() for line in lines)
    if name == "repeats":
        assert {path.partition(".")[2] for path in there} == {"0.json"}


def test_a_record_that_is_named_by_itself_is_refused(folder):
    with simulate.edited(folder / "numpy.1.json") as content:
        case("stats", "iterations", 10**9)(content)
    refusal(UserError, r"numpy\.1\.json: cannot be true: its rounds took", runs.read_run, folder / "numpy.1.json")


@pytest.mark.parametrize(
    "words",
    [
        ("report", "{run}"),
        ("report", "{run}", "--format=csv"),
        ("report", "{run}", "--format=html"),
        ("compare", "{run}:numpy", "{run}:numba"),
        ("explain", "{run}"),
    ],
)
def test_every_command_names_the_files_and_judges_the_rest(capsys, folder, words):
    with simulate.edited(folder / "numpy.1.json") as content:
        environment("libraries", "numpy", "2.3.0")(content)
    (folder / "numba.1.json").write_text("{")
    status, out, err = called(capsys, *(word.format(run=folder) for word in words))
    assert status in (0, 1, 4)
    told = "".join((out + err).replace("\N{NO-BREAK SPACE}", " ").split())
    assert "numpy.1.json:cannotbetrue:numpyis2.3.0,and2.4.6initsplan" in told
    assert "numba.1.json:notJSON" in told


def test_what_most_records_say_counts_where_there_is_no_plan_and_of_a_tie_the_first(tmp_path):
    times = {("numpy", "batched", 100): 2e-6}
    for repeats, wrong in ((3, 0), (2, 1)):
        path = simulate.write_run(tmp_path / str(repeats), times, repeats=repeats)
        (path / "run.json").unlink()
        with simulate.edited(path / f"numpy.{wrong}.json") as content:
            environment("python", "version", "3.9.0")(content)
        (line,), there = lines_of(path)
        assert line.endswith(
            f"numpy.{wrong}.json: cannot be true: python version is 3.9.0, and 3.11.7 in other records"
        )
        assert len(there) == repeats - 1


def test_of_two_repeats_that_differ_the_other_kernels_say_which_is_doubted(tmp_path):
    times = {(kernel, "batched", 100): 2e-6 for kernel in ("numpy", "numba")}
    path = simulate.write_run(tmp_path, times, repeats=2)
    with simulate.edited(path / "numpy.0.json") as content:
        accuracy(0.96)(content)
    (line,), there = lines_of(path)
    assert "numpy.0.json: cannot be true: accuracy (per_sample) is 0.96, and 0.94 in other records" in line
    assert there == {"numpy.1.json", "numba.0.json", "numba.1.json"}


def test_rounding_and_silence_contradict_nothing(tmp_path):
    path = simulate.write_run(tmp_path, {("numpy", "batched", 100): 2e-6})
    with simulate.edited(path / "numpy.1.json") as content:
        accuracy(0.942)(content)
        for name in ("libraries", "git", "os"):
            del content["mlpbench"]["environment"][name]
    assert lines_of(path) == ([], {f"numpy.{repeat}.json" for repeat in range(3)})
