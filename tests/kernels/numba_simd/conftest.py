"""Pieces of LLVM code that tests write, as functions that they can call."""

import ctypes
from types import SimpleNamespace

import pytest
from llvmlite import binding, ir

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.scalar import I64, plain, scalars


@pytest.fixture
def made():
    """Return what makes a function of integers of ``write(code, *scalars)``, which returns its result."""
    kept = []

    def compiled(write, arguments=2):
        module = ir.Module("piece")
        function = ir.Function(module, ir.FunctionType(I64, [I64] * arguments), "piece")
        code = SimpleNamespace(builder=ir.IRBuilder(function.append_basic_block("entry")))
        result = plain(write(code, *scalars(code.builder, function.args)))
        is_truth = result.type.width == 1
        code.builder.ret(code.builder.zext(result, I64) if is_truth else result)
        compiler = machine.machine(*machine.host())
        engine = binding.create_mcjit_compiler(machine.optimised(module, compiler), compiler)
        kept.append(engine)
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)
        return kind(engine.get_function_address("piece"))

    return compiled


@pytest.fixture
def nothing_kept(monkeypatch):
    """Compile programs in this process alone: what tests write is not kept on disk."""
    monkeypatch.setattr(machine, "kept_code", lambda _as, _key, make: (make(), False))
