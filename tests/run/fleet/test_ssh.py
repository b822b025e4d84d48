"""The list of hosts: what it may say, and one line for what it may not."""

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.run.fleet import ssh


def test_a_list_of_hosts(tmp_path):
    path = tmp_path / "hosts.toml"
    path.write_text('[hosts.a]\naddress = "10.0.0.1"\n[hosts.b]\naddress = "b.example"\nport = 2222\nuser = "me"\n')
    found = ssh.read(path)
    assert list(found) == ["a", "b"]
    assert (found["a"].port, found["a"].python) == (22, "python3")
    assert (found["b"].port, found["b"].user) == (2222, "me")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hosts.a]\nadress = 'x'\n", "adress"),
        ("[hosts.a]\nport = 22\n", "address"),
        ("[hosts.a]\naddress = 'x'\nport = 'y'\n", r"\$\.hosts\[\.\.\.\]\.port"),
        ("[hosts]\n", "there are no hosts"),
        ("hosts = 3\n", "hosts"),
        ("[hosts.a\n", "hosts.toml"),
        ("", "hosts"),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path, text, said):
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        ssh.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        ssh.read(tmp_path / "nowhere.toml")
