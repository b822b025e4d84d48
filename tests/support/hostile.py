"""Hostile files: valid ones with changes that Hypothesis draws. A reader may refuse one in one short line.

While it reads, a hook of Python's audit events notes whatever else it does: imports, writing, starting processes, and
opening what does not lie in the file's folder.
"""

import encodings.raw_unicode_escape  # what Python decodes texts with, when it meets one: pickles, byte order marks
import encodings.unicode_escape
import encodings.utf_8_sig  # noqa: F401
import json
import os
import sys
import threading
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.bench.errors import UserError
from mlpbench.kernels.errors import ParamsError

#: Examples of each format, and how long a line may be beside the file's path.
EXAMPLES, LONGEST = 720, 600
#: Beginnings of the names of events that no reader causes.
FORBIDDEN = ("import", "exec", "marshal.", "pickle.", "ctypes.", "subprocess.", "socket.", "urllib.", "shutil.")
FORBIDDEN += ("tempfile.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: The thread that reads, the folder that it may open files of, and what else it did.
_reading = {"thread": None, "folder": "", "offences": []}


def _hook(event, arguments):
    if _reading["thread"] != threading.get_ident():
        return
    offends = event.startswith(FORBIDDEN)
    if event == "open":
        path, _, flags = arguments
        inside = isinstance(path, int) or os.path.realpath(path).startswith(_reading["folder"])
        offends = not inside or flags & _WRITES
    if offends:
        _reading["offences"].append(f"{event} {arguments!r}"[:300])


sys.addaudithook(_hook)  # which cannot be taken out again


def told(reader, path):
    """Return the line with which a reader refuses a file, nothing where it reads it. Fail for anything else."""
    line = ""
    _reading.update(thread=threading.get_ident(), folder=os.path.realpath(path.parent) + os.sep, offences=[])
    try:
        reader(path)
    except (UserError, ParamsError) as refused:
        line = str(refused)
    finally:
        _reading["thread"] = None
    assert not _reading["offences"]
    assert line.isprintable(), line
    assert len(line.replace(str(path), "")) < LONGEST, line
    return line


PIECES = [b"", b"\0", b"\xff\xfe", b"[" * 3000, b"{", b'"', b"1e999", b"9" * 5000, b"NaN", b"\\ud800", b"\x1b[31m"]
PIECES += ["\u202e".encode(), b"null", b"\n", b"-" * 9, b"\x80", b"(" * 300]


def with_bytes(raw, drawn):
    """Return bytes with changes: where, how many bytes go, what comes in their place; and where they are cut off."""
    for at, gone, piece in drawn[0]:
        place = at % (len(raw) + 1)
        raw = raw[:place] + piece + raw[place + gone :]
    return raw if drawn[1] is None else raw[: drawn[1] % (len(raw) + 1)]


#: Tokens of JSON of every type.
ODD = ["null", "true", "-1", "0", "1", "2", "0.5", str(2**63), str(2**70), "1e308", "1e999", "-0.0", "NaN", "[]", "{}"]
ODD += ['""', '"x"', '"NaN"', '"\\ud800"', '"\\u202e\\u001b[31m\\n"', '"\uff1d1"', '"../../x"', "[[]]", '{"a": null}']
ODD += ["9" * 5000, "[" * 3000 + "]" * 3000, '{"a":' * 40 + "1" + "}" * 40, f'"{"x" * 20_000}"', f'"{"9" * 5000}"']


def _places(value, found):
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        found.append((value, key))
        if isinstance(item, dict | list):
            _places(item, found)
    return found


def with_json(raw, drawn):
    """Return JSON with changes: which value, what it becomes, None for nothing, and whether its name does instead."""
    content = json.loads(raw)
    for number, (at, token, renames) in enumerate(drawn):
        if not (places := _places(content, [])):
            break
        container, key = places[at % len(places)]
        value = container.pop(key)
        if token is not None and renames and isinstance(container, dict):
            container[f"@{number}@"] = value
        elif token is not None and isinstance(container, dict):
            container[key] = f"@{number}@"
        elif token is not None:
            container.insert(key, f"@{number}@")
    text = json.dumps(content)
    for number, (_, token, _) in enumerate(drawn):
        if token is not None:
            name = token if token.startswith('"') else json.dumps(token[:60])
            text = text.replace(f'"@{number}@":', f"{name}:")
            text = text.replace(f'"@{number}@"', token)
    return text.encode(errors="surrogatepass")


def hold(path, raw, reader, *, pieces=(), of_json=None, odd=ODD):
    """Read the file that drawn changes make of the valid bytes ``raw``; some are read, and some refused.

    ``pieces`` are further ones for `with_bytes`. ``of_json`` makes the file of changes for `with_json`, with tokens
    that are ``odd``: then two changes in three are such.
    """
    path.write_bytes(raw)
    reader(path)  # it imports what it needs
    assert told(reader, path) == "", "the valid file is read"
    place, ends = st.integers(0, 2**16), Counter()
    piece = st.sampled_from([*PIECES, *pieces]) | st.binary(min_size=1, max_size=4)
    one = st.tuples(place, st.sampled_from([0, 1, 2, 8, 100]), piece)
    changes = st.tuples(st.lists(one, max_size=4), st.none() | place)
    if of_json is not None:
        one = st.tuples(place, st.none() | st.sampled_from(odd), st.booleans())
        members = st.lists(one, min_size=1, max_size=3)
        changes = st.one_of(members, members, changes)

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(changes)
    def every_example(drawn):
        path.write_bytes(of_json(drawn) if isinstance(drawn, list) else with_bytes(raw, drawn))
        ends["read" if told(reader, path) == "" else "refused"] += 1

    every_example()
    assert ends.total() >= EXAMPLES, ends
    assert ends["read"], ends
    assert ends["refused"], ends
