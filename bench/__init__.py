"""HOW a forward pass is timed and told: data, sweep, the one clock, results, comparison, report."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"


def _refuse_foreign_kernels() -> None:
    """Stop if another package called ``kernels`` hides ours: the name is taken on the package index."""
    import kernels

    ours = Path(__file__).resolve().parent.parent / "kernels"
    found = Path(kernels.__file__ or "").resolve().parent
    if found != ours:
        message = f"mlpbench needs its own package 'kernels' ({ours}), but {found} comes first: uninstall that one"
        raise ImportError(message)


_refuse_foreign_kernels()
