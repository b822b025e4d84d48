"""What follows a product on the CPU: a bias and an activation, or a softmax, in the place of the products."""

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np

from mlpbench.kernels import reference
from mlpbench.kernels.cuda import programs
from mlpbench.kernels.spec import Activation, ForwardSpec
from support.on_cpu.programs import Launched

#: Units in the last place of 1, or of the result where that is larger, that a result may be off by: the device's erf
#: and tanh have as many, and a few operations follow.
ULPS = 4


@dataclass(frozen=True)
class Products:
    """Products and a bias of one layer, and what may come of them; ``activation`` is None for softmax.

    It stands where a network stands for `Launched`: ``spec`` has the shape, inputs are products.
    """

    width: int
    activation: Activation | None = None
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.activation or 'softmax'} {self.width} {self.dtype}"

    @property
    def spec(self) -> ForwardSpec:
        return ForwardSpec((self.width, self.width), dtype=self.dtype)

    @property
    def programs(self) -> tuple[programs.Program, ...]:
        if self.activation is None:
            return (programs.bias_softmax(self.width, self.dtype),)
        return (programs.bias_activation(self.width, self.dtype, self.activation),)

    @cached_property
    def params(self) -> SimpleNamespace:
        return SimpleNamespace(bias=np.random.default_rng(self.width).normal(size=self.width).astype(self.dtype))

    def inputs(self, rows: int) -> np.ndarray:
        """Return products: of both signs, small and large, and in one column such that the sum with the bias is 0."""
        x = np.random.default_rng(rows).normal(scale=3, size=(rows, self.width)).astype(self.dtype)
        x[rows // 2] *= 40
        x[:, -1] = -self.params.bias[-1]
        return x

    def expected(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right outputs, how far each may be off, and that all can be judged."""
        function = reference.softmax if self.activation is None else reference.hidden(self.activation)
        right = function(x + self.params.bias)
        return right, ULPS * np.finfo(self.dtype).eps * np.maximum(1, np.abs(right)), np.ones(right.shape, bool)


class Replaced(Launched):
    """A program that writes its results where the products were."""

    def _packed(self) -> np.ndarray:
        return self.network.params.bias

    def _before(self, x: np.ndarray) -> np.ndarray:
        return np.array(x)

    def _launch(self, x: np.ndarray, y: np.ndarray, rows: int) -> tuple:
        return (self.program.grid(rows),), (self.program.block,), (y, self.packed, np.int64(rows))

    def in_large(self, x: np.ndarray, y: np.ndarray, rows: int) -> None:
        first = (self.program.grid(rows) - 1) * self.program.rows_per_block
        y[first:] = x[first:]
        super().in_large(x, y, rows)
