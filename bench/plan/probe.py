"""Which kernels can run here, asked in processes of their own: an import, or a probe, may be slow, and may crash."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import msgspec

from mlpbench.bench.machine import child, question
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.spec import ForwardSpec

TIMEOUT_S = 120
#: One that was killed may be followed by one that asks what is left to ask.
_AGAIN_S = 0.05
#: What a kernel says of itself.
_TEXTS = ("backend", "device", "version", "reason")


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
        return {**{name: getattr(self, name) for name in ("name", *_TEXTS)}, "available": self.available}


def probe_all(names: list[str], specs: Collection[ForwardSpec] = (), python: str | None = None) -> Iterator[Probed]:
    """Probe kernels side by side, each library in one process; yield them in the order of ``names``.

    ``specs``: what each is asked about. ``python``: the interpreter to ask, by default our own; then UnknownKernel is
    raised for a name that nobody offers here.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        group = _group(registry.module(name)) if python is None else name.partition("-")[0]
        if name in registry.cuda_peers() and group != "numpy":
            group += " on a device"  # in one process JAX computes in one place
        groups.setdefault(group, []).append(name)
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


def _group(module: str) -> str:
    """Return the library of a module of ours: NumPy also for one that is not installed, which costs nothing to ask."""
    package, _, rest = module.partition(".mlp_")
    library = "cupy" if module.startswith("mlpbench.kernels.cuda.") else rest.partition("_")[0]
    if library != "cupy" and package != "mlpbench.kernels":
        return module
    return library if library != "numpy" and find_spec(library) is not None else "numpy"


def for_spec(answer: Probed, spec: ForwardSpec) -> Probed:
    """Return the answer for one of the specifications that the kernel was asked about."""
    refused = answer.refuses.get(str(spec))
    return answer if refused is None or not answer.available else replace(answer, reason=refused)


def _ask(names: list[str], specs: Collection[ForwardSpec], python: str | None) -> dict[str, Probed]:
    """Ask one process about kernels of one module, and another about those that it did not come to."""
    asked = {"names": names, "specs": [spec.as_dict() for spec in specs]}
    ended = question.ask(__name__, asked, timeout_s=TIMEOUT_S, python=python)
    answers = dict(_answers(ended.printed, names))
    silent = [name for name in names if name not in answers]
    if silent:  # kernels are asked in order: the first without an answer is the one that ended the process
        reason = f"the probe failed: {ended.reason or 'it gave no answer'}"
        answers[silent[0]] = Probed(silent[0], None, None, None, reason)
    return answers | _ask(silent[1:], specs, python) if silent[1:] else answers


def _answers(printed: str, names: list[str]) -> Iterator[tuple[str, Probed]]:
    """Yield the answers among whatever libraries print while they are imported."""
    for line in printed.splitlines():
        with suppress(msgspec.DecodeError, RecursionError):
            answer = msgspec.json.decode(line, type=Probed)
            if answer.name in names:
                texts = ((part, getattr(answer, part)) for part in _TEXTS)
                cleaned: dict[str, Any] = {part: text and clean_text(text) for part, text in texts}
                yield answer.name, replace(answer, **cleaned)


def probe(name: str, specs: Collection[ForwardSpec] = ()) -> Probed:
    """Probe one kernel in this process."""
    try:
        kernel = registry.load(name)
    except (KernelUnavailable, UnknownKernel) as error:
        return Probed(name, None, None, None, str(error))
    reason = None
    try:
        kernel.probe()
    except KernelUnavailable as error:
        reason = str(error)
    facts = kernel.backend, kernel.device, kernel.version(), reason
    return Probed(name, *facts, refuses=dict(_refused(kernel, specs)))


def _refused(kernel: type[Kernel], specs: Collection[ForwardSpec]) -> Iterator[tuple[str, str]]:
    for spec in specs:
        try:
            kernel.supports(spec)
        except KernelUnavailable as reason:
            yield str(spec), str(reason)


def _answer() -> None:
    asked = question.question()
    specs = [ForwardSpec(**{**spec, "sizes": tuple(spec["sizes"])}) for spec in asked["specs"]]
    for name in asked["names"]:
        question.tell(asdict(probe(name, specs)))


if __name__ == "__main__":
    _answer()
