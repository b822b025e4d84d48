"""What `mlpbench check` makes of the answer of a process in which a kernel may have printed anything."""

import pytest

from mlpbench.bench.data.workload import Options
from mlpbench.bench.machine import child
from mlpbench.bench.measure import verdict

HITS = {"per_sample": 0.5, "batched": None, "rows": 2, "reason": "no \x1b[31mlabels"}
CONFORMS = {
    "kernel": "other",
    "verdict": "conforms",
    "reason": None,
    "conformance": {"max_error": 1e-6, "max_error_ratio": 0.1},
    "accuracy": HITS,
}
REFUSED = {"verdict": "non-conforming", "reason": "two\nlines \x1b[31mred", "traceback": "lines\n"}


def answered(monkeypatch, found, reason=None):
    monkeypatch.setattr(child, "ask", lambda *_, **__: child.Answer(found, reason))


def test_a_verdict_is_clean_and_of_the_kernel_that_was_asked(monkeypatch):
    answered(monkeypatch, CONFORMS)
    assert verdict.ask(Options(), "mine").as_dict() == {
        **CONFORMS,
        "kernel": "mine",
        "accuracy": {**HITS, "reason": "no labels"},
    }
    answered(monkeypatch, REFUSED)
    assert verdict.ask(Options(), "mine").as_dict() == {**REFUSED, "kernel": "mine", "reason": "two lines red"}


@pytest.mark.parametrize(
    "found",
    [
        None,
        {"verdict": ["conforms"]},
        {"verdict": "non-conforming", "reason": None},
        {**CONFORMS, "conformance": {}},
        {**CONFORMS, "reason": "and yet"},
        {**CONFORMS, "accuracy": {**HITS, "batched": "all"}},
    ],
)
def test_what_is_no_verdict_is_no_answer(monkeypatch, found):
    answered(monkeypatch, found, None if found is not None else "the process died of SIGSEGV")
    said = verdict.ask(Options(), "mine")
    assert (said.kernel, said.verdict) == ("mine", "non-conforming")
    assert said.reason == ("it gave no answer" if found is not None else "the process died of SIGSEGV")
