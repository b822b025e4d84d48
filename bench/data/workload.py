"""What a run computes: the specification, its parameters and its inputs, as the user's options name them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import ALL_ROWS
from mlpbench.bench.data import datasets
from mlpbench.bench.data.datasets import Dataset
from mlpbench.bench.errors import UserError
from mlpbench.kernels import conformance
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.models import network
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import TRAINED_FILE, Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec


@dataclass(frozen=True)
class Options:
    """The options that say what is computed, as texts; None where not given. ``model`` may name the network, too."""

    spec: str | None = None
    dtype: str = MNIST.dtype
    data: str | None = None
    model: str | None = None

    def arguments(self) -> list[str]:
        """Return them as pytest takes them, without those that are not given."""
        return [f"--{name}={text}" for name, text in vars(self).items() if text is not None]


@dataclass(frozen=True)
class Workload:
    """A specification with its parameters and data. ``rows`` inputs are timed, repeated where there are fewer."""

    options: Options
    rows: int = ALL_ROWS

    @cached_property
    def spec(self) -> ForwardSpec:
        """The specification that is named, else the model's, else the book's. Raises SpecError and ParamsError."""
        text, model = self.options.spec, self.options.model
        if text is None:
            text = (network.spec_of(Path(model)) if model and network.is_network(Path(model)) else MNIST).text
        return ForwardSpec.parse(text, dtype=self.options.dtype)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set that is named, else the digits where they fit, else random rows. Raises UserError."""
        name = self.options.data or ("digits" if self.spec.n_in == MNIST.n_in else "random")
        return datasets.load(name, self.spec, rows=self.rows)

    @cached_property
    def weights_source(self) -> str:
        """Where the parameters come from: a file, "trained" (ships with the project) or "seeded" (random)."""
        if self.options.model is not None:
            return self.options.model
        if (self.spec.sizes, self.spec.hidden, self.spec.output) != (MNIST.sizes, MNIST.hidden, MNIST.output):
            return "seeded"
        if self.options.data != "mnist":
            return "trained"
        book = datasets.data_folder() / datasets.WEIGHTS_FILE  # where `mlpbench fetch` puts them
        return str(book) if book.is_file() else "trained"

    def read_params(self) -> Params:
        """Return the parameters, as stored, read again. Raises ParamsError."""
        if (source := self.weights_source) == "seeded":
            return seeded(self.spec, seed=0)
        return load_params(TRAINED_FILE if source == "trained" else Path(source), self.spec)

    params = cached_property(read_params)

    @cached_property
    def inputs(self) -> NDArray[Any]:
        """The timed inputs: (rows, n_in), C-contiguous, in the specification's dtype, scaled to [0, 1]."""
        return self.dataset.inputs(self.spec.np_dtype, self.rows)

    @property
    def repeated(self) -> bool:
        """Whether rows of the data set are repeated to fill ``rows``."""
        return self.rows > len(self.dataset)

    def gate(self, kernel_class: type[Kernel], kernel: Kernel) -> conformance.Conformance:
        """Hold a kernel against the reference, on data that catch mistakes and what is timed. Raises NonConforming."""
        own = self.params if self.weights_source == "seeded" else None
        checked = conformance.check(kernel_class, self.spec, 0, own)
        batched = conformance.agree(kernel, self.params, self.inputs, rows=101)
        singly = conformance.agree(kernel, self.params, self.inputs, singly=True, rows=conformance.SINGLE_ROWS)
        return checked.merge(batched).merge(singly)

    def accuracy(self, kernel: Kernel) -> dict[str, Any]:
        """Return the share of rows that a kernel classifies right, one by one and in the book's batches, or why not."""
        labels, reason = self.dataset.labels, None
        if labels is None:
            reason = f"{self.dataset.name} data have no labels"
        elif self.weights_source == "seeded":
            reason = "seeded weights are random: accuracy means nothing"
        elif self.spec.n_out != MNIST.n_out:
            reason = f"the labels are of {MNIST.n_out} classes, the outputs of {self.spec.n_out}"
        if labels is None or reason:
            return {"per_sample": None, "batched": None, "rows": 0, "reason": reason}
        x = self.dataset.inputs(self.spec.np_dtype)
        one, many = (float(np.mean(conformance.predict(kernel, x, size) == labels)) for size in (None, 100))
        return {"per_sample": one, "batched": many, "rows": len(labels), "reason": None}

    @property
    def book_rows(self) -> int:
        """Rows that the book's cell infers: MNIST's as they are, of the others as many as are timed."""
        return len(self.dataset) if self.dataset.name == "mnist" else self.rows

    @property
    def book_reads(self) -> str:
        """What the book's cell reads."""
        both = self.dataset.name == "mnist" and len(self._halves()) == 2
        return f"MNIST's training half, and {self.dataset.source}" if both else self.dataset.source

    def read_again(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and labels straight from their files; MNIST's as the book's ``load_mnist`` makes them."""
        if self.dataset.name == "mnist":
            for part in self._halves():
                data = datasets.mnist(part)
                x = data.images.astype(np.float32)
                x /= 255.0
            x = np.ascontiguousarray(x, self.spec.np_dtype)
        else:
            data = datasets.load(self.dataset.name, self.spec, rows=self.rows)
            x = data.inputs(self.spec.np_dtype, self.rows)
        labels = data.targets(len(x))
        return x, np.zeros(len(x), np.uint8) if labels is None else labels

    def _halves(self) -> tuple[datasets.Part, ...]:
        """Return the halves of MNIST that are there: the book's ``load_mnist`` returns both, and its cell drops one."""
        try:
            datasets.mnist_files("train")
        except UserError:
            return ("test",)
        return ("train", "test")

    def facts(self) -> tuple[ForwardSpec, tuple[str, int, str, str], tuple[str, str]]:
        """Return the specification; name, rows, hash and source of the data; source and hash of the weights."""
        data = self.dataset
        of_data = data.name, len(data.images), data.sha256, data.source
        return self.spec, of_data, (Path(self.weights_source).name, self.params.sha256())
