"""The README's figures are those of the committed reference runs."""

import subprocess
import sys

from sources import ROOT


def test_the_figures_are_those_of_the_reference_runs():
    script = ROOT / "scripts" / "update_readme.py"
    ran = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
