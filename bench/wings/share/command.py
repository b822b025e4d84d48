"""`mlpbench share` and `mlpbench reproduce`: a run in one small file, and what it says once more, here."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import read as read_run
from mlpbench.bench.api import run as runs_
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results
from mlpbench.bench.cli.run import carry_out
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.machine.child import scratch
from mlpbench.bench.plan import request as requests
from mlpbench.bench.record.write import as_bytes, write_bytes
from mlpbench.bench.wings.share import again, shared
from mlpbench.bench.wings.share.shared import SharedFile

_RUN = Annotated[str, typer.Argument(metavar="[RUN]", help="Folder or id of a run. Default: the latest.")]
_OUTPUT = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: RUN.json.")]
_KERNELS = Annotated[list[str] | None, typer.Argument(metavar="KERNEL", help="Some of its kernels. Default: all.")]
_REPEATS = Annotated[int | None, typer.Option(min=2, max=100, help="Processes for each kernel. Default: the file's.")]


def share(run: _RUN = "latest", output: _OUTPUT = None, results: Results = Path("results")) -> None:
    """Write one file of at most 40 kB with what a run found, and show it. Nothing is uploaded.

    To hand it in, put it into results/shared/ and open a pull request.

    Example: mlpbench share latest -o my-machine.json
    """
    (path,) = console.resolve([run], results)
    found = read_run(path)
    if len(found) > 1:
        raise UserError(f"{path}: a sweep over several settings: name the folder of one")
    head = shared.make(found[0])
    content = as_bytes(SharedFile(head))
    if len(content) > shared.MOST:
        raise UserError(f"{head.run}: {len(content):,} bytes, and {shared.MOST:,} are allowed: share fewer kernels")
    file = output or Path(f"{head.run}.json")
    write_bytes(file, content)
    console.out().print(Text(content.decode()))
    console.say(
        f"wrote {len(content):,} bytes to {file}; nothing was uploaded: docs/machines.md says how to hand it in"
    )


def reproduce(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `mlpbench share` wrote.")],
    kernels: _KERNELS = None,
    repeats: _REPEATS = None,
    results: Results = Path("results"),
) -> None:
    """Measure again what a shared file holds, with its versions, and say whether that was reproduced.

    Where versions differ, uv or pip makes an environment with those of the file. Exit 0 if it was reproduced, or is
    faster here; 1 if a case is slower here, 3 if it cannot run here, 4 if no case has an interval.

    Example: mlpbench reproduce results/shared/my-machine.json
    """
    head = shared.read(path)
    chosen = again.choose(head, kernels or ())
    wanted = again.requirements(head, chosen)
    with scratch() if wanted else nullcontext(Path()) as folder, runs_.ended_by_request():
        try:
            environment = again.environment(folder / "again", wanted) if wanted else None
            with environment or nullcontext() as made:
                options = again.options(head, chosen, repeats) | {"results": str(results)}
                options |= {"env": [f"shared={made.python}"]} if made else {}
                request = requests.from_python(options, ["mlpbench", "reproduce", str(path)])
                carried = carry_out(request, runs_.plan(request))
                if not carried.finished:
                    raise typer.Exit(console.INTERRUPTED)
                (run,) = read_run(carried.folder)
        except UserError as reason:
            raise NothingComparable(f"cannot reproduce {path}: {reason}") from None
    verdict = again.judge(head, run)
    for case in verdict.cases:
        console.out().print(Text(str(case)))
    console.out().print(Text(verdict.sentence, "bold"), soft_wrap=True)
    console.say(f"results are in {carried.folder}; {words.things(len(verdict.cases), 'case')} compared")
    if verdict.status:
        raise typer.Exit(verdict.status)
