"""`crm forget KEY`: one customer taken out of the raw files and of everything made from them.

What is about a customer is what names one of the customer's source keys, and what names nobody
but belongs to an order of that customer alone. These rows are cut out of the files in data/raw
and of the hand-kept files of the source; a *tombstone*, a keyed hash of each key, keeps a later
pull from bringing the customer back. Then the pipeline runs anew, old versions are removed, and a
search for every personal value, key and id shows what is left (PRV-08).

Nothing is changed before all new files lie beside the old ones and were read back; then a
journal makes the renames one step: whatever breaks off, the next `crm forget` ends or undoes it.
What is to be looked for is known nowhere once the pipeline has run; so it is kept, encrypted with
the key of the vault, until a search has found nothing.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import ibis

from crm import engine, ingest, mapping, quality, traces, vault
from crm.document import printable
from crm.project import load_params, load_specs, settings
from crm.raw import LINE, Raw, find, open_file
from crm.rewrite import cut_parquet, cut_records, without
from crm.tables import STRIDE, TABLES, lookup
from crm.wording import fill

ASIDE = ".forget-"  # how the name of a new file begins until it takes the place of the old one
KEYS = ("customer_key", "order_id")  # what tells whom a row is about
OF_CUSTOMERS = ("customer_key", "customer_id", "own_id", "key_a", "key_b")  # of hand-kept files
OF_ORDERS = ("order_id", "return_id")
NO_MONEY = (mapping.Feed("quantity", value="0"), mapping.Feed("unit_price", value="0"))
JOURNAL = ".crm/forget.json"
LEFT_OVER = (  # what holds earlier results; all of it can be made again
    "mlflow.db", "mlartifacts", ".crm/runs", ".crm/tracked", ".crm/run", ".crm/spill",
    "reports/failed",
)  # fmt: skip
ONLY_KEY = (
    "The other keys of this customer and the personal values are known nowhere any more, so only "
    "the key can be looked for."
)
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

    @property
    def truth(self) -> Path:
        return self.root / "data/truth" / self.source.name


@dataclass(frozen=True)
class Person:
    """The source keys and customer ids of one customer, and the orders that are theirs alone.

    `values` are personal values by column that an earlier call, of which nothing proves that it
    ended, found; `is_known` is false if only a tombstone tells that there was such a customer.
    """

    keys: list[str]
    ids: list[str]
    orders: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    is_known: bool = True


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
    cache = traces.cache(root)
    sought = _sought(project)
    person = _person(project, who, sought)
    cuts = _cuts(project, person)
    values = _values(project, person)
    needles = _needles(project, person, values)
    for line in _plan(project, person, cuts):
        tell(line)
    if not ask("Forget this customer? There is no way back."):
        tell("Nothing was changed.")
        return 1
    others = [one for one in sought if not {*one["keys"]} & {*person.keys}]
    _rewrite(project, person, cuts, [*others, *_remembered(person, values)])
    _assert_gone(root, person)
    for path in [*LEFT_OVER, *_cards(person)]:
        _remove(root / path)
    if not _rebuilt(who, ask, tell, tool):
        return 1
    if not _prove(project, needles, tell, cache):
        return 1
    if not person.is_known:
        tell(ONLY_KEY)
        return 1
    _keep(project, others, project.root / vault.SOUGHT / project.source.name)
    return 0


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


def _person(project: Project, who: str, sought: list[dict]) -> Person:
    """Everything that is the same customer: by the identity map, else the key itself.

    What an earlier call knew counts as well, since the map forgets the customer too.
    """
    path = project.root / "data/tables/identity_map.parquet"
    if not path.exists():
        raise ForgetError("which keys are one customer is not known yet: run `crm run` first")
    known = engine.frame(project.con, engine.scan(project.con, path))
    known = known[known["source"] == project.source.name]
    ids = known.loc[(known["customer_key"] == who) | (known["customer_id"] == who), "customer_id"]
    same = known[known["customer_id"].isin(ids)]
    names = {who, *same["customer_key"], *ids}
    earlier = [one for one in sought if names & {*one["keys"], *one["ids"]}]
    keys = {*same["customer_key"], *(key for one in earlier for key in one["keys"])}
    keys = sorted(keys | ({who} if _is_there(project, who) else set()))
    if not keys and not _is_buried(project, who):
        raise ForgetError(
            f"nobody in the source {project.source.name!r} has the key or the id "
            f"{printable(who)!r}; give a source key as the raw files have it, prefix included, or "
            "a customer_id"
        )
    made = vault.pseudonyms(project.source.name, keys or [who], key=project.keys.pseudonym)
    of_earlier = {one_id for one in earlier for one_id in one["ids"]}
    values: dict[str, list[str]] = {}
    for one in earlier:
        for column, texts in one["values"].items():
            values.setdefault(column, []).extend(texts)
    return Person(
        keys or [who], sorted({*ids, *made} | of_earlier), values=values, is_known=bool(keys)
    )


def _sought(project: Project) -> list[dict]:
    """The customers whom no search has proved to be gone yet: keys, ids and values of each."""
    path = project.root / vault.SOUGHT / project.source.name
    if not path.exists():
        return []
    vault.log(project.root, by="crm forget", fields=["forgotten customers"], rows=1,
              purpose="find every trace of a customer")  # fmt: skip
    try:
        sealed = [path.read_text(encoding="utf-8", errors="replace")]
        (text,) = vault.decrypt(sealed, key=project.keys.encryption, context=vault.SOUGHT)
    except vault.KeyProblem:
        raise ForgetError(
            f"{path.relative_to(project.root)} cannot be read with this encryption key: put the "
            "right key back, or delete the file if there is none; nothing was changed"
        ) from None
    return json.loads(text)


def _remembered(person: Person, values: dict[str, list[str]]) -> list[dict]:
    """What the next call has to know of a customer; nothing if that is the key alone."""
    return [{"keys": person.keys, "ids": person.ids, "values": values}] * person.is_known


def _keep(project: Project, sought: list[dict], path: Path) -> None:
    """Write who is still to be looked for, for the owner of the file alone; nobody: no file."""
    if not sought:
        path.unlink(missing_ok=True)
        return
    text = json.dumps(sought)
    (sealed,) = vault.encrypt([text], key=project.keys.encryption, context=vault.SOUGHT)
    vault.write_private(path, sealed)


def _is_there(project: Project, key: str) -> bool:
    """Whether a row of the raw files names the key."""
    named = (rows for rows in project.tables.values() if "customer_key" in rows.columns)
    return any(rows.filter(rows["customer_key"] == key).count().execute() for rows in named)


def _is_buried(project: Project, key: str) -> bool:
    made = vault.tombstones(project.source.name, [key], key=project.keys.pseudonym)[0]
    path = project.folder / "tombstones.csv"
    return path.exists() and made in path.read_text(encoding="utf-8")


# --- which rows


def _cuts(project: Project, person: Person) -> dict[str, list[Cut]]:
    """What to cut, by file, those that are joined to others included."""
    headers = _headers(project)
    both = [p.tables["order_lines"].select("order_id", "customer_key") for p in (project, headers)]
    orders = ingest.orders_of(ibis.union(*both), person.keys)
    person.orders.extend(sorted(orders.to_pyarrow()["order_id"].drop_null().to_pylist()))
    found: dict[tuple, Cut] = {}
    for part in (project, headers):
        for opened, row in _places(part, person, orders):
            cut = Cut(opened.path, replace(opened.entry, join=None), opened.raw, set())
            found.setdefault(_place(opened), cut).rows.add(row)
    cuts: dict[str, list[Cut]] = {}
    for cut in found.values():
        cuts.setdefault(cut.path, []).append(_some_left(project, cut))
    return dict(sorted(cuts.items()))


def _place(opened: ingest.Opened | Cut) -> tuple[str, str | None]:
    """What rows are numbered in: a file, or a sheet of a workbook."""
    return opened.path, opened.entry.sheet if opened.raw.suffix == ".xlsx" else None


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


def _values(project: Project, person: Person) -> dict[str, list[str]]:
    """The personal values of the person by column: of the raw files, the vault and earlier."""
    vaulted = [c.name for c in lookup("vault/customers").columns if c.personal]
    people = ingest.personal(project.con, project.reading)
    own = engine.frame(project.con, people.filter(people["customer_key"].isin(person.keys)))
    kept = _vaulted(project, person, vaulted)
    return {
        column: sorted(
            {*own[column].dropna(), *kept[column].dropna(), *person.values.get(column, ())} - {""}
        )
        for column in vaulted
    }


def _needles(
    project: Project, person: Person, values: dict[str, list[str]]
) -> list[traces.Needle]:
    """Every personal value, key and id of the person; each with how many others bear it."""
    people = ingest.personal(project.con, project.reading)
    found = []
    for column, texts in values.items():
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
    if project.truth.exists():
        yield f"  cut what names them out of the tables in data/truth/{project.source.name}"
    for card in _cards(person):
        if (project.root / card).exists():
            yield f"  delete {card}"
    yield "  delete the local MLflow store, records of runs and failed runs"
    yield "  run the pipeline, offer to clean DVC's cache, and search for what is left"
    if not person.is_known:
        yield ONLY_KEY


# --- the new files


def _rewrite(
    project: Project, person: Person, cuts: dict[str, list[Cut]], sought: list[dict]
) -> None:
    """Write everything aside, read it back, then put it in place."""
    try:
        pairs = [*_raw_files(project, cuts), *_hand_kept(project, person, cuts)]
        pairs += _truth(project, person)
        pairs += [_buried(project, person), _still_sought(project, sought)]
        journal = project.root / JOURNAL
        names = [[str(p.relative_to(project.root)) for p in pair] for pair in pairs]
        fresh = journal.with_suffix(".new")
        fresh.write_text(json.dumps(names), encoding="utf-8")
        fresh.replace(journal)
    except BaseException:
        _resume(project.root)
        raise
    _resume(project.root)


def _raw_files(project: Project, cuts: dict[str, list[Cut]]) -> Iterator[tuple[Path, Path]]:
    """The raw files without the rows, read back."""
    for path, parts in cuts.items():
        old = file = project.raw / path
        for number, cut in enumerate(parts):
            new = old.with_name(f"{ASIDE}{number}-{old.name}")
            without(file, cut.raw, cut.entry, cut.rows, new)
            file = new
        for cut in parts:
            _assert_rest(project, cut, file)
        yield file, old


def _resume(root: Path) -> bool:
    """End the renames that a journal lists; without one, remove what lies aside."""
    journal = root / JOURNAL
    is_open = journal.exists()
    for new, old in json.loads(journal.read_text(encoding="utf-8")) if is_open else ():
        if (root / new).exists():
            (root / new).replace(root / old)
    for folder in ("data/raw", "data/sources", "data/truth", vault.SOUGHT):
        for left in (root / folder).glob(f"**/{ASIDE}*"):
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
            raise ForgetError(
                f"{cut.raw.shown} could not be rewritten so that its other rows stay as they are; "
                "nothing was changed; save it as plain CSV or Parquet and try again"
            )


def _hand_kept(
    project: Project, person: Person, cuts: dict[str, list[Cut]]
) -> Iterator[tuple[Path, Path]]:
    """The hand-kept files of the source without what names the customer."""
    is_named = _naming(person)
    for old in sorted(project.folder.glob("*.csv")):
        if old.name == "issues.csv" and old.stat().st_size:
            quality.handled(old)  # raises if a line is none
            gone = {_place(cut): cut.rows for parts in cuts.values() for cut in parts}
            yield _cut_csv(old, _Moved(project.reading.files, gone), blanks=False)
        elif old.name not in ("issues.csv", "tombstones.csv"):
            yield _cut_csv(old, _Named(is_named))
    yield from _cut_tables(project.folder, is_named)


def _truth(project: Project, person: Person) -> Iterator[tuple[Path, Path]]:
    """The tables of what a simulation planted, without the customer.

    Files of other kinds stay as they are: they hold counts, and the search looks into them.
    """
    keys = project.truth / "keys.parquet"
    persons: set = set()
    if keys.exists():  # a simulation numbers its people; one with other keys is somebody still
        known = engine.frame(project.con, engine.scan(project.con, keys))
        is_own = known["customer_key"].isin(person.keys)
        persons = {*known["person"][is_own]} - {*known["person"][~is_own]}
    is_named = _naming(person, persons)
    for old in sorted(project.truth.glob("*.csv")):
        yield _cut_csv(old, _Named(is_named))
    yield from _cut_tables(project.truth, is_named)


def _naming(person: Person, persons: Iterable = ()) -> Callable[[dict], bool]:
    """Whether a row names the customer, in a column of keys; other cells may be any number."""
    who, orders = {*person.keys, *person.ids}, {*person.orders}
    sought = dict.fromkeys(OF_CUSTOMERS, who) | dict.fromkeys(OF_ORDERS, orders)
    sought["person"] = set(persons)

    def of_table(name: str | None) -> set[str]:
        """What the column `key` may hold: it is that of the table which the row names, if any."""
        table = TABLES.get(f"staged/{name}")
        if table is None:
            return who | orders
        if "customer_key" in table.same:
            return who
        return orders if "order_id" in table.names else set()

    def is_named(row: dict) -> bool:
        cells = {name: v.strip() if isinstance(v, str) else v for name, v in row.items()}
        return any(cells[name] in sought[name] for name in cells.keys() & sought.keys()) or (
            cells.get("key") in of_table(cells.get("table"))
        )

    return is_named


def _cut_csv(old: Path, change: Callable, *, blanks: bool = True) -> tuple[Path, Path]:
    """The new file, aside, and the old one."""
    new = old.with_name(f"{ASIDE}{old.name}")
    try:
        cut_records(old, "utf-8", ",", change, new, blanks=blanks)
    except UnicodeDecodeError:
        raise ForgetError(f"{old.name} is not UTF-8: save it so; nothing was changed") from None
    except csv.Error as error:
        raise ForgetError(
            f"{old.name} cannot be read as CSV: {error}; mend it; nothing was changed"
        ) from None
    return new, old


def _cut_tables(folder: Path, is_named: Callable[[dict], bool]) -> Iterator[tuple[Path, Path]]:
    """The Parquet files of a folder that name the customer: new one, aside, and old one."""
    names = {*OF_CUSTOMERS, *OF_ORDERS, "key", "table", "person"}
    for old in sorted(folder.glob("*.parquet")):
        cut = 0

        def drop(table, first: int) -> list[bool]:
            nonlocal cut
            chosen = [name for name in table.column_names if name in names]
            rows = table.select(chosen).to_pylist() if chosen else [{}] * table.num_rows
            found = [is_named(row) for row in rows]
            cut += sum(found)
            return found

        new = old.with_name(f"{ASIDE}{old.name}")
        cut_parquet(old, drop, new)
        if cut:
            yield new, old
        else:
            new.unlink()


class _Named:
    """Whether a line of a hand-kept file names the customer."""

    def __init__(self, is_named: Callable[[dict], bool]):
        self.is_named, self.header = is_named, None

    def __call__(self, record: list[str]) -> bool:
        if self.header is None:
            self.header = [name.strip() for name in record]
            return False
        return self.is_named(dict(zip(self.header, record, strict=False)))


class _Moved:
    """What becomes of a line of issues.csv: rows below those that were cut have a new number.

    Cells are read as `quality.handled` reads them, which has found nothing wrong with the file.
    """

    def __init__(self, files: dict[str, list[ingest.Opened]], cut: dict[tuple, set[int]]):
        self.files, self.cut = files, cut
        self.header: list[str] | None = None

    def __call__(self, record: list[str]) -> bool | str:
        if self.header is None:
            self.header = record
            return False
        table, line = (record[i] if i < len(record) else "" for i in self._places())
        if not _is_number(line):  # about every issue of a rule
            return False
        number, place = divmod(int(float(line)), STRIDE)
        opened = self.files.get(table, [])[number : number + 1]
        gone = sorted(self.cut.get(_place(opened[0]), ())) if opened else []
        before = bisect_left(gone, place)
        if place in gone[before : before + 1]:
            return True
        if not before or opened[0].raw.suffix == ".xlsx":  # there the others keep their rows
            return False
        record[self._places()[1]] = str(number * STRIDE + place - before)
        return _csv_line(record)

    def _places(self) -> tuple[int, int]:
        return self.header.index("table"), self.header.index("line")


def _is_number(text: str) -> bool:
    """Whether a cell of issues.csv holds a number; all others hold a word for nothing."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


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


def _still_sought(project: Project, sought: list[dict]) -> tuple[Path, Path]:
    """Who is to be looked for, with this customer: it takes its place with all other files."""
    path = project.root / vault.SOUGHT / project.source.name
    new = path.with_name(f"{ASIDE}{path.name}")
    _keep(project, sought, new)
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


def _prove(
    project: Project,
    needles: list[traces.Needle],
    tell: Callable[[str], None],
    cache: Path | None,
) -> bool:
    """Search everywhere, say what was found and what is out of reach; whether there is nothing."""
    encodings = {
        project.raw / one.path: one.raw.encoding
        for files in project.reading.files.values() for one in files if one.raw.encoding
    }  # fmt: skip
    feeds = [feed for entry in project.source.files for feed in entry.feeds]
    columns = {feed.column for feed in feeds if feed.field == "customer_key"}
    found = traces.search(
        project.con, project.root, project.source.name, needles,
        key_columns=columns - {None}, encodings=encodings, dvc_cache=cache,
    )  # fmt: skip
    for line in found.lines:
        tell(line)
    tell("Out of reach, for you to see to:")
    for place in BEYOND:
        tell(f"  {place}")
    return not found.hits
