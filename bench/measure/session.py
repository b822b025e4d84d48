"""The state of one pytest process: who competes, in what, and what went wrong."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlpbench.bench.cases import Case
from mlpbench.bench.clock import elapsed
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.machine import environment, threads
from mlpbench.bench.measure.case import Contestant
from mlpbench.bench.measure.schedule import Schedule
from mlpbench.bench.record.environment import SourceFile
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.schema import Accuracy, Failure, KernelInfo
from mlpbench.bench.record.trust import NOTHING, Trust
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import NonConforming
from mlpbench.kernels.own import files


def _source(name: str, kernel_class: type[Kernel]) -> SourceFile | None:
    """Return the file that a kernel was given as, or its module in another package; None for our own."""
    given, package = files.given().get(name), registry.package_of(name)
    if given is not None:
        git = environment.commit_of(Path(given.path))
        return SourceFile(name=Path(given.path).name, sha256=given.sha256, commit=git.commit, dirty=git.dirty)
    file = getattr(sys.modules.get(kernel_class.__module__), "__file__", None)
    if package is None or file is None:
        return None
    git = environment.commit_of(Path(file), tracked=True)
    commit = git.commit
    with suppress(ValueError, KeyError, TypeError):  # what pip notes of a package from a repository: PEP 610
        commit = commit or json.loads(package.read_text("direct_url.json") or "")["vcs_info"]["commit_id"]
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return SourceFile(name=Path(file).name, sha256=digest, commit=commit, dirty=git.dirty)


@dataclass
class Suite:
    """What this process was asked to time, and what came of it. In a run it has a ``plan`` and a ``schedule``.

    ``audits``: what the wing `audit` knows of the process before any kernel is in it. ``beside``: more members of the
    ``extra_info`` of cases. ``tell`` is given what is done now, for people who wait; ``told``: that.
    """

    workload: Workload
    kernels: list[str]
    cases: list[Case]
    named: bool
    repeat: int = 0
    plan: Plan | None = None
    failures: list[Failure] = field(default_factory=list)
    thread_use: tuple[tuple[str, int], ...] | None = None
    beside: defaultdict[Case, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    trust: Trust = NOTHING
    schedule: Schedule | None = None
    audits: Sequence[Any] = ()
    tell: Callable[[str], None] = field(default=lambda _: None)
    told: str = ""
    _admitted: dict[str, Contestant | Exception] = field(default_factory=dict)

    def admit(self, name: str) -> Contestant:
        """Return a kernel that has passed the gate, once; raise KernelUnavailable or NonConforming each time."""
        if name not in self._admitted:
            try:
                self._admitted[name] = self._try(name)
            except KeyboardInterrupt:
                raise
            except Exception as error:  # noqa: BLE001 - kept, and raised below for this case and the next
                self._admitted[name] = error
            except BaseException as error:  # noqa: BLE001 - pytest would not count it as a failure of the gate
                self._admitted[name] = NonConforming(f"it ends its process: {type(error).__name__}: {error}")
        outcome = self._admitted[name]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def fail(self, kernel: str, case: Case, phase: str, reason: str) -> None:
        """Note why a case has no time, in words that a record has room for."""
        if self.schedule is not None:
            self.schedule.failed.add(case)
        self.failures.append(Failure(kernel, case.mode, case.batch_size, phase, clean_text(reason)))

    def check_threads(self, contestant: Contestant) -> None:
        """Note how many threads the libraries have; asked before and after each case, because a kernel can change them.

        Raises TooManyThreads where that is more than the run gave them. By hand nobody gave them a number.
        """
        self.thread_use = threads.observe(contestant.kernel)
        if self.plan is not None and self.plan.threads is not None:
            threads.check(self.thread_use, self.plan.threads)

    def _try(self, name: str) -> Contestant:
        params = self.workload.params  # loaded before the clock below starts
        self.tell("importing")
        with elapsed() as importing:
            kernel_class = registry.load(name)
            kernel_class.probe()
        self.tell("compiling" if kernel_class.compiles() else "preparing")
        with elapsed() as construction:
            kernel = kernel_class(self.workload.spec, params)
        self.tell("checking")
        conformance = self.workload.gate(kernel_class, kernel)
        return Contestant(
            name,
            kernel,
            self.workload,
            KernelInfo(
                backend=kernel_class.backend,
                device=kernel_class.device,
                version=kernel_class.version(),
                peer=name in registry.peers(),
                describe=kernel.describe().as_dict(),
                file=_source(name, kernel_class),
                max_error=conformance.max_error,
                max_error_ratio=conformance.max_error_ratio,
                accuracy=Accuracy(**self.workload.accuracy(kernel)),
                import_s=importing.seconds,
                construct_s=construction.seconds,
            ),
        )

    def admitted(self, name: str) -> Contestant | None:
        """Return a kernel if it has passed the gate, without trying it."""
        outcome = self._admitted.get(name)
        return outcome if isinstance(outcome, Contestant) else None
