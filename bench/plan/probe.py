"""Which kernels can run here, asked in processes of their own: an import, or a probe, may be slow, and may crash."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import child
from mlpbench.bench.record import untrusted
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.spec import ForwardSpec

TIMEOUT_S = 120
#: One that was killed may be followed by one that asks what is left to ask.
_AGAIN_S = 0.05


@dataclass(frozen=True)
class Probed:
    """A kernel, and why it cannot run here; ``reason`` is None where it can.

    ``refuses``: specifications that it cannot express, as text, and why.
    """

    name: str
    backend: str | None
    device: str | None
    version: str | None
    reason: str | None
    refuses: dict[str, str] = field(default_factory=dict)

    @property
    def available(self) -> bool:
        """Whether the kernel can run here."""
        return self.reason is None

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        facts = {name: value for name, value in vars(self).items() if name != "refuses"}
        return {**facts, "available": self.available}


def probe_all(names: list[str], specs: Collection[ForwardSpec] = (), python: str | None = None) -> Iterator[Probed]:
    """Probe kernels side by side, each library in one process; yield them in the order of ``names``.

    ``specs``: what each is asked about. ``python``: the interpreter to ask, by default our own; then UnknownKernel is
    raised for a name that nobody offers here.
    """
    groups = grouped((_library(name) if python is None else name.partition("-")[0], name) for name in names)
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = {name: pool.submit(_ask, group, specs, python) for group in groups.values() for name in group[:1]}
        first = {name: group[0] for group in groups.values() for name in group}
        try:
            for name in names:
                yield futures[first[name]].result()[name]
        except KeyboardInterrupt:  # it has not reached those that are asked: a session of their own keeps them from it
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures.values(), timeout=_AGAIN_S).not_done:
                child.stop_all()
            raise


def _library(name: str) -> str:
    """Return the library of a kernel: NumPy also for one that is not installed, which costs nothing to ask.

    In one process JAX computes in one place: peers on a device have one of their own.
    """
    module = registry.module(name)
    package, _, rest = module.partition(".mlp_")
    library = "cupy" if module.startswith("mlpbench.kernels.cuda.") else rest.partition("_")[0]
    if library != "cupy" and package != "mlpbench.kernels":
        return module
    if find_spec(library) is None:
        return "numpy"
    return f"{library} on a device" if name in registry.cuda_peers() else library


def _ask(names: list[str], specs: Collection[ForwardSpec], python: str | None) -> dict[str, Probed]:
    """Ask one process about kernels of one module, and another about those that it did not come to."""
    asked = {"names": names, "specs": [spec.as_dict() for spec in specs]}
    ended = child.ask(__name__, asked, timeout_s=TIMEOUT_S, python=python)
    answers: dict[str, Probed] = {}
    for line in ended.printed.splitlines():  # among whatever libraries print while they are imported
        with suppress(UserError):
            answer = untrusted.decode(line.encode(), Path(names[0]), Probed)
            answers |= {answer.name: answer} if answer.name in names else {}
    silent = [name for name in names if name not in answers]
    if silent:  # kernels are asked in order: the first without an answer is the one that ended the process
        reason = f"the probe failed: {ended.reason or 'it gave no answer'}"
        answers[silent[0]] = Probed(silent[0], None, None, None, reason)
    return answers | _ask(silent[1:], specs, python) if silent[1:] else answers


def probe(name: str, specs: Collection[ForwardSpec] = ()) -> Probed:
    """Probe one kernel in this process."""
    try:
        kernel = registry.load(name)
    except (KernelUnavailable, UnknownKernel) as error:
        return Probed(name, None, None, None, str(error))
    reason = _refusal(kernel.probe)
    refuses = {str(spec): refusal for spec in specs if (refusal := _refusal(kernel.supports, spec))}
    return Probed(name, kernel.backend, kernel.device, kernel.version(), reason, refuses)


def _refusal(ask: Callable[..., object], *what: ForwardSpec) -> str | None:
    """Return why a kernel says that it is unavailable, None where it does not."""
    try:
        ask(*what)
    except KernelUnavailable as reason:
        return str(reason)
    return None


if __name__ == "__main__":
    asked = child.question()
    for_specs = [ForwardSpec(**{**spec, "sizes": tuple(spec["sizes"])}) for spec in asked["specs"]]
    for each in asked["names"]:
        child.tell(asdict(probe(each, for_specs)))
