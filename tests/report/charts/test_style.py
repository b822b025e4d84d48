"""What kernels look like: the same everywhere, readable on both grounds, told apart by eyes of all kinds."""

from itertools import combinations

import numpy as np
import pytest

from mlpbench.bench.report.charts import style
from mlpbench.kernels import registry
from support.browsing import contrast

OURS = [*registry.usual(), "numba-simd-new"]
KNOWN = [*OURS, *registry.peers()]
#: What an eye makes of linear RGB. G. Machado, M. Oliveira and L. Fernandes, "A Physiologically-based Model for
#: Simulation of Color Vision Deficiency", IEEE TVCG 15 (2009), severity 1.
EYES = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def rgb(colour):
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def oklab(colour, eye):
    """Return a colour as an eye sees it, where distances are those that it sees. B. Ottosson, "Oklab" (2020)."""
    share = np.array(rgb(colour)) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eye]) @ linear, 0, 1)
    lms = np.array(
        [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.10739696], [0.08830246, 0.28171884, 0.62997870]]
    )
    back = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.97799850, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return back @ np.cbrt(lms @ seen)


def colour(look, theme):
    return style.colours(theme)[look.colour.removeprefix("var(--").removesuffix(")")]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_kernel_stands_out_from_the_page(theme):
    names = [*KNOWN, *(f"other-{number}" for number in range(40))]
    for one in style.series(names):
        assert contrast(rgb(colour(one, theme)), rgb(style.colours(theme)["surface"])) > 3, one.name


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_ours_are_told_apart_by_colour_and_all_by_their_marks(theme, eye):
    looks = style.series(KNOWN)
    assert len({one.shape for one in looks}) == len(KNOWN)
    seen = {one.name: oklab(colour(one, theme), eye) for one in looks}
    for one, other in combinations(OURS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > (0.09 if eye == "usual" else 0.02), (one, other)


def test_a_look_depends_on_the_name_alone():
    for names in (KNOWN, KNOWN[::-1], ["numba"]):
        assert style.series(["numba"])[0] in style.series(names)
    (mine,) = style.series(["my-kernel"])
    assert mine in style.series(["numpy", "my-kernel"])
    assert mine.colour.startswith("var(--other-"), "a colour that none of ours has"
    sheet = style.stylesheet("dark")
    for one in style.series([*KNOWN, "my-kernel"]):
        assert f"{one.colour.removeprefix('var(').removesuffix(')')}: #" in sheet
