"""Numba kernels with explicit vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernels.base import Kernel

if TYPE_CHECKING:
    from kernels.params import Params
    from kernels.spec import ForwardSpec

_Array = NDArray[Any]


class NumbaSimdKernel(Kernel):
    backend = "numba"
    distributions = ("numba",)

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from kernels.simd import layers, network, packing
        from kernels.simd.shape import host_shape

        codes = {"identity": layers.IDENTITY, "sigmoid": layers.SIGMOID, "relu": layers.RELU, "step": layers.STEP,
                 "softmax": layers.SOFTMAX}
        activations = [codes[spec.hidden]] * (spec.n_layers - 1) + [codes[spec.output]]
        self._shape = host_shape(spec.np_dtype.itemsize)
        self._network = packing.build(spec, self.params, self._shape, activations, self._threads())
        self._address = self._network.address
        self._serial = network.compiled(spec.dtype, "serial")
        self._one = network.compiled(spec.dtype, "single")
        self._largest = self._out = np.empty((1, spec.n_out), spec.np_dtype)
        self._row = np.empty(spec.n_out, spec.np_dtype)

    def _threads(self) -> int:
        return 1

    def _out_of(self, x: _Array) -> _Array:
        """Return the output buffer for ``x``."""
        if len(x) != len(self._out):
            if len(x) > len(self._largest):
                self._largest = np.empty((len(x), self.spec.n_out), self.spec.np_dtype)
            self._out = self._largest[: len(x)]
        return self._out

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        out = self._out_of(x)
        self._serial(x, self._address, out)
        return out

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        self._one(x, self._address, self._row)
        return self._row
