"""The gate in Python: kernels by name, and classes that were just written."""

import pytest

import mlpbench
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support import lying
from support.doubles import AbsentKernel, ConstructorRaises
from support.mutants import SoftmaxDropped
from support.terminal import refusal

SMALL = {"spec": "20-10-3"}


def test_a_kernel_by_name_and_a_class_as_often_as_it_is_written():
    found = mlpbench.check("numpy")
    assert (found.kernel, found.verdict, found.reason) == ("numpy", "conforms", None)
    assert (0 < found.max_error < 1e-5, 0 < found.of_allowed < 1, found.accuracy_in_batches > 0.9) == (True,) * 3
    for _ in range(2):
        mine = mlpbench.check(type("Mine", (NumpyKernel,), {}), **SMALL)
        assert (mine.kernel, mine.conforms, mine.accuracy_in_batches) == ("Mine", True, None)


@pytest.mark.parametrize(
    ("kernel", "verdict", "reason"),
    [
        (SoftmaxDropped, "non-conforming", "off by"),
        (ConstructorRaises, "non-conforming", "no memory on the device"),
        (AbsentKernel, "unavailable", "no driver"),
        (lying.WrongInLargeBatches, "non-conforming", "values: "),
        (lying.ReturnsKeptBuffers, "non-conforming", "aliasing: "),
        (lying.OverwritesItsInputs, "non-conforming", "inputs: "),
    ],
)
def test_what_is_wrong_is_a_verdict(kernel, verdict, reason):
    found = mlpbench.check(kernel, **SMALL)
    assert (found.conforms, found.verdict, found.max_error) == (False, verdict, None)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("kernel", "options", "said"),
    [
        ("numpi", {}, "unknown kernel 'numpi' (did you mean numpy?)"),
        ("numpy", {"dtyp": "float32"}, "unknown option 'dtyp' (did you mean dtype?)"),
        ("numpy", {"spec": "4-3-2:relo"}, "hidden must be one of"),
        ("numpy", {"data": "mnisty"}, "mnisty"),
        ("numpy", {"model": "net.txt"}, "weights net.txt: there is no such file"),
    ],
)
def test_a_mistake_is_a_user_error(kernel, options, said):
    assert said in refusal(mlpbench.check, kernel, **options)
