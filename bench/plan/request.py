"""What to measure, how, and where: one request, whoever makes it.

The command line, the settings file and Python name the same options. Each is a field of `Request`, and says how its
text is read: this is the only list of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.profiles import Profile
from mlpbench.bench.plan.settings import Settings, Taker, in_words, placed
from mlpbench.bench.plan.settings import read as read_settings
from mlpbench.bench.record.fields import MAX_INTEGER
from mlpbench.kernels.registry import nearest
from mlpbench.kernels.spec import ForwardSpec

#: What `Request.resume` says where no run is named.
NEWEST = "newest"
#: Data sets by name.
DATA = ("digits", "mnist", "random")


def _option(flag: str, text: str, read: Callable[[str], Any] = str, default: Any = None, metavar: str = "NAME") -> Any:
    """Return a field that is an option. ``text``: its help; ``read`` makes its value of what is typed.

    A field whose default is a tuple may be repeated, and ``read`` returns a list; one whose default is False is a flag.
    """
    many = default == ()
    return field(default=default, metadata={"flag": flag, "help": text, "read": read, "metavar": metavar, "many": many})


def _whole(what: str, least: int, most: int) -> Callable[[str], int]:
    return partial(values.parse_whole, what=what, least=least, most=most)


def _alone(text: str) -> list[str]:
    return [text]


def _read_data(text: str) -> str:
    if text not in DATA:
        raise UserError(f"unknown data {text!r}{nearest(text, list(DATA))}; there are {', '.join(DATA)}")
    return text


@dataclass(frozen=True)
class Request:
    """What to measure, how, and where. The defaults are those of a run that names nothing.

    ``command``: the words that asked for it, and ``from_file``: the options that a settings file gave, by their places
    in it; both are recorded. ``audit``: whether each process also asks what a kernel changes around it.
    """

    kernels: tuple[str, ...] = _option(
        "kernels",
        "Kernels by name, ./mine.py:fast or array-api:torch; default: all that are available, without peers and "
        "other packages' kernels; of `run` those that most know, such as numpy and numba (--all: all).",
        _alone,
        (),
        "KERNEL",
    )
    peers: bool = _option("--peers", "Also every installed peer, such as ONNX Runtime or PyTorch.", default=False)
    every: bool = _option("--all", "Every kernel that can run here, not only those that most know.", default=False)
    spec: tuple[ForwardSpec, ...] = _option(
        "--spec",
        "Sizes of the layers, and activations: 784-100-10:relu/identity. May be repeated: an axis of the sweep. "
        "Default: 784-50-100-10:sigmoid/softmax.",
        lambda text: [ForwardSpec.parse(text)],
        (),
        "SIZES",
    )
    dtype: tuple[str, ...] = _option(
        "--dtype",
        "float32 or float64; both (float32,float64) are an axis of the sweep. Default: float32.",
        lambda text: values.parse_dtypes([text]),
        (),
        "DTYPE",
    )
    data: str | None = _option(
        "--data", "digits (ship with mlpbench), mnist, or random. Default: digits where they fit.", _read_data
    )
    model: Path | None = _option(
        "--model",
        "Weights: .npz, or the book's .pkl. Or a network: .onnx, .safetensors. Default: those shipped.",
        Path,
        None,
        "FILE",
    )
    profile: Profile = _option(
        "--profile",
        "smoke, quick, full, book or gpu: the grid and its budget. Default: quick.",
        profiles.profile,
        profiles.PROFILES["quick"],
    )
    batch_size: tuple[int, ...] = _option(
        "--batch-size",
        "Rows per call, or all; may be repeated. Default: the profile's.",
        lambda text: [values.parse_batch_size(text)],
        (),
        "N",
    )
    threads: tuple[int, ...] = _option(
        "--threads",
        "Threads of every library; several (1,2) are an axis of the sweep. Default: all.",
        lambda text: values.parse_threads([text]),
        (),
        "N",
    )
    env: tuple[str, ...] = _option(
        "--env",
        "A Python environment to measure, its folder or interpreter; several are an axis of the sweep.",
        _alone,
        (),
        "NAME=PATH",
    )
    device: str | None = _option(
        "--device",
        "The GPU to use: its index, or its UUID as `nvidia-smi -L` shows it. Default: the first that is visible.",
        metavar="CARD",
    )
    repeats: int | None = _option(
        "--repeats", "Run exactly this many processes per kernel.", _whole("repeats", 1, 1000), metavar="N"
    )
    budget_s: float | None = _option(
        "--budget",
        "Repeat for this long, such as 90s or 2m; default: the profile's (quick: 65s).",
        values.parse_budget,
        None,
        "TIME",
    )
    seed: int | None = _option(
        "--seed",
        "Seed of the running order; default: a new one, recorded.",
        _whole("seed", 0, MAX_INTEGER),
        metavar="N",
    )
    p99_s: float | None = _option(
        "--p99",
        "Find the largest batch with a p99 under this, such as 5ms. Times single calls of every batch size.",
        values.parse_duration,
        None,
        "TIME",
    )
    resume: str | None = _option(
        "--resume",
        "Run what is missing of a run's plan. Default: the newest run of this machine that has stopped.",
        metavar="[RUN]",
    )
    results: Path = _option("--results", "Folder of the results. Default: results.", Path, Path("results"), "DIR")
    command: tuple[str, ...] = ()
    from_file: Mapping[str, str] = field(default_factory=dict)
    audit: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any], settings: Settings, command: Sequence[str]) -> Self:
        """Return the request of fields that somebody gave, as texts or lists of them, and those of a settings file.

        What is given wins, also over its rival. Raises UserError for values that no option takes, and for options that
        contradict each other.
        """
        usual = {name: value for name, value in settings.values.items() if name in OPTIONS and name not in given}
        if "resume" in given:
            usual = {name: value for name, value in usual.items() if name == "results"}
            if against := sorted(given.keys() - {"resume", "results", "env", "device"}):
                what = OPTIONS[against[0]].metadata["flag"] if against[0] != "kernels" else "naming kernels"
                raise UserError(f"{what} contradicts --resume: a run that is resumed keeps to its plan")
        for name, rival in (("repeats", "budget_s"), ("budget_s", "repeats")):
            if name in given:
                usual.pop(rival, None)
        if {"repeats", "budget_s"} <= {*usual, *given}:
            raise UserError("--repeats is an exact number, --budget lets it grow: give one of them")
        chosen = {name: _read(name, value) for name, value in given.items()}
        for name, value in usual.items():
            with placed(settings.places[name]):
                chosen[name] = _read(name, value)
        from_file = {settings.places[name]: in_words(value) for name, value in usual.items()}
        return cls(**chosen, from_file=from_file, command=tuple(command))


#: The options: fields of `Request` by name.
OPTIONS = {option.name: option for option in fields(Request) if option.metadata}
#: Their names by what Python and a settings file call them: as they are typed, with ``_`` for ``-``.
NAMES = {option.metadata["flag"].removeprefix("--").replace("-", "_"): name for name, option in OPTIONS.items()}


def from_python(options: Mapping[str, Any], command: Sequence[str]) -> Request:
    """Return the request of options as Python has them, beside those of the settings file for `mlpbench run`.

    None counts as not given. Raises UserError for an unknown option, and for a value that it does not take.
    """
    for key in options:
        if key not in NAMES:
            raise UserError(f"there is no option {key!r}{nearest(key, list(NAMES))}")
    takers = {
        key.replace("_", "-"): Taker(name, OPTIONS[name].default is False, OPTIONS[name].metadata["many"])
        for key, name in NAMES.items()
        if name != "resume"
    }
    settings = read_settings("run", takers, lambda _: True)
    given = {NAMES[key]: value for key, value in options.items() if value is not None}
    return Request.of(given, settings, command)


def _read(name: str, value: Any) -> Any:
    """Return the value of a field from a text, a number, a path, or a list of them."""
    option, key = OPTIONS[name], next(key for key, named in NAMES.items() if named == name)
    if (option.default is False) != isinstance(value, bool):
        raise UserError(f"{key}: expected {'True or False' if option.default is False else 'a value'}, got {value!r}")
    if isinstance(value, bool):
        return value
    given = list(value) if isinstance(value, list | tuple) else [value]
    if len(given) != 1 and not option.metadata["many"]:
        raise UserError(f"{key}: expected one value, got {value!r}")
    parsed = [option.metadata["read"](str(text)) for text in given]
    return tuple(chain.from_iterable(parsed)) if option.metadata["many"] else parsed[0]
