"""How near cases come to the limits of their machine: what several sections and charts say of it."""

from mlpbench.bench.analysis.roofline import RoofVerdict
from mlpbench.bench.report.document import Findings
from mlpbench.bench.wings.why import explain
from mlpbench.bench.wings.why.explain import Explanation


def explanations(findings: Findings) -> tuple[Explanation, ...]:
    """Return the explanation of each run that has one."""
    return tuple(filter(None, (explain.find(run, own) for run, own in findings.by_run)))


def limit_words(verdict: RoofVerdict) -> str:
    """Return the limit that binds a case, and what is wrong with a share that cannot be."""
    what, roof = verdict.binding.what, verdict.binding.roof
    limit = {"arithmetic": roof, "launch": "launch floor"}.get(what, f"{what} from {roof}")
    return f"{limit}; {verdict.reason}" if verdict.reason else limit
