"""Random specifications for hypothesis."""

from hypothesis import strategies as st

from mlpbench.kernels.spec import ForwardSpec


def specs(max_size: int = 70, max_layers: int = 4, dtypes: tuple[str, ...] = ("float32", "float64")):
    """Any specification: odd widths, one layer, one neuron, every activation and dtype."""
    return st.builds(
        ForwardSpec,
        st.lists(st.integers(1, max_size), min_size=2, max_size=max_layers + 1).map(tuple),
        st.sampled_from(("sigmoid", "relu", "step")),
        st.sampled_from(("softmax", "identity")),
        st.sampled_from(dtypes),
    )
