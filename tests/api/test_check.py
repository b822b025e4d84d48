"""The gate in Python: kernels by name, and classes that were just written."""

import pytest

import mlpbench
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support.doubles import AbsentKernel, ConstructorRaises
from support.mutants import SoftmaxDropped

SMALL = {"spec": "20-10-3"}


def test_a_kernel_by_name():
    found = mlpbench.check("numpy")
    assert found.conforms
    assert (found.kernel, found.verdict, found.reason) == ("numpy", "conforms", None)
    assert 0 < found.max_error < 1e-5
    assert 0 < found.of_allowed < 1
    assert found.accuracy_in_batches > 0.9
    assert "conforms" in found._repr_html_()
    assert mlpbench.check("numpy", **SMALL).accuracy_in_batches is None


def test_a_class_that_was_just_written_as_often_as_it_is_written():
    for _ in range(2):

        class Mine(NumpyKernel):
            pass

        assert mlpbench.check(Mine, **SMALL).kernel == "Mine"
        assert mlpbench.check(Mine, **SMALL).conforms


@pytest.mark.parametrize(
    ("kernel", "verdict", "reason"),
    [
        (SoftmaxDropped, "non-conforming", "off by"),
        (ConstructorRaises, "non-conforming", "no memory on the device"),
        (AbsentKernel, "unavailable", "no driver"),
    ],
)
def test_what_is_wrong_is_a_verdict(kernel, verdict, reason):
    found = mlpbench.check(kernel, **SMALL)
    assert not found.conforms
    assert found.verdict == verdict
    assert reason in found.reason
    assert found.max_error is None
    assert "<img" not in mlpbench.Check("<img src=x>", verdict, "<img src=x>")._repr_html_()


@pytest.mark.parametrize(
    ("kernel", "options", "said"),
    [
        ("numpi", {}, r"unknown kernel 'numpi' \(did you mean numpy\?\)"),
        ("numpy", {"hiden": "relu"}, r"unknown option 'hiden' \(did you mean hidden\?\)"),
        ("numpy", {"hidden": "relo"}, "hidden must be one of"),
        ("numpy", {"data": "mnisty"}, "mnisty"),
    ],
)
def test_a_mistake_is_a_user_error(kernel, options, said):
    with pytest.raises(mlpbench.UserError, match=said):
        mlpbench.check(kernel, **options)
