"""What to measure, how, and where: one request, whoever makes it, in words, in Python or in a settings file.

Each option is a field of `Request`, and says how its text is read: this is the only list of them. The settings file of
a team is ``mlpbench.toml``, or the table ``[tool.mlpbench]`` of ``pyproject.toml``, here or above as far as the
repository reaches. A key is an option without its dashes; in a table named as a command it is for that command alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.plan import PROFILES, Profile, profile
from mlpbench.bench.record.fields import MAX_INTEGER
from mlpbench.bench.record.untrusted import MAX_LINE, in_short, read_toml
from mlpbench.kernels.registry import nearest, one_of
from mlpbench.kernels.spec import ForwardSpec

#: The settings files, and where in them settings are.
FILES: dict[str, tuple[str, ...]] = {"mlpbench.toml": (), "pyproject.toml": ("tool", "mlpbench")}
#: Options that are paths, which are meant from where the file is.
PATHS = {"model", "output", "path", "results", "sources", "ssh"}
#: What `Request.resume` says where no run is named.
NEWEST = "newest"
#: Data sets by name.
DATA = ("digits", "mnist", "random")
#: What ``--help`` says of each option.
HELP = {
    "kernels": "Names, ./mine.py:fast or array-api:torch. Default: what can run, of `run` the usual ones; no peers.",
    "--peers": "Also every installed peer, such as ONNX Runtime or PyTorch.",
    "--all": "Every kernel that can run here, not only those that most know.",
    "--spec": "Layers and activations, or a name (higgs); may be repeated. Default: 784-50-100-10:sigmoid/softmax.",
    "--dtype": "float32 or float64; both (float32,float64) are an axis of the sweep. Default: float32.",
    "--data": "digits (ship with mlpbench), mnist, or random. Default: digits where they fit.",
    "--model": "Weights: .npz, or the book's .pkl. Or a network: .onnx, .safetensors. Default: those shipped.",
    "--profile": "smoke, quick, full, book or gpu: the grid and its budget. Default: quick.",
    "--batch-size": "Rows per call, or all; may be repeated. Default: the profile's.",
    "--threads": "Threads of every library; several (1,2) are an axis of the sweep. Default: all.",
    "--env": "A Python environment to measure, its folder or interpreter; several are an axis of the sweep.",
    "--device": "The GPU to use: its index, or its UUID as `nvidia-smi -L` shows it. Default: the first visible.",
    "--repeats": "Run exactly this many processes per kernel.",
    "--budget": "Repeat for this long, such as 90s or 2m; default: the profile's (quick: 65s).",
    "--seed": "Seed of the running order; default: a new one, recorded.",
    "--p99": "Find the largest batch with a p99 under this, such as 5ms. Times single calls of every batch size.",
    "--resume": "Run what is missing of a run's plan. Default: the newest run of this machine that has stopped.",
    "--results": "Folder of the results. Default: results.",
}


def _option(flag: str, metavar: str, read: Callable[[str], Any] = str, default: Any = None) -> Any:
    """Return a field that is an option; ``read`` makes its value of what is typed.

    A field whose default is a tuple may be repeated, and ``read`` returns a list; one whose default is False is a flag.
    """
    more = {"flag": flag, "help": HELP[flag], "read": read, "metavar": metavar, "many": default == ()}
    return field(default=default, metadata=more)


class Taker(NamedTuple):
    """An option: its name in the program, and what it takes. ``check`` raises for what its command would refuse."""

    name: str
    flag: bool
    many: bool
    check: Callable[[Any], object] = bool

    def typed(self, value: Any) -> Any:
        """Return a value of TOML or of Python as it is typed: a text, a list of them, or of a flag True or False.

        Raises UserError for one that the option does not take.
        """
        given = list(value) if isinstance(value, list | tuple) else [value]
        kinds = all(isinstance(i, str | int | float | PathLike) and isinstance(i, bool) == self.flag for i in given)
        if not given or not kinds or (len(given) > 1 and not self.many):
            expected = "true or false" if self.flag else "texts or numbers" if self.many else "one text or number"
            raise UserError(f"expected {expected}, got {in_short(repr(value))}")
        if self.flag:
            return given[0]
        return list(map(str, given)) if self.many else str(given[0])


#: What a settings file says to one command: the values of its options as they are typed, and their places in it.
Settings = Mapping[str, tuple[Any, str]]


@dataclass(frozen=True)
class Request:
    """What to measure, how, and where. The defaults are those of a run that names nothing.

    ``command``: the words that asked for it, and ``from_file``: the options that a settings file gave, by their places
    in it; both are recorded. ``audit``: whether each process also asks what a kernel changes around it.
    """

    kernels: tuple[str, ...] = _option("kernels", "KERNEL", lambda text: [text], ())
    peers: bool = _option("--peers", "", default=False)
    every: bool = _option("--all", "", default=False)
    spec: tuple[ForwardSpec, ...] = _option("--spec", "SIZES", lambda text: [ForwardSpec.parse(text)], ())
    dtype: tuple[str, ...] = _option("--dtype", "DTYPE", values.parse_dtypes, ())
    data: str | None = _option("--data", "NAME", partial(one_of, "data", known=DATA))
    model: Path | None = _option("--model", "FILE", Path)
    profile: Profile = _option("--profile", "NAME", profile, PROFILES["quick"])
    batch_size: tuple[int, ...] = _option("--batch-size", "N", lambda text: [values.parse_batch_size(text)], ())
    threads: tuple[int, ...] = _option("--threads", "N", values.parse_threads, ())
    env: tuple[str, ...] = _option("--env", "NAME=PATH", lambda text: [text], ())
    device: str | None = _option("--device", "CARD")
    repeats: int | None = _option("--repeats", "N", partial(values.parse_whole, what="repeats", least=1, most=1000))
    budget_s: float | None = _option("--budget", "TIME", partial(values.parse_duration, no_unit=1.0))
    seed: int | None = _option("--seed", "N", partial(values.parse_whole, what="seed", least=0, most=MAX_INTEGER))
    p99_s: float | None = _option("--p99", "TIME", values.parse_duration)
    resume: str | None = _option("--resume", "[RUN]")
    results: Path = _option("--results", "DIR", Path, Path("results"))
    command: tuple[str, ...] = ()
    from_file: Mapping[str, str] = field(default_factory=dict)
    audit: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any], settings: Settings, command: Sequence[str]) -> Self:
        """Return the request of fields that somebody gave, as texts or lists of them, and those of a settings file.

        What is given wins, also over its rival. Raises UserError for values that no option takes, and for options that
        contradict each other.
        """
        rivals = {"repeats": "budget_s", "budget_s": "repeats"}
        usual = {name: found for name, found in settings.items() if name in OPTIONS}
        usual = {name: found for name, found in usual.items() if not given.keys() & {name, rivals.get(name)}}
        if "resume" in given:
            usual = {name: found for name, found in usual.items() if name == "results"}
            if against := sorted(given.keys() - {"resume", "results", "env", "device"}):
                what = OPTIONS[against[0]].metadata["flag"]
                raise UserError(f"{what} and --resume contradict each other: a run that is resumed keeps to its plan")
        if {"repeats", "budget_s"} <= {*usual, *given}:
            raise UserError("--repeats is an exact number, --budget lets it grow: give one of them")
        chosen = {name: _read(name, value) for name, value in given.items()}
        for name, (value, where) in usual.items():
            with placed(where):
                chosen[name] = _read(name, value)
        from_file = {where: in_words(value) for value, where in usual.values()}
        return cls(**chosen, from_file=from_file, command=tuple(command))


def _read(name: str, value: Any) -> Any:
    """Return the value of a field from what was typed: a text, a list of them, or of a flag True or False."""
    how = OPTIONS[name].metadata
    if how["many"]:
        return tuple(chain.from_iterable(how["read"](text) for text in value))
    return value if isinstance(value, bool) else how["read"](str(value))


#: The options: fields of `Request` by name.
OPTIONS = {option.name: option for option in fields(Request) if option.metadata}
#: What each takes, by what a settings file and, with ``_`` for ``-``, Python call it.
_TAKERS = {
    option.metadata["flag"].removeprefix("--"): Taker(option.name, option.default is False, option.metadata["many"])
    for option in OPTIONS.values()
}


def from_python(options: Mapping[str, Any], command: Sequence[str]) -> Request:
    """Return the request of options as Python has them, beside those of the settings file for `mlpbench run`.

    None counts as not given. Raises UserError for an unknown option, and for a value that it does not take.
    """
    takers, given = {key.replace("-", "_"): taker for key, taker in _TAKERS.items()}, {}
    for key, value in options.items():
        taker = takers[one_of("option", key, takers)]
        if value is not None:
            with placed(key):
                given[taker.name] = taker.typed(value)
    in_file = {key: taker for key, taker in _TAKERS.items() if key != "resume"}
    return Request.of(given, read_settings("run", in_file, lambda _: True), command)


def read_settings(
    command: str, takers: Mapping[str, Taker], elsewhere: Callable[[str], bool], folder: Path | None = None
) -> Settings:
    """Return the settings of ``folder``, or of here, for a command, whose options are ``takers`` by key.

    ``elsewhere`` says whether a key is another command, or an option of one. Raises UserError, with file and key, for
    an unknown key and for a value that its option does not take.
    """
    found: dict[str, tuple[Any, str]] = {}
    file, settings = find_settings(folder)
    if file is None:
        return found
    for path, value in settings.items():  # those of all commands come first
        tables = path[len(FILES[file.name]) : -1]
        is_ours = tables in ((), (command,))
        *above, key = path if is_ours else path[:-1]
        where = f"{file}: {'.'.join(map(in_short, (*above, key)))}"
        if key not in takers and (tables == (command,) or not elsewhere(key)):
            raise UserError(f"{where}: there is no such option or command{nearest(key, sorted(takers))}")
        if is_ours and key in takers:
            taker = takers[key]
            with placed(where):
                typed = taker.typed(value)
                taker.check(typed)
            if key in PATHS:
                paths = [str(file.parent / values.home(Path(text))) for text in (typed if taker.many else [typed])]
                typed = paths if taker.many else paths[0]
            found[taker.name] = typed, where
    return found


def find_settings(folder: Path | None = None) -> tuple[Path | None, dict[tuple[str, ...], Any]]:
    """Return the settings file of ``folder``, or of here, and its values by their keys: None and none without a file.

    It is the nearest one up to the folder of the repository, or the one that is here where there is no repository.
    """
    start = folder or Path()
    here = start.resolve()
    folders = [here, *here.parents]
    steps = next((steps for steps, above in enumerate(folders) if (above / ".git").exists()), 0)
    for file in (start.joinpath(*[".."] * step, name) for step in range(steps + 1) for name in FILES):
        table = read_toml(file, *FILES[file.name]) if file.is_symlink() or file.exists() else None
        if isinstance(table, dict):
            tables = {name: own for name, own in table.items() if isinstance(own, dict)}
            keys = {(key,): value for key, value in table.items() if key not in tables}
            keys |= {(name, key): value for name, own in tables.items() for key, value in own.items()}
            return file, {(*FILES[file.name], *path): value for path, value in keys.items()}
        if table is not None:
            raise UserError(f"{file}: tool.mlpbench: expected a table, got {in_short(repr(table))}")
    return None, {}


def in_words(value: Any) -> str:
    """Return the value of an option as people write it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Begin the errors of a block with the place of a key."""
    try:
        yield
    except UserError as wrong:
        raise UserError(f"{where}: {in_short(str(wrong), MAX_LINE)}") from None
