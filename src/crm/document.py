"""Files that people write, as plain data: YAML within bounds, and what they have to mend.

A *problem* is something a person has to mend, in a file that was written or in raw data; its
message says where it is, what was found, what was expected and how to mend it. Whatever makes
a small file expensive (aliases, tags, brackets in brackets) is refused before it costs anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 1_000_000  # more is nothing that somebody wrote
DEEPEST = 20  # levels; time grows with their square
LONGEST = 600  # characters of each part of a message
_NOT_YAML = (  # expected, how to mend
    "`key: value` with matching brackets and quotes",
    "look at this line and the one above; quote text with a colon, # or bracket",
)
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_SPECIAL = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")  # << and =, here plain text


@dataclass(frozen=True)
class Problem:
    """One thing to mend: where it is, what was found, what was expected, how to mend it."""

    where: str
    found: str
    expected: str
    mend: str

    def __str__(self) -> str:
        parts = (self.where, self.found, self.expected, self.mend)
        where, found, expected, mend = (short(part, most=LONGEST) for part in parts)
        return printable(f"{where}: {found}; expected {expected}; {mend}")


@dataclass
class Document:
    """The lines of a file by path of keys, and the problems found in it so far."""

    shown: str
    lines: dict[tuple, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, at: tuple, found: str, expected: str, mend: str) -> None:
        line = self.lines.get(at)
        where = f"{self.shown}, line {line}" if line else self.shown
        self.problems.append(Problem(where, found, expected, mend))


def load(path: Path, doc: Document, *, typed: bool = False):
    """The data of a YAML file; see `parse`. Raises `FileNotFoundError` where there is none."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            doc.add((), "it is a folder or a device", "a file of text", "put the file there")
            return None
        with path.open("rb") as file:
            return parse(file.read(MOST_BYTES + 1), doc, typed=typed)
    except FileNotFoundError:
        raise
    except OSError as error:
        found, mend = f"it cannot be opened: {error.strerror}", "look at its rights, or copy it"
        doc.add((), found, "a file that can be read", mend)
        return None


def parse(content: bytes, doc: Document, *, typed: bool = False):
    """Dicts, lists and scalars; what is wrong is noted in `doc`, and then the data are no use.

    Parameters
    ----------
    content
        The bytes of the file.
    doc
        Takes the line of every key and item, and the problems.
    typed
        Whether scalars become numbers, days and so on; else they stay the text that was typed,
        so that `00123` keeps its zeros. Keys stay text.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(content) > MOST_BYTES:
        found, mend = f"more than {MOST_BYTES:,} bytes", "remove what does not belong there"
        doc.add((), found, "what a person wrote", mend)
        return None
    yaml = YAML(typ="safe", pure=True)
    try:
        events = _bounded(yaml.parse(content.decode("utf-8-sig")))
        data = [_value(events, event, (), doc, _scalar(yaml, typed)) for event in events]
        return data[0] if data else None  # the loop also sees what stands after the data
    except UnicodeDecodeError as error:
        doc.lines[()] = content[: error.start].count(b"\n") + 1
        doc.add((), "a byte that is not UTF-8", "a file saved as UTF-8", "save it as UTF-8")
    except _Refused as refused:
        doc.lines[()], *said = refused.args
        doc.add((), *said)
    except MarkedYAMLError as error:
        doc.lines[()] = error.problem_mark.line + 1
        doc.add((), f"not YAML: {error.problem}", *_NOT_YAML)
    except YAMLError as error:
        doc.add((), f"not YAML: {error}".splitlines()[0], "plain text", "save it as plain text")
    return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint `did you mean 'x'?` where one of the known words is near, and the list of them.

    Examples
    --------
    >>> did_you_mean("colour", ["color", "size"])
    "did you mean 'color'? There are: color, size"
    """
    known = list(known)
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    hint = f"did you mean {folded[near[0]]!r}? " if near else ""
    return f"{hint}There are: {', '.join(known)}"


def short(text: str, *, most: int = 60) -> str:
    """The text, or its beginning where it is too long for a message."""
    return text if len(text) <= most else f"{text[:most]}…"


def printable(text: str) -> str:
    r"""The text on one line, without anything that could steer a terminal.

    Names of files and columns come from outside, so whatever shows one goes through here.

    Examples
    --------
    >>> printable("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _Refused(Exception):
    """What is not read further: its line, found, expected, how to mend."""


def _bounded(events: Iterable) -> Iterator:
    """The events that make data; raises at an alias, a tag, depth or a second document.

    A few aliases can stand for billions of items, and a tag for a call.
    """
    from ruamel.yaml import events as kinds

    depth, documents = 0, 0
    for event in events:
        depth += isinstance(event, kinds.CollectionStartEvent)
        depth -= isinstance(event, kinds.CollectionEndEvent)
        documents += isinstance(event, kinds.DocumentStartEvent)
        if isinstance(event, kinds.AliasEvent):
            wrong = f"the alias *{event.anchor}", "no aliases", "write the text out"
        elif depth > DEEPEST:
            expected = f"at most {DEEPEST} levels"
            wrong = "brackets nested too deeply", expected, "write it plainly"
        elif getattr(event, "tag", None):
            wrong = f"the tag {event.tag}", "no tags", "remove it, and quote a text that begins so"
        elif documents > 1:
            wrong = "a second document", "one in a file", "remove the line of --- above it"
        else:
            if isinstance(event, kinds.NodeEvent | kinds.CollectionEndEvent):
                yield event
            continue
        raise _Refused(event.start_mark.line + 1, *wrong)


def _value(events: Iterator, event, at: tuple, doc: Document, scalar: Callable):
    """What begins with the event, as plain data; notes lines and keys that stand twice."""
    from ruamel.yaml.events import MappingStartEvent, ScalarEvent, SequenceEndEvent

    if isinstance(event, ScalarEvent):
        return scalar(event)
    if isinstance(event, MappingStartEvent):
        return _mapping(events, at, doc, scalar)
    items = []
    while not isinstance(item := next(events), SequenceEndEvent):
        path = (*at, len(items))
        doc.lines[path] = item.start_mark.line + 1
        items.append(_value(events, item, path, doc, scalar))
    return items


def _mapping(events: Iterator, at: tuple, doc: Document, scalar: Callable) -> dict:
    from ruamel.yaml.events import MappingEndEvent, ScalarEvent

    result = {}
    while not isinstance(key := next(events), MappingEndEvent):
        if not isinstance(key, ScalarEvent):
            line, mend = key.start_mark.line + 1, "quote it, if it is a text"
            raise _Refused(line, "a key in brackets", "a text as key", mend)
        path = (*at, key.value)
        first, doc.lines[path] = doc.lines.get(path), key.start_mark.line + 1
        if key.value in result:
            found = f"the key {key.value!r} stands twice (first in line {first})"
            doc.add(path, found, "each key once", "remove one of them")
        result[key.value] = _value(events, next(events), path, doc, scalar)
    return result


def _scalar(yaml, typed: bool) -> Callable:
    """What makes a value of a scalar: its text, or what YAML takes it for; None of nothing."""
    from ruamel.yaml.nodes import ScalarNode

    def value(event):
        tag = yaml.resolver.resolve(ScalarNode, event.value, event.implicit)
        if tag == _NULL:
            return None
        if not typed or tag in (_TEXT, *_SPECIAL):
            return event.value
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return yaml.constructor.construct_object(node)
        except ValueError:  # a 30th of February, or a number without end
            found, line = f"{short(event.value)!r}, which cannot be", event.start_mark.line + 1
            raise _Refused(line, found, "a day or a number", "mend it, or quote it") from None

    return value
