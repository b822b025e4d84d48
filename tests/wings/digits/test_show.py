"""One digit in the terminal, and as JSON."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from mlpbench.bench.data import datasets
from mlpbench.bench.wings.digits import show
from mlpbench.kernels.spec import HAND_WORKED, MNIST
from support.terminal import called, refusal

#: What a network says that is sure of a digit.
SURE = np.eye(10)


@pytest.fixture(scope="module")
def digits():
    return datasets.digits()


def printed(index, dataset, probabilities, *, plain=True):
    """Return what a console writes of an image."""
    console = Console(width=80, record=True, file=io.StringIO(), color_system=None if plain else "truecolor")
    console.print(show.picture(show.as_dict(index, dataset, probabilities), plain=plain))
    return console.export_text(styles=not plain)


def test_piped_it_is_ascii_and_the_digit_can_be_seen(digits):
    one = int(np.flatnonzero(digits.labels == 1)[0])
    text = printed(one, digits, SURE[1])
    assert text.isascii()
    assert f"digits, image {one} (0 to 999): label 1, the network says 1 (right)" in text
    lines = text.splitlines()
    assert len(lines) == 2 + 14
    assert max(map(len, lines)) <= 80
    ink = np.array([[character != " " for character in line[:28].ljust(28)] for line in lines[2:]])
    drawn = digits.images[one].reshape(14, 2, 28).mean(axis=1)
    assert ink[drawn > 60].all()
    assert not ink[drawn == 0].any()


def test_pixels_are_characters_or_in_a_terminal_greys(digits):
    gradient = datasets.Dataset("test", np.linspace(0, 255, 784).astype(np.uint8)[None], None, "")
    text = printed(0, gradient, SURE[0])
    picture = "".join(line[:28].ljust(28) for line in text.splitlines()[2:16])
    levels = [show.RAMP.index(character) for character in picture]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, len(show.RAMP) - 1)
    text = printed(0, digits, SURE[7], plain=False)
    assert text.count("▀") == 28 * 14
    for value in np.unique(digits.images[0]):
        assert f"{value};{value};{value}" in text


def test_bars_and_marks_tell_label_and_answer(digits):
    label = int(digits.labels[0])
    answer = (label + 1) % 10
    probabilities = np.full(10, 0.25 / 9)
    probabilities[answer] = 0.75
    rows = [line[28:].split() for line in printed(0, digits, probabilities).splitlines()[3:13]]
    assert [row[0] for row in rows] == [str(n) for n in range(10)]
    assert rows[answer][1:] == ["0.7500", "#" * 12, "answer"]
    assert rows[label][1:] == ["0.0278", "label"]
    assert "(wrong)" in printed(0, digits, probabilities)
    assert "nan" in printed(0, digits, np.full(10, np.nan)), "a broken network is shown as well"


def test_data_without_labels():
    random = datasets.random(MNIST, rows=3)
    assert "random, image 2 (0 to 2): the network says 4\n" in printed(2, random, SURE[4])
    facts = show.as_dict(0, random, SURE[4])
    assert (facts["label"], facts["right"], facts["answer"]) == (None, None, 4)


def test_the_command_has_all_of_it_as_json(digits, capsys):
    status, out, _ = called(capsys, "show", "3", "--json")
    facts = json.loads(out)
    assert (status, facts["index"], facts["data"], facts["sha256"]) == (0, 3, "digits", digits.sha256)
    assert facts["label"] == facts["answer"] == digits.labels[3]
    assert facts["right"] is True
    assert sum(facts["probabilities"]) == pytest.approx(1)
    np.testing.assert_array_equal(facts["pixels"], digits.images[3].reshape(28, 28))


def test_rows_that_are_no_images(digits):
    for index in (-1, 1000, 10**9):
        said = refusal(show.check_index, index, digits)
        assert said == f"there is no image {index}: digits has rows 0 to 999"
    assert "no images" in refusal(show.check_index, 0, datasets.random(HAND_WORKED, rows=1))
