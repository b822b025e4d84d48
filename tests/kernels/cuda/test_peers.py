"""Peers on a CUDA device, without one: what each says, and its own lines on the CPU where its library allows it."""

import shutil
import sys

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure.case import prepare
from mlpbench.kernels import registry
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import available

NAMES = registry.cuda_peers()


def on_the_cpu(name, **more):
    """Return the kernel's class where its library computes on the CPU; skip the test where that is not installed."""
    available({"torch-cuda-compile": "torch-tensor", "jax-cuda": "jax-array"}.get(name, name.removesuffix("-cuda")))
    there = {"_place": "cpu", "_platform": ("cpu", "cpu"), "_provider": ("CPUExecutionProvider", {})}
    return type("OnTheCpu", (registry.load(name),), {**there, **more})


@pytest.mark.parametrize("name", NAMES)
def test_without_a_device_it_says_why(name):
    on_the_cpu(name)
    if shutil.which("nvidia-smi"):
        assert check(registry.load(name), MNIST).max_error_ratio < 0.5
    else:
        with pytest.raises(KernelUnavailable, match=r"^(PyTorch has no CUDA|JAX |this ONNX Runtime computes).*$"):
            registry.load(name).probe()


@pytest.mark.parametrize("name", NAMES)
def test_they_are_peers_of_a_device_and_a_variable_that_changes_the_arithmetic_is_refused(name, monkeypatch):
    kernel_class = registry.load(name)
    assert kernel_class.device == "cuda"
    assert name in registry.peers()
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    with pytest.raises(KernelUnavailable, match="has cuBLAS compute products of float32 in TF32"):
        kernel_class(MNIST, seeded(MNIST))


@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((9, 5, 3), "step", "identity", "float64")], ids=str)
def test_torch(spec):
    kernel_class = on_the_cpu("torch-cuda", synchronize=lambda _self, _y: None)
    assert check(kernel_class, spec).max_error_ratio < 0.5
    torch = sys.modules["torch"]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((9, 5, 3), "relu", "identity", "float64")], ids=str)
def test_jax(spec, monkeypatch):
    kernel_class = on_the_cpu("jax-cuda")
    assert check(kernel_class, spec).max_error_ratio < 0.5
    if spec.dtype == "float32":
        traced = str(
            sys.modules["jax"].make_jaxpr(kernel_class(spec, seeded(spec))._predict)(np.zeros((2, spec.n_in), "f"))
        )
        assert traced.count("HIGHEST") == 2 * spec.n_layers, "of both operands: a GPU would multiply in TF32"


@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((9, 5, 3), "step", "identity", "float64")], ids=str)
def test_onnxruntime_in_memory_that_is_sliced(spec):
    """The provider of the CPU is asked to run every node, as that of a device is."""
    assert registry.load("onnxruntime-cuda")._provider == ("CUDAExecutionProvider", {"use_tf32": "0"})
    kernel_class = on_the_cpu("onnxruntime-cuda")
    with_device = type("WithDevice", (kernel_class,), {"device": "cpu"})  # else the session refuses that provider
    assert check(with_device, spec).max_error_ratio < 0.5
    params = seeded(spec)
    kernel = with_device(spec, params)
    x = np.random.default_rng(0).random((12, spec.n_in)).astype(spec.dtype)
    whole = kernel.from_host(x)
    want = kernel.to_host(kernel.forward(whole)).copy()
    for first, last in ((0, 5), (5, 10), (11, 12)):
        assert kernel.to_host(whole[first:last]) == pytest.approx(x[first:last])
        assert kernel.to_host(kernel.forward(whole[first:last])) == pytest.approx(want[first:last], abs=1e-6)
    assert kernel.to_host(kernel.forward_one(whole[7])) == pytest.approx(want[7], abs=1e-6)
    kernel.device = "cuda"  # as the harness slices
    for case in (Case("batched", 4), Case("per_sample", 3)):
        y = prepare(kernel, case, x).call()
        assert kernel.to_host(y).shape[-1] == spec.n_out
    agree(kernel, params, x)
