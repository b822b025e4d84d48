import sys
from importlib.metadata import EntryPoint

import pytest

from mlpbench.bench.record import untrusted
from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from support.refusals import refusal


@pytest.fixture
def offers(monkeypatch):
    """Let other packages offer these entry points."""

    def offer(**points):
        made = [EntryPoint(name.replace("_", "-"), value, registry.GROUP) for name, value in points.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: made if group == registry.GROUP else [])
        registry._points.cache_clear()

    yield offer
    registry._points.cache_clear()


@pytest.mark.parametrize("name", registry.names())
def test_every_class_loads_without_its_library(name):
    cls = registry.load(name)
    assert issubclass(cls, Kernel)
    assert cls.backend == name.partition("-")[0]


def test_an_unknown_name_suggests_the_nearest_and_an_import_of_ours_that_fails_is_a_bug(monkeypatch):
    for name, words in (("numpi", r"did you mean numpy\?"), ("zzz", "^unknown kernel 'zzz'; ")):
        refusal(UnknownKernel, words, registry.load, name)
    monkeypatch.setitem(sys.modules, "mlpbench.kernels.mlp_numpy", None)  # any import of it raises ImportError
    with pytest.raises(ImportError):
        registry.load("numpy")


def test_other_packages_come_through_the_same_door(offers):
    offers(numpy="support.mutants:BiasDropped", theirs="support.mutants:BiasDropped")
    assert registry.load("numpy") is NumpyKernel, "a built-in name cannot be taken"
    assert registry.names()[-1] == "theirs"
    assert registry.load("theirs").__name__ == "BiasDropped"
    assert registry.module("theirs") == "support.mutants"
    assert registry.third_party() == ["theirs"], "what is installed is not in everybody's results"
    asked_for = {*registry.peers(), *registry._VARIANTS, "theirs"}
    assert registry.usual() == [name for name in registry.names() if name not in asked_for]


def test_what_is_no_kernel_is_unavailable_and_says_why(offers):
    offers(theirs="math:sin", absent="math:no_such_name", missing="no_such_module:Kernel")
    wrong = {"theirs": "^its entry point math:sin is not a class of mlpbench"}
    wrong |= {"absent": "math:no_such_name cannot be imported", "missing": "No module named 'no_such_module'"}
    for name, words in wrong.items():
        refusal(KernelUnavailable, words, registry.load, name)


def test_a_name_that_no_file_can_have_is_not_taken(offers):
    """It would become part of a path, and the records of a run that skips it could not be read."""
    for name in ("my kernel", "../up", "a/b", ".hidden", "", "k" * 101, "noyau-é", "new\nline"):
        assert not registry._NAME.fullmatch(name)
        assert not untrusted.NAME.fullmatch(name)
    assert untrusted.NAME.pattern == f"^{registry._NAME.pattern}$"
    offers(**{"theirs": "support.mutants:BiasDropped", "../theirs": "support.mutants:BiasDropped"})
    assert registry.names()[-1] == "theirs"


def test_an_added_kernel_is_known_by_its_name_and_in_no_list(monkeypatch):
    monkeypatch.setattr(registry, "_added", {})
    listed = registry.names()
    for _ in range(2):  # adding it again changes nothing
        registry.add("instrument", NumpyKernel)
    assert registry.load("instrument") is NumpyKernel
    assert registry.module("instrument") == "mlpbench.kernels.mlp_numpy"
    assert registry.names() == listed
    for name in ("numpy", "torch", "instrument"):
        refusal(ValueError, f"the name '{name}' is taken", registry.add, name, NumpyOutKernel)
