"""The command line: what commands there are, and what becomes of an error."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mlpbench import __version__
from mlpbench.bench.cli.console import INTERRUPTED, complain
from mlpbench.bench.cli.options import USAGE_ERROR, settings_of
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.plan.request import NEWEST
from mlpbench.bench.registered import wings

BAD_INPUT, NOTHING_COMPARABLE = 2, 3
#: What shells give a command that a closed pipe ended: no success, and no verdict either.
UNREAD = 141
#: Why stdout may take no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

HELP_ALL = "--help-all"
ASK_HELP = {"-h", "--help", HELP_ALL, "-V", "--version"}
#: Set by the shell that asks how a word goes on.
COMPLETES = "_MLPBENCH_COMPLETE"

#: Each command: its function, what it does, and its panel in the help. Those of wings follow.
COMMANDS = {
    "run": ("mlpbench.bench.cli.run:run", "Time kernels one image at a time and in batches.", "Measure"),
    "check": ("mlpbench.bench.cli.check:check", "Compare kernels with the float64 reference.", "Measure"),
    "report": ("mlpbench.bench.cli.report:report", "Make a document from saved results.", "Read"),
    "compare": ("mlpbench.bench.cli.compare:compare", "Compare two runs, or two kernels of one run.", "Read"),
    "list": ("mlpbench.bench.cli.list:list_kernels", "Show the kernels, and whether each can run here.", "Set up"),
    "env": ("mlpbench.bench.cli.list:env", "Show what every result is recorded with.", "Set up"),
    **{
        name: (f"{wing.__name__}.{function}", summary, panel)
        for wing in wings()
        for name, (function, summary, panel) in getattr(wing, "COMMANDS", {}).items()
    },
}
#: Words that are not their own are kernels and options of `run`.
_PASS_ON = ("ab", "fleet")
_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The commands by name. The module of a command is imported when it is asked for, and not before."""

    def list_commands(self, context: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, context: Any, name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """Return a command, None for a name that is none."""
        if name in COMMANDS and name not in self.commands:
            module, _, function = COMMANDS[name][0].partition(":")
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            passes_on = {"ignore_unknown_options": True, "allow_extra_args": True} if name in _PASS_ON else {}
            alone.command(name, context_settings={**_HELP, **passes_on})(getattr(import_module(module), function))
            command = _without_types(typer.main.get_command(alone))
            command.help = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
            self.commands[name] = command
        return self.commands.get(name)

    def format_help(self, context: Any, formatter: Any) -> None:
        """Show what each command does, and import none of them."""
        shown = {name: {"help": summary, "rich_help_panel": panel} for name, (_, summary, panel) in COMMANDS.items()}
        self.commands = {name: TyperCommand(name, **how) for name, how in shown.items()}
        super().format_help(context, formatter)


def _without_types(command: Any) -> Any:
    """Let help name no type of Python's, and none behind an option that takes no word."""
    for option in command.get_params(typer.Context(command, **_HELP)):
        option.display_type = lambda _: None
        if getattr(option, "is_flag", False):
            option.metavar = ""
    return command


app = typer.Typer(cls=Commands, context_settings=_HELP, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("-V", "--version", help="Print the version.", is_eager=True)] = False,
    no_settings: Annotated[bool, typer.Option("--no-settings", help="Read no settings file.")] = False,  # noqa: ARG001 - `invoke` asks before
) -> None:
    """Measure how much faster a neural network is in batches than one image at a time, kernel by kernel."""
    if version:
        print(f"mlpbench {__version__}")  # noqa: T201
        raise typer.Exit


def with_a_run(typed: Sequence[str]) -> list[str]:
    """Return what was typed, with `NEWEST` behind a ``--resume`` that stands alone."""
    pairs = zip(typed, [*typed[1:], "-"], strict=False)
    return [f"{word}={NEWEST}" if word == "--resume" and after.startswith("-") else word for word, after in pairs]


def invoke(words: Sequence[str]) -> None:
    """Run a command with the settings file that there is. Raises what the command raises, or Typer for bad words."""
    group = _without_types(typer.main.get_command(app))
    name = next(iter(words), "")
    asks_help = ASK_HELP & set(words)
    # Whoever asks for help is not told what is wrong with a file.
    read = [] if asks_help or name not in COMMANDS else [name, "run"] if name in _PASS_ON else [name]
    of_file = {command: settings_of(group, command) for command in read}
    for option in group.get_command(None, name).params if HELP_ALL in asks_help and name in COMMANDS else ():
        option.hidden = False
    typed = ["--help" if word == HELP_ALL else word for word in words or ["--help"]]
    defaults = {command: {name: value for name, (value, _) in found.items()} for command, found in of_file.items()}
    # What Typer does besides would turn Ctrl-C and a closed pipe into its own exit codes, without a word.
    with group.make_context("mlpbench", typed, default_map=defaults, obj=(words, of_file)) as context:
        group.invoke(context)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Bad input ends with one line on stderr and status 2, whatever it was."""
    words = with_a_run(list(sys.argv[1:] if arguments is None else arguments))
    status = 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # whoever reads ASCII gets "?" for a sign that is none
    if COMPLETES in os.environ:
        typer.main.get_command(app).main(words, prog_name="mlpbench")
    try:
        invoke(words)
        sys.stdout.flush()
    except UserError as error:
        complain(str(error))
        status = NOTHING_COMPARABLE if isinstance(error, NothingComparable) else BAD_INPUT
    except typer.Exit as ended:
        status = ended.exit_code
    except USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "mlpbench"
        complain(f"{error.format_message().removesuffix('.')}: `{command} --help` shows what there is")
        status = BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        status = INTERRUPTED
    except (OSError, SystemExit) as error:  # Rich exits where the reader, `head` perhaps, has seen enough
        status = UNREAD
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            if error.errno not in FULL:
                raise
            complain(f"cannot write: {error.strerror}")
            status = BAD_INPUT
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes once more
    sys.exit(status)
