"""Take a card over: everything that could not be checked without one, in one go, and in minutes.

    PYTHONPATH=. python scripts/gpu_acceptance.py --out DIR --seconds 480

It needs CuPy, what `pip install -e .` brings, and no network; what is missing it says at once. Each part runs in a
process of its own: a card that fails one may pass the next, and so may the next kernel. Lines begin with ok, FAIL or
info, and the last one counts them. The folder DIR holds what was said as soon as it is said, the roofs, the table of
times, and a run to be committed. Status 0: everything is accepted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from acceptance.told import FAIL, INFO, LATE, OK, Asked, last, ran

from mlpbench.kernels.spec import MNIST, ForwardSpec

#: All that the parts import, beside Python's own.
NEEDS = ("cupy", "llvmlite", "msgspec", "numba", "numpy", "packaging", "pandas", "pytest", "pytest_benchmark")
NEEDS += ("rich", "scipy", "threadpoolctl", "typer")
#: In this order: each part, the module that has it, and the share of the time that it may take. Modules are imported by
#: the parts: some need more packages than others.
PARTS = {
    "card": ("checks", 0.1),
    "gate": ("checks", 0.3),
    "overrides": ("checks", 0.1),
    "roofs": ("timings", 0.1),
    "timer": ("timings", 0.1),
    "table": ("timings", 0.35),
    "thresholds": ("timings", 0.1),
    "silicon": ("checks", 0.15),
    "tests": ("checks", 0.2),
    "sanitizer": ("checks", 0.15),
    "launches": ("checks", 0.1),
    "run": ("timings", 0.5),
}
#: Of the time, what the parts before leave to the last one: the run is what is to be committed.
KEPT_FOR_LAST = 0.3
#: Parts of parts, in processes that a tool or a variable changes.
WITHIN = {"check_cupy": "checks", "launch_all": "checks", "launch_once": "checks", "timed": "timings"}
TESTS = (
    "tests/kernels/cuda",
    "tests/kernels/test_mlp_cupy.py",
    "tests/wings/gpu/test_roofs.py",
    "tests/wings/gpu/test_measurement.py",
)


def options() -> argparse.ArgumentParser:
    """Return what can be asked. A rehearsal makes all of it smaller."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of what is found")
    parser.add_argument("--seconds", type=float, default=480, help="the time for all parts")
    parser.add_argument("--spec", default=MNIST.label(), help="sizes of the network")
    parser.add_argument("--sizes", default="1,100,10000,1000000", help="rows of a call")
    parser.add_argument("--variants", default="all", help="kernels, with commas between")
    parser.add_argument("--tests", default=",".join(TESTS), help="folders and files of tests")
    parser.add_argument("--profile", default="quick", help="the profile of the run")
    parser.add_argument("--part", choices=[*PARTS, *WITHIN], help=argparse.SUPPRESS)
    return parser


def accept(words: list[str], asked: argparse.Namespace) -> int:
    """Run all parts, print and keep what they say; return the status of the whole."""
    ends, counts, said = time.monotonic() + asked.seconds, {OK: 0, FAIL: 0, INFO: 0}, []

    def tell(line: str) -> None:
        print(line, flush=True)
        said.append(line)
        counts[line.partition(" ")[0]] += 1
        # A node may be taken back before the end.
        (asked.out / "acceptance.txt").write_text("\n".join(said) + "\n", encoding="utf-8")

    *_, last_part = PARTS
    for name, (_, share) in PARTS.items():
        kept_s = 0.0 if name == last_part else KEPT_FOR_LAST * asked.seconds
        left = min(share * asked.seconds, ends - kept_s - time.monotonic())
        if left < 1:
            tell(f"{FAIL} {name}: there was no time left")
            continue
        for line in lines_of([*words, "--part", name, "--seconds", f"{left:.0f}"], name, left):
            tell(line)
        if name == "card" and not counts[OK]:
            break  # nothing else can run
    tell(f"{INFO} {asked.seconds - (ends - time.monotonic()):.0f} s of {asked.seconds:.0f} s")
    (asked.out / "acceptance.json").write_text(
        json.dumps({"counts": counts, "lines": said}, indent=1), encoding="utf-8"
    )
    print(f"ACCEPTED {counts[OK]} of {counts[OK] + counts[FAIL]}")
    return 1 if counts[FAIL] else 0


def lines_of(words: list[str], name: str, most_s: float) -> list[str]:
    """Run a part; return its lines, and one that says how it ended if that was not well."""
    done = ran(words, most_s)
    if done.returncode == 0:
        return _told(done.stdout)
    how = "not done in time" if done.returncode == LATE else f"it ended with status {done.returncode}"
    return [*_told(done.stdout), f"{FAIL} {name}: {how}: {last(done.stderr)}"]


def _told(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.partition(" ")[0] in (OK, FAIL, INFO)]


def main() -> int:
    """Run everything or, in a process of its own, one part."""
    asked = options().parse_args()
    asked.out = asked.out.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    # Compiled once for all parts, also where the home is read-only.
    for variable in ("CUPY_CACHE_DIR", "NUMBA_CACHE_DIR"):
        os.environ.setdefault(variable, str(asked.out / "cache" / variable.partition("_")[0].lower()))
    if asked.part is None:
        if missing := [name for name in NEEDS if find_spec(name) is None]:
            print(f"{FAIL} not installed: {', '.join(missing)}; in the checkout, pip install -e '.[cuda12]' brings all")
            return 2
        given = {
            "out": asked.out,
            "spec": asked.spec,
            "sizes": asked.sizes,
            "variants": asked.variants,
            "tests": asked.tests,
            "profile": asked.profile,
        }
        words = [
            sys.executable,
            str(Path(__file__).resolve()),
            *(w for k, v in given.items() for w in (f"--{k}", str(v))),
        ]
        return accept(words, asked)
    sizes = tuple(int(one) for one in asked.sizes.split(","))
    tests = tuple(asked.tests.split(","))
    module = WITHIN.get(asked.part) or PARTS[asked.part][0]
    part = getattr(import_module(f"acceptance.{module}"), asked.part)
    variants = tuple(asked.variants.split(","))
    spec = ForwardSpec.parse(asked.spec)
    part(Asked(asked.out, spec, sizes, variants, tests, asked.profile, time.monotonic() + asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
