"""One process: a kernel passes the gate once, or fails once with the same words for every case."""

import hashlib
import importlib
import sys
from types import SimpleNamespace

import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import session
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import MAX_TEXT
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from support import idx_files
from support.doubles import AbsentKernel, ConstructorRaises
from support.mutants import SoftmaxDropped
from support.terminal import git


class ConstructorExits(NumpyKernel):
    def __init__(self, spec, params):
        sys.exit(0)


@pytest.fixture
def suite(monkeypatch):
    """Return a maker of suites whose kernels are the classes given by name."""

    def make(rows=50, options=None, **classes):
        monkeypatch.setattr(registry, "load", classes.__getitem__)
        return Suite(Workload(options or Options(spec="20-10-3"), rows), list(classes), [Case("batched", 10)], True)

    return make


def test_a_kernel_passes_the_gate_once_for_all_its_cases(suite, monkeypatch):
    gated, gate = [], Workload.gate
    monkeypatch.setattr(Workload, "gate", lambda *args: gated.append(args) or gate(*args))
    asked = suite(once=NumpyKernel)
    assert asked.admitted("once") is None, "nobody has tried it yet"
    first = asked.admit("once")
    assert asked.admit("once") is asked.admitted("once") is first
    ((_, _, checked),) = gated
    assert checked is first.kernel, "the instance that is timed is the one that was checked"


def test_what_a_record_says_about_a_kernel_and_a_peer_is_told_from_ours(suite, monkeypatch):
    monkeypatch.setattr(registry, "peers", lambda: ["out"])
    asked = suite(own=NumpyKernel, out=NumpyOutKernel, options=Options(), rows=200)
    contestant, peer = map(asked.admit, ("own", "out"))
    info = contestant.kernel_info
    assert (info.backend, info.device, info.version) == ("numpy", "cpu", NumpyKernel.version())
    assert (info.peer, info.file, peer.kernel_info.peer) == (False, None, True)
    assert info.describe == contestant.kernel.describe().as_dict()
    assert 0 <= info.max_error_ratio < 1
    assert None not in (info.max_error, info.import_s, info.construct_s, info.accuracy.batched)
    assert contestant.inputs.shape == (200, 784)


def test_what_a_kernel_raises_is_one_line_that_a_record_has_room_for(suite):
    asked = suite(good=NumpyKernel)
    asked.fail("good", Case("batched", 7), "measure", "two\nlines " + "x" * 10**6)
    (failure,) = asked.failures
    assert (failure.kernel, failure.mode, failure.batch_size, failure.phase) == ("good", "batched", 7, "measure")
    assert (failure.reason[:13], len(failure.reason)) == ("two lines xxx", MAX_TEXT + 1)


@pytest.mark.parametrize(
    ("kernel_class", "error", "words"),
    [
        (AbsentKernel, KernelUnavailable, "no driver"),
        (SoftmaxDropped, NonConforming, "off by"),
        (ConstructorRaises, Exception, "no memory on the device"),
        (ConstructorExits, NonConforming, "it ends its process: SystemExit: 0"),
    ],
)
def test_a_failure_is_the_same_for_every_case_and_found_once(suite, kernel_class, error, words):
    asked, caught = suite(bad=kernel_class, good=NumpyKernel), []
    for _ in range(2):
        with pytest.raises(error, match=words) as raised:
            asked.admit("bad")
        caught.append(raised.value)
    assert caught[0] is caught[1]
    assert asked.admitted("bad") is None
    assert asked.admit("good").name == "good", "the others go on"


@pytest.mark.parametrize("timed", [1000, 3000])
@pytest.mark.parametrize("case", [Case("per_sample", 100), Case("batched", 7), Case("book", 100)])
def test_the_facts_of_a_case(suite, case, timed):
    contestant = suite(numpy=NumpyKernel, options=Options(), rows=timed).admit("numpy")
    facts, whole = contestant.facts(case), case.mode == "book"
    assert (facts.mode, facts.batch_size) == (case.mode, case.batch_size)
    assert facts.rows_per_call == (timed if whole else case.batch_size)
    assert facts.rotated_rows == (None if whole else timed // case.batch_size * case.batch_size)
    assert facts.repeated_rows == (timed > 1000)
    assert facts.reads == (contestant.workload.book_reads if whole else None)


def test_the_books_cell_takes_mnist_as_it_is_however_many_rows_are_timed(suite, tmp_path, monkeypatch):
    idx_files.write(tmp_path, idx_files.TEST, 30)
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    contestant = suite(numpy=NumpyKernel, options=Options(data="mnist"), rows=200).admit("numpy")
    facts = contestant.facts(Case("book", 10))
    assert (facts.rows_per_call, facts.repeated_rows) == (30, False)
    assert "t10k-" in facts.reads
    assert len(contestant.workload.read_again()[0]) == 30, "which is what it infers"
    assert contestant.facts(Case("batched", 10)).repeated_rows is True


def test_a_kernel_of_another_package_has_the_commit_of_its_repository_or_the_one_that_pip_has_noted(
    suite, tmp_path, monkeypatch
):
    module, noted = tmp_path / "theirs.py", {}
    module.write_text("from mlpbench.kernels.mlp_numpy import NumpyKernel\n\n\nclass Theirs(NumpyKernel):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed = SimpleNamespace(read_text=noted.get)
    monkeypatch.setattr(session.registry, "package_of", lambda name: installed if name == "theirs" else None)
    kernel_class = importlib.import_module("theirs").Theirs
    monkeypatch.setitem(sys.modules, "theirs", sys.modules.pop("theirs"))  # it is forgotten afterwards

    def found():
        return suite(theirs=kernel_class).admit("theirs").kernel_info.file

    of_git = '{"url": "https://x.example", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'
    for text, commit in ((of_git, "abc"), ('{"dir_info": {"editable": true}}', None), ("no json", None), (None, None)):
        noted["direct_url.json"] = text
        assert found().commit == commit
    git(tmp_path, "init", "-q")
    assert found().commit is None, "the repository does not hold the file"
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "-qm", "x")
    file = found()
    assert (file.name, file.commit, file.dirty) == ("theirs.py", git(tmp_path, "rev-parse", "HEAD"), False)
    assert file.sha256 == hashlib.sha256(module.read_bytes()).hexdigest()
    module.write_text(module.read_text() + "\n")
    assert found().dirty
