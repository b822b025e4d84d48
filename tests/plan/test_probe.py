"""Which kernels can run here: asked in processes of their own, which may crash, chatter, or never answer."""

import os

import numpy as np
import pytest

from mlpbench.bench.plan import probe as probing
from mlpbench.kernels import registry
from mlpbench.kernels.errors import UnknownKernel
from support.doubles import offer
from support.processes import interpreter, over_when_heard
from support.sources import ROOT

ANSWER = 'print(json.dumps(dict(name=name, backend="b", device="cpu", version="1", reason=None)), flush=True)'

#: The same; its version says which names were asked for in one process.
NEIGHBOURS = ANSWER.replace('"1"', '" ".join(names)')


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Install kernels of `doubles` for this process and those that it starts."""

    def install(**kernels):
        folder = offer(tmp_path / "offered", **kernels)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT / "tests")]))
        monkeypatch.syspath_prepend(folder)
        registry._points.cache_clear()

    yield install
    monkeypatch.undo()
    registry._points.cache_clear()


@pytest.fixture
def probe_all(tmp_path, monkeypatch):
    """Probe with a stand-in for the interpreter: ``body`` is run for the names that are asked for."""

    def probe(body, *names):
        loop = f"names = json.loads(words[-1])['names']\nfor name in names:\n    {body}"
        with monkeypatch.context() as patch:
            patch.setattr(probing.child.sys, "executable", interpreter(tmp_path, loop))
            return {answer.name: answer for answer in probing.probe_all(list(names))}

    return probe


def test_every_kind_of_kernel_gets_its_answer_whatever_its_neighbours_do(offered):
    """For real: four of them are in one module, and so are asked in one process until it dies."""
    offered(absent="AbsentKernel", raises="ProbeRaises", dies="ProbeDies", loud="ProbeIsLoud", gone="nowhere:Kernel")
    names = ["dies", "gone", "raises", "numpy", "absent", "loud"]
    answers = list(probing.probe_all(names))
    assert [answer.name for answer in answers] == names, "in the order asked, whoever answers first"
    assert {answer.name: answer.reason for answer in answers} == {
        "absent": "no driver [/bold] :x: of this kind",
        "dies": "the probe failed: the process died of SIGSEGV: it gave no answer",
        "raises": "the probe failed: the process ended with 1: RuntimeError: the probe has a bug",
        "gone": "its entry point nowhere:Kernel cannot be imported: No module named 'nowhere'",
        **dict.fromkeys(("loud", "numpy")),
    }
    there = {(each.backend, each.device, each.version) for each in answers if each.available}
    assert there == {("numpy", "cpu", np.__version__)}


def test_kernels_of_one_library_share_a_process_and_libraries_do_not(probe_all, monkeypatch):
    def neighbours(*names):
        return {name: answer.version for name, answer in probe_all(NEIGHBOURS, *names).items()}

    shared = {"numpy": "numpy numpy-out", "numpy-out": "numpy numpy-out", "numba": "numba"}
    assert neighbours("numpy", "numba", "numpy-out") == shared
    monkeypatch.setattr(probing, "find_spec", lambda library: True)
    shared = neighbours("jax", "jax-cuda", "jax-array", "cupy", "cupy-fused")
    alone, cupy = "jax-cuda", "cupy cupy-fused"  # in one process JAX computes in one place
    assert list(shared.values()) == ["jax jax-array", alone, "jax jax-array", cupy, cupy]
    monkeypatch.setattr(probing, "find_spec", lambda library: None)
    shared = neighbours("numpy", "cupy", "numba")
    assert set(shared.values()) == {"numpy cupy numba"}, "what is not installed costs no process"


def test_modules_are_asked_side_by_side(tmp_path, probe_all, monkeypatch):
    """Each waits for the other to have begun: one after the other, both would wait in vain."""
    body = f"""
    open(os.path.join({str(tmp_path)!r}, name + ".began"), "w")
    other = {{"numpy": "numba", "numba": "numpy"}}[name]
    while not os.path.exists(os.path.join({str(tmp_path)!r}, other + ".began")):
        time.sleep(0.01)
    {ANSWER}"""
    monkeypatch.setattr(probing, "TIMEOUT_S", 300)
    answers = probe_all(body.strip(), "numpy", "numba")
    assert all(answer.available for answer in answers.values())


def test_a_probe_that_never_answers_or_answers_nothing(probe_all, monkeypatch):
    for body, reason in (
        ("sys.exit('first line\\nlast line')", "the process ended with 1: last line"),
        ('print(\'{"name": "numpy"}\')', "it gave no answer"),
        ('print(\'{"name": "other", "backend": 1}\')', "it gave no answer"),
        ("print('{\"a\":' + 100_000 * '[')", "the process ended with 0: it gave no answer"),
    ):
        (answer,) = probe_all(body, "numpy").values()
        assert (answer.reason, answer.as_dict()["available"]) == (f"the probe failed: {reason}", False)
    over_when_heard(monkeypatch)
    answers = probe_all(f"{ANSWER} if name == 'numpy' else time.sleep(60)", "numpy", "numpy-out")
    assert answers["numpy"].available, "what was answered before counts"
    assert answers["numpy-out"].reason == "the probe failed: the process was stopped after 120 s"


def test_an_unknown_kernel_is_told_before_anything_is_asked(monkeypatch):
    monkeypatch.setattr(probing, "_ask", lambda names, *_: pytest.fail(f"{names} were asked"))
    with pytest.raises(UnknownKernel, match="did you mean numpy"):
        list(probing.probe_all(["numpy", "numpyy"]))
