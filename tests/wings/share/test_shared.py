"""The file of `mlpbench share`: what it holds, what it never holds, and that a forged one is refused in one line."""

import json
import shutil

import pytest
from msgspec.structs import replace

from mlpbench.bench.analysis import judge
from mlpbench.bench.record import write
from mlpbench.bench.wings.share import shared
from mlpbench.bench.wings.share.shared import SharedFile
from support import simulate
from support.sources import ROOT
from support.terminal import called, complaint, refusal

REFERENCE = ROOT / "results" / (ROOT / "results" / "reference.txt").read_text(encoding="utf-8").split()[0]
HANDED_IN = sorted((ROOT / "results" / "shared").glob("*"))


@pytest.fixture(scope="module")
def head():
    return shared.make(judge.read(REFERENCE)[0])


def written(folder, head):
    path = folder / "a.json"
    path.write_bytes(write.as_bytes(SharedFile(head)))
    return path


def signed(head, **changes):
    """Return a file with changes, as somebody who knows how the digest is made would forge it."""
    changed = replace(head, **changes)
    return replace(changed, sha256=changed.digest())


@pytest.mark.parametrize("path", HANDED_IN, ids=[path.name for path in HANDED_IN])
def test_what_was_handed_in_is_as_share_wrote_it_and_can_be_true(path):
    assert path.name.endswith(".json")
    assert shared.read(path).cases


def test_it_is_read_back_and_is_small_and_says_nothing_of_a_host_or_a_user(tmp_path, head):
    path = written(tmp_path, head)
    assert shared.read(path) == head
    assert path.stat().st_size < shared.MOST
    (run,) = judge.read(REFERENCE)
    assert run.environment.machine.host not in path.read_text()
    environment = simulate.environment(
        machine={"host": "c0ffee"}, variables={"HOME": "/home/bob"}, libraries={"bobs-kernels": "1"}
    )
    times = {("numpy", "batched", 100): 2e-6, ("numpy", "per_sample", 100): 2e-5}
    bobs = simulate.write_run(
        tmp_path, times, environment=environment, plan_changes={"command": ["/home/bob/mlpbench"]}
    )
    text = json.dumps(shared.make(simulate.read(bobs)).as_dict())
    assert not [secret for secret in ("bob", "c0ffee", str(tmp_path)) if secret in text]


def faster(head):
    case = replace(head.cases[0], sample_s=1e-12, interval_s=None)
    return {"cases": (case, *head.cases[1:])}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (faster, "arithmetic alone takes"),
        (lambda head: {"roofs": ()}, "no roof to check it by"),
        (lambda head: {"spec": "7"}, "spec: "),
        (lambda head: {"refusals": ("x" * 9000,) * 5}, "40000|larger"),
    ],
)
def test_a_file_that_cannot_be_true_is_refused_though_its_digest_is_right(tmp_path, capsys, head, change, said):
    path = written(tmp_path, signed(head, **change(head)))
    line = complaint(*called(capsys, "reproduce", path))
    assert str(path) in line
    assert any(part in line for part in said.split("|")), line


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace('"threads": 2', '"threads": 3', 1), "wrong digest"),
        (lambda text: text.replace('"kind"', '"more": 1,\n  "kind"', 1), "unknown field `more`"),
        (lambda text: text.replace('"mlpbench"', '"more": 1,\n "mlpbench"', 1), "wrong digest"),
        (lambda text: text[:100], "not JSON"),
        (lambda text: "", "not JSON"),
    ],
)
def test_a_file_that_share_did_not_write_is_refused(tmp_path, head, spoil, said):
    path = written(tmp_path, head)
    path.write_text(spoil(path.read_text()))
    assert said in refusal(shared.read, path)


def test_the_command_shows_what_it_writes_and_never_writes_over_a_file(tmp_path, capsys):
    results = tmp_path / "results"
    shutil.copytree(REFERENCE, results / REFERENCE.parent.name / REFERENCE.name)
    file = tmp_path / "mine.json"
    words = ("share", REFERENCE.name, "-o", file, "--results", results)
    status, out, err = called(capsys, *words)
    assert (status, out.strip()) == (0, file.read_text().strip())
    assert "nothing was uploaded" in err
    before = file.read_bytes()
    assert "is there already" in complaint(*called(capsys, *words))
    assert file.read_bytes() == before


def test_a_kernel_of_ones_own_is_not_shared(tmp_path):
    run = simulate.write_run(tmp_path, {("mine.fast", "batched", 100): 2e-6})
    assert "mine.fast is your own" in refusal(shared.make, simulate.read(run))
