"""The variables of processes: threads of every library, what another interpreter inherits, and what is recorded."""

import getpass
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: Read by BLAS builds, OpenMP and Numba when they load; they are set before that, in a process of its own.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"),
)
#: Settings that change what is measured without showing anywhere else.
RECORDED = re.compile(
    r"^(OMP|GOMP|KMP|OPENBLAS|MKL|BLIS|NUMBA|CUPY|CUDA|CUBLAS|NVIDIA|PYTHON(?!PATH|STARTUP|HISTORY)"
    r"|TORCH(?!INDUCTOR_CACHE_DIR$)|ATEN|DNNL|ONEDNN|XLA|JAX|NPROC|TBB|SKLEARN)_?[A-Z0-9_]*$"
)
#: Variables that are about our own interpreter.
OF_OUR_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
#: PyTorch keeps compiled code among temporary files, unless this variable names another folder.
INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def with_threads(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the variables of a process in which every library starts with ``threads`` threads."""
    return {**environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def inherited(python: str | None) -> dict[str, str]:
    """Return our variables, as an interpreter inherits them: ours (None) all; another none about our packages."""
    return {name: value for name, value in os.environ.items() if python is None or name not in OF_OUR_PYTHON}


def with_compiled_code(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process that gets a new folder for temporary files, but compiles nothing again."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name
        user = "nobody"
    return {INDUCTOR_CACHE: str(Path(tempfile.gettempdir(), f"torchinductor_{user}")), **environ}


def recorded() -> dict[str, str]:
    """Return the variables of this process that a record keeps, by name."""
    return {name: value for name, value in sorted(os.environ.items()) if RECORDED.match(name)}
