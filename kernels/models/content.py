"""What a file says of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mlpbench.kernels.params import Params


class Network(NamedTuple):
    """What a file says: parameters, and activations as `ForwardSpec` takes them, None where it says nothing of them."""

    params: Params
    hidden: str | None = None
    output: str | None = None
