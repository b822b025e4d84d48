import json

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from support import simulate
from support.good_records import TIMES, good, one_line


def written(folder, content):
    path = folder / "numpy.0.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refusal(folder, content):
    path = written(folder, content)
    with pytest.raises(UserError) as error:
        runs.read(path)
    text = one_line(error)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


# -- a good file


def test_a_record_is_read_with_its_types_and_its_rounds(tmp_path):
    found = runs.read(written(tmp_path, good()))
    assert (found.kernel, found.repeat, found.backend, found.device) == ("numpy", 0, "numpy", "cpu")
    assert (found.machine, found.threads) == ("testbox", 2)
    assert found.spec.label() == "784-50-100-10"
    assert (found.data.name, found.weights.source, found.accuracy.batched) == ("digits", "trained", 0.94)
    assert found.plan.cases == (("batched", 100),)
    (case,) = found.cases
    assert case.rounds_s == (1e-4, 2e-4, 3e-4)
    assert case.call_s == 2e-4
    assert case.sample_s == pytest.approx(2e-6)
    assert (case.first_call_s, case.iterations, case.repeated_rows) == (pytest.approx(3e-4), 10, False)


def test_a_record_that_pytest_wrote_by_hand_has_no_plan(tmp_path):
    content = good()
    content["mlpbench"]["plan"] = None
    path = written(tmp_path, content)
    assert runs.read(path).plan is None
    run = runs.read_run(path)
    assert (run.id, run.kernels, run.missing) == ("numpy.0", ("numpy",), ())


def test_what_a_kernel_returns_and_whether_it_is_a_peer(tmp_path):
    assert (runs.read(written(tmp_path, good())).returns, runs.read(written(tmp_path, good())).peer) == (None, None)
    content = good()
    content["mlpbench"]["kernel_info"] |= {"returns": "kept", "peer": True}
    found = runs.read(written(tmp_path, content))
    assert (found.returns, found.peer) == ("kept", True)


def test_a_kernel_that_was_not_admitted_has_a_record_without_times(tmp_path):
    content = good()
    content["benchmarks"] = []
    content["mlpbench"] |= dict.fromkeys(("kernel_info", "conformance", "accuracy", "timings"))
    content["mlpbench"]["failures"] = [
        {"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}
    ]
    found = runs.read(written(tmp_path, content))
    assert found.cases == ()
    assert (found.backend, found.construct_s, found.max_error) == (None, None, None)
    assert found.failures[0].reason == "wrong"


# -- files that are no records


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        runs.read(tmp_path / "numpy.0.json")


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        runs.read(tmp_path)


def test_an_empty_file(tmp_path):
    assert refusal(tmp_path, " \n").startswith("empty")


def test_a_truncated_file_says_where_and_what_to_do(tmp_path):
    text = json.dumps(good(), indent=1)
    for end in (1, len(text) // 3, len(text) - 1):
        said = refusal(tmp_path, text[:end])
        assert said.startswith("not JSON: ")
        assert "line " in said


def test_a_file_cut_off_between_values_is_called_so(tmp_path):
    assert refusal(tmp_path, json.dumps(good())[:-1]).endswith("(cut off: delete it and run again)")


def test_other_text_and_bytes(tmp_path):
    assert "line 1, column 1" in refusal(tmp_path, "kernel,time\nnumpy,1\n")
    path = tmp_path / "numpy.0.json"
    path.write_bytes(b"{\x80\x81}")
    with pytest.raises(UserError, match="byte 1 is not UTF-8"):
        runs.read(path)


def test_a_plain_pytest_benchmark_file(tmp_path):
    content = good()
    del content["mlpbench"]
    assert 'a plain pytest-benchmark file: it has no "mlpbench" block' in refusal(tmp_path, content)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', '{"a": 1}', '{"mlpbench": []}', '{"mlpbench": 3}'])
def test_json_that_is_no_record(tmp_path, content):
    refusal(tmp_path, content)


def test_a_newer_schema_says_what_this_version_reads(tmp_path):
    content = good()
    content["mlpbench"] = {"schema": 2, "everything": "else differs"}
    assert refusal(tmp_path, content) == "written in schema 2; this version reads up to 1: upgrade mlpbench"


def test_the_plan_of_a_run_is_no_record(tmp_path):
    run = simulate.write_run(tmp_path, TIMES)
    with pytest.raises(UserError, match="the plan of a run, not a record"):
        runs.read(run / "run.json")


# -- hostile content


def put(content, way, value):
    """Set a member: ``mlpbench.plan.seed`` or ``benchmarks.0.stats.data``."""
    *path, last = [int(step) if step.isdigit() else step for step in way.split(".")]
    for step in path:
        content = content[step]
    content[last] = value


@pytest.mark.parametrize(
    ("way", "value"),
    [
        ("benchmarks", {"a": 1}),
        ("benchmarks.0", "a case"),
        ("benchmarks.0.stats", None),
        ("benchmarks.0.stats.data", "fast"),
        ("benchmarks.0.stats.data", []),
        ("benchmarks.0.stats.data", [1e-4, "1e-4"]),
        ("benchmarks.0.stats.data", [1e-4, 0]),
        ("benchmarks.0.stats.data", [1e-4, -1e-4]),
        ("benchmarks.0.stats.data", [1e-4, 5e-324]),
        ("benchmarks.0.stats.data", [1e-4, None]),
        ("benchmarks.0.stats.data", [1e-4, True]),
        ("benchmarks.0.stats.data", [1e-4, 10**400]),
        ("benchmarks.0.stats.data", [[1e-4]]),
        ("benchmarks.0.stats.iterations", 0),
        ("benchmarks.0.stats.iterations", 1.5),
        ("benchmarks.0.stats.iterations", True),
        ("benchmarks.0.extra_info.mode", "../batched"),
        ("benchmarks.0.extra_info.mode", None),
        ("benchmarks.0.extra_info.mode", "backwards"),
        ("benchmarks.0.extra_info.kernel", "numba"),
        ("benchmarks.0.extra_info.batch_size", -1),
        ("benchmarks.0.extra_info.batch_size", "100"),
        ("benchmarks.0.extra_info.batch_size", 10**30),
        ("benchmarks.0.extra_info.rows_per_round_call", 0),
        ("benchmarks.0.extra_info.first_call_s", -1.0),
        ("benchmarks.0.extra_info.first_call_s", 1e12),
        ("benchmarks.0.extra_info.repeated_rows", "no"),
        ("mlpbench.schema", "1"),
        ("mlpbench.schema", True),
        ("mlpbench.schema", 0),
        ("mlpbench.kernel", "../../etc/passwd"),
        ("mlpbench.kernel", "numpy/../.."),
        ("mlpbench.kernel", "C:\\numpy"),
        ("mlpbench.kernel", ".."),
        ("mlpbench.kernel", ""),
        ("mlpbench.kernel", "a" * 200),
        ("mlpbench.kernel", "nümpy"),
        ("mlpbench.kernel", "<script>"),
        ("mlpbench.kernel", ["numpy"]),
        ("mlpbench.repeat", -1),
        ("mlpbench.repeat", "0"),
        ("mlpbench.environment", "a fine machine"),
        ("mlpbench.kernel_info", "numpy"),
        ("mlpbench.kernel_info.version", 2),
        ("mlpbench.kernel_info.returns", "borrowed"),
        ("mlpbench.kernel_info.returns", True),
        ("mlpbench.kernel_info.peer", "yes"),
        ("mlpbench.spec", None),
        ("mlpbench.spec.sizes", ["784", "10"]),
        ("mlpbench.spec.sizes", "784"),
        ("mlpbench.spec.hidden", "tanh"),
        ("mlpbench.data.rows", "many"),
        ("mlpbench.accuracy.batched", 1.5),
        ("mlpbench.timings.construct_s", "soon"),
        ("mlpbench.plan.run_id", "../../elsewhere"),
        ("mlpbench.plan.repeats", 10**12),
        ("mlpbench.plan.order", [["numpy"]]),
        ("mlpbench.plan.order", [["numpy", "0"]]),
        ("mlpbench.plan.kernels", [1]),
        ("mlpbench.plan.skipped", ["cupy"]),
        ("mlpbench.failures", [{"kernel": "a/b", "reason": "x"}]),
        ("mlpbench.failures", [{"kernel": "numpy", "reason": 3}]),
    ],
)
def test_wrong_types_and_values_are_named_with_their_place(tmp_path, way, value):
    content = good()
    put(content, way, value)
    said = refusal(tmp_path, content)
    assert any(step in said for step in way.split(".") if not step.isdigit())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
@pytest.mark.parametrize("way", ["benchmarks.0.stats.data", "mlpbench.environment.machine.load"])
def test_numbers_that_json_does_not_have_are_refused_anywhere(tmp_path, number, way):
    content = good()
    put(content, way, ["HERE"])
    refusal(tmp_path, json.dumps(content).replace('"HERE"', number))


def test_a_case_that_is_there_twice(tmp_path):
    content = good()
    content["benchmarks"] *= 2
    assert "batched 100 is there twice" in refusal(tmp_path, content)


@pytest.mark.parametrize("depth", [40, 100_000])
def test_absurd_nesting(tmp_path, depth):
    text = json.dumps(good()).replace('"testbox"', "[" * depth + "]" * depth, 1)
    assert "nested deeper than 32 levels" in refusal(tmp_path, text)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "numpy.0.json"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(UserError, match="larger than 64 MiB"):
        runs.read(path)


def test_names_with_control_characters_cannot_reach_the_terminal(tmp_path):
    content = good()
    content["mlpbench"]["kernel"] = "\x1b]0;owned\x07num py"
    refusal(tmp_path, content)


def test_texts_lose_what_moves_the_cursor_and_keep_their_words(tmp_path):
    content = good()
    reason = "\x1b[31mTypeError\x1b[0m:\r\n  cannot\x00 add\u202e \ud800 'a'\x07\x9b2J, é 数字"
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "phase": "measure", "reason": reason}]
    content["mlpbench"]["environment"]["machine"]["na\x1bme"] = "test\nbox"
    found = runs.read(written(tmp_path, content))
    assert found.failures[0].reason == "TypeError: cannot add  'a'2J, é 数字"
    assert found.machine == "test box"
    assert json.dumps(found.environment).isprintable()


def test_texts_have_a_bounded_length(tmp_path):
    content = good()
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "phase": "measure", "reason": "x" * 10**6}]
    assert len(runs.read(written(tmp_path, content)).failures[0].reason) <= 10_001
