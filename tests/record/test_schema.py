"""Records with their types: what is read, and each member that is not what it should be, named with its place."""

import copy
import json
import runpy

import numpy as np
import pytest
from msgspec.structs import replace

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.schema import KernelInfo, RecordFile
from mlpbench.bench.record.trust import NOTHING
from mlpbench.bench.report import render
from support import evidence_files, simulate, trusting
from support.refusals import refusal
from support.simulate import good
from support.sources import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "result_schema.py"))
CASE = ("numpy", "batched", 100)
BOOK = ("numpy", "book", 100)
KNOWN = {"load": [0.5, 0.7, 0.6], "initialise": [0.1, 0.1, 0.2], "infer": [2.0, 2.2, 2.1], "count": [0.01, 0.01, 0.02]}
READS = "MNIST's test half: t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"


def full():
    """Return a record that has every block."""
    content = good()
    content["benchmarks"].append(simulate.benchmark(BOOK, [3.0, 3.1, 3.2], parts_s=copy.deepcopy(KNOWN), reads=READS))
    content["benchmarks"][1]["extra_info"]["looks_ns"] = [[25_000, 26_000]] * 3
    content["benchmarks"][0]["extra_info"] |= {"clock_ns": 50, "single_calls": [[900, 2], [1010, 1]], "joules": 2.0}
    start = {"fresh": True, "import_s": 1.0, "construct_s": 2.0, "first_calls": [["batched", 100, 0.1]]}
    trust = trusting.block(starts=[start])
    failure = {"kernel": "numpy", **mode(1), "phase": "measure", "reason": "no memory"}
    use = [["openblas (blas)", 2]]
    more = {"trust": trust, "failures": [failure], "thread_use": use, "anatomy": evidence_files.anatomy()}
    content["mlpbench"] |= copy.deepcopy(more)
    plan = {"skipped": {"cupy": "no driver"}, "clock": ["--a"], "target": 0.02, "budget_s": 90.0}
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
    assert (found.kernel, found.repeat, found.kernel_info.backend, found.device) == ("numpy", 0, "numpy", "cpu")
    assert (found.machine, found.threads, found.thread_use) == ("testbox", 2, (("openblas (blas)", 2),))
    assert found.spec.label() == "784-50-100-10"
    assert (found.data.name, found.weights.source, found.kernel_info.accuracy.batched) == ("digits", "trained", 0.94)
    assert [(case.mode, case.batch_size) for case in found.plan.cases] == [("batched", 100), ("book", 100)]
    case, book = found.cases
    assert (case.rounds_s, case.looks_ns, case.parts_s) == ((1e-4, 2e-4, 3e-4), (), {})
    assert (case.first_call_s, case.iterations, case.repeated_rows) == (pytest.approx(3e-4), 10, False)
    assert book.parts_s == {name: tuple(values) for name, values in KNOWN.items()}
    assert book.reads == READS
    assert {name: values.shape for name, values in book.part_rounds_s.items()} == dict.fromkeys([*KNOWN, "rest"], (3,))
    assert np.median(book.part_rounds_s["rest"]) == pytest.approx(0.28)
    assert case.single_calls == ((900, 2), (1010, 1))
    assert found.trust.starts[0].first_calls_s == {("batched", 100): 0.1}
    assert found.anatomy.in_l1.batch_size == 100
    rows = frame.load(found.path).set_index("mode")
    assert tuple(rows.loc["book", ["load_s", "initialise_s", "infer_s", "count_s"]]) == (0.5, 0.1, 2.0, 0.01)
    assert (rows.loc["book", "reads"], rows["load_s"].isna().tolist()) == (READS, [True, False])


def test_what_is_not_said_is_not_known(tmp_path):
    content = good()
    for name in ("kernel_info", "weights"):
        del content["mlpbench"][name]
    content["mlpbench"]["plan"] = None  # pytest wrote it by hand
    run = simulate.read(written(tmp_path, content))
    (found,) = run.records
    assert (found.trust, found.thread_use, found.anatomy, found.kernel_info) == (NOTHING, None, None, KernelInfo())
    assert (run.plan, run.id, run.kernels, run.missing) == (None, "numpy.0", ("numpy",), ())


@pytest.mark.parametrize("version", [1, 2])
def test_older_schemas_are_read_as_this_one_has_it(tmp_path, version):
    content = full()
    block = content["mlpbench"]
    block["schema"], trust, case = version, block["trust"], content["benchmarks"][0]["extra_info"]
    single = {**mode(100), "clock_ns": case.pop("clock_ns"), "calls": case.pop("single_calls")}
    if version == 1:
        info = block["kernel_info"]
        block["accuracy"] = info.pop("accuracy")
        block["conformance"] = {name: info.pop(name) for name in ("max_error", "max_error_ratio")}
        block["timings"] = {name: info.pop(name) for name in ("import_s", "construct_s")}
        single = {**mode(100), "clock_ns": [49, 50, 60], "calls_ns": [900, 900, 1010]}
        trust["starts"][0]["first_calls"] = [{**mode(100), "first_call_s": 0.1}]
    calls = {"per_sample": 100, "batched": 1}
    costs = trust.pop("call_costs_s").items()
    known = [{"mode": mode, "calls": calls[mode], "rounds_s": [seconds * calls[mode]]} for mode, seconds in costs]
    trust["self_test"] = [*known, {"mode": "spin", "length": 2, "calls": 1, "rounds_s": [1e-3]}]
    trust |= {"singles": [single], "spent": [{**mode(100), "samples": 9, "joules": case.pop("joules")}]}
    trust["look"] |= {"best_ns": 7, "processors": 2, "several_ns": 9}
    block["thread_use"] = {"given": 2, "found": [{"what": who, "threads": n} for who, n in block["thread_use"]]}
    for network in (block["anatomy"][name] for name in ("two_neurons", "in_l1")):
        sizes = {
            "per_sample": (100, network.pop("one_s")),
            "batched": (network.pop("batch_size"), network.pop("batch_s")),
        }
        network["cases"] = [
            {"mode": name, "batch_size": size, "data": [size * s for s in rows]} for name, (size, rows) in sizes.items()
        ]
    block["plan"]["skipped"] = [{"kernel": "cupy", "reason": "no driver"}]
    new = full()
    new["mlpbench"]["trust"]["look"]["best_ns"] = [[1, 7], [2, 9]]
    (tmp_path / "new").mkdir()
    old, new = runs.read(written(tmp_path, content)), runs.read(written(tmp_path / "new", new))
    assert old.trust.call_costs_s == pytest.approx(new.trust.call_costs_s)
    assert old.anatomy.in_l1.batch_s == pytest.approx(new.anatomy.in_l1.batch_s)
    alike = {"path": None, "anatomy": None, "trust": None}
    assert replace(old, **alike) == replace(new, **alike)
    assert replace(old.trust, call_costs_s={}) == replace(new.trust, call_costs_s={})


def test_an_older_file_that_is_damaged_is_refused_in_one_line(tmp_path):
    content = full()
    content["mlpbench"] |= {"schema": 2, "trust": {"singles": [3]}}
    refusal(UserError, "damaged: not as schema 2 says", runs.read, written(tmp_path, content))


def test_a_kernel_that_was_not_admitted_has_a_record_without_times(tmp_path):
    content = good()
    content["benchmarks"] = []
    content["mlpbench"]["kernel_info"] = None
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate"}]
    found = runs.read(written(tmp_path, content))
    assert (found.cases, found.kernel_info) == ((), KernelInfo())
    assert found.failures[0].reason == "no reason given"


A_NAME, SECONDS = "Expected `str` matching regex", "Expected `float` >= 1e-12"
DATA, INFO = "benchmarks.0.stats.data", "benchmarks.0.extra_info"


@pytest.mark.parametrize(
    ("way", "value", "said"),
    [
        ("benchmarks", {"a": 1}, "benchmarks: Expected `array`, got `object`"),
        ("benchmarks.0.stats", None, "benchmarks[0]: Object missing required field `stats`"),
        (DATA, [], "Expected `array` of length >= 1"),
        (DATA, [1e-4, "1e-4"], "stats.data[1]: Expected `float`, got `str`"),
        *((DATA, [1e-4, value], SECONDS) for value in (0, -1e-4, 5e-324)),
        (DATA, [1e-4, 10**400], "out of range"),
        ("benchmarks.0.stats.iterations", 0, "Expected `int` >= 1"),
        (f"{INFO}.mode", "../batched", A_NAME),
        (f"{INFO}.batch_size", 10**30, "batch_size: Expected `int`"),
        (f"{INFO}.first_call_s", 1e12, "first_call_s: Expected `float` <="),
        ("benchmarks.1.extra_info.parts_s.load", [0.5, 0.7], "parts_s.load: expected one for each of 3 rounds, got 2"),
        ("benchmarks.1.extra_info.parts_s.count", None, "parts_s: count is missing"),
        ("benchmarks.1.extra_info.looks_ns", [[1, 2]], "looks_ns: expected one for each of 3 rounds, got 1"),
        ("benchmarks.1.extra_info.waits_ns", [1], "waits_ns: expected one for each of 3 rounds, got 1"),
        ("mlpbench.schema", "2", "mlpbench.schema: Expected `int`, got `str`"),
        ("mlpbench.schema", 0, "Expected `int` >= 3"),
        *(("mlpbench.kernel", value, A_NAME) for value in ("../../etc/passwd", "C:\\numpy", "..", "", "a" * 200)),
        *(("mlpbench.kernel", value, A_NAME) for value in ("nümpy", "<script>", "numpy/../..")),
        ("mlpbench.repeat", -1, "Expected `int` >= 0"),
        ("mlpbench.kernel_info.describe", {"threads": [1]}, "describe[...]: Expected"),
        ("mlpbench.kernel_info.accuracy.batched", 1.5, "Expected `float` <= 1.0"),
        ("mlpbench.spec", None, "mlpbench: Object missing required field `spec`"),
        ("mlpbench.spec.sizes", [784], "at least an input and an output size"),
        ("mlpbench.spec.hidden", "tan", "hidden must be one of"),
        ("mlpbench.spec.dtype", None, "mlpbench.spec: Object missing required field `dtype`"),
        ("mlpbench.plan.run_id", "../../elsewhere", A_NAME),
        ("mlpbench.plan.repeats", 10**12, "mlpbench.plan.repeats: "),
        ("mlpbench.plan.order", [["numpy"]], "plan.order[0]: Expected"),
        ("mlpbench.plan.cases", [mode(0)], "plan: cases: expected a mode and a batch size"),
        ("mlpbench.plan.sweep", "20261124T120000Z-0123abcd", "expected a setting and the sweep that it is of"),
        (f"{INFO}.single_calls", [[900]], "single_calls[0]: Expected `array` of length 2"),
        ("mlpbench.anatomy.in_l1.one_s", [], "Expected `array` of length >= 1"),
        ("mlpbench.anatomy.in_l1.spec.sizes", [0, 1], "Expected `int` >= 1"),
    ],
)
def test_wrong_types_and_values_are_named_with_their_place(tmp_path, way, value, said):
    content = full()
    put(content, way, value)
    path = written(tmp_path, content)
    text = refusal(UserError, f"^{path}: ", runs.read, path)
    assert any(step in text for step in way.split(".") if not step.isdigit())
    assert said in text


def test_the_schema_that_is_committed_is_the_one_of_the_types_and_describes_every_block():
    made = SCRIPT["made"]()
    committed = json.loads(SCRIPT["FILE"].read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(made)), "run scripts/result_schema.py"
    assert all(part.get("description") for part in made["$defs"].values() if "properties" in part)


def test_a_record_is_written_as_it_is_read(tmp_path):
    content = full()
    again = json.loads(json.dumps(untrusted.read(written(tmp_path, content), RecordFile).mlpbench.as_dict()))
    assert list(missing(again, content["mlpbench"])) == []


def missing(again, written, place=""):
    """Yield the members of ``written`` that ``again`` has not, or has otherwise; it may have more that are empty."""
    if isinstance(written, dict) and isinstance(again, dict):
        for name, value in written.items():
            yield from missing(again.get(name, "nothing"), value, f"{place}.{name}")
    elif isinstance(written, list) and len(again) == len(written):
        for mine, value in zip(again, written, strict=True):
            yield from missing(mine, value, place)
    elif again != written:
        yield place


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
