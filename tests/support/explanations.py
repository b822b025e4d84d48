"""Explanations of runs whose causes are known, without any file."""

import math
from types import SimpleNamespace

from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.wings.why.attribution import Attribution
from mlpbench.bench.wings.why.explain import Explanation, KernelExplanation
from mlpbench.kernels.spec import ForwardSpec

LEVELS = {"784-50-100-10": "L2", "784-1024-1024-10": "L3", "784-8192-4096-10": "DRAM"}
SMALL, MIDDLE, LARGE = LEVELS


def parts(calls, weights, arithmetic, unexplained, half=0.01, batch_size=100, saved_s=10e-6):
    """Return an attribution with these shares of what is saved; intervals are ``half`` to either side."""
    shares = {"calls": calls, "weights": weights, "arithmetic": arithmetic, "unexplained": unexplained}
    found = dict.fromkeys(shares)
    for name, share in shares.items():
        if share is not None:
            ends = [math.nan if name == "weights" else share + end * half for end in (-1, 1)]
            found[name] = Estimate(*(saved_s * value for value in (share, *ends)), 3)
    return Attribution(batch_size, saved_s + 1e-6, 1e-6, found, Ratio(11.0, 10.5, 11.5, 3))


def kernel(name, place, attribution, not_explained=None):
    facts = {"threads": 1, "measured": {}, "shares": (), "weights_in": place, "missing": ()}
    facts |= dict.fromkeys(("call_one_s", "call_batch_s", "fit"))
    return KernelExplanation(kernel=name, attribution=attribution, not_explained=not_explained, **facts)


def explanation(spec, kernels):
    """Return the explanation of a run; ``kernels`` are attributions by name."""
    names = {"name": f"run of {spec}", "title": f"Run of {spec}", "id": f"run of {spec}", "machine": "testbox"}
    evidence = SimpleNamespace(roofs={}, devices={}, missing=())
    record = SimpleNamespace(spec=ForwardSpec.parse(spec), threads=1, cases=(None,))
    run = SimpleNamespace(**names, setting=None, records=(record,))
    return Explanation(
        run, evidence, tuple(kernel(name, LEVELS[spec], attribution) for name, attribution in kernels.items())
    )


CALLS, WEIGHTS = parts(0.8, 0.1, 0.02, 0.08), parts(0.0, 0.95, 0.01, 0.04)
