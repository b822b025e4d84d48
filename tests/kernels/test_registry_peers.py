"""Peers, each with its library where that is installed; those on a CUDA device, without one."""

import shutil
import sys
import sysconfig
from itertools import cycle
from unittest.mock import Mock

import numpy as np
import pytest
from llvmlite import binding

from mlpbench.bench.cases import Case
from mlpbench.bench.measure.case import is_asynchronous, prepare
from mlpbench.kernels import registry
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.instructions import instructions
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import available, computed
from support.refusals import refusal

#: The module of kernels, which is also the extra's name, by the library that is missing.
LIBRARIES = {"onnx": "onnxruntime", "sklearn.neural_network": "sklearn"}
LIBRARIES |= {name: name for name in ("onnxruntime", "torch", "jax", "openvino")}


@pytest.mark.parametrize(("module", "name"), LIBRARIES.items())
def test_a_missing_library_is_told_with_what_brings_it(monkeypatch, name, module):
    if (name, module) == ("onnxruntime", "onnx"):
        available(name)
    monkeypatch.setitem(sys.modules, module, None)
    for kernel in [kernel for kernel in registry.peers() if registry.module(kernel) == f"mlpbench.kernels.mlp_{name}"]:
        words = rf"^{module} cannot be imported: .*; pip install -e '.\[{name}\]' brings it$"
        refusal(KernelUnavailable, words, registry.load(kernel).probe)


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("sklearn", ForwardSpec((9, 5, 3), output="identity"), "MLPClassifier ends in softmax, not in identity"),
        ("sklearn", ForwardSpec((9, 5, 3), "step"), "MLPClassifier has no activation step"),
        ("sklearn", ForwardSpec((9, 5, 1)), "one output means two classes"),
        ("openvino", ForwardSpec((9, 5, 3), dtype="float64"), "float32 on the CPU, and the specification is float64"),
        ("onnxruntime", ForwardSpec((2**15, 2**15)), "4295098368 bytes of weights: an ONNX model holds 2146435072"),
        ("onnxruntime-bound", ForwardSpec((2**15, 2**15)), "bytes of weights"),
        ("onnxruntime-int8", ForwardSpec((9, 5, 3), dtype="float64"), "of float32, and the specification is float64"),
        ("torch-bf16", ForwardSpec((9, 5, 3), dtype="float64"), "bfloat16 stands for float32"),
        ("numba-simd-int8", ForwardSpec((9, 5, 3), dtype="float64"), "bytes stand for float32"),
        ("numba-simd-int8", ForwardSpec((66_312, 5)), "66312 products of bytes may exceed 32 bits: 66311 never do"),
    ],
)
def test_what_it_cannot_express_is_told_without_its_library(name, spec, words):
    refusal(KernelUnavailable, words, registry.load(name).supports, spec)


def test_torch_leaves_neither_a_mode_nor_a_warning_behind():
    kernel = available("torch")(MNIST, seeded(MNIST))
    kernel.forward(np.ones((2, 784), np.float32))
    torch = sys.modules["torch"]
    assert not torch.is_inference_mode_enabled()
    assert torch.ones(1, requires_grad=True).sum().requires_grad


def test_torch_compiled_serves_many_batch_sizes_and_instances_with_new_results():
    """More of each than PyTorch compiles for before it gives up (8)."""
    kernel_class, spec = available("torch-compile"), ForwardSpec((6, 1, 4), "step", dtype="float64")
    params, x = seeded(spec), np.random.default_rng(0).standard_normal((12, spec.n_in))
    for _ in range(5):
        kernel = kernel_class(spec, params)
        for rows in range(12, 0, -1):
            agree(kernel, params, x, rows=rows)
    first, second = (kernel.forward(kernel.from_host(part)) for part in (x[:4], x[4:8]))
    assert first.data_ptr() != second.data_ptr()
    assert check(kernel_class, ForwardSpec((9, 7, 5), "relu", "identity")).max_error_ratio < 0.5


def test_a_missing_compiler_is_told(monkeypatch, tmp_path):
    kernel_class = available("torch-compile")
    with monkeypatch.context() as patch:
        patch.setenv("CXX", "no-such-compiler")
        refusal(KernelUnavailable, r"needs a C\+\+ compiler: no-such-compiler is not installed", kernel_class.probe)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    refusal(KernelUnavailable, r"Python's headers: .*Python\.h", kernel_class.probe)


def test_only_jax_on_its_own_arrays_is_waited_for():
    default = registry.load("jax").synchronize
    waited = [name for name in registry.peers() if registry.load(name).synchronize is not default]
    assert waited == ["jax-array", "torch-cuda", "torch-cuda-compile", "jax-cuda"]
    kernel_class, spec, x = available("jax-array"), ForwardSpec((5, 3), dtype="float64"), np.ones((2, 5))
    assert is_asynchronous(kernel_class(MNIST, seeded(MNIST)))
    kernel = kernel_class(spec, seeded(spec))
    assert kernel.from_host(x).dtype == computed(kernel, x).dtype == np.float64
    assert sys.modules["jax"].numpy.ones(1, float).dtype == np.float32, "float64 in JAX is the kernel's own affair"


@pytest.mark.parametrize(
    ("name", "platform", "words"),
    [
        ("jax", "gpu", "computes on gpu: set JAX_PLATFORMS=cpu"),
        ("jax", RuntimeError("Unable to initialize backend: no chips"), "no chips"),
        ("jax-cuda", "cpu", "JAX computes on cpu: set JAX_PLATFORMS=cuda"),
        ("jax-cuda", AssertionError(), r"JAX has no plugin for cuda: .*\[jax-cuda13\].*\[jax-cuda12\]' brings it"),
    ],
)
def test_jax_elsewhere_than_asked_is_unavailable(monkeypatch, name, platform, words):
    available("jax")
    monkeypatch.setattr(sys.modules["jax"], "default_backend", Mock(side_effect=cycle([platform])))
    refusal(KernelUnavailable, words, registry.load(name).probe)


# On a CUDA device

ON_CUDA = registry.cuda_peers()


def on_the_cpu(name, **more):
    """Return the kernel's class where its library computes on the CPU; skip the test where that is not installed."""
    available({"torch-cuda-compile": "torch-tensor", "jax-cuda": "jax-array"}.get(name, name.removesuffix("-cuda")))
    there = {"_place": "cpu", "_platform": ("cpu", "cpu"), "_provider": ("CPUExecutionProvider", {})}
    return type("OnTheCpu", (registry.load(name),), {**there, **more})


@pytest.mark.parametrize("name", ON_CUDA)
def test_without_a_device_it_says_why(name):
    on_the_cpu(name)
    if shutil.which("nvidia-smi"):
        assert check(registry.load(name), MNIST).max_error_ratio < 0.5
    else:
        words = "^(PyTorch has no CUDA|JAX |this ONNX Runtime computes)"
        refusal(KernelUnavailable, words, registry.load(name).probe)


@pytest.mark.parametrize("name", ON_CUDA)
def test_they_are_peers_of_a_device_and_a_variable_that_changes_the_arithmetic_is_refused(name, monkeypatch):
    kernel_class = registry.load(name)
    assert kernel_class.device == "cuda"
    assert name in registry.peers()
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    refusal(KernelUnavailable, "has cuBLAS compute products of float32 in TF32", kernel_class, MNIST, seeded(MNIST))


@pytest.mark.parametrize("name", ["torch-cuda", "jax-cuda"])
def test_torch_and_jax_multiply_in_float32(name):
    kernel_class = on_the_cpu(name, synchronize=lambda _self, _y: None)
    for spec in (MNIST, ForwardSpec((9, 5, 3), "relu", "identity", "float64")):
        assert check(kernel_class, spec).max_error_ratio < 0.5
    if name == "torch-cuda":
        assert sys.modules["torch"].get_float32_matmul_precision() == "highest"
    else:
        predict = kernel_class(MNIST, seeded(MNIST))._predict
        traced = str(sys.modules["jax"].make_jaxpr(predict)(np.zeros((2, 784), "f")))
        assert traced.count("HIGHEST") == 2 * MNIST.n_layers, "of both operands: a GPU would multiply in TF32"


@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((9, 5, 3), "step", "identity", "float64")], ids=str)
def test_onnxruntime_in_memory_that_is_sliced(spec):
    """The provider of the CPU is asked to run every node, as that of a device is."""
    assert registry.load("onnxruntime-cuda")._provider == ("CUDAExecutionProvider", {"use_tf32": "0"})
    with_device = on_the_cpu("onnxruntime-cuda", device="cpu")  # else the session refuses that provider
    assert check(with_device, spec).max_error_ratio < 0.5
    params = seeded(spec)
    kernel = with_device(spec, params)
    x = np.random.default_rng(0).random((12, spec.n_in)).astype(spec.dtype)
    whole = kernel.from_host(x)
    want = kernel.to_host(kernel.forward(whole)).copy()
    for part in (slice(5), slice(5, 10), slice(11, 12)):
        assert kernel.to_host(whole[part]) == pytest.approx(x[part])
        assert kernel.to_host(kernel.forward(whole[part])) == pytest.approx(want[part], abs=1e-6)
    assert kernel.to_host(kernel.forward_one(whole[7])) == pytest.approx(want[7], abs=1e-6)
    kernel.device = "cuda"  # as the harness slices
    for case in (Case("batched", 4), Case("per_sample", 3)):
        assert kernel.to_host(prepare(kernel, case, x).call()).shape[-1] == spec.n_out
    agree(kernel, params, x)


def test_instructions_of_the_processor_are_told_and_that_it_has_none():
    here = [name for name, there in binding.get_host_cpu_features().items() if there][:2]
    assert (instructions("none", *here), instructions("no", "ne")) == (", ".join(here), "none of no, ne")
