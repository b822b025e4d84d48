"""A program of LLVM as machine code, kept on disk.

Numba would find out types, copy functions into their callers and look for loops to vectorise: ten times the work.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import binding, ir
from numba.core import event
from numba.core.registry import cpu_target

from mlpbench.kernels.numba_jit.cache import kept_code
from mlpbench.kernels.numba_simd.codegen.scalar import I64, scalars
from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.spec import Activation


def function_type(real: Any) -> Any:
    """Return the type of a program's functions: pointers to reals and to integers of 64 bits, and three integers."""
    return ir.FunctionType(ir.VoidType(), [real.as_pointer(), I64.as_pointer(), I64, I64, I64])


def written(
    functions: Mapping[str, Callable[..., None]], shape: Shape, bits: int, others: tuple[Activation, ...] = ()
) -> ir.Module:
    """Return a module with functions of these names, and all that they call; ``others`` as in `vector.Code`.

    ``write(code, x, plan, rows, layer, thread)`` writes a function. Which numbers mean something is its own matter.
    """
    module, real = ir.Module("program"), ir.FloatType() if bits == 32 else ir.DoubleType()
    for name, write in functions.items():
        function = ir.Function(module, function_type(real), name)
        code = Code(ir.IRBuilder(function.append_basic_block("entry")), shape, real, others)
        write(code, *scalars(code.builder, function.args))
        code.builder.ret_void()
    return module


def host() -> tuple[str, str, str]:
    """Return what Numba compiles for: triple, processor, features, as LLVM names them."""
    target: tuple[str, str, str] = cpu_target.target_context.codegen().magic_tuple()
    return target


def machine(triple: str, cpu: str, features: str) -> Any:
    """Return LLVM's compiler for a processor, with the settings with which Numba uses it."""
    reloc = "static" if triple.startswith("x86") else "default"
    target = binding.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc=reloc, codemodel="jitdefault", jit=True
    )


def optimised(module: ir.Module, compiler: Any) -> Any:
    """Return the module as LLVM makes it better. Vectors are there already."""
    parsed = binding.parse_assembly(str(module))
    parsed.data_layout = str(compiler.target_data)
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = False
    passes = binding.create_pass_builder(compiler, options)
    passes.getModulePassManager().run(parsed, passes)
    return parsed


class Program:
    """Machine code for this processor: compiled, or loaded if an earlier process compiled it."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., None]],
        shape: Shape,
        bits: int,
        kept_as: Any,
        others: tuple[Activation, ...] = (),
    ) -> None:
        """Compile ``functions`` as `written` takes them. ``kept_as`` is a function whose name stands for them."""

        def compiled() -> bytes:
            with event.trigger_event("numba:compile"):
                code: bytes = compiler.emit_object(optimised(written(functions, shape, bits, others), compiler))
            return code

        compiler = machine(*host())
        self.code, self.compiled_before = kept_code(kept_as, (shape, bits, host(), others), compiled)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), compiler)
        self._engine.add_object_file(binding.ObjectFileRef.from_data(self.code))
        self._engine.finalize_object()
        #: Where the functions are, in their order.
        self.addresses = [int(self._engine.get_function_address(name)) for name in functions]
