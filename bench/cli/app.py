"""The command line: what commands there are, and what becomes of an error."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from mlpbench import __version__
from mlpbench.bench.cli import settings
from mlpbench.bench.cli.ab import ab
from mlpbench.bench.cli.audit import audit
from mlpbench.bench.cli.calibrate import calibrate
from mlpbench.bench.cli.check import check, new
from mlpbench.bench.cli.compare import compare, history
from mlpbench.bench.cli.console import INTERRUPTED, complain
from mlpbench.bench.cli.data import fetch, show
from mlpbench.bench.cli.explain import explain
from mlpbench.bench.cli.export import export
from mlpbench.bench.cli.list import env, list_kernels
from mlpbench.bench.cli.machines import fleet, merge
from mlpbench.bench.cli.report import report
from mlpbench.bench.cli.resuming import with_a_run
from mlpbench.bench.cli.run import run
from mlpbench.bench.cli.settings import USAGE_ERROR, Invocation, Settings
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.kernels.errors import ParamsError, SpecError, UnknownKernel

BAD_INPUT = 2
NOTHING_COMPARABLE = 3
#: Why stdout may take no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
UNREAD = 141  # what shells give a command that a closed pipe ended: no success, and no verdict either

ASK_HELP = {"-h", "--help", "-V", "--version"}
#: Set by the shell that asks how a word goes on.
COMPLETES = "_MLPBENCH_COMPLETE"

app = typer.Typer(
    help="Measure how much faster a neural network is in batches than one image at a time, kernel by kernel.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("list")(list_kernels)
_COMMANDS = (check, audit, new, run, report, compare, explain, history, merge, export, calibrate, env, fetch, show)
for command in _COMMANDS:
    app.command()(command)
# Words that are not their own are kernels and options of `run`.
_OF_RUN = {"ignore_unknown_options": True, "allow_extra_args": True}
app.command(context_settings=_OF_RUN)(ab)
app.command(context_settings=_OF_RUN)(fleet)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("-V", "--version", help="Print the version.", is_eager=True)] = False,
    no_settings: Annotated[bool, typer.Option("--no-settings", help="Read no settings file.")] = False,  # noqa: ARG001 - `invoke` asks before
) -> None:
    """Measure how much faster a neural network is in batches than one image at a time, kernel by kernel."""
    if version:
        print(f"mlpbench {__version__}")  # noqa: T201
        raise typer.Exit


def _show_flags_as_flags(group: Any) -> None:
    """Let help name no type behind an option that takes no word: ``--json true`` is an error."""
    for command in (group, *group.commands.values()):
        context = typer.Context(command, help_option_names=["-h", "--help"])
        for option in command.get_params(context):
            if getattr(option, "is_flag", False):
                option.metavar = ""


def invoke(words: Sequence[str]) -> None:
    """Run a command with the settings file that there is. Raises what the command raises, or Typer for bad words."""
    group = typer.main.get_command(app)
    _show_flags_as_flags(group)
    # Whoever asks for help is not told what is wrong with a file.
    unread = not words or words[0] == "--no-settings" or ASK_HELP & set(words)
    found = Settings() if unread else settings.read(group).beside(words)
    # What Typer does besides would turn Ctrl-C and a closed pipe into exit codes of its own, without a word.
    with group.make_context(
        "mlpbench", list(words) or ["--help"], default_map=dict(found.values), obj=Invocation(words, found)
    ) as context:
        group.invoke(context)


def _complete(words: list[str]) -> None:
    """Answer the shell that asks how a word goes on; what is wrong with a settings file is for another time."""
    group = typer.main.get_command(app)
    with suppress(UserError):
        found = settings.read(group)
        group.main(words, prog_name="mlpbench", default_map=dict(found.values))
    group.main(words, prog_name="mlpbench")


def _drop_what_is_unread() -> None:
    """Let what Python flushes once more go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Bad input ends with one line on stderr and status 2, whatever it was."""
    words = with_a_run(list(sys.argv[1:] if arguments is None else arguments))
    status = 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # whoever reads ASCII gets "?" for a sign that is none
    if COMPLETES in os.environ:
        _complete(words)
    try:
        invoke(words)
        sys.stdout.flush()
    except (UserError, SpecError, ParamsError, UnknownKernel) as error:
        complain(str(error))
        status = NOTHING_COMPARABLE if isinstance(error, NothingComparable) else BAD_INPUT
    except typer.Exit as ended:
        status = ended.exit_code
    except USAGE_ERROR as error:
        complain(f"{error.format_message()} Try `mlpbench --help`.")
        status = BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        status = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # the reader, `head` perhaps, has seen enough; Rich exits then
        _drop_what_is_unread()
        status = UNREAD
    except OSError as error:
        if error.errno not in FULL:
            raise
        _drop_what_is_unread()
        complain(f"cannot write: {error.strerror}")
        status = BAD_INPUT
    sys.exit(status)
