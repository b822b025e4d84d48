"""The figures of README and docs are those of the committed reference runs."""

import reference
import update_readme as script

from support.processes import python


def test_the_figures_are_those_of_the_reference_runs():
    ran = python(script.__file__, "--check")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_part_has_one_place_in_one_page():
    """Else a part would be left out, or what stands between two marks never be written again."""
    texts = [page.read_text(encoding="utf-8") for page in script.PAGES]
    assert sorted(part["name"] for text in texts for part in script.PART.finditer(text)) == sorted(script.parts())
    assert sum(text.count("<!-- figures of ") for text in texts) == 2 * len(script.parts())


def test_the_readme_is_short():
    assert len(script.README.read_text(encoding="utf-8").splitlines()) <= 100, "scripts/budget.py counts its words"


def test_the_reference_is_what_the_program_says():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()
