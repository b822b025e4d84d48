"""Workers of a cluster that Dask distributed runs already."""

from collections.abc import Callable, Sequence
from typing import Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.run.fleet import worker
from mlpbench.bench.run.fleet.carry import WorkerLost
from mlpbench.bench.run.fleet.worker import Answer, Facts, Request

NEEDS = "clusters of Dask need distributed: pip install 'mlpbench[dask]'"
_CONNECT_S = 15
_FACTS_S = 60


class Cluster:
    """A transport (`bench.run.fleet.carry.Transport`): every worker that the scheduler knows when it is asked."""

    def __init__(self, address: str) -> None:
        """Connect to a scheduler. Raises UserError where it does not answer, or distributed is not installed."""
        try:
            import distributed
        except ImportError as missing:
            raise UserError(f"{NEEDS} ({missing.name or missing})") from None
        try:
            made: Any = distributed.Client
            self._client: Any = made(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(f"no Dask scheduler answers at {address}: {error}") from None
        self.workers: Sequence[str] = sorted(self._client.scheduler_info(n_workers=-1)["workers"])

    def facts(self, name: str) -> Facts:
        """Return what a worker is. Raises WorkerLost."""
        found: Facts = self._ask(name, worker.facts, timeout=_FACTS_S)
        return found

    def execute(self, name: str, request: Request, tell: Callable[[str], None]) -> Answer:  # noqa: ARG002 - a run's lines stay in the worker's log
        """Return how a run on a worker ended. Raises WorkerLost."""
        answer: Answer = self._ask(name, worker.execute, request)
        return answer

    def close(self) -> None:
        """Leave the cluster as it was."""
        self._client.close()

    def _ask(self, name: str, function: Callable[..., Any], *arguments: Any, timeout: float | None = None) -> Any:
        from distributed.scheduler import KilledWorker

        # Nobody else can take the task over, and it is not tried again: a second run would be another one.
        where = {"workers": [name], "allow_other_workers": False, "retries": 0, "pure": False}
        task = self._client.submit(function, *arguments, **where)
        try:
            return self._result(name, task, timeout)
        except KilledWorker:
            raise WorkerLost("its process died") from None
        except (OSError, TimeoutError, ImportError, AttributeError) as error:
            raise WorkerLost(f"{type(error).__name__}: {error}") from None
        finally:
            task.cancel()

    def _result(self, name: str, task: Any, timeout: float | None) -> Any:
        """Wait for a task as long as its worker is there: without it, Dask would wait for it to come back."""
        waited = 0.0
        while True:
            try:
                return task.result(timeout=1)
            except TimeoutError:
                waited += 1
            if name not in self._client.scheduler_info(n_workers=-1)["workers"]:
                raise WorkerLost("it left the cluster")
            if timeout is not None and waited > timeout:
                raise WorkerLost(f"no answer within {timeout:.0f} s")
