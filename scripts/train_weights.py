"""Train the weights that ship with the project, kernels/data/mnist.npz (`pip install -e '.[train]'`).

    python scripts/train_weights.py            train, measure and write the file
    python scripts/train_weights.py --check    train again and compare accuracy with the committed file's; exit 1
                                               if it differs by more than the tolerance

scikit-learn's MLPClassifier learns the training rows of bench/data/digits.npz, each as it is and moved by one pixel
in the eight directions: 36,000 images made from 4,000. The settings were chosen on 800 of the training rows, held
out; the test rows measure the result and decide nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from mlpbench.bench.data import datasets
from mlpbench.kernels import reference
from mlpbench.kernels.models.weights import META, load_params, save_params
from mlpbench.kernels.params import TRAINED_FILE, Params
from mlpbench.kernels.spec import MNIST

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 0
EPOCHS = 40

#: On one machine, with the versions that the file names, accuracy is the same to the last row. Another BLAS, or the
#: same one on a processor for which it has other code, rounds differently, and forty epochs make of that other weights
#: of the same quality: ten rows of a thousand may then differ.
TOLERANCE = 0.01


def moved(images: NDArray[Any]) -> NDArray[Any]:
    """Return the images (n, 784) nine times: as they are and moved by one pixel in each direction, (9 n, 784)."""
    side = datasets.SIDE
    padded = np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    views = [padded[:, dy : dy + side, dx : dx + side] for dy in range(3) for dx in range(3)]
    return np.concatenate(views).reshape(-1, side * side)


def train(data: datasets.Dataset, epochs: int = EPOCHS) -> Params:
    """Return the float32 parameters of 784-50-100-10 that scikit-learn learns from ``data``, the same each time."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        hidden_layer_sizes=MNIST.sizes[1:-1],
        activation="logistic",
        alpha=0.1,
        learning_rate_init=3e-3,
        batch_size=256,
        max_iter=epochs,
        n_iter_no_change=epochs,
        tol=0.0,
        random_state=SEED,
    )
    if data.labels is None:
        raise ValueError(f"{data.name} data have no labels to learn")
    x, t = moved(data.inputs(np.float32)), np.tile(data.labels, 9)
    # One thread: BLAS splits sums differently on another number of cores.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after a set number of epochs, as meant
        model.fit(x, t)
    params = Params(tuple(model.coefs_), tuple(model.intercepts_)).astype(np.float32)
    return Params(tuple(map(without_subnormals, params.weights)), params.biases)


def without_subnormals(W: NDArray[Any]) -> NDArray[Any]:
    """Return ``W`` with zeros for what is smaller than the smallest normal number.

    Weight decay leaves such weights where no image has a pixel. Other inputs have: a processor that multiplies
    subnormal numbers in microcode then takes many times as long (an Intel Xeon 14 times), and that would be timed.
    """
    return np.where(np.abs(W) < np.finfo(W.dtype).tiny, W.dtype.type(0), W)


def accuracy(params: Params, data: datasets.Dataset) -> float:
    """Return the share of the rows of ``data`` that the float64 reference puts into the right class."""
    outputs = reference.forward(MNIST, params, data.inputs(np.float32))
    return float(np.mean(outputs.argmax(axis=1) == data.labels))


def describe(params: Params) -> dict[str, Any]:
    """Return what the file says about itself: accuracies, seed, data, and the versions that it was made with."""
    import sklearn

    train_rows, test_rows = datasets.digits("train"), datasets.digits("test")
    return {
        "accuracy_test": accuracy(params, test_rows),
        "accuracy_train": accuracy(params, train_rows),
        "rows_test": len(test_rows),
        "rows_train": len(train_rows),
        "sha256_train": train_rows.sha256,
        "spec": str(MNIST),
        "seed": SEED,
        "epochs": EPOCHS,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "made_by": "scripts/train_weights.py",
    }


def load_meta(path: Path) -> dict[str, Any]:
    """Return what `save_params` was given beside the weights."""
    with np.load(path, allow_pickle=False) as stored:
        meta: dict[str, Any] = json.loads(str(stored[META]))
    return meta


def check(path: Path, params: Params) -> bool:
    """Print how the accuracy of ``params`` compares with the file's, and say whether it is the same within tolerance.

    What the file claims is measured again too: a claim that its own weights do not bear out fails.
    """
    test_rows = datasets.digits("test")
    claimed = float(load_meta(path)["accuracy_test"])
    stored, again = accuracy(load_params(path, MNIST), test_rows), accuracy(params, test_rows)
    print(f"accuracy on the test rows: file says {claimed}, its weights reach {stored}, trained again {again}")
    return stored == claimed and abs(again - stored) <= TOLERANCE


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the committed file, write nothing")
    parser.add_argument("--out", type=Path, default=TRAINED_FILE, help="the file (default: the committed one)")
    options = parser.parse_args(argv)
    params = train(datasets.digits("train"))
    if options.check:
        same = check(options.out, params)
        print(f"reproduced (tolerance {TOLERANCE})" if same else f"NOT reproduced (tolerance {TOLERANCE})")
        return 0 if same else 1
    facts = describe(params)
    save_params(options.out, params, **facts)
    print(f"wrote {options.out.name}: {options.out.stat().st_size} bytes, test accuracy {facts['accuracy_test']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
