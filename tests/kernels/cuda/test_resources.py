"""What each device kernel takes, as NVRTC compiles it for each architecture: no GPU is needed, and a table is kept.

Whoever changes a source makes the table again, by `scripts/gpu/cuda_resources.py`. CI compiles a sample: every second
program for one architecture, with one of both compilers, as the digest of the program says.
"""

import os
import re

import cuda_resources as resources
import ffma_share
import pytest

from mlpbench.kernels.cuda import programs
from mlpbench.kernels.spec import MNIST
from support.sources import MODULES, ROOT

#: Both compilers of the table, each in an environment of its own.
VERSIONS = ("12.9", "13.5")
THIS_CUDA, NEXT_CUDA = "MLPBENCH_TEST_CUDA12", "MLPBENCH_TEST_CUDA13"
JOBS = {job.name: job for job in resources.jobs()}
TABLE = resources.read()


def sampled(job, version):
    """Return the architecture of which a job is compiled again with this compiler; None: not with this one."""
    number, which = divmod(int(job.digest(), 16), 4)
    architectures = job.architectures()
    return architectures[number % len(architectures)] if version in VERSIONS[which : which + 1] else None


def test_the_table_is_of_these_sources():
    stale = [name for name, job in JOBS.items() if TABLE.get(name, {}).get("digest") != job.digest()]
    assert not stale, "scripts/gpu/cuda_resources.py makes the table again"
    for name, job in JOBS.items():
        assert TABLE[name]["cells"].keys() == {f"{v} sm_{arch}" for v in VERSIONS for arch in job.architectures()}


def test_no_kernel_spills_or_lacks_what_its_name_says_or_asks_for_more_than_there_is():
    cells = [(JOBS[name], *key.split(" sm_"), cell) for name in JOBS for key, cell in TABLE[name]["cells"].items()]
    assert [line for job, _, arch, cell in cells for line in resources.wrong(job, int(arch), cell)] == []


def test_no_source_escapes():
    """Every text of ours with a device kernel in it is a part of a program of the table."""
    compiled = "".join(job.source for job in JOBS.values())
    for path in [*MODULES, *(ROOT / "kernels" / "cuda").glob("*.cu*")]:
        for entry in re.findall(r'extern "C" __global__[^{]*', path.read_text(encoding="utf-8")):
            assert entry in compiled, path


@pytest.fixture(scope="module", params=VERSIONS)
def compiler(request):
    variable = {VERSIONS[0]: THIS_CUDA, VERSIONS[1]: NEXT_CUDA}[request.param]
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(f"{variable} names no interpreter that has cuda.core with NVRTC {request.param}")
    found = resources.Compiler(python)
    yield found
    found.close()


@pytest.mark.heavy
def test_what_is_compiled_again_takes_no_more_than_the_table_says(compiler):
    assert compiler.version in VERSIONS, "the table is of other compilers: it has to be made again"
    archs = {job: arch for job in JOBS.values() if (arch := sampled(job, compiler.version)) is not None}
    for job, arch in archs.items():
        cell = compiler.taken(job, arch)
        most = TABLE[job.name]["cells"][f"{compiler.version} sm_{arch}"]
        assert resources.wrong(job, arch, cell) == []
        assert all(now <= kept for now, kept in zip(cell[:4], most[:4], strict=True)), (job.name, arch, cell, most)


@pytest.mark.heavy
@pytest.mark.parametrize("pixels", [False, True])
def test_the_program_for_many_rows_is_estimated_at_80_percent_of_the_peak(compiler, pixels):
    program = programs.fused(MNIST, "fp32", pixels=pixels)[-1]
    job = resources.fused(program, "fp32", pixels=pixels)
    arch = sampled(job, compiler.version) or {"12.9": 90, "13.5": 100}[compiler.version]
    assert 0.8 < ffma_share.share(compiler.listing(job, arch), program, arch) < 1


@pytest.mark.heavy
def test_functions_of_float32_are_computed_in_float32(compiler):
    """A constant or a function of two words would make it float64, at a small share of the speed."""
    in_float64 = r"\b(DADD|DMUL|DFMA|MUFU\.\w+64H|F2F\.F64\.F32)\b"
    jobs = {name: JOBS[f"bias_activation {name}"] for name in ("tanh float32", "gelu float32", "silu float32")}
    assert [name for name, job in jobs.items() if re.search(in_float64, compiler.listing(job, 90))] == []
    assert re.search(in_float64, compiler.listing(JOBS["bias_activation silu float64"], 90))
