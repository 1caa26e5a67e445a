"""A personal value in any output fails the build and is named by place; ordinary words do not."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from conftest import ROOT, call

from crm import engine, gate, vault
from crm.gate import GateError, Values
from crm.tables import TABLES, Column, Table, empty, lookup

PEOPLE = {
    "name": {"王小雨", "李娜", "Ada Lovelace", "Cher", "欧阳修", "测试", "客户", "000"},
    "phone": {"13812345678", "021-55667788"},
    "email": {"ada@example.org"},
    "address": {"上海市徐汇区天平路10号", "12 High Street, Oxford"},
    "id number": {"11010519491231002X"},
}


def kinds(text: str) -> list[str]:
    return [kind for kind, _value, _at in Values(PEOPLE).find(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("昨天王小雨来电", ["name"]),
        ("<td>李娜</td>", ["name"]),
        ("李娜", ["name"]),
        ("best regards, ADA  LOVELACE.", ["name"]),
        ("Cher", ["name"]),
        ("\\u738b\\u5c0f\\u96e8", ["name"]),
        ("&#29579;&#23567;&#38632;", ["name"]),
        ("call 138-1234-5678 now", ["phone"]),
        ("call +86 138 1234 5678", ["phone"]),
        ("１３８１２３４５６７８", ["phone"]),
        ("tel 021-55667788", ["phone"]),
        ("mail Ada@Example.org", ["email"]),
        ("寄到上海市徐汇区天平路10号", ["address"]),
        ("12 high street oxford", ["address"]),
        ("ID 11010519491231002x", ["id number"]),
    ],
)
def test_a_value_of_the_vault_is_found_however_it_is_written(text, found):
    assert kinds(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("other 15900001111", ["phone"]),
        ("other b.c@d.cn", ["e-mail"]),
        ("other 440308199901010012", ["identity number"]),
        ("other 440308199901010013", []),  # the check digit is wrong: a number like any other
        ("<p>请致电15900001111或身份证440308199901010012</p>", ["phone", "identity number"]),
        ("phone_15900001111_x", ["phone"]),
        ("id_440308199901010012_", ["identity number"]),
    ],
)
def test_what_has_the_form_of_a_contact_is_found_whoever_it_belongs_to(text, found):
    assert kinds(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "王* 138****5678 a***@example.org",  # masked
        "桃李娜些",  # two characters met by chance
        "Cher Ami is a chocolate, Ada a language",
        "0.13812345670 and 13812345670.5 and 9ab13812345670",  # a ratio, a sum, a hash
        "order W-20231102-13812345670-1",
        '{"line":13812345670,"order_id":"1"}',  # the place of a row
        "12 High Street, Cambridge",
        "测试 客户 000",  # names of nobody
        "",
    ],
)
def test_what_is_no_value_is_passed(text):
    assert kinds(text) == []


def test_a_name_that_is_a_word_of_the_catalogue_is_not_looked_for_and_counted():
    values = Values(PEOPLE, [("products.product_name", "欧阳修 collected poems")])
    assert list(values.find("欧阳修")) == []
    assert values.count == 11
    assert values.left_out[gate.WORD_NAMES] == 1
    assert values.alike == []


def test_a_whole_product_name_that_is_a_whole_name_is_told_and_masked():
    values = Values(PEOPLE, [("products.product_name", "欧阳修")])
    assert values.alike == ["products.product_name: 欧***"]


@pytest.mark.parametrize(
    ("known", "ordinary", "text", "left_out"),
    [
        ({"address": {"上海"}}, "上海市", "city 上海市 here", gate.WORD_ADDRESSES),
        ({"address": {"France"}}, "France", "<td>France</td>", gate.WORD_ADDRESSES),
        ({"name": {"黄山"}}, "黄山", "黄山", gate.WORD_NAMES),
        ({"address": {"未知"}}, "", "未知", gate.NOTHING),
        ({"phone": {"Unknown"}}, "", "unknown", gate.NOTHING),
        ({"phone": {"10000"}}, "", '{"rows": 10000}', gate.NOTHING),
        ({"phone": {"0000-0000"}}, "", "0000-0000", gate.NOTHING),
        ({"id number": {"10000"}}, "", '{"rows": 10000}', gate.NOTHING),
    ],
)
def test_what_is_no_evidence_is_not_looked_for_and_counted(known, ordinary, text, left_out):
    values = Values(known, [("customers.city", ordinary)])
    assert list(values.find(text)) == []
    assert values.left_out == {left_out: 1}


@pytest.mark.parametrize(
    ("known", "ordinary"),
    [
        ({"address": {"天平路10号"}}, "天平路10号"),  # a column of places that holds addresses
        ({"phone": {"5588 0000"}}, "5588 0000"),
        ({"phone": {"上海"}}, "上海"),
    ],
)
def test_a_place_makes_no_ordinary_word_of_what_is_none(known, ordinary):
    values = Values(known, [("customers.city", ordinary)])
    assert len(list(values.find(f"to {ordinary} now"))) == 1


def test_without_a_vault_only_the_form_tells():
    values = Values({})
    assert [kind for kind, *_ in values.find("王小雨 13812345678")] == ["phone"]


# ---- a whole project -------------------------------------------------------------------------

DVC = """
stages:
  ingest:
    deps:
      - data/raw/${run.source}
    outs:
      - data/staged/events: {persist: true}
      - data/tables/products.parquet: {persist: true}
      - data/vault/customers.parquet: {persist: true}
      - data/models/m: {persist: true}
    metrics:
      - reports/metrics/ingest.json: {cache: false}
"""
PARAMS = (
    "run: {source: demo, as_of: auto, seed: 7, currency: EUR, time_zone: UTC, language: en, "
    "min_cell: 5}\n"
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text(DVC)
    prints = vault.PUBLISHED.fingerprints()
    (tmp_path / "params.yaml").write_text(f"{PARAMS}vault: {json.dumps(prints)}\n")
    folder = tmp_path / "data/sources/demo"
    folder.mkdir(parents=True)
    (folder / "mapping.yaml").write_text("public: true\n")
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    _write_vault(tmp_path)
    plant(tmp_path, "reports/pages/rfm.html", "<p>nobody</p>")
    return tmp_path


def _write_vault(root, *names: str, phone="13812345678", address=None) -> None:
    names = names or ("王小雨",)
    person = {
        "line": range(len(names)), "customer_key": [f"C{i}" for i, _name in enumerate(names)],
        "name": names, "phone": phone, "email": None, "address": address, "id_number": None,
    }  # fmt: skip
    person = pd.DataFrame(person).to_dict("list")
    for column in ("name", "phone", "address"):
        context = f"vault/customers.{column}"
        key = vault.PUBLISHED.encryption
        person[column] = vault.encrypt(person[column], key=key, context=context)
    path = root / "data/vault/customers.parquet"
    path.unlink(missing_ok=True)
    texts = dict.fromkeys(("name", "phone", "email", "address", "id_number"), "str")
    rows = pd.DataFrame(person).astype(texts)
    engine.write(engine.connect(threads=1), rows, path, lookup("vault/customers"))


def plant(root, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text, encoding="utf-8")


def said(root) -> str:
    with pytest.raises(GateError) as error:
        gate.gate(root)
    assert "王小雨" not in str(error.value)
    assert "13812345678" not in str(error.value)
    return str(error.value)


def test_outputs_without_a_person_pass_and_the_look_is_logged(root):
    assert gate.gate(root).startswith("gate: 1 files hold none of 2 personal values")
    (line,) = (root / ".crm/access.log").read_text().splitlines()
    entry = json.loads(line)
    assert entry["by"] == "gate"
    assert "vault/customers.name" in entry["fields"]


def test_what_passed_with_these_bytes_and_this_vault_is_not_opened_again(root):
    gate.gate(root)
    log = (root / ".crm/access.log").read_text()
    assert gate.gate(root).startswith("gate: 2 files hold none of 2 personal values")
    assert (root / ".crm/access.log").read_text() == log
    plant(root, "reports/pages/rfm.html", "<p>王小雨</p>")
    said(root)
    plant(root, "reports/pages/rfm.html", "<p>nobody</p>")
    gate.gate(root)
    assert len((root / ".crm/access.log").read_text()) > len(log)
    kept = json.loads((root / gate.PASSED).read_text())
    assert set(kept) == {"basis", "values", "told", "passed"}
    _write_vault(root, "李白白")
    plant(root, "reports/pages/rfm.html", "<p>李白白</p>")
    assert "rfm.html, line 1: name 李***" in said(root)


def test_a_page_that_passed_is_read_again_for_a_new_vault(root):
    plant(root, "reports/pages/rfm.html", "<p>李白白</p>")
    gate.gate(root)
    _write_vault(root, "李白白")
    assert "rfm.html, line 1: name 李***" in said(root)


NOTEBOOK = {"cells": [{"source": "a"}, {"outputs": [{"data": {"text/plain": ["x\n", "王小雨"]}}]}]}


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("reports/pages/rfm.html", "<p>\n<td>王小雨</td>", "line 2: name 王***"),
        ("reports/index.html", "<b>13812345678</b>", "line 1: phone 1***"),
        ("reports/notebooks/rfm.ipynb", json.dumps(NOTEBOOK), "cell 2, line 2: name 王***"),
        ("reports/failed/rfm.ipynb", json.dumps(NOTEBOOK), "cell 2, line 2: name 王***"),
        ("reports/metrics/ingest.json", '{\n"best": "王小雨"}', "line 2: name 王***"),
        ("reports/cards/a.html", "138 1234 5678", "line 1: phone 1***"),
        ("data/models/m", '{"key": "王小雨"}', "line 1: name 王***"),
        (".crm/runs/000001-rfm.json", '{"metrics": "王小雨"}', "line 1: name 王***"),
        ("mlartifacts/1/a.txt", "王小雨", "line 1: name 王***"),
    ],
    ids=lambda value: value if "/" in str(value) and len(value) < 40 else "",
)
def test_a_planted_leak_fails_and_names_file_and_place(root, file, text, place):
    plant(root, file, text)
    assert f"\n{file}, {place}, unmasked" in said(root)


def write_goods(root, name: str, category: str = "cups") -> None:
    goods = pd.DataFrame(
        {"product_id": ["P1"], "product_name": [name], "category": [category],
         "list_price": [1.0], "is_product": [True]}
    )  # fmt: skip
    path = root / "data/tables/products.parquet"
    engine.write(engine.connect(threads=1), goods, path, lookup("tables/products"))


def write_cells(root, monkeypatch, file: str, column: str, kind: str, cells: list) -> None:
    """A table of one column, in a place that is an output."""
    table = Table("x/t", "x", "x", "x", (column,), (Column(column, kind, "x"),))
    monkeypatch.setitem(TABLES, "x/t", table)
    (root / file).unlink(missing_ok=True)
    engine.write(engine.connect(threads=1), pd.DataFrame({column: cells}), root / file, table)


def test_a_leak_in_a_table_names_the_column(root):
    write_goods(root, "cup", category="13812345678")
    assert "\ndata/tables/products.parquet, column category: phone 1***" in said(root)


def test_a_leak_in_facts_names_the_column_whatever_its_month(root):
    con = engine.connect(threads=1)
    table = lookup("staged/events")
    row = empty("staged/events").reindex([0, 1])
    row = row.assign(line=[1, 2], target=["page", "王小雨"], kind="view", source="demo",
                     at=pd.to_datetime(["2024-01-02", "2024-02-03"]).as_unit("us"))  # fmt: skip
    engine.write(con, row, root / "data/staged/events", table)
    assert "\ndata/staged/events, column target: name 王***" in said(root)


@pytest.mark.parametrize(
    ("column", "kind", "cell"),
    [
        ("n", "int", 13812345678), ("n", "int", 15900001111), ("deadline", "int", 13812345678),
        ("n", "float", 13812345678.0), ("n", "float", 15900001111.0),
        ("n", "money", 13812345678.0),
    ],
)  # fmt: skip
def test_a_phone_kept_as_a_number_is_found(root, monkeypatch, column, kind, cell):
    write_cells(root, monkeypatch, "reports/t.parquet", column, kind, [cell])
    assert f"\nreports/t.parquet, column {column}: phone 1***" in said(root)


@pytest.mark.parametrize(
    ("column", "kind", "cell"),
    [
        ("line", "int", 13812345678),  # the place of a row
        ("reverses_line", "int", 13812345678),
        ("n", "money", 15900001111.0),  # a sum of money
        ("n", "float", 0.13812345678),
        ("n", "float", 13812345678.5),
        ("n", "float", float("inf")),
        ("order_id", "string", "15800001234"),
    ],
)
def test_a_number_that_stands_for_something_else_is_passed(root, monkeypatch, column, kind, cell):
    write_cells(root, monkeypatch, "reports/t.parquet", column, kind, [cell])
    assert "hold none" in gate.gate(root)


@pytest.mark.parametrize(
    "cell", ["김민수", "Иван Петров", "さとう はな", "１３８１２３４５６７８", "Ά Ώ", "J. R. Élan"]
)
def test_a_cell_in_any_script_is_looked_at(root, monkeypatch, cell):
    _write_vault(root, "김민수", "Иван Петров", "さとう はな", "Ά Ώ", "J. R. Élan")
    write_cells(root, monkeypatch, "reports/t.parquet", "n", "string", [cell])
    assert "\nreports/t.parquet, column n: " in said(root)


def test_order_numbers_with_the_form_of_a_phone_are_passed_and_counted(root, monkeypatch):
    orders = "data/tables/orders.parquet"
    write_cells(root, monkeypatch, orders, "order_id", "string", ["15800001234", "W-1"])
    plant(root, "reports/pages/rows.html", '{"source":"demo","order_id":"15800001234"}')
    assert "1 order number with the form of a phone" in gate.gate(root)
    write_cells(root, monkeypatch, orders, "order_id", "string", ["13812345678"])
    (root / "reports/pages/rows.html").unlink()
    plant(root, "reports/a.csv", "order_id,n\n13812345678,1\n")
    assert "reports/a.csv, line 2: phone 1***" in said(root)  # one of the vault


PLAUSIBLE = '{"rows": 10000, "city": "上海", "country": "France", "gender": "未知"}'


def test_places_and_codes_and_numbers_of_nobody_are_passed_and_told(root, monkeypatch):
    _write_vault(root, "黄山", phone="10000", address="上海")
    write_cells(root, monkeypatch, "data/tables/customers.parquet", "city", "string", ["上海市"])
    plant(root, "reports/metrics/ingest.json", PLAUSIBLE)
    told = gate.gate(root)
    assert "1 address that is an ordinary word" in told
    assert "1 value that stands for nothing" in told
    assert gate.gate(root).splitlines()[0].split("; ")[1] == told.split("; ")[1]  # kept
    _write_vault(root, "黄山", phone="10000", address="France")
    write_cells(root, monkeypatch, "data/tables/customers.parquet", "city", "string", ["黄山"])
    write_cells(root, monkeypatch, "data/tables/returns.parquet", "country", "string", ["France"])
    told = gate.gate(root)
    assert "1 name that is an ordinary word" in told
    assert "1 address that is an ordinary word" in told
    _write_vault(root, "李白白", address="未知")
    assert "1 value that stands for nothing" in gate.gate(root)
    _write_vault(root, "李白白", address="signed")  # a code of the tables
    plant(root, "reports/metrics/ingest.json", '{"contract": "signed"}')
    assert "1 address that is an ordinary word" in gate.gate(root)


def test_a_product_with_the_name_of_a_customer_is_told_on_each_call(root):
    write_goods(root, "王小雨")
    for _call in range(2):
        told = gate.gate(root).splitlines()
        assert "1 name that is an ordinary word" in told[0]
        assert told[2:] == ["  products.product_name: 王***"]


@pytest.mark.parametrize(
    ("kind", "cell", "is_word"),
    [
        ("markdown", {"source": ["a\n", "王小雨"]}, True),
        ("code", {"source": "'王小雨'"}, False),
        ("code", {"source": "a", "outputs": [{"text": ["王小雨"]}]}, False),
        ("markdown", {"source": "a", "metadata": {"note": "王小雨"}}, False),
    ],
)
def test_only_the_prose_of_a_notebook_makes_ordinary_words(root, kind, cell, is_word):
    plant(root, "notebooks/a.ipynb", json.dumps({"cells": [{"cell_type": kind, **cell}]}))
    plant(root, "reports/pages/rfm.html", "<p>王小雨</p>")
    if is_word:
        assert "1 name that is an ordinary word" in gate.gate(root)
    else:
        told = said(root)
        assert "\nnotebooks/a.ipynb, cell 1: name 王***" in told
        assert "\nreports/pages/rfm.html, line 1: name 王***" in told


def workbook(text: str) -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:
        book.add_worksheet().write(0, 0, text)
    return made.getvalue()


def archive(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("a/b.csv", data)
    return made.getvalue()


@pytest.mark.parametrize(
    ("file", "data", "place"),
    [
        ("a.csv", "序号,姓名\n1,王小雨\n".encode("gb18030"), "line 2"),
        ("a.csv", "序號,姓名\n1,王小雨\n".encode("cp950"), "line 2"),
        ("a.csv", "n,name\n1,王小雨\n".encode("utf-16"), "line 2"),
        ("a.csv", "n,name\n1,王小雨\n".encode("utf-16-le"), "line 2"),
        ("a.xlsx", workbook("王小雨"), "part xl/sharedStrings.xml"),
        ("a.zip", archive("n,name\n1,王小雨\n".encode("gb18030")), "part a/b.csv"),
        ("a.csv", b"\xff\xfe\xfd 13812345678", "line 1"),
    ],
    ids=["gb18030", "big5", "utf-16", "utf-16 without a mark", "xlsx", "zip", "neither"],
)
def test_a_file_that_is_not_utf_8_is_read_all_the_same(root, file, data, place):
    (root / f"reports/{file}").write_bytes(data)
    assert f"\nreports/{file}, {place}" in said(root)


def locked(data: bytes) -> bytes:
    """The archive as it would be with a password: the flag of its part is set in both places."""
    made = bytearray(archive(data))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        made[made.index(mark) + at] |= 1
    return bytes(made)


@pytest.mark.parametrize(
    "data",
    [locked(b"n,name\n1,Ann\n"), archive(b"n,name\n" * 99)[:60], archive(b"x" * 99)[:-30]],
    ids=["password", "cut in its part", "cut in its list of parts"],
)
def test_an_archive_that_nobody_can_read_stops_the_run(root, data):
    (root / "reports/a.zip").write_bytes(data)
    assert "a.zip is an archive that is torn or has a password" in said(root)


def test_bytes_that_are_no_text_say_nothing(root):
    noise = hashlib.shake_256(b"noise").digest(200_000)
    (root / "reports/a.bin").write_bytes(b"PK\5\6" + noise)  # nor is it an archive
    (root / "reports/a.zip").write_bytes(b"PK\5\6" + bytes(18))
    assert "hold none" in gate.gate(root)


def test_a_leak_in_the_tracking_store_names_table_and_column(root):
    with sqlite3.connect(root / "mlflow.db") as db:
        db.execute("CREATE TABLE params (key TEXT, value TEXT)")
        db.execute("INSERT INTO params VALUES ('best', '王小雨')")
    assert "\nmlflow.db, table params, column value: name 王***" in said(root)


def test_raw_truth_and_vault_are_no_outputs(root):
    for folder in ("raw", "truth", "vault"):
        plant(root, f"data/{folder}/demo/a.csv", "王小雨,13812345678")
    assert "hold none" in gate.gate(root)


def test_many_leaks_are_counted_and_the_first_are_told(root):
    plant(root, "reports/pages/rfm.html", "王小雨\n" * 25)
    lines = said(root).splitlines()
    assert len(lines) == 1 + gate.SHOWN + 1
    assert lines[-1] == "… and 5 more"


def test_a_missing_key_is_named_before_anything_is_scanned(root):
    (root / "data/sources/demo/mapping.yaml").write_text("public: false\n")
    with pytest.raises(vault.KeyProblem, match="no keys for 'demo'"):
        gate.gate(root)


# ---- the commands ----------------------------------------------------------------------------


CANARY = {  # a person in the raw files of a copy of the demo: name, phone, e-mail, number of an ID
    "name": "欧阳灵犀", "phone": "13299998888", "mail": "lingxi.canary@example.org",
    "identity": "110105194912310021",
}  # fmt: skip


@pytest.fixture(scope="module")
def canary(demo, tmp_path_factory):
    """The demo as a source of its own, with one person more whom nothing may show."""
    root = Path(shutil.copytree(demo, tmp_path_factory.mktemp("canary") / "p", symlinks=True))
    for folder in ("sources", "raw"):
        shutil.copytree(root / f"data/{folder}/demo", root / f"data/{folder}/canary")
    raw = root / "data/raw/canary"
    with (raw / "store_members.csv").open("a", encoding="gb18030") as file:
        file.write("M9999999,{name},{phone},女,1980/01/01,上海,上海,上海徐汇店,2022/07/14,"
                   "2022/07/19\n".format(**CANARY))  # fmt: skip
    with (raw / "wecom_messages.csv").open("a", encoding="utf-8") as file:
        file.write("M9999999,2022-11-01 09:02:06,短信,客户发起,使用指导,请回电 {phone} 或 {mail} "
                   "{identity},E15\n".format(**CANARY))  # fmt: skip
    for command in (["use", "canary"], ["run"]):
        done = call(root, "crm", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_a_person_in_the_raw_files_stands_in_no_output(canary):
    """A search of its own, without the code under test: bytes, and every cell of every table."""
    read = 0
    for path in filter(Path.is_file, canary.rglob("*")):
        place = path.relative_to(canary).as_posix()
        if not place.startswith(("data/", "reports/", ".crm/", "mlartifacts/", "mlflow.db")):
            continue
        if place.startswith("data/raw/"):
            continue
        told = path.read_bytes()
        if path.suffix == ".parquet":
            told = str(pq.read_table(path).to_pylist()).encode()
        read += b"M9999999" in told
        assert not [kind for kind, text in CANARY.items() if text.encode() in told], place
    assert read > 1  # the person was read: the tables hold the key


def test_the_demo_passes_and_a_leak_stops_run_and_publish(canary, tmp_path):
    assert "hold none of" in call(canary, "crm", "gate").stdout
    plant(canary, "reports/cards/a.html", "<p>13800138000</p>")
    for command in (["gate"], ["run"], ["publish", str(tmp_path / "site")]):
        done = call(canary, "crm", *command)
        assert done.returncode == 1, command
        assert "reports/cards/a.html, line 1: phone 1***" in done.stderr
        assert "Traceback" not in done.stderr
        assert "report is ready" not in done.stdout
    assert not (tmp_path / "site").exists()
    (canary / "reports/cards/a.html").unlink()
    assert call(canary, "crm", "publish", str(tmp_path / "site")).returncode == 0
    shutil.rmtree(tmp_path / "site")
