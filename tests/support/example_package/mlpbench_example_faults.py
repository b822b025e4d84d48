"""Three kernels that are wrong on purpose: one gives wrong numbers, one raises, one kills its process."""

import os
import signal

import numpy as np
from mlpbench_example import NumpyWideKernel

#: More rows than the gate ever gives: up to here the last two kernels are right, and the sweep finds out.
ENOUGH_ROWS = 150


class NumpyNoBiasKernel(NumpyWideKernel):
    """Forgets the biases, as a kernel may whose author tried it on weights without any."""

    def forward(self, x):
        z = x.astype(np.float64)
        for W, _, activation in self._layers:
            z = activation(z @ W)
        return z.astype(self.spec.np_dtype)


class NumpyRaisesKernel(NumpyWideKernel):
    """Runs out of memory in large batches and says so."""

    def forward(self, x):
        if len(x) > ENOUGH_ROWS:
            raise MemoryError(f"no room for {len(x)} rows")
        return super().forward(x)


class NumpyDiesKernel(NumpyWideKernel):
    """Takes its process with it in large batches, as a crash in compiled code does."""

    def forward(self, x):
        if len(x) > ENOUGH_ROWS:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
