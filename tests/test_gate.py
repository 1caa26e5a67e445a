"""A personal value in any output fails the build and is named by place; ordinary words do not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
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


def kinds(text: str, words: tuple[str, ...] = ()) -> list[str]:
    return [kind for kind, _value, _at in Values(PEOPLE, iter(words)).find(text)]


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
    values = Values(PEOPLE, iter(["欧阳修 collected poems"]))
    assert list(values.find("欧阳修")) == []
    assert (values.count, values.passed) == (11, 1)


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


def _write_vault(root, name: str = "王小雨") -> None:
    person = {
        "line": [1], "customer_key": ["C1"], "name": [name], "phone": ["13812345678"],
        "email": [None], "address": [None], "id_number": [None],
    }  # fmt: skip
    for column in ("name", "phone"):
        context = f"vault/customers.{column}"
        key = vault.PUBLISHED.encryption
        person[column] = vault.encrypt(person[column], key=key, context=context)
    path = root / "data/vault/customers.parquet"
    path.unlink(missing_ok=True)
    engine.write(engine.connect(threads=1), pd.DataFrame(person), path, lookup("vault/customers"))


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
    assert set(kept) == {"basis", "values", "words", "passed"}
    _write_vault(root, name="李白白")
    plant(root, "reports/pages/rfm.html", "<p>李白白</p>")
    assert "rfm.html, line 1: name 李***" in said(root)


def test_a_page_that_passed_is_read_again_for_a_new_vault(root):
    plant(root, "reports/pages/rfm.html", "<p>李白白</p>")
    gate.gate(root)
    _write_vault(root, name="李白白")
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


def test_a_leak_in_a_table_names_the_column(root):
    con = engine.connect(threads=1)
    goods = pd.DataFrame(
        {"product_id": ["P1"], "product_name": ["cup"], "category": ["13812345678"],
         "list_price": [1.0], "is_product": [True]}
    )  # fmt: skip
    engine.write(con, goods, root / "data/tables/products.parquet", lookup("tables/products"))
    assert "\ndata/tables/products.parquet, column category: phone 1***" in said(root)


def test_a_leak_in_facts_names_the_column_whatever_its_month(root):
    con = engine.connect(threads=1)
    table = lookup("staged/events")
    row = empty("staged/events").reindex([0, 1])
    row = row.assign(line=[1, 2], target=["page", "王小雨"], kind="view", source="demo",
                     at=pd.to_datetime(["2024-01-02", "2024-02-03"]).as_unit("us"))  # fmt: skip
    engine.write(con, row, root / "data/staged/events", table)
    assert "\ndata/staged/events, column target: name 王***" in said(root)


def test_a_phone_kept_as_a_number_is_found(root, monkeypatch):
    con = engine.connect(threads=1)
    table = Table("x/t", "x", "x", "x", ("n",), (Column("n", "int", "x"),))
    monkeypatch.setitem(TABLES, "x/t", table)
    path = root / "reports/t.parquet"
    engine.write(con, pd.DataFrame({"n": [13812345678]}), path, table)
    assert "\nreports/t.parquet, column n: phone 1***" in said(root)


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
