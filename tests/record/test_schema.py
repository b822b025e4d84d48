"""Records with their types: what is read, and each member that is not what it should be, named with its place."""

import copy
import json

import numpy as np
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import NOTHING
from mlpbench.bench.report import render
from support import evidence_files, simulate, trusting
from support.simulate import good, one_line

CASE = ("numpy", "batched", 100)
BOOK = ("numpy", "book", 100)
KNOWN = {"load": [0.5, 0.7, 0.6], "initialise": [0.1, 0.1, 0.2], "infer": [2.0, 2.2, 2.1], "count": [0.01, 0.01, 0.02]}
READS = "MNIST's test half: t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"


def full():
    """Return a record that has every block."""
    content = good()
    content["benchmarks"].append(simulate.benchmark(BOOK, [3.0, 3.1, 3.2], parts_s=copy.deepcopy(KNOWN), reads=READS))
    looks = {"looks_ns": [[25_000, 26_000]] * 3, "block_rounds": [2, 1]}
    content["benchmarks"][1]["extra_info"].update(looks)
    singles = {"mode": "batched", "batch_size": 1, "clock_ns": [50], "calls_ns": [900, 901]}
    start = {"fresh": True, "import_s": 1.0, "construct_s": 2.0, "first_calls": [{**mode(100), "first_call_s": 0.1}]}
    trust = trusting.block(singles=[singles], starts=[start])
    failure = {"kernel": "numpy", **mode(1), "phase": "measure", "reason": "no memory"}
    use = {"given": 2, "found": [{"what": "openblas (blas)", "threads": 2}]}
    more = {"trust": trust, "failures": [failure], "thread_use": use, "anatomy": evidence_files.anatomy()}
    content["mlpbench"] |= copy.deepcopy(more)
    plan = {"skipped": [{"kernel": "cupy", "reason": "no driver"}], "clock": ["--a"], "target": 0.02, "budget_s": 90.0}
    content["mlpbench"]["plan"]["cases"].append({"mode": BOOK[1], "batch_size": BOOK[2]})
    content["mlpbench"]["plan"] |= plan | {"binding": {"processors": [0, 1], "reason": None}}
    return content


def mode(batch_size):
    return {"mode": "batched", "batch_size": batch_size}


def written(folder, content):
    path = folder / "numpy.0.json"
    path.write_text(json.dumps(content))
    return path


def put(content, way, value):
    """Set a member: ``mlpbench.plan.seed`` or ``benchmarks.0.stats.data``."""
    *path, last = [int(step) if step.isdigit() else step for step in way.split(".")]
    for step in path:
        content = content[step]
    content[last] = value


def test_a_record_is_read_with_its_types_and_its_rounds(tmp_path):
    found = runs.read(written(tmp_path, full()))
    assert (found.kernel, found.repeat, found.backend, found.device) == ("numpy", 0, "numpy", "cpu")
    assert (found.machine, found.threads, found.thread_use.more) == ("testbox", 2, ())
    assert (found.returns, found.peer) == (None, None), "of a version that did not say it"
    assert found.spec.label() == "784-50-100-10"
    assert (found.data.name, found.weights.source, found.accuracy.batched) == ("digits", "trained", 0.94)
    assert [(case.mode, case.batch_size) for case in found.plan.cases] == [("batched", 100), ("book", 100)]
    case, book = found.cases
    assert (case.rounds_s, case.looks_ns, case.parts) == ((1e-4, 2e-4, 3e-4), (), None)
    assert (case.first_call_s, case.iterations, case.repeated_rows) == (pytest.approx(3e-4), 10, False)
    assert book.parts.seconds == {name: tuple(values) for name, values in KNOWN.items()}
    assert book.reads == READS
    assert {name: values.shape for name, values in book.part_rounds_s.items()} == dict.fromkeys([*KNOWN, "rest"], (3,))
    assert np.median(book.part_rounds_s["rest"]) == pytest.approx(0.28)
    assert found.trust.starts[0].first_calls_s == {("batched", 100): 0.1}
    assert found.anatomy.in_l1.case("per_sample").batch_size == 100


def test_the_frame_has_the_parts_of_the_books_cell_alone(tmp_path):
    rows = frame.load(written(tmp_path, full())).set_index("mode")
    assert tuple(rows.loc["book", ["load_s", "initialise_s", "infer_s", "count_s"]]) == (0.5, 0.1, 2.0, 0.01)
    assert (rows.loc["book", "reads"], rows["load_s"].isna().tolist()) == (READS, [True, False])


def test_what_an_older_version_wrote_is_read(tmp_path):
    content = good()
    for name in ("conformance", "accuracy", "timings", "weights"):
        del content["mlpbench"][name]
    found = runs.read(written(tmp_path, content))
    assert (found.trust, found.thread_use, found.anatomy, found.construct_s) == (NOTHING, None, None, None)
    assert (found.accuracy.batched, found.max_error) == (None, None)


def test_a_record_that_pytest_wrote_by_hand_has_no_plan(tmp_path):
    content = good()
    content["mlpbench"]["plan"] = None
    run = simulate.read(written(tmp_path, content))
    assert (run.plan, run.id, run.kernels, run.missing) == (None, "numpy.0", ("numpy",), ())


def test_a_kernel_that_was_not_admitted_has_a_record_without_times(tmp_path):
    content = good()
    content["benchmarks"] = []
    content["mlpbench"] |= dict.fromkeys(("kernel_info", "conformance", "accuracy", "timings"))
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate"}]
    found = runs.read(written(tmp_path, content))
    assert (found.cases, found.backend, found.construct_s, found.max_error) == ((), None, None, None)
    assert found.failures[0].reason == "no reason given"


A_NAME, A_LIST, WHOLE = "expected a name", "expected a list", "expected a whole number"
SECONDS, MODES = "expected seconds above 0", "expected one of per_sample, batched, book"
DATA, INFO, TRUST = "benchmarks.0.stats.data", "benchmarks.0.extra_info", "mlpbench.trust"
NOT_JSON_NUMBER = "beyond the range of a float"


@pytest.mark.parametrize(
    ("way", "value", "said"),
    [
        ("benchmarks", {"a": 1}, A_LIST),
        ("benchmarks.0", "a case", "expected an object"),
        ("benchmarks.0.stats", None, "stats is missing"),
        (DATA, "fast", f'{A_LIST}, got "fast"'),
        (DATA, [], "no rounds; write the file with --benchmark-json"),
        (DATA, [1e-4, "1e-4"], "stats.data[1]: expected a number"),
        *((DATA, [1e-4, value], SECONDS) for value in (0, -1e-4, 5e-324)),
        *((DATA, [1e-4, value], "data[1]: expected a number") for value in (None, True)),
        (DATA, [1e-4, 10**400], NOT_JSON_NUMBER),
        (DATA, [[1e-4]], "data[0]: expected a number"),
        ("benchmarks.0.stats.iterations", 0, f"{WHOLE} of at least 1, got 0"),
        *(("benchmarks.0.stats.iterations", value, WHOLE) for value in (1.5, True)),
        *((f"{INFO}.mode", value, MODES) for value in ("../batched", "backwards")),
        (f"{INFO}.mode", None, "mode is missing"),
        (f"{INFO}.kernel", "numba", "expected the kernel of the file, numpy, got numba"),
        *((f"{INFO}.batch_size", value, WHOLE) for value in (-1, "100", 10**30)),
        (f"{INFO}.rows_per_round_call", 0, WHOLE),
        (f"{INFO}.first_call_s", -1.0, "first_call_s: expected"),
        (f"{INFO}.first_call_s", 1e12, "first_call_s: expected"),
        (f"{INFO}.repeated_rows", "no", "expected true or false"),
        ("benchmarks.1.extra_info.parts_s.load", [0.5, 0.7], "one time for each of the 3 rounds, got 2"),
        ("benchmarks.1.extra_info.looks_ns", [[1, 2]], "two looks for each of the 3 rounds, got 1"),
        ("benchmarks.1.extra_info.looks_ns", [[1, -2]] * 3, "expected a whole number"),
        ("benchmarks.1.extra_info.waits_ns", [1], "extra_info.waits_ns: expected one for each of the 3 rounds, got 1"),
        ("benchmarks.1.extra_info.block_rounds", [2, 2], "expected 3 rounds in all, got 4"),
        ("benchmarks.1.extra_info.parts_s.count", None, "count is missing"),
        ("benchmarks.1.extra_info.parts_s.infer", [1.0, -1.0, 1.0], SECONDS),
        ("benchmarks.1.extra_info.parts_s", [1.0], "parts_s: expected an object"),
        ("mlpbench.schema", "1", f'{WHOLE}, got "1"'),
        ("mlpbench.schema", True, WHOLE),
        ("mlpbench.schema", 0, f"{WHOLE} of at least 1"),
        *(("mlpbench.kernel", value, A_NAME) for value in ("../../etc/passwd", "C:\\numpy", "..", "", "a" * 200)),
        *(("mlpbench.kernel", value, A_NAME) for value in ("nümpy", "<script>", "numpy/../..")),
        ("mlpbench.kernel", ["numpy"], "expected text, got a list"),
        ("mlpbench.repeat", -1, WHOLE),
        ("mlpbench.repeat", "0", WHOLE),
        ("mlpbench.environment", "a fine machine", "expected an object"),
        ("mlpbench.environment.threads", "two", "environment.threads: expected a whole number"),
        ("mlpbench.kernel_info", "numpy", "expected an object"),
        ("mlpbench.kernel_info.version", 2, "expected text"),
        ("mlpbench.kernel_info.returns", "borrowed", "kernel_info.returns: expected"),
        ("mlpbench.kernel_info.peer", "yes", "expected true or false"),
        ("mlpbench.spec", None, "spec is missing"),
        ("mlpbench.spec.sizes", ["784", "10"], WHOLE),
        ("mlpbench.spec.sizes", [784], "at least an input and an output size"),
        ("mlpbench.spec.hidden", "tan", "hidden must be one of"),
        ("mlpbench.spec.dtype", None, "spec: dtype is missing"),
        ("mlpbench.data.rows", "many", WHOLE),
        ("mlpbench.accuracy.batched", 1.5, "expected a number between 0 and 1"),
        ("mlpbench.timings.construct_s", "soon", "expected a number"),
        ("mlpbench.plan.run_id", "../../elsewhere", A_NAME),
        ("mlpbench.plan.repeats", 10**12, "mlpbench.plan.repeats: "),
        ("mlpbench.plan.order", [["numpy"]], "plan.order[0]: expected"),
        ("mlpbench.plan.order", [["numpy", "0"]], WHOLE),
        ("mlpbench.plan.kernels", [1], "plan.kernels[0]: expected text"),
        ("mlpbench.plan.cases", [mode(0)], "plan: cases: expected a mode and a batch size"),
        ("mlpbench.plan.skipped", ["cupy"], "plan.skipped[0]: expected an object"),
        ("mlpbench.plan.budget_s", "long", "expected a number"),
        ("mlpbench.plan.binding", {}, "neither processors nor a reason"),
        ("mlpbench.plan.binding", {"processors": [0.5]}, WHOLE),
        ("mlpbench.failures", [{"kernel": "a/b"}], A_NAME),
        ("mlpbench.failures", [{"kernel": "numpy", "reason": 3}], "failures[0].reason: expected text"),
        ("mlpbench.thread_use.given", 0, WHOLE),
        (f"{TRUST}.self_test.0.length", -1, f"{WHOLE} of at least 0"),
        (f"{TRUST}.singles.0.calls_ns", [1.5], WHOLE),
        ("mlpbench.anatomy.in_l1.cases", [], "the case per_sample is missing"),
        ("mlpbench.anatomy.in_l1.spec.sizes", [0, 1], "every size must be at least 1"),
        ("mlpbench.anatomy.two_neurons.cases.0.data", [0.0], SECONDS),
    ],
)
def test_wrong_types_and_values_are_named_with_their_place(tmp_path, way, value, said):
    content = full()
    put(content, way, value)
    path = written(tmp_path, content)
    with pytest.raises(UserError) as error:
        runs.read(path)
    text = one_line(error)
    assert text.startswith(f"{path}: ")
    assert any(step in text for step in way.split(".") if not step.isdigit())
    assert said in text


def test_a_case_that_is_there_twice(tmp_path):
    content = good()
    content["benchmarks"] *= 2
    with pytest.raises(UserError, match=r"benchmarks\[1\]: the case batched 100 is there twice"):
        runs.read(written(tmp_path, content))


# -- every member replaced by junk: it is read or refused, and nothing further on breaks


def ways(value, way=()):
    """Yield the way to every member of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield ".".join(map(str, (*way, key)))
        yield from ways(item, (*way, key))


def use(path, other):
    """Do with a file what commands do with one."""
    run = simulate.read(path)
    assert frame.load(run).to_csv().replace("\n", "").isprintable()
    assert render.render([run], "md").replace("\n", "").isprintable()
    found = compare(run, other, 0.05)
    assert json.dumps(found.as_dict(), allow_nan=False)
    assert all(line.isprintable() for line in (*found.differences, *map(str, found.unmatched)))


@pytest.mark.parametrize("junk", [None, True, -1, 10**30, "../\x1b[2J", [[]], {"a": {"b": []}}], ids=repr)
def test_junk_anywhere_is_read_or_refused_with_one_line(tmp_path, junk):
    content = full()
    for block in ("trust", "anatomy"):
        del content["mlpbench"][block]  # read by the tests above, and there are hundreds of members in it
    other = simulate.read(simulate.write_run(tmp_path, {CASE: 1e-6}, repeats=2, seed=5))
    read, refusals = 0, []
    for way in ways(content):
        damaged = copy.deepcopy(content)
        put(damaged, way, junk)
        try:
            use(written(tmp_path, damaged), other)
            read += 1
        except UserError as error:
            refusals.append(str(error))
    assert read
    assert refusals
    assert all(line.isprintable() for line in refusals)  # and so one line
