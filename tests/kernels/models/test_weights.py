"""Weights in files. A pickle that does more than hold arrays is refused, and what it would have done did not happen."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
import struct
import zipfile
from functools import reduce

import numpy as np
import pytest

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.models.weights import (
    MAX_OPCODES,
    RefusedPickle,
    load_params,
    read_arrays,
    save_params,
)
from mlpbench.kernels.params import TRAINED_FILE, hand_worked
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from support.refusals import refusal

SPEC = ForwardSpec((4, 3, 2))


def arrays(spec=SPEC, dtype="float32"):
    """Return parameters of ``spec`` under the book's names."""
    params = seeded(spec).astype(dtype)
    named: dict[str, np.ndarray] = {}
    for number, (W, b) in enumerate(zip(params.weights, params.biases, strict=True), start=1):
        named |= {f"W{number}": W, f"b{number}": b}
    return named


def write(folder, named, suffix, protocol=None):
    path = folder / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **named)
    else:
        path.write_bytes(pickle.dumps(named, protocol))
    return path


def refuses(path, words="", spec=SPEC):
    refusal(ParamsError, f"^weights {re.escape(str(path))}: .*{words}", load_params, path, spec)


@pytest.mark.parametrize("protocol", [None, *range(pickle.HIGHEST_PROTOCOL + 1)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", ">u2", ">f4", ">f8"])
def test_arrays_come_back_with_their_dtype_contiguous_and_native(tmp_path, protocol, order, dtype):
    """Files are told apart by content, and other entries are ignored. None: not a pickle."""
    positive = {name: np.abs(60 * array) for name, array in arrays().items()}
    named = {name: np.asarray(array, dtype, order=order)[::-1] for name, array in positive.items()}
    suffix = ".npz" if protocol is None else ".pkl"
    more = {"epochs": np.array(3), "Wave": np.ones(2)}
    path = write(tmp_path, named | more, suffix, protocol).rename(tmp_path / "a.bin")
    params = load_params(path, SPEC)
    for number in (1, 2):
        W, b = params.weights[number - 1], params.biases[number - 1]
        np.testing.assert_array_equal(W, named[f"W{number}"])
        np.testing.assert_array_equal(b, named[f"b{number}"])
        assert W.dtype == b.dtype == np.dtype(dtype).newbyteorder("=")
        assert W.flags.c_contiguous


def test_saved_weights_come_back_with_what_was_said_of_them_and_failed_saving_leaves_what_was_there(tmp_path):
    path = tmp_path / "weights.npz"
    written = []
    for _ in range(2):
        save_params(path, hand_worked(), accuracy=0.5, made_by="a test")
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert load_params(path, HAND_WORKED).sha256() == hand_worked().sha256()
    with np.load(path, allow_pickle=False) as stored:
        assert json.loads(str(stored["meta"])) == {"accuracy": 0.5, "made_by": "a test"}
    refusal(ParamsError, "cannot write weights", save_params, tmp_path / "nowhere" / "weights.npz", hand_worked())
    with pytest.raises(TypeError):
        save_params(path, hand_worked(), what=object())
    assert path.read_bytes() == written[0]
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npz"]


def test_shipped_weights_are_those_of_the_books_network():
    params = load_params(TRAINED_FILE, MNIST)
    readme = (TRAINED_FILE.parent / "README.md").read_text()
    assert params.sizes == MNIST.sizes
    assert params.weights[0].dtype == np.float32
    assert params.sha256() in readme
    with np.load(TRAINED_FILE, allow_pickle=False) as stored:
        assert str(json.loads(str(stored["meta"]))["accuracy_test"]) in readme


@pytest.mark.parametrize("suffix", [".npz", ".pkl", ".txt"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80", b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_bytes_that_are_no_weights(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    refuses(path)


TERABYTE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (131072, 1048576)}".ljust(117) + b"\n"


def flip_a_bit(path):
    np.savez(path, **arrays())
    data = bytearray(path.read_bytes())
    data[data.index(arrays()["W1"].tobytes()) + 5] ^= 1
    path.write_bytes(data)


def large(path):
    path.touch()
    os.truncate(path, 10**8)


def archive_of(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W1.npy", content)
    assert path.stat().st_size < 10**6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _path: None, "no such file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (flip_a_bit, "damaged"),
        (lambda path: archive_of(path, b"\0" * 10**8), "unpacks to 100000000 bytes"),
        (lambda path: archive_of(path, b"\x93NUMPY\x01\x00v\x00" + TERABYTE), "damaged"),
        (lambda path: np.savez(path, **{**arrays(), "W1": np.array([[{}]], dtype=object)}), "Python objects"),
        (large, "far too many"),
    ],
    ids=range(7),
)
def test_what_is_no_weights_file_is_told(tmp_path, make, words):
    make(tmp_path / "weights.npz")
    refuses(tmp_path / "weights.npz", words)


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W1": np.ones((3, 4), "f4")}, "W1 has shape (3, 4), 4-3-2 needs (4, 3)"),
        ({"b2": np.ones((1, 2), "f4")}, "b2 has shape (1, 2), 4-3-2 needs (2,)"),
        ({"b1": np.array([1, np.nan, 2], "f4")}, "b1 holds NaN or infinity"),
        ({"W2": np.full((3, 2), -np.inf)}, "W2 holds NaN or infinity"),
        ({"W2": np.full((3, 2), 1e300)}, "W2 holds numbers too large for float32"),
        ({"b1": None, "W2": None}, "4-3-2 needs b1, W2, which it does not hold; it holds W1, b2"),
        ({"W3": np.ones((2, 2)), "b3": np.ones(2)}, "it also holds W3, b3: more layers than 4-3-2 has"),
        ({"b1": np.zeros(3, "bool")}, ""),
        ({"b1": np.zeros(3, "complex64")}, ""),
        ({"b1": np.zeros(3, "U3")}, ""),
        ({"b1": np.zeros(3, "longdouble")}, ""),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, suffix, change, words):
    named = {name: array for name, array in (arrays() | change).items() if array is not None}
    refuses(write(tmp_path, named, suffix), re.escape(words))


# Pickles

NAMED = {"W1": np.arange(6, dtype="f4").reshape(2, 3), "b1": np.ones(3, "f8")}


class Runs:
    """Creates a file when it is unpickled, as a trap would."""

    def __init__(self, path, call):
        self.path, self.call = path, call

    def __reduce__(self):
        return self.call, (str(self.path), "w") if self.call is open else (f"touch {self.path}",)


def test_numpy_1_and_2_name_their_modules_differently_and_python_2_wrote_bytes_as_text():
    written = pickle.dumps(NAMED, 3)
    other = written.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert other != written
    np.testing.assert_array_equal(read_arrays(other)["W1"], NAMED["W1"])
    # As Python 2.7 with NumPy 1.16 does: protocol 2, ``str`` for keys, type code and data.
    values = np.array([1.5, -2.0], "<f4")
    pickled = (
        b"\x80\x02}q\x00U\x02b1q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f4q\nK\x00K\x01\x87q\x0bRq\x0c"
        b"(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x08"
        + values.tobytes()
        + b"q\x0ftq\x10bs."
    )
    np.testing.assert_array_equal(read_arrays(pickled)["b1"], values)


@pytest.mark.parametrize("call", [open, os.system])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_wherever_it_hides_and_did_not_run(tmp_path, call, protocol):
    trap = tmp_path / "it-ran"
    path = tmp_path / "sample_weight.pkl"
    path.write_bytes(pickle.dumps({**NAMED, "W2": Runs(trap, call)}, protocol))
    refuses(path, r"refused as a pickle: it asks for \w+\.(open|system), and only NumPy", ForwardSpec((2, 3)))
    hidden = Runs(trap, call)
    for nest in ([NAMED, (hidden,)], {"W1": {"deeper": [hidden]}}, {hidden: NAMED["W1"]}):
        refusal(RefusedPickle, "", read_arrays, pickle.dumps(nest, protocol))
    refusal(RefusedPickle, "", read_arrays, pickle.dumps({"W1": np.array([hidden], dtype=object)}, protocol))
    assert not trap.exists()
    sprung = pickle.loads(path.read_bytes())["W2"]  # the trap is real
    if call is open:
        sprung.close()
    assert trap.exists()


#: Programs that ask for what is not admitted, and those that bend what is.
ASKING = (
    b"cos\nsystem\n(S'exit'\ntR.",  # GLOBAL, REDUCE
    b"(S'exit'\nios\nsystem\n.",  # INST
    b"(cos\nsystem\nS'exit'\no.",  # OBJ
    b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
    b"\x80\x02cnumpy\nload\n.",
    b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.",
    b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",  # a way through an attribute
    b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
)
BENDING = (
    b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",  # REDUCE: an array without data
    b"\x80\x02cnumpy\nndarray\nK\x05\x85\x81.",  # NEWOBJ
    b"\x80\x04cnumpy\nndarray\nK\x05\x85}\x92.",  # NEWOBJ_EX
    b"\x80\x02cnumpy\nndarray\n}S'__doc__'\nS'x'\nsb.",  # BUILD on a function
    b"\x80\x02cnumpy\ndtype\nN}S'__call__'\nNs\x86b.",  # BUILD with the state of slots
    b"\x80\x02\x82\x01.",  # EXT1
    b"\x80\x02S'1'\nQ.",  # BINPERSID
    b"P1\n.",  # PERSID
    b"\x80\x05\x97.",  # NEXT_BUFFER
    b"\x80\x02c_codecs\nencode\nS'x'\nS'idna'\n\x86R.",  # another codec
    b"\x80\x02}U\x02b1cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs.",  # not filled
)


def forged(dtype=b"f4", state=None, shape=(2,), data=b"\0" * 8):
    """Return a pickle of one array with parts of one's choice."""
    state = (3, "<", None, None, None, -1, -1, 0) if state is None else state

    def part(value):
        return pickle.dumps(value, 2)[2:-1]  # without its first and last opcode

    kind = b"U" + bytes([len(dtype)]) + dtype
    return (
        b"\x80\x02}U\x02b1cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + part(shape)
        + (b"cnumpy\ndtype\n" + kind + b"K\x00K\x01\x87R" + part(state) + b"b")
        + (b"\x89" + part(data) + b"tbs.")
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"dtype": b"O"}, "not numbers"),
        ({"dtype": b"f4,f4"}, "not numbers"),
        ({"dtype": b"U9999"}, "not numbers"),
        ({"state": (3, "<", None, ("x",), {"x": 1}, 8, 1, 16)}, "structured"),
        ({"state": (3, "<", ("f4", 9), None, None, 8, 1, 16)}, "structured"),
        ({"state": ()}, "structured"),
        ({"state": (3, "?", None, None, None)}, "byte order"),
        ({"shape": (10**12,)}, "8 bytes of data"),
        ({"shape": (-2,)}, "shape"),
        ({"shape": 2}, "shape"),
        ({"shape": (2**63, 2**63)}, "8 bytes of data"),
        ({"data": b"1234567"}, "7 bytes of data"),
        ({"data": [1.0, 2.0]}, "not numbers"),
        ({"data": None}, "not numbers"),
    ],
)
def test_forged_parts_never_reach_numpy(parts, words):
    np.testing.assert_array_equal(read_arrays(forged())["b1"], [0, 0])  # the forger can write a good one
    refusal(RefusedPickle, words, read_arrays, forged(**parts))


OTHERS = (None, [NAMED], NAMED["W1"], {"W1": [[1.0]]}, {1: NAMED["W1"]}, {"W1": None})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((program, "it asks for .* only NumPy arrays are admitted") for program in ASKING),
        *((program, "") for program in BENDING),
        (b"}r" + struct.pack("<I", 2**31 - 1) + b".", "far too long"),  # a place in the memo that takes CPython 32 GB
        (b"}p-1\n.", "far too long"),
        (b"(" * (MAX_OPCODES + 1) + b".", "far too long"),
        (b")" + b"\x85" * (MAX_OPCODES + 1) + b".", "far too long"),  # tuples nested until the C stack is full
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.", ""),  # bytes that claim an exabyte
        (b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"}.", ""),
        (b"L" + b"9" * 100_000 + b"L\n.", ""),
        (b"}" + b")" + b"\x85" * (MAX_OPCODES - 10) + b"Ns.", ""),  # a name that nests nearly as deep as is admitted
        (pickle.dumps({"W1": reduce(lambda laughs, _: [laughs, laughs], range(60), NAMED["b1"])}), "is not an array"),
        *((pickle.dumps(thing), "") for thing in OTHERS),
    ],
    ids=itertools.count(),
)
def test_other_programs_bombs_and_other_things_are_refused(data, words):
    refusal(RefusedPickle, words, read_arrays, data)
