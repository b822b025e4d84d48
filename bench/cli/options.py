"""Options that several commands share: those of a `Request`, typed or from the settings file, and those of readers."""

import inspect
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.plan import PROFILES
from mlpbench.bench.plan.request import OPTIONS, Request, Settings, Taker, read_settings
from mlpbench.kernels import registry

#: What Typer raises for words it cannot read. Its library has moved between releases; its children have not.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]
#: Options that say what a command is asked for this once: no settings file has them.
ASKED_ONCE = {"help", "help-all", "version", "dry-run", "resume", "anyway", "keep", "traceback"}


def _runs(context: typer.Context) -> list[str]:
    """Return the runs that a shell can complete a word to, the newest first: it lists folders, and reads no file."""
    runs = Path(context.params.get("results") or "results").glob("*/[0-9]*T[0-9]*Z*")
    return ["latest", *sorted((run.name for run in runs if "." not in run.name), reverse=True)]


def sides(context: typer.Context) -> list[str]:
    """Return what a shell can complete a side of a comparison to: runs, and kernels of the latest of them."""
    return [*_runs(context), *registry.names()]


#: What a shell completes the texts of an option to.
_COMPLETED = {"kernels": registry.names, "profile": lambda: list(PROFILES)}


def settings_of(group: Any, name: str, folder: Path | None = None) -> Settings:
    """Return the settings of ``folder``, or of here, for a command of Typer's ``group``. Raises UserError."""

    def elsewhere(key: str) -> bool:
        return key in (names := group.list_commands(None)) or any(key in takers(group, other) for other in names)

    return read_settings(name, takers(group, name), elsewhere, folder)


@cache
def takers(group: Any, name: str) -> dict[str, Taker]:
    """Return the options of a command, as a settings file gives them, by key."""
    command, options = group.get_command(None, name), {}
    for option in command.params:
        key = next((text[2:] for text in option.opts if text.startswith("--")), str(option.name))
        if key not in ASKED_ONCE:
            many = getattr(option, "multiple", False) or option.nargs == -1
            check = partial(_check, command, option)
            options[key] = Taker(str(option.name), getattr(option, "is_flag", False), many, check)
    return options


def _check(command: Any, option: Any, value: Any) -> None:
    try:
        option.process_value(typer.Context(command, info_name=command.name), value)
    except USAGE_ERROR as wrong:
        raise UserError(str(getattr(wrong, "message", None) or wrong)) from None


def requests(*names: str, hidden: Collection[str] = ()) -> Callable[..., Any]:
    """Return what makes a command of a function whose first argument is a `Request`: with these fields as options.

    ``hidden``: those that ``--help-all`` shows, and ``--help`` does not.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        fields = [_parameter(name, hidden=name in hidden) for name in names]

        @wraps(function)
        def command(context: typer.Context, **options: Any) -> Any:
            return function(read(context, names), **{name: options[name] for name in options if name not in names})

        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [first, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*fields, *own))]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del command.__wrapped__  # its signature is another
        return command

    return decorated


def _parameter(name: str, *, hidden: bool) -> inspect.Parameter:
    """Return a field of `Request` as Typer takes an option, whose texts the request reads."""
    option = OPTIONS[name]
    field, flag = option.metadata, option.default is False
    more = {"help": field["help"], "autocompletion": _COMPLETED.get(name), "show_default": False, "hidden": hidden}
    more |= {} if flag else {"metavar": field["metavar"]}
    kind: Any = bool if flag else list[str] if field["many"] else Path if field["read"] is Path else str
    declared = typer.Option(field["flag"], **more) if field["flag"].startswith("--") else typer.Argument(**more)
    annotation: Any = Annotated[kind if flag else kind | None, declared]
    default = False if flag else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def read(context: typer.Context, names: Sequence[str]) -> Request:
    """Return the request of these options of a command, as they were typed and as the settings file has them."""
    words, settings = context.find_root().obj  # as `app.invoke` gives them
    sources = {name: getattr(context.get_parameter_source(name), "name", "") for name in names}
    typed = {name: context.params[name] for name, source in sources.items() if source == "COMMANDLINE"}
    return Request.of(typed, settings.get(str(context.info_name), {}), ("mlpbench", *words))


def read_run(context: typer.Context, words: Sequence[str]) -> Request:
    """Return the request of words for `mlpbench run` that another command was given."""
    root = context.find_root()
    command = root.command.get_command(root, "run")  # type: ignore[attr-defined]
    with command.make_context("run", list(words), parent=root) as parsed:
        if parsed.params["dry_run"]:
            raise UserError("--dry-run is an option of `mlpbench run` alone")
        return read(parsed, tuple(OPTIONS))


_RUNS = "Run folders, result files or run ids. Default: the latest."
Runs = Annotated[list[str] | None, typer.Argument(metavar="RUN", help=_RUNS, autocompletion=_runs)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show every case, and all notes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of the results.")]
_SLOWER = "Ask of each case whether it is slower by more than this: 5%, or 0.05."
FailIfSlower = Annotated[float | None, typer.Option(metavar="SHARE", parser=values.parse_threshold, help=_SLOWER)]
_FORMAT = "md, or github: annotations, and the table in the job's summary. Default: a table for people."
Format = Annotated[str | None, typer.Option(metavar="FORMAT", help=_FORMAT)]
