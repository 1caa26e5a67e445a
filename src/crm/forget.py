"""`crm forget KEY`: one customer taken out of the raw files and of everything made from them.

What is about a customer is what names one of the customer's source keys, and what names nobody
but belongs to an order of that customer alone. These rows are cut out of the files in data/raw
and of the hand-kept files of the source; a *tombstone*, a keyed hash of each key, keeps a later
pull from bringing the customer back. Then the pipeline runs anew, old versions are removed, and a
search for every personal value, key and id shows what is left (PRV-08).

Nothing is changed before all new files lie beside the old ones and were read back; then a
journal makes the renames one step: whatever breaks off, the next `crm forget` ends or undoes it.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import ibis

from crm import engine, ingest, mapping, traces, vault
from crm.document import printable
from crm.project import load_params, load_specs, settings
from crm.raw import LINE, Raw, find, open_file
from crm.rewrite import cut_parquet, cut_records, without
from crm.tables import STRIDE, lookup
from crm.wording import fill

ASIDE = ".forget-"  # how the name of a new file begins until it takes the place of the old one
KEYS = ("customer_key", "order_id")  # what tells whom a row is about
NO_MONEY = (mapping.Feed("quantity", value="0"), mapping.Feed("unit_price", value="0"))
JOURNAL = ".crm/forget.json"
LEFT_OVER = (  # what holds earlier results; all of it can be made again
    "mlflow.db", "mlartifacts", ".crm/runs", ".crm/tracked", ".crm/run", ".crm/spill",
    "reports/failed",
)  # fmt: skip
BEYOND = (
    "earlier commits of this repository and its clones: data/sources/*/*.csv may name a key there",
    "remotes of DVC: `dvc gc --workspace --cloud`, and the same for each clone's cache",
    "published copies of the report (`crm publish`), exports, mails and backups",
    "MLflow servers other than the local mlflow.db",
    "the systems that the raw files came from, and files outside data/raw, other sources included",
)


class ForgetError(ValueError):
    """The customer cannot be forgotten; nothing was changed."""


@dataclass(frozen=True)
class Cut:
    """One sheet or file, open, and the rows to cut out of it."""

    path: str
    entry: mapping.File
    raw: Raw
    rows: set[int]


@dataclass(frozen=True)
class Project:
    """The project, its source, and the source's mapping, keys and reading."""

    root: Path
    source: mapping.Mapping
    keys: vault.Keys
    con: object
    reading: ingest.Reading
    tables: dict[str, ibis.Table]

    @property
    def raw(self) -> Path:
        return self.root / "data/raw" / self.source.name

    @property
    def folder(self) -> Path:
        return self.root / "data/sources" / self.source.name


@dataclass(frozen=True)
class Person:
    """The source keys and customer ids of one customer, and the orders that are theirs alone."""

    keys: list[str]
    ids: list[str]
    orders: list[str] = field(default_factory=list)


def forget(
    root: Path,
    who: str,
    *,
    ask: Callable[[str], bool],
    tell: Callable[[str], None],
    tool: Callable[..., int],
) -> int:
    """Forget the customer with this source key or customer id; returns the exit code.

    Parameters
    ----------
    root
        The project.
    who
        A source key of the customer, or the customer id.
    ask
        Whether a question is answered with yes.
    tell
        Shows a line.
    tool
        Runs a command of the environment in the project and returns its exit code.
    """
    if _resume(root):
        tell("An earlier `crm forget` broke off while files were renamed: that is now done.")
    project = _open(root)
    person = _person(project, who)
    cuts, headers = _cuts(project, person)
    needles = _needles(project, person)
    for line in _plan(project, person, cuts):
        tell(line)
    if not ask("Forget this customer? There is no way back."):
        tell("Nothing was changed.")
        return 1
    _rewrite(project, person, cuts, headers)
    _assert_gone(root, person)
    for path in [*LEFT_OVER, f"data/truth/{project.source.name}", *_cards(person)]:
        _remove(root / path)
    if not _rebuilt(who, ask, tell, tool):
        return 1
    return _prove(project, needles, tell)


def _rebuilt(who: str, ask: Callable, tell: Callable, tool: Callable) -> bool:
    """Run the pipeline and clean DVC's cache; whether the pipeline came to its end."""
    if tool("dvc", "repro"):
        tell("The raw files are without the customer, but the pipeline stopped, and what it made")
        tell(f"before still holds them: mend what it says, then `crm forget {who}` again.")
        return False
    if ask("Remove every version in DVC's cache that the workspace does not use?"):
        tool("dvc", "gc", "--workspace", "--force")
    return True


# --- who


def _open(root: Path) -> Project:
    """The source of params.yaml, read."""
    params = load_params(root)
    name = settings(params)["source"]
    stages = load_specs(root, name).values()
    maker = next((s.name for s in stages if f"data/raw/{name}" in s.outs), None)
    if maker:
        raise ForgetError(
            f"data/raw/{name} is written by the stage {maker}, which would bring everybody back; "
            "to try this, make a source of your own: crm simulate --customers 500 --into NAME"
        )
    folder = root / "data/sources" / name
    source = mapping.load(folder / "mapping.yaml")
    keys = vault.keys(folder, public=source.public)
    vault.check_fingerprints(keys, params.get("vault", {}))
    con = engine.connect(spill=root / ".crm/spill")
    options = params.get("ingest", {}).get("read", {})
    reading = ingest.read(con, source, root / "data/raw" / name, **options)
    return Project(root, source, keys, con, reading, ingest.tables(con, reading))


def _person(project: Project, who: str) -> Person:
    """Everything that is the same customer: by the identity map, else the key itself."""
    path = project.root / "data/tables/identity_map.parquet"
    if not path.exists():
        raise ForgetError("which keys are one customer is not known yet: run `crm run` first")
    known = engine.frame(project.con, engine.scan(project.con, path))
    known = known[known["source"] == project.source.name]
    ids = known.loc[(known["customer_key"] == who) | (known["customer_id"] == who), "customer_id"]
    same = known[known["customer_id"].isin(ids)]
    keys = sorted({*same["customer_key"]} | ({who} if _is_there(project, who) else set()))
    if not keys and not _is_buried(project, who):
        raise ForgetError(
            f"nobody in the source {project.source.name!r} has the key or the id "
            f"{printable(who)!r}; give a source key as the raw files have it, prefix included, or "
            "a customer_id"
        )
    made = vault.pseudonyms(project.source.name, keys or [who], key=project.keys.pseudonym)
    return Person(keys or [who], sorted({*same["customer_id"], *made}))


def _is_there(project: Project, key: str) -> bool:
    """Whether a row of the raw files names the key."""
    named = (rows for rows in project.tables.values() if "customer_key" in rows.columns)
    return any(rows.filter(rows["customer_key"] == key).count().execute() for rows in named)


def _is_buried(project: Project, key: str) -> bool:
    made = vault.tombstones(project.source.name, [key], key=project.keys.pseudonym)[0]
    path = project.folder / "tombstones.csv"
    return path.exists() and made in path.read_text(encoding="utf-8")


# --- which rows


def _cuts(project: Project, person: Person) -> tuple[dict[str, list[Cut]], Project]:
    """What to cut, by file; and the files that are joined to others, read by themselves."""
    headers = _headers(project)
    both = [p.tables["order_lines"].select("order_id", "customer_key") for p in (project, headers)]
    orders = ingest.orders_of(ibis.union(*both), person.keys)
    person.orders.extend(sorted(orders.to_pyarrow()["order_id"].drop_null().to_pylist()))
    found: dict[tuple, Cut] = {}
    for part in (project, headers):
        for opened, row in _places(part, person, orders):
            is_book = opened.raw.suffix == ".xlsx"
            place = (opened.path, opened.entry.sheet if is_book else None)
            cut = Cut(opened.path, replace(opened.entry, join=None), opened.raw, set())
            found.setdefault(place, cut).rows.add(row)
    cuts: dict[str, list[Cut]] = {}
    for cut in found.values():
        cuts.setdefault(cut.path, []).append(_some_left(project, cut))
    return dict(sorted(cuts.items())), headers


def _headers(project: Project) -> Project:
    """The files that are joined to others, as entries of their own."""
    entries = []
    for entry in filter(lambda e: e.join, project.source.files):
        other = replace(entry, paths=(entry.join.path,), join=None, encoding=None, sheet=None,
                        records=None)  # fmt: skip
        columns = _opened(project, replace(other, feeds=()), None).columns
        feeds = [f for f in entry.feeds if f.field in KEYS and f.column in columns]
        feeds += NO_MONEY if entry.table == "order_lines" else ()
        entries.append(replace(other, feeds=tuple(feeds)))
    source = replace(project.source, files=tuple(entries))
    reading = ingest.read(project.con, source, project.raw, max_unread=1)
    return replace(
        project, source=source, reading=reading, tables=ingest.tables(project.con, reading)
    )


def _opened(project: Project, entry: mapping.File, path: str | None) -> Raw:
    name = project.source.name
    return open_file(
        project.con, entry, name, project.raw, path or find(entry, name, project.raw)[0]
    )


def _places(
    part: Project, person: Person, orders: ibis.Table
) -> Iterator[tuple[ingest.Opened, int]]:
    """File and row of everything that is about the person."""
    _, gone = ingest.parted(part.tables, person.keys, orders)
    for table, rows in gone.items():
        for line in rows.select("line").to_pyarrow()["line"].to_pylist():
            number, row = divmod(line, STRIDE)
            yield part.reading.files[table][number], row


def _some_left(project: Project, cut: Cut) -> Cut:
    """The cut, unless no row would stay: a file without rows cannot be read."""
    rows = _opened(project, cut.entry, cut.path).table
    if int(rows.filter(~rows[LINE].isin(sorted(cut.rows))).count().execute()) == 0:
        raise ForgetError(
            f"{cut.raw.shown} would have no row left, and such a file cannot be read: delete it, "
            f"remove its entry from {cut.raw.mapping}, and run this again"
        )
    return cut


# --- what to look for afterwards


def _needles(project: Project, person: Person) -> list[traces.Needle]:
    """Every personal value, key and id of the person; each with how many others bear it."""
    vaulted = [c.name for c in lookup("vault/customers").columns if c.personal]
    people = ingest.personal(project.con, project.reading)
    own = engine.frame(project.con, people.filter(people["customer_key"].isin(person.keys)))
    kept = _vaulted(project, person, vaulted)
    found = []
    for column in vaulted:
        texts = sorted({*own[column].dropna(), *kept[column].dropna()} - {""})
        others = people.filter(~people["customer_key"].isin(person.keys))[column]
        for text in texts:
            same = _bears(others, column, text)
            count = int(same.sum().fill_null(0).execute())
            found.append(traces.Needle(column, text, count))
            if not count:
                sealed = vault.encrypt(
                    [text], key=project.keys.encryption, context=f"vault/customers.{column}"
                )
                found.append(traces.Needle(f"{column}, encrypted", sealed[0]))
    found += [traces.Needle("source key", key) for key in person.keys]
    return found + [traces.Needle("customer id", one) for one in person.ids]


def _bears(others, column: str, text: str):
    """Whether the value of another customer is or holds the text, however a phone is written."""
    if column == "phone":
        return others.replace(" ", "").replace("-", "").contains(traces.plain_phone(text))
    return others.contains(text) if column == "name" else others == text


def _vaulted(project: Project, person: Person, columns: list[str]):
    """The personal values that the last run put into the vault, decrypted."""
    path = project.root / "data/vault/customers.parquet"
    rows = engine.scan(project.con, path) if path.exists() else ibis.memtable(
        {n: [] for n in ("customer_key", *columns)},
        schema=dict.fromkeys(("customer_key", *columns), "string"))  # fmt: skip
    frame = engine.frame(project.con, rows.filter(rows["customer_key"].isin(person.keys)))
    key = project.keys.encryption
    vault.log(project.root, by="crm forget", fields=[f"vault/customers.{c}" for c in columns],
              purpose="find every trace of a customer", rows=len(frame))  # fmt: skip
    plain = {
        c: vault.decrypt(frame[c].tolist(), key=key, context=f"vault/customers.{c}")
        for c in columns
    }
    return frame.assign(**plain)


def _plan(project: Project, person: Person, cuts: dict[str, list[Cut]]) -> Iterator[str]:
    counts = {"keys": len(person.keys), "orders": len(person.orders)}
    yield fill("One customer: {keys} source key[s], {orders} order[s] of nobody else.", counts)
    for path, parts in cuts.items():
        rows = sum(len(cut.rows) for cut in parts)
        shown = f"data/raw/{project.source.name}/{path}"
        note = "" if not (project.raw / path).is_symlink() else "; the file it leads to stays"
        yield f"  cut {fill('{rows} row[s]', {'rows': rows})} out of {printable(shown)}{note}"
    yield f"  add a tombstone for each key to data/sources/{project.source.name}/tombstones.csv"
    yield f"  cut what names them out of the other files in data/sources/{project.source.name}"
    yield "  delete the local MLflow store, records of runs and failed runs"
    yield "  run the pipeline, offer to clean DVC's cache, and search for what is left"


# --- the new files


def _rewrite(
    project: Project, person: Person, cuts: dict[str, list[Cut]], headers: Project
) -> None:
    """Write everything aside, read it back, then put it in place."""
    pairs = []
    for path, parts in cuts.items():
        old = file = project.raw / path
        for number, cut in enumerate(parts):
            new = old.with_name(f"{ASIDE}{number}-{old.name}")
            without(file, cut.raw, cut.entry, cut.rows, new)
            file = new
        for cut in parts:
            _assert_rest(project, cut, file)
        pairs.append((file, old))
    pairs += _hand_kept(project, person, {path: parts[0].rows for path, parts in cuts.items()})
    pairs.append(_buried(project, person))
    journal = project.root / JOURNAL
    names = [[str(p.relative_to(project.root)) for p in pair] for pair in pairs]
    fresh = journal.with_suffix(".new")
    fresh.write_text(json.dumps(names), encoding="utf-8")
    fresh.replace(journal)
    _resume(project.root)


def _resume(root: Path) -> bool:
    """End the renames that a journal lists; without one, remove what lies aside."""
    journal = root / JOURNAL
    is_open = journal.exists()
    for new, old in json.loads(journal.read_text(encoding="utf-8")) if is_open else ():
        if (root / new).exists():
            (root / new).replace(root / old)
    for folder in ("data/raw", "data/sources"):
        for left in (root / folder).glob(f"*/**/{ASIDE}*"):
            left.unlink()
    journal.unlink(missing_ok=True)
    return is_open


def _assert_rest(project: Project, cut: Cut, new: Path) -> None:
    """Raise unless the new file reads as the old one without the rows."""
    old = _opened(project, cut.entry, cut.path).table
    old = old.filter(~old[LINE].isin(sorted(cut.rows))).drop(LINE)
    made = _opened(project, cut.entry, new.relative_to(project.raw).as_posix()).table.drop(LINE)
    for one, other in ((old, made), (made, old)):
        if int(one.difference(other, distinct=False).count().execute()):
            _resume(project.root)
            raise ForgetError(
                f"{cut.raw.shown} could not be rewritten so that its other rows stay as they are; "
                "nothing was changed; save it as plain CSV or Parquet and try again"
            )


def _hand_kept(
    project: Project, person: Person, cut: dict[str, set[int]]
) -> Iterator[tuple[Path, Path]]:
    """The hand-kept files of the source without what names the customer."""
    names = {*person.keys, *person.ids, *person.orders}
    for old in sorted(project.folder.glob("*.csv")):
        if old.name == "tombstones.csv" or not old.stat().st_size:
            continue
        new = old.with_name(f"{ASIDE}{old.name}")
        change = _Moved(project, cut) if old.name == "issues.csv" else (
            lambda record: bool(names & set(record)))  # fmt: skip
        cut_records(old, "utf-8", ",", change, new)
        yield new, old
    for old in sorted(project.folder.glob("*.parquet")):
        new = old.with_name(f"{ASIDE}{old.name}")
        cut_parquet(old, lambda table, first: [
            bool(names & {v for v in row.values() if isinstance(v, str)})
            for row in table.to_pylist()
        ], new)  # fmt: skip
        yield new, old


class _Moved:
    """What becomes of a line of issues.csv: rows below those that were cut have a new number."""

    def __init__(self, project: Project, cut: dict[str, set[int]]):
        self.files, self.cut, self.header = project.reading.files, cut, None

    def __call__(self, record: list[str]) -> bool | str:
        if self.header is None:
            self.header = [name.removeprefix("\ufeff") for name in record]
            return False
        row = dict(zip(self.header, record, strict=False))
        number, place = divmod(int(row.get("line") or 0), STRIDE)
        opened = self.files.get(row.get("table", ""), [])[number : number + 1]
        gone = sorted(self.cut.get(opened[0].path, ())) if opened else []
        before = bisect_left(gone, place)
        if place in gone[before : before + 1]:
            return True
        if not before or opened[0].raw.suffix == ".xlsx":  # there the others keep their rows
            return False
        row["line"] = str(number * STRIDE + place - before)
        return _csv_line([row[name] for name in self.header])


def _csv_line(record: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(record)
    return text.getvalue()


def _buried(project: Project, person: Person) -> tuple[Path, Path]:
    """The tombstones with those of this customer."""
    path = project.folder / "tombstones.csv"
    text = path.read_text(encoding="utf-8") if path.exists() else "hash,date\n"
    made = vault.tombstones(project.source.name, person.keys, key=project.keys.pseudonym)
    lines = "".join(f"{one},{date.today()}\n" for one in made if one not in text)
    new = path.with_name(f"{ASIDE}{path.name}")
    new.write_text(text.rstrip("\n") + "\n" + lines, encoding="utf-8")
    return new, path


# --- afterwards


def _assert_gone(root: Path, person: Person) -> None:
    """Raise if the raw files, read anew with the mapping, still name one of the keys."""
    project = _open(root)
    for part in (project, _headers(project)):
        _, gone = ingest.parted(part.tables, person.keys)
        left = [name for name, rows in gone.items() if int(rows.count().execute())]
        if left:
            raise ForgetError(f"the raw files of {', '.join(left)} still name the customer")


def _cards(person: Person) -> list[str]:
    return [f"reports/cards/{one}.html" for one in person.ids]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _prove(project: Project, needles: list[traces.Needle], tell: Callable[[str], None]) -> int:
    """Search everywhere, say what was found and what is out of reach."""
    encodings = {
        project.raw / one.path: one.raw.encoding
        for files in project.reading.files.values() for one in files if one.raw.encoding
    }  # fmt: skip
    feeds = [feed for entry in project.source.files for feed in entry.feeds]
    columns = {feed.column for feed in feeds if feed.field == "customer_key"}
    found = traces.search(
        project.con, project.root, project.source.name, needles,
        key_columns=columns - {None}, encodings=encodings,
    )  # fmt: skip
    for line in found.lines:
        tell(line)
    tell("Out of reach, for you to see to:")
    for place in BEYOND:
        tell(f"  {place}")
    return 1 if found.hits else 0
