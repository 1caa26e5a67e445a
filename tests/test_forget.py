"""One customer is forgotten: raw files of every kind, what is made of them, what comes back."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from conftest import ROOT, call
from python_calamine import CalamineWorkbook

from crm import engine, forget, quality, rotate, traces, use, vault
from crm.mapping import File
from crm.raw import LINE, open_file
from crm.rewrite import without
from crm.tables import lookup

MAPPING = """
title: A small shop
licence: own data
public: true
register: {kind: internal, relevance: all sales, reliability: tills, timeliness: daily}
files:
  - table: customers
    path: people.xlsx
    columns: {customer_key: no, name: name, phone: phone, email: mail, registered_on: since}
  - table: order_lines
    path: lines_*.csv
    encoding: gb18030
    duplicates: keep
    join: {path: heads.csv, on: order}
    columns:
      order_id: {column: order, prefix: W-}
      customer_key: customer
      product_id: article
      quantity: units
      unit_price: price
      ordered_at: at
  - table: order_lines
    path: store.parquet
    duplicates: keep
    columns:
      order_id: {column: receipt, prefix: S-}
      customer_key: card
      product_id: article
      quantity: units
      unit_price: price
      ordered_at: at
  - table: tickets
    path: tickets.jsonl
    columns:
      ticket_id: no
      customer_key: customer.id
      opened_at: at
      kind: {value: complaint}
      text: text
  - table: leads
    path: leads.json
    records: data.items
    columns: {lead_id: no, customer_key: customer, created_at: at, stage: {value: lead}}
  - table: finance
    path: costs.csv
    columns: {day: day, kind: {value: shipping}, order_id: {column: order, prefix: W-}, cost: cost}
"""
HEADS = "order,customer,at\n1,K100001,2024-01-05\n2,K100002,2024-02-05\n3,,2024-03-05\n"
LINES = (
    'order,article,units,price,note\n1,A,2,10.00,"送给\n张三"\n2,B,1,5.00,好\n'
    "1,B,1,7.50,\n3,A,1,10.00,\n"
)
COSTS = "order,day,cost\n1,2024-01-06,3.00\n2,2024-02-06,3.00\n"
TICKETS = (
    '{"no": "T1", "customer": {"id": "K100001"}, "at": "2024-01-07", "text": "late"}\n'
    '{"no": "T2", "customer": {"id": "K100003"}, "at": "2024-01-08", "text": "\\u5f20 late"}\n'
)
LEADS = """{"data": {"count": 3, "items": [
  {"no": "L1", "customer": "K100003", "at": "2024-01-01"},
  {"no": "L2", "customer": "K100002", "at": "2024-01-02"},
  {"no": "L3", "customer": "K100001", "at": "2024-01-03"}
]}}"""
PEOPLE = [
    ["no", "name", "phone", "mail", "since"],
    ["K100001", "张三丰", "138 7654 0001", "zhang@example.com", "2023-12-01"],
    ["K100002", "李四", "13976540002", "li@example.com", "2023-12-01"],
    ["K100003", "王五", "13776540003", "wang@example.com", "2023-12-01"],
    ["M100004", "张三丰", "13876540001", "sanfeng@example.com", "2023-12-01"],
]
STORE = {
    "receipt": ["1", "2", "3"],
    "card": ["M100004", "K100002", "K100003"],
    "article": ["A", "A", "B"],
    "units": [1, 2, 1],
    "price": ["10.00", "10.00", "5.00"],
    "at": ["2024-01-09", "2024-02-09", "2024-04-09"],
}


def write_shop(root: Path) -> Path:
    """A source of six files of different kinds; returns the folder of its raw files."""
    folder = root / "data/raw/shop"
    source = root / "data/sources/shop"
    for one in (folder, source):
        one.mkdir(parents=True, exist_ok=True)
    (source / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (source / "params.yaml").write_text("run: {currency: CNY}\n", encoding="utf-8")
    heads = {
        "decisions": "key_a,key_b,decision,author,decided_on,note\n"
        "K100001,M100004,merge,a,2024-05-01,\nK100002,K100003,apart,a,2024-05-01,\n",
        "corrections": "table,key,column,value,author,date\n",
        "tombstones": "hash,date\n",
        "issues": "rule,table,line,status,handled_on,note\n"
        "price cap,order_lines,4,closed,2024-05-01,of the order that goes\n"
        "price cap,order_lines,5,closed,2024-05-01,its row moves up\n",
    }
    for name, text in heads.items():
        (source / f"{name}.csv").write_text(text, encoding="utf-8")
    write_raw(folder)
    return folder


def write_raw(folder: Path) -> None:
    (folder / "heads.csv").write_bytes(HEADS.encode("utf-8"))
    (folder / "lines_2024.csv").write_bytes(LINES.encode("gb18030"))
    (folder / "costs.csv").write_bytes(COSTS.encode("utf-8"))
    (folder / "tickets.jsonl").write_bytes(TICKETS.encode("utf-8"))
    (folder / "leads.json").write_bytes(LEADS.encode("utf-8"))
    pq.write_table(pa.table(STORE), folder / "store.parquet")
    with xlsxwriter.Workbook(folder / "people.xlsx") as book:
        page = book.add_worksheet("people")
        for i, row in enumerate(PEOPLE):
            page.write_row(i, 0, row)


def money(root: Path) -> float:
    """What all order lines sold for."""
    files = (root / "data/tables/order_items").glob("**/*.parquet")
    listed = ", ".join(f"'{file}'" for file in files)
    return float(duckdb.sql(f"select sum(amount) from read_parquet([{listed}])").fetchall()[0][0])


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def shop(demo, tmp_path_factory) -> Path:
    """A project whose source is the small shop, run once."""
    root = Path(shutil.copytree(demo, tmp_path_factory.mktemp("shop") / "p", symlinks=True))
    write_shop(root)
    for command in (["use", "shop"], ["run"]):
        done = call(root, "crm", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    return root


# --- the whole


def test_an_unknown_customer_changes_nothing_and_is_said_in_one_line(shop):
    before = bytes_of(shop / "data/raw/shop")
    done = call(shop, "crm", "forget", "K999999", "--yes")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nobody in the source 'shop' has the key or the id 'K999999'" in done.stderr
    assert bytes_of(shop / "data/raw/shop") == before


def test_without_a_yes_nothing_is_changed(shop):
    before = bytes_of(shop / "data/raw/shop")
    done = call(shop, "crm", "forget", "K100001")
    assert done.returncode == 1
    assert done.stdout.endswith("Nothing was changed.\n")
    assert bytes_of(shop / "data/raw/shop") == before


def test_a_customer_is_gone_from_every_place_and_does_not_come_back(shop):
    folder, before = shop / "data/raw/shop", money(shop)
    bare = {"PATH": "/usr/bin:/bin"}  # the environment is not activated
    done = call(shop, "crm", "forget", "K100001", "--yes", **bare)  # a decision joined M100004
    assert done.returncode == 0, done.stdout + done.stderr
    assert "One customer: 2 source keys" in done.stdout
    assert "\n0 hits in " in done.stdout
    assert before - money(shop) == 2 * 10 + 7.5 + 10  # order W-1 and receipt S-1
    assert_others_kept(folder)
    kept = (shop / "data/sources/shop/decisions.csv").read_text().splitlines()[1:]
    assert kept == ["K100002,K100003,apart,a,2024-05-01,"]
    issues = (shop / "data/sources/shop/issues.csv").read_text().splitlines()[1:]
    assert issues == ["price cap,order_lines,3,closed,2024-05-01,its row moves up"]
    assert_nowhere(shop, "K100001", "M100004", "zhang@example.com", "138 7654 0001", "张三丰")
    after = money(shop)
    write_raw(folder)  # a later pull
    done = call(shop, "crm", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert money(shop) == after
    metrics = json.loads((shop / "reports/metrics/ingest.json").read_text())
    assert metrics["forgotten"] == 2 + 2 + 1 + 1 + 1 + 1  # people, lines, till, ticket, lead, cost
    assert_nowhere(shop, "K100001", "zhang@example.com", "张三丰", places=("tables", "vault"))


def assert_others_kept(folder: Path) -> None:
    """What is about others has the bytes it had, or the same values."""
    assert (folder / "heads.csv").read_text() == HEADS.replace("1,K100001,2024-01-05\n", "")
    lines = (folder / "lines_2024.csv").read_bytes().decode("gb18030")
    assert lines == "order,article,units,price,note\n2,B,1,5.00,好\n3,A,1,10.00,\n"
    assert (folder / "costs.csv").read_text() == "order,day,cost\n2,2024-02-06,3.00\n"
    assert (folder / "tickets.jsonl").read_text() == TICKETS.splitlines(True)[1]
    leads = LEADS.replace(
        """,
  {"no": "L3", "customer": "K100001", "at": "2024-01-03"}""",
        "",
    )
    assert (folder / "leads.json").read_text() == leads
    assert pq.read_table(folder / "store.parquet")["receipt"].to_pylist() == ["2", "3"]
    book = CalamineWorkbook.from_path(folder / "people.xlsx").get_sheet_by_index(0).to_python()
    assert [row for row in book if any(row)] == [PEOPLE[0], *PEOPLE[2:4]]


def assert_nowhere(root: Path, *texts: str, places=("raw", "tables", "vault", "clean")) -> None:
    """A search of its own, without the code under test: bytes, and every cell of every table."""
    for place in places:
        for path in filter(Path.is_file, (root / "data" / place).rglob("*")):
            if place == "raw" and path.parent.name != "shop":
                continue
            told = path.read_bytes()
            if path.suffix == ".parquet":
                told = str(pq.read_table(path).to_pylist()).encode()
            for text in texts:
                assert text.encode() not in told, (path, text)


def test_the_demo_is_refused_since_its_stage_writes_everybody_anew(demo):
    done = call(demo, "crm", "forget", "K0000002", "--yes")
    assert done.returncode == 1
    assert "written by the stage simulate" in done.stderr


# --- what is done, without the pipeline: the tables that it would make are written by hand


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A project whose source is the small shop; its map and its vault are there, nothing else."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "data/sources/demo", tmp_path / "data/sources/demo")
    (tmp_path / "src").symlink_to(ROOT / "src")
    write_shop(tmp_path)
    use.use(tmp_path, "shop")
    con = engine.connect(threads=1)
    keys = [row[0] for row in PEOPLE[1:]]
    made = vault.pseudonyms("shop", keys, key=vault.PUBLISHED.pseudonym)
    ids = [made[0], *made[1:3], made[0]]  # K100001 and M100004 are one customer
    known = {"source": ["shop"] * 4, "customer_key": keys, "customer_id": ids}
    for name in lookup("tables/identity_map").names[3:]:
        known[name] = [None] * 4
    rows = pd.DataFrame(known).astype("str")
    path = tmp_path / "data/tables/identity_map.parquet"
    path.parent.mkdir(parents=True)
    con.con.register("known", rows)
    con.con.execute(f"copy (select * from known) to '{path}' (format parquet)")
    lock_away(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lock_away(root: Path) -> None:
    """The vault as `ingest` writes it."""
    people = pd.DataFrame(PEOPLE[1:], columns=["customer_key", "name", "phone", "email", "since"])
    people = people.assign(line=range(4), address=None, id_number=None).drop(columns="since")
    personal = ["name", "phone", "email", "address", "id_number"]
    for column in personal:
        people[column] = vault.encrypt(
            people[column].tolist(), key=vault.PUBLISHED.encryption,
            context=f"vault/customers.{column}",
        )  # fmt: skip
    people = people.astype(dict.fromkeys(personal, "str"))[["line", "customer_key", *personal]]
    path = root / "data/vault/customers.parquet"
    engine.write(engine.connect(threads=1), people, path, lookup("vault/customers"))


def rebuilt(root: Path) -> None:
    """What a run of the pipeline does: the customer is in no table any more."""
    for place in ("data/tables/identity_map", "data/vault/customers"):
        path = root / f"{place}.parquet"
        rows = pq.read_table(path).to_pylist()
        kept = [row for row in rows if row["customer_key"] not in ("K100001", "M100004")]
        pq.write_table(pa.Table.from_pylist(kept, schema=pq.read_schema(path)), path)


def told(root: Path, who: str, *, stopped: bool = False, answer: bool = True) -> tuple[int, str]:
    """Call it with a pipeline that only takes the customer out of map and vault, or stops."""
    lines: list[str] = []

    def tool(*command: str) -> int:
        if command[:2] == ("dvc", "repro"):
            rebuilt(root)
        return int(stopped)

    code = forget.forget(root, who, ask=lambda _: answer, tell=lines.append, tool=tool)
    return code, "\n".join(lines)


def test_a_second_call_looks_for_all_that_the_first_did_and_the_values_go_with_the_proof(small):
    code, lines = told(small, "K100001", stopped=True)
    assert code == 1
    kept = small / vault.SOUGHT / "shop"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for text in ("K100001", "M100004", "张三丰", "zhang@example.com"):
        assert text.encode() not in kept.read_bytes()
    (small / "reports").mkdir()
    (small / "reports/a.html").write_text("zhang@example.com M100004 13876540001", "utf-8")
    code, lines = told(small, "K100001")
    assert code == 1
    assert "\n3 hits in " in lines
    assert "reports/a.html: phone, 1 times" in lines
    code, lines = told(small, "M100004")  # any key of the customer
    assert (code, "\n3 hits in " in lines) == (1, True)
    (small / "reports/a.html").unlink()
    code, lines = told(small, "K100001")
    assert (code, "\n0 hits in " in lines) == (0, True)
    assert not kept.exists()


def test_where_only_the_key_is_known_it_says_so_and_proves_nothing(small):
    assert told(small, "K100001")[0] == 0
    (small / "reports").mkdir()
    (small / "reports/a.html").write_text("zhang@example.com", "utf-8")
    for _call in range(2):
        code, lines = told(small, "K100001")
        assert code == 1
        assert "\n0 hits in " in lines
        assert lines.count(forget.ONLY_KEY) == 2  # before the question and at the end


def test_values_still_to_be_looked_for_are_encrypted_anew_with_the_vault(small, monkeypatch):
    for name in ("CRM_PSEUDONYM_KEY", "CRM_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    mapping = small / "data/sources/shop/mapping.yaml"
    mapping.write_text(MAPPING.replace("public: true\n", ""), encoding="utf-8")
    use.use(small, "demo")
    use.use(small, "shop")
    shutil.rmtree(small / "data/vault")
    keys = vault.keys(mapping.parent, public=False)
    kept = small / vault.SOUGHT / "shop"
    (text,) = vault.encrypt(['[{"keys": ["K1"]}]'], key=keys.encryption, context=vault.SOUGHT)
    vault.write_private(kept, text)
    rotate.rotate(small)
    assert kept.read_text() != text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    new = vault.keys(mapping.parent, public=False).encryption
    made = vault.decrypt([kept.read_text()], key=new, context=vault.SOUGHT)
    assert made == ['[{"keys": ["K1"]}]']


def test_values_under_another_key_are_said_and_nothing_is_changed(small):
    vault.write_private(small / vault.SOUGHT / "shop", "00ff")
    before = state(small)
    with pytest.raises(forget.ForgetError, match=r"^\.crm/sought/shop cannot be read"):
        told(small, "K100001")
    assert state(small) == before


def state(root: Path) -> dict[str, bytes]:
    """Every file below data, and its bytes."""
    files = filter(Path.is_file, (root / "data").rglob("*"))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_dvc_is_that_of_this_environment_and_missed_before_anything_is_changed(
    small, monkeypatch, tmp_path_factory
):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert traces.cache(small) is None  # it is there, and the project is none of DVC
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setattr("sys.executable", str(empty / "python"))
    monkeypatch.setenv("PATH", str(empty))
    before = state(small)
    with pytest.raises(traces.TraceError, match="no dvc"):
        told(small, "K100001")
    assert state(small) == before


def write_truth(root: Path) -> Path:
    folder = root / "data/truth/shop"
    folder.mkdir(parents=True)
    tables = {
        "keys": {"person": [1, 1, 2], "customer_key": ["K100001", "M100004", "K100002"]},
        "people": {"person": [1, 2], "persona": ["a", "b"]},
        "orders": {"order_id": ["W-1", "W-2"], "person": [1, 2]},
        "dirt": {"key": ["K100001", "W-2"], "value": ["张三丰", "1"]},
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    (folder / "marks.csv").write_text("customer_key,n\nK100001,1\nK100002,2\n")
    (folder / "truth.json").write_text('{"customers": 2}')
    return folder


def test_of_the_truth_of_a_simulation_only_the_customer_goes_and_the_plan_says_it(small):
    folder = write_truth(small)
    before = bytes_of(folder)
    code, lines = told(small, "K100001", answer=False)
    assert (code, bytes_of(folder)) == (1, before)
    assert "cut what names them out of the tables in data/truth/shop" in lines
    assert told(small, "K100001")[0] == 0
    rows = {p.stem: pq.read_table(p).to_pylist() for p in folder.glob("*.parquet")}
    assert rows == {
        "keys": [{"person": 2, "customer_key": "K100002"}],
        "people": [{"person": 2, "persona": "b"}],
        "orders": [{"order_id": "W-2", "person": 2}],
        "dirt": [{"key": "W-2", "value": "1"}],
    }
    assert (folder / "marks.csv").read_text() == "customer_key,n\nK100002,2\n"
    assert (folder / "truth.json").read_bytes() == before["truth.json"]


def test_the_plan_names_the_card_that_goes(small):
    (one,) = vault.pseudonyms("shop", ["K100001"], key=vault.PUBLISHED.pseudonym)
    card = small / f"reports/cards/{one}.html"
    card.parent.mkdir(parents=True)
    card.write_text("a card")
    assert f"delete reports/cards/{one}.html" in told(small, "K100001", answer=False)[1]
    told(small, "K100001")
    assert not card.exists()


CORRECTIONS = """\
table,key,column,value,author,date
customers,900,points,5,ann,2024-01-01
products,5,category,tea,ann,2024-01-01
order_lines,5,quantity,1,ann,2024-01-01
customers, 5 ,points,7,ann,2024-01-01
"""


def test_of_hand_kept_files_only_columns_of_keys_decide():
    person = forget.Person(["5"], ["a" * 16], ["W-5"])
    is_named = forget._naming(person)
    header, *rows = [line.split(",") for line in CORRECTIONS.splitlines()]
    assert [is_named(dict(zip(header, row, strict=True))) for row in rows] == [
        False, False, False, True,
    ]  # fmt: skip
    assert is_named({"key_a": "9", "key_b": "5"})
    assert is_named({"own_id": "a" * 16, "customer_id": "b"})
    assert is_named({"order_id": "W-5"})
    assert is_named({"key": "W-5"})
    assert not is_named({"order_id": "5", "points": "5", "note": "5", "person": 5})


def test_a_line_about_others_stays_in_hand_kept_files_of_every_kind(small):
    folder = small / "data/sources/shop"
    (folder / "corrections.csv").write_text(
        "table,key,column,value,author,date\n"
        "customers,K100002,consumption_preference,K100001,ann,2024-01-01\n"
        "customers,K100001,points,5,ann,2024-01-01\n"
    )
    pq.write_table(
        pa.table({"own_id": ["x", "y"], "customer_id": ["x", "y"], "note": ["K100001", "z"]}),
        folder / "previous_ids.parquet",
    )
    before = (folder / "previous_ids.parquet").read_bytes()
    told(small, "K100001")
    kept = (folder / "corrections.csv").read_text().splitlines()[1:]
    assert kept == ["customers,K100002,consumption_preference,K100001,ann,2024-01-01"]
    assert (folder / "previous_ids.parquet").read_bytes() == before


ISSUES = """\
rule, table, line, status, handled_on, note
price cap, order_lines, 5.0, closed, 2024-05-01, "moves, up"
price cap, order_lines, 4.0, closed, 2024-05-01, of the order that goes

price cap,order_lines,,closed
price cap,order_lines,NA,closed
price cap,order_lines,3,closed
"""


def test_the_file_of_issues_is_read_as_the_pipeline_reads_it(small):
    path = small / "data/sources/shop/issues.csv"
    path.write_text(ISSUES, encoding="utf-8")
    told(small, "K100001")
    made = path.read_text(encoding="utf-8")
    assert made.splitlines()[1:] == [
        'price cap,order_lines,3,closed,2024-05-01,"moves, up"', *ISSUES.splitlines()[3:6],
        "price cap,order_lines,2,closed",
    ]  # fmt: skip
    assert quality.handled(path)["line"].tolist() == [3, quality.WHOLE, 2]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("issues.csv", b"rule,table,line,status,handled_on,note\na,b,x,closed,,\n", "line is 'x'"),
        ("issues.csv", b"rule,table,status\na,b,closed\n", "has no column"),
        ("corrections.csv", "table,key\n客户,K1\n".encode("gb18030"), "is not UTF-8"),
        ("decisions.csv", b"key_a,key_b\n" + b"x" * 200_000 + b",y\n", "cannot be read as CSV"),
    ],
)
def test_a_hand_kept_file_that_cannot_be_read_changes_nothing(small, name, data, said):
    (small / "data/sources/shop" / name).write_bytes(data)
    before = state(small)
    with pytest.raises(ValueError, match=said) as error:
        told(small, "K100001")
    assert type(error.value).__module__.startswith("crm.")
    assert "\n" not in str(error.value)
    assert state(small) == before


def test_whatever_breaks_off_while_files_are_written_leaves_nothing_aside(small, monkeypatch):
    before = state(small)

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(forget, "_buried", fail)
    with pytest.raises(KeyboardInterrupt):
        told(small, "K100001")
    assert state(small) == before
    assert not (small / vault.SOUGHT).exists() or not list((small / vault.SOUGHT).iterdir())


# --- a break


def test_renames_that_broke_off_are_ended_and_what_lay_aside_without_them_is_removed(tmp_path):
    folder = tmp_path / "data/raw/shop"
    (tmp_path / ".crm").mkdir()
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("old")
    (folder / ".forget-0-b.csv").write_text("half")
    assert not forget._resume(tmp_path)
    assert bytes_of(folder) == {"a.csv": b"old", "b.csv": b"old"}
    (folder / ".forget-0-b.csv").write_text("new")  # a.csv was renamed before the break
    pairs = [[f"data/raw/shop/.forget-0-{n}", f"data/raw/shop/{n}"] for n in ("a.csv", "b.csv")]
    (tmp_path / forget.JOURNAL).write_text(json.dumps(pairs))
    assert forget._resume(tmp_path)
    assert bytes_of(folder) == {"a.csv": b"old", "b.csv": b"new"}
    assert not (tmp_path / forget.JOURNAL).exists()


# --- files of each kind


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.csv", b'\n\nk,t\n1,x\n\n2,"y\n,z"\n3,w', b"\n\nk,t\n1,x\n\n3,w"),
        ("a.csv", b"k,t\r\n1,x\r\n2,y\r\n", b"k,t\r\n1,x\r\n"),
        ("a.csv", "k,t\n1,x\n2,中\n3,文\n".encode("utf-16"), "k,t\n1,x\n3,文\n".encode("utf-16")),
        ("a.jsonl", b'{"k": 1}\n\n{"k": 2}\n{"k": 3}\n', b'{"k": 1}\n\n{"k": 3}\n'),
        ("a.json", b'[{"k":1.50}, {"k":2},\n{"k":3}]', b'[{"k":1.50},\n{"k":3}]'),
    ],
)
def test_the_second_record_is_cut_and_all_other_bytes_stay(tmp_path, name, old, new):
    (tmp_path / name).write_bytes(old)
    con = engine.connect(threads=1)
    entry = File("traits", (name,))
    opened = open_file(con, entry, "shop", tmp_path, name)
    second = opened.table.filter(opened.table["k"] == "2")[LINE].to_pyarrow().to_pylist()
    without(tmp_path / name, opened, entry, set(second), tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == new


def test_a_parquet_dictionary_keeps_no_value_that_no_row_has(tmp_path):
    column = pa.array(["Ann Example", "Bob"]).dictionary_encode()
    pq.write_table(pa.table({"name": column}), tmp_path / "a.parquet")
    con, entry = engine.connect(threads=1), File("traits", ("a.parquet",))
    opened = open_file(con, entry, "shop", tmp_path, "a.parquet")
    without(tmp_path / "a.parquet", opened, entry, {1}, tmp_path / "new")
    assert b"Ann Example" not in (tmp_path / "new").read_bytes()
    assert pq.read_table(tmp_path / "new")["name"].to_pylist() == ["Bob"]


def test_links_and_comments_of_a_row_go_with_it(tmp_path):
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        page = book.add_worksheet("people")
        page.write_row(0, 0, ["k", "mail"])
        for row, name in enumerate(("ann", "bob", "cat"), 1):
            page.write(row, 0, name)
            page.write_url(row, 1, f"mailto:{name}@example.org", string="write", tip=f"to {name}")
            page.write_comment(row, 0, f"{name} called", {"author": "desk"})
    con, entry = engine.connect(threads=1), File("traits", ("a.xlsx",))
    opened = open_file(con, entry, "shop", tmp_path, "a.xlsx")
    for rows, left in (({3}, ("ann", "cat")), ({3, 2, 4}, ())):
        without(tmp_path / "a.xlsx", opened, entry, rows, tmp_path / "new.xlsx")
        with zipfile.ZipFile(tmp_path / "new.xlsx") as new:
            parts = {name: new.read(name).decode() for name in new.namelist()}
        told = "".join(parts.values())
        for name in ("ann", "bob", "cat"):
            for text in (f"mailto:{name}@example.org", f"to {name}", f"{name} called"):
                assert (text in told) == (name in left), text
        shapes = parts["xl/drawings/vmlDrawing1.vml"].count("<v:shape ")
        links = parts["xl/worksheets/sheet1.xml"].count("<hyperlink ")
        assert shapes == links == len(left)
        assert ("<hyperlinks>" in parts["xl/worksheets/sheet1.xml"]) == bool(left)
        for name, text in parts.items():
            assert ElementTree.fromstring(text) is not None, name
        CalamineWorkbook.from_path(tmp_path / "new.xlsx").get_sheet_by_index(0).to_python()


# --- the search


def test_a_search_tells_a_person_from_numbers_and_from_words(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/page.html").write_text("很高兴 高兴, 12345 K77 AK77", encoding="utf-8")
    (tmp_path / "data").mkdir()
    rows = {"customer_key": ["12345", "5"], "amount": ["12345", "1"]}
    pq.write_table(pa.table(rows), tmp_path / "data/a.parquet")
    needles = [traces.Needle("name", "高兴"), traces.Needle("source key", "12345"),
               traces.Needle("source key", "K77"), traces.Needle("name", "李四", 2)]  # fmt: skip
    found = traces.search(
        engine.connect(threads=1),
        tmp_path,
        "shop",
        needles,
        key_columns=set(),
        encodings={},
        dvc_cache=None,
    )
    assert found.hits == Counter({
        ("reports/page.html", "name"): 1,
        ("reports/page.html", "source key"): 1,
        ("data/a.parquet, column customer_key", "source key"): 1,
    })  # fmt: skip
    assert found.doubtful == Counter({("reports/page.html", "name"): 1})
    assert found.shared == ("a name, also the name of 2 others",)


def test_an_archive_that_cannot_be_read_is_no_proof(tmp_path):
    (tmp_path / "reports").mkdir()
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("a.txt", "Ann Example " * 999)
    whole = (tmp_path / "whole.zip").read_bytes()
    (tmp_path / "reports/torn.zip").write_bytes(whole[:50] + b"\0" * 20 + whole[70:])
    locked = bytearray(whole)  # as with a password: the flag of its part, in both places
    locked[6] |= 1
    locked[whole.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "reports/locked.zip").write_bytes(locked)
    (tmp_path / "reports/cut.zip").write_bytes(whole[:80])
    found = traces.search(
        engine.connect(threads=1), tmp_path, "shop", [traces.Needle("name", "Ann Example")],
        key_columns=set(), encodings={}, dvc_cache=None,
    )  # fmt: skip
    assert sorted(place for place, _ in found.hits) == [
        "reports/cut.zip", "reports/locked.zip", "reports/torn.zip",
    ]  # fmt: skip
