"""Bytes that anyone may have written: bounded, cleaned, and refused in one line that begins with the path."""

import json
import os
import time

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from support.refusals import refusal
from support.simulate import good


def refused(path, raw=None):
    if raw is not None:
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return refusal(UserError, f"^{path}: ", runs.read, path).removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "numpy.0.json"


TEXT = json.dumps(good(), indent=1)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b" \n", "empty; the process that wrote it was interrupted"),
        *((TEXT[:length], "not JSON: Input data was truncated") for length in (1, len(TEXT) // 3, len(TEXT) - 1)),
        ("kernel,time\nnumpy,1\n", "not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"{\x80\x81}", "not JSON: byte 1 is not UTF-8"),
        ('{"a": "\u00e9", "b": "\\', "not JSON: Input data was truncated"),
        ("[]", "expected an object, got list"),
        ("3", "expected an object, got int"),
        ('{"a": 1}', 'JSON, but no record: it has no "mlpbench" block'),
        ('{"mlpbench": null}', "JSON, but no record"),
        ('{"benchmarks": []}', "a plain pytest-benchmark file: "),
        ('{"mlpbench": 3}', "mlpbench: Expected `object`, got `int`"),
        ('{"mlpbench": {"schema": 9}}', "written in schema 9; this version reads up to 3: upgrade mlpbench"),
        ('{"mlpbench": {"kind": "plan"}}', "the plan of a run, not a record; name its folder"),
        (TEXT.replace('"testbox"', "[" * 40 + "]" * 40), "nested deeper than 32 levels"),
        (TEXT.replace('"testbox"', "[" * 100_000 + "]" * 100_000), "nested deeper than 32 levels"),
    ],
)
def test_what_is_no_record_is_refused(path, raw, said):
    assert said in refused(path, raw)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
@pytest.mark.parametrize("place", ["0.0001", '"testbox"'])
def test_numbers_that_json_does_not_have_are_refused_anywhere(path, number, place):
    refused(path, TEXT.replace(place, number))


def test_what_is_no_file_or_too_large_is_refused(path, tmp_path):
    assert refused(path) == "no such file"
    assert refused(tmp_path).startswith("cannot be read")
    path.touch()
    os.truncate(path, 65 * 2**20)
    assert refused(path) == "cannot be read: it is larger than 16 MiB"


@pytest.mark.parametrize("item", ["[],", "1.5,", '"a",', '"\\u00e9",'])
def test_junk_of_many_megabytes_costs_little(path, item):
    """As many items as fit: what is refused at once is not made into objects first."""
    began = time.process_time()
    refused(path, '{"mlpbench": [' + item * (15 * 2**20 // len(item)) + "0]}")
    ours = time.process_time() - began
    began = time.process_time()
    for _ in range(5):
        json.loads("[" + item * 100_000 + "0]")
    assert ours < 60 * max(time.process_time() - began, 0.01), "Python's own decoder would take ten times as long"


@pytest.mark.parametrize("escaped", [True, False])
def test_texts_lose_what_moves_the_cursor_and_keep_their_words(path, escaped):
    content = good()
    surrogate = "\ud800" if escaped else ""
    reason = f"\x1b[31mTypeError\x1b[0m:\r\n  cannot\x00 add\u202e {surrogate} 'a'\x07\x9b2J, é \"数字\" \\"
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "phase": "measure", "reason": reason}]
    content["mlpbench"]["environment"]["machine"]["name"] = "test\nbox"
    path.write_text(json.dumps(content, ensure_ascii=escaped), encoding="utf-8")
    found = runs.read(path)
    gap = "  " if escaped else " "
    assert found.failures[0].reason == f"TypeError: cannot add{gap}'a'2J, é \"数字\" \\"
    assert found.machine == "test box"
    assert json.dumps(found.environment.as_dict(), ensure_ascii=False).isprintable()


@pytest.mark.parametrize("letter", ["x", "é"])
def test_texts_have_a_bounded_length(path, letter):
    content = good()
    content["mlpbench"]["failures"] = [{"kernel": "numpy", "phase": "measure", "reason": letter * 10**5}]
    content["mlpbench"]["environment"]["libraries"]["long"] = letter * 10**5
    path.write_text(json.dumps(content))
    found = runs.read(path)
    assert len(found.failures[0].reason) == len(found.environment.libraries["long"]) == 10_001


def test_a_member_that_is_null_is_missing_but_not_readable_where_that_is_an_answer(path):
    content = good()
    content["mlpbench"] |= {"failures": None, "trust": None, "weights": None, "anatomy": None}
    content["benchmarks"][0]["extra_info"]["repeated_rows"] = None
    path.write_text(json.dumps(content))
    found = runs.read(path)
    assert (found.failures, found.weights.source, found.cases[0].repeated_rows) == ((), None, False)
    assert found.environment.machine.governor is None


def test_a_byte_order_mark_and_a_delete_character_are_no_part_of_the_file(path):
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("mlxtend", "mlx\x7ftend").encode())
    assert runs.read(path).data.source == "mlxtend"


def test_cleaning_what_ends_in_a_text_takes_one_pass():
    raw = b'{"a": "' + b'\\"' * 10**6
    assert untrusted._cleaned(raw, "file") == raw
