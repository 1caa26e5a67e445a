"""One reader of YAML for all files that people write: within bounds, and with every line known."""

from __future__ import annotations

import os
import time
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from crm import document
from crm.document import DEEPEST, MOST_BYTES, Document, Problem

TEXT = """\
run:
  seed: 7           # a comment
  as_of: 2024-12-31
shares: [0.5, 1e3, .inf]
codes: {a: "007", b: 007, c: yes, d: ~}
at: 2024-01-05 08:26:00
<<: merge
"""


def read(content: str | bytes, **options):
    doc = Document("a.yaml")
    data = document.parse(
        content.encode() if isinstance(content, str) else content, doc, **options
    )
    return data, [str(problem) for problem in doc.problems]


def test_values_are_typed_where_that_is_asked_for_and_keys_are_text():
    data, problems = read(TEXT + "1: one\n", typed=True)
    assert problems == []
    assert data == {
        "run": {"seed": 7, "as_of": date(2024, 12, 31)},
        "shares": [0.5, 1000.0, float("inf")],
        "codes": {"a": "007", "b": 7, "c": "yes", "d": None},
        "at": datetime(2024, 1, 5, 8, 26),
        "<<": "merge",
        "1": "one",
    }


def test_else_every_scalar_is_the_text_that_was_typed():
    data, _ = read(TEXT)
    assert data["codes"] == {"a": "007", "b": "007", "c": "yes", "d": None}
    assert data["run"] == {"seed": "7", "as_of": "2024-12-31"}


def test_every_key_and_item_is_known_by_its_line():
    doc = Document("a.yaml")
    document.parse(b"a:\n  - x\n  - b: y\n\nc: {d: z}\n", doc)
    assert doc.lines == {
        ("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 3, ("c",): 5, ("c", "d"): 5,
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "\n", "# a comment\n", "---\n", b"\xef\xbb\xbf"])
def test_nothing_is_none_and_no_problem(content):
    assert read(content) == (None, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: &x [1]\nb: *x\n", "line 2: the alias *x"),
        ("a:\n  !!python/name:os.system\n", "line 2: the tag tag:yaml.org,2002:python/name"),
        ("a: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "line 1: brackets nested too deeply"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document"),
        ("a: 1\na: 2\n", "line 2: the key 'a' stands twice (first in line 1)"),
        ("x: 1\n[a, [b]]: c\n", "line 2: a key in brackets"),
        ("a: [1\n", "line 2: not YAML"),
        ("'a':b\n", "line 1: not YAML"),
        ("a: \0\n", "not YAML"),
        (b"a: 1\nb: \xff\n", "line 2: a byte that is not UTF-8"),
        (b"#" * (MOST_BYTES + 1), "more than 1,000,000 bytes"),
    ],
)
def test_whatever_is_expensive_or_unclear_is_one_problem(content, said):
    _, (problem,) = read(content)
    assert problem.startswith("a.yaml")
    assert said in problem


@pytest.mark.parametrize("value", ["2024-02-30", "2024-13-01 10:00:00", "9" * 5_000])
def test_a_day_or_a_number_that_cannot_be_is_one_problem(value):
    _, (problem,) = read(f"x: 1\na: {value}\n", typed=True)
    assert problem.startswith(f"a.yaml, line 2: '{value[:60]}")
    assert read(f"x: 1\na: {value}\n")[1] == []


def test_depth_up_to_the_bound_is_read():
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert read(f"a: {deep}")[1] == []


@pytest.mark.parametrize("mark", ["[", "{a: ", "- ", "? "])
def test_brackets_without_end_take_no_time(mark):
    started = time.process_time()
    _, problems = read(mark * 100_000)
    assert len(problems) == 1
    assert time.process_time() - started < 5


def test_a_folder_a_pipe_and_a_file_that_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path, tmp_path / "pipe.yaml"):
        doc = Document("a.yaml")
        assert document.load(path, doc) is None
        assert str(doc.problems[0]).startswith("a.yaml: it is a folder or a device")
    with pytest.raises(FileNotFoundError):
        document.load(tmp_path / "gone.yaml", Document("a.yaml"))


def test_a_message_is_one_line_without_anything_that_steers_a_terminal():
    said = str(Problem("a\nb", "\x1b[2J", "\u202etxt", "x" * 5_000))
    assert said.isprintable()
    assert said.startswith("a\\nb: \\x1b[2J; expected \\u202etxt; xxx")
    assert len(said) < 700


PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9),
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(data=PLAIN)
def test_what_yaml_writes_is_read_as_its_library_reads_it(data):
    from io import StringIO

    stream = StringIO()
    YAML(typ="safe", pure=True).dump({"data": data}, stream)
    wanted = YAML(typ="safe", pure=True).load(stream.getvalue())
    if "*id" not in stream.getvalue():  # the library writes one empty list twice as an alias
        assert read(stream.getvalue(), typed=True) == (wanted, [])
