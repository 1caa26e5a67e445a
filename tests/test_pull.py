"""`crm pull` brings data of a real PostgreSQL and HTTP server into files, once and whole."""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm import pull
from crm.mapping import SourceError

PASSWORD = "hunter2@/:5%"
QUOTED = "hunter2%40%2F%3A5%25"
TOKEN = "sesame-0123"


class Source:
    """A source with a pull.yaml, in a temporary folder."""

    def __init__(self, root: Path):
        self.root = root
        self.folder, self.raw = root / "data/sources/shop", root / "data/raw/shop"
        self.folder.mkdir(parents=True)

    def write(self, text: str) -> None:
        (self.folder / "pull.yaml").write_text(text, encoding="utf-8")

    def pull(self) -> list[str]:
        return [str(one) for one in pull.pull(self.folder, self.raw)]

    def message(self) -> str:
        with pytest.raises(SourceError) as error:
            self.pull()
        text = str(error.value)
        for secret in (PASSWORD, QUOTED, TOKEN):
            assert secret not in text
        assert error.value.__cause__ is None
        assert not list(self.raw.parent.glob(".*"))  # nothing is left aside
        assert text.startswith("data/sources/shop/pull.yaml")
        return text.removeprefix("data/sources/shop/pull.yaml")

    def kept(self) -> bytes:
        """Everything on disk below the source."""
        return b"".join(p.read_bytes() for p in self.root.rglob("*") if p.is_file())


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(pull, "_WAIT", 0.01)
    monkeypatch.setenv("no_proxy", "*")
    return Source(tmp_path)


# --- a database


def _programs() -> Path | None:
    """The folder of the PostgreSQL server's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)
    found += [path] if (path := shutil.which("initdb")) else []
    return Path(os.path.realpath(found[0])).parent if found else None


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Database:
    """A PostgreSQL server of our own on a free port of this machine."""

    def __init__(self, programs: Path):
        # PostgreSQL refuses to run as root, and its user cannot enter pytest's own folder
        self.user = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
        self.programs, self.folder = programs, Path(tempfile.mkdtemp(prefix="crm-pg-"))
        self.port = _free_port()
        if self.user:
            shutil.chown(self.folder, "nobody")
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o644)
        data = self.folder / "data"
        self.call("initdb", "-D", data, "-U", "shop", "-A", "scram-sha-256", "--no-sync",
                  f"--pwfile={self.folder / 'password'}", "-E", "UTF8", "--locale=C")  # fmt: skip
        options = f"-p {self.port} -h 127.0.0.1 -k '{self.folder}' -c fsync=off"
        self.call("pg_ctl", "-D", data, "-w", "-t", "60", "-o", options,
                  "-l", self.folder / "log", "start")  # fmt: skip

    def call(self, program: str, *arguments) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments], cwd="/", timeout=120, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            **self.user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        self.call("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, *, password: str = QUOTED, port: int = 0, name: str = "postgres") -> str:
        return f"postgresql://shop:{password}@127.0.0.1:{port or self.port}/{name}"

    def run(self, sql: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as con:
            con.execute(sql)


@pytest.fixture(scope="module")
def database():
    pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")
    programs = _programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to install PostgreSQL's server for this test")
        pytest.skip("no PostgreSQL server (initdb) on this machine")
    server = Database(programs)
    server.run(
        """
        create table orders (
            no bigint, customer text, price numeric(12, 4), units numeric, weight float8,
            paid boolean, day date, at timestamp, at_zone timestamptz, note jsonb, id uuid,
            photo bytea
        );
        insert into orders values
            (1, '张伟', 2.5, 3, 0.5, true, '2024-01-05', '2024-01-05 08:26',
             '2024-01-05 00:26+00', '{"a": "茶"}', '00000000-0000-0000-0000-000000000001', 'x'),
            (2, null, 12345678.0001, null, null, null, null, null, null, null, null, null);
        create table many as select i as n, 'text ' || i as t from generate_series(1, 50000) i;
        create sequence numbers;
        create role stranger login password 'stranger-word';
        """
    )
    yield server
    server.stop()


@pytest.fixture
def shop(source, database, monkeypatch):
    monkeypatch.setenv("SHOP_DB_URL", database.url())
    return source


def entry(sql: str, *, into: str = "orders.parquet", more: str = "") -> str:
    return f"- into: {into}\n  sql: {json.dumps(sql)}\n  url: env:SHOP_DB_URL\n{more}"


def test_a_query_becomes_parquet_with_its_types(shop):
    columns = "no, customer, price, units, weight, paid, day, at, note, id"
    some = "customer is null or customer like '%伟'"
    shop.write(entry(f"select {columns} from orders where {some} order by no"))
    assert shop.pull() == ["orders.parquet: 2 rows"]
    table = pq.read_table(shop.raw / "orders.parquet")
    assert [str(kind) for kind in table.schema.types] == [
        "int64", "string", "decimal128(12, 4)", "decimal128(38, 18)", "double", "bool",
        "date32[day]", "timestamp[us]", "string", "string",
    ]  # fmt: skip
    first, second = table.to_pylist()
    assert list(first.values()) == [
        1, "张伟", Decimal("2.5"), Decimal(3), 0.5, True, date(2024, 1, 5),
        datetime(2024, 1, 5, 8, 26), '{"a": "茶"}', "00000000-0000-0000-0000-000000000001",
    ]  # fmt: skip
    assert second["price"] == Decimal("12345678.0001")
    assert [value for value in second.values() if value is not None] == [2, second["price"]]


def test_equal_pulls_give_equal_bytes_and_nothing_secret_is_kept(shop):
    shop.write(entry("select n, t from many order by n"))
    assert shop.pull() == ["orders.parquet: 50,000 rows"]
    before = (shop.raw / "orders.parquet").read_bytes()
    assert shop.pull() == ["orders.parquet: 50,000 rows, as before"]
    assert (shop.raw / "orders.parquet").read_bytes() == before
    assert sorted(path.name for path in shop.raw.iterdir()) == ["orders.parquet"]
    for secret in (PASSWORD, QUOTED):
        assert secret.encode() not in shop.kept()


def test_a_query_without_rows_still_has_its_columns(shop):
    shop.write(entry("select no, price, at from orders where false"))
    assert shop.pull() == ["orders.parquet: 0 rows"]
    types = pq.read_schema(shop.raw / "orders.parquet").types
    assert types == [pa.int64(), pa.decimal128(12, 4), pa.timestamp("us")]


def test_times_with_a_zone_are_converted_as_declared_and_refused_otherwise(shop):
    shop.write(entry("select at_zone from orders order by no"))
    assert "column 'at_zone' holds times with a zone; expected local time" in shop.message()
    shop.write(entry("select at_zone from orders order by no", more="  timezone: Asia/Shanghai\n"))
    shop.pull()
    column = pq.read_table(shop.raw / "orders.parquet")["at_zone"].to_pylist()
    assert column == [datetime(2024, 1, 5, 8, 26), None]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from orderz", 'a table that is not there (relation "orderz" does not exist)'),
        ("select nom from orders", "a column that is not there"),
        ("selec 1", "SQL that the database does not understand"),
        ("delete from orders", "; expected a query that can be answered"),
        ("select photo from orders", "column 'photo' holds bytes"),
        ("select no, no as \"No\" from orders", "two columns that are called 'No'"),
        ("select 1 / (no - 2) from orders", "the database says: division by zero"),
        ("select 1e30::numeric as x", "values that do not fit"),
        ("select 'NaN'::numeric as x", "values that do not fit"),
        ("select 'infinity'::timestamp as x", "the database says"),
    ],
)  # fmt: skip
def test_a_query_that_fails_is_explained(shop, sql, said):
    shop.write(entry(sql))
    message = shop.message()
    assert message.startswith(", line 1, orders.parquet: ")
    assert said in message


def test_a_pull_only_reads(shop):
    shop.write(entry("select nextval('numbers') as made"))
    assert "SQL that would change data" in shop.message()


def test_a_half_pull_leaves_the_old_files(shop):
    shop.write(entry("select 1 as a"))
    shop.pull()
    before = (shop.raw / "orders.parquet").read_bytes()
    shop.write(entry("select 2 as a") + entry("select 1 / 0 as a", into="late.parquet"))
    assert ", line 4, late.parquet: the database says: division by zero" in shop.message()
    assert (shop.raw / "orders.parquet").read_bytes() == before
    shop.write(entry("select 1 / (40000 - n) as a from many order by n"))  # fails on the way
    shop.message()
    assert (shop.raw / "orders.parquet").read_bytes() == before


def test_a_wrong_password_host_or_database_is_explained_without_the_secret(
    shop, database, monkeypatch
):
    shop.write(entry("select 1 as a"))
    for url, said in (
        (database.url(password=QUOTED + "x"), "the database refuses user or password"),
        (database.url(name="no_such"), "there is no such database"),
        (database.url(port=_free_port()), "the database cannot be reached"),
        (f"postgresql://shop:{QUOTED}@host.invalid/x", "the database cannot be reached"),
        (f"postgresql://shop:{PASSWORD}@127.0.0.1:{database.port}/x", ""),
        (f"nosuch://shop:{QUOTED}@h/x", "a URL that cannot be read"),
        (f"{TOKEN} {PASSWORD}", "a URL that cannot be read"),
    ):
        monkeypatch.setenv("SHOP_DB_URL", url)
        assert said in shop.message()


def test_a_right_that_is_missing_is_explained(shop, database, monkeypatch):
    monkeypatch.setenv(
        "SHOP_DB_URL", f"postgres://stranger:stranger-word@127.0.0.1:{database.port}/postgres"
    )
    shop.write(entry("select * from orders"))
    message = shop.message()
    assert "no right to read (permission denied for table orders)" in message
    assert "stranger-word" not in message


def test_another_database_works_by_its_url(source, tmp_path, monkeypatch):
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as con:
        con.execute("create table t as select 1 as a, 'x' as b, 0.5 as c")
    monkeypatch.setenv("SHOP_DB_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    source.write(entry("select a, b, c, null as d from t"))
    assert source.pull() == ["orders.parquet: 1 row"]
    (row,) = pq.read_table(source.raw / "orders.parquet").to_pylist()
    assert row == {"a": 1, "b": "x", "c": 0.5, "d": None}


# --- an API


class Desk(BaseHTTPRequestHandler):
    """An API of three pages with two tickets each."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        given = dict(part.split("=") for part in query.split("&") if part)
        self.server.asked.append(self.path)
        if path == "/closed" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, "{}")
        if path == "/flaky":
            self.server.failures -= 1
            if self.server.failures >= 0:
                return self.answer(503, "{}")
        if path in ("/404", "/500", "/429"):
            return self.answer(int(path[1:]), "{}")
        if path == "/away":
            return self.answer(302, "", Location=f"http://localhost:{self.server.server_port}/x")
        if path == "/html":
            return self.answer(200, "<html>")
        if path == "/other":
            return self.answer(200, '{"items": [], "next": "http://localhost:1/x"}')
        if path == "/loop":
            return self.answer(200, '{"items": [1], "next": "/loop"}')
        if path == "/same":
            return self.answer(200, '{"items": [{"id": 1}]}')
        number = int(given.get("page", 1))
        items = [f'{{"id": {number}.{i}0, "城市": "深圳"}}' for i in (1, 2)] if number < 4 else []
        link = f'"{path}?page={number + 1}"' if number < 3 else "null"
        text = f'{{"data": {{"items": [{", ".join(items)}]}}, "links": {{"next": {link}}}}}'
        return self.answer(200, text)

    def answer(self, status: int, text: str, **headers) -> None:
        body = text.encode()
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def desk():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.asked, server.failures = [], 0
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


TICKETS = [{"id": float(f"{page}.{i}"), "城市": "深圳"} for page in (1, 2, 3) for i in (1, 2)]
LISTED = "  records: data.items\n"


@pytest.mark.parametrize("pages", ["{next: links.next}", "{parameter: page}"])
def test_all_pages_of_an_api_become_one(source, desk, monkeypatch, pages):
    monkeypatch.setenv("TICKETS_TOKEN", TOKEN)
    source.write(
        f"- into: tickets.json\n  get: {desk.address}/closed\n{LISTED}  pages: {pages}\n"
        "  headers: {Authorization: 'Bearer env:TICKETS_TOKEN'}\n"
    )
    assert source.pull() == ["tickets.json: 6 rows"]
    text = (source.raw / "tickets.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"data": {"items": TICKETS}}
    assert '"id": 1.10' in text  # numbers stay as they were written
    assert source.pull() == ["tickets.json: 6 rows, as before"]
    assert TOKEN.encode() not in source.kept()


def test_pages_become_json_lines_and_parameters_are_sent(source, desk, monkeypatch):
    monkeypatch.setenv("TICKETS_KEY", TOKEN)
    source.write(
        f"- into: t.jsonl\n  get: {desk.address}/open?state=a\n{LISTED}"
        "  pages: {next: links.next}\n  parameters: {key: env:TICKETS_KEY}\n"
    )
    assert source.pull() == ["t.jsonl: 6 rows"]
    lines = (source.raw / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == TICKETS
    assert desk.asked[0] == f"/open?state=a&key={TOKEN}"
    assert desk.asked[1] == f"/open?page=2&key={TOKEN}"


def test_without_pages_one_answer_is_read(source, desk):
    source.write(f"- into: t.json\n  get: {desk.address}/open\n{LISTED}")
    assert source.pull() == ["t.json: 2 rows"]


def test_an_api_that_stumbles_is_asked_again(source, desk):
    desk.failures = 2
    source.write(f"- into: t.json\n  get: {desk.address}/flaky\n{LISTED}")
    assert source.pull() == ["t.json: 2 rows"]
    assert len(desk.asked) == 3


@pytest.mark.parametrize(
    ("path", "more", "said", "asked"),
    [
        ("/404", "", "HTTP status 404; expected 200; mend the address in `get`", 1),
        ("/500", "", "HTTP status 500; expected 200; pull again later", 4),
        ("/429", "", "HTTP status 429; expected 200; wait, and pull again", 4),
        ("/away", "", "a redirect to another host", 1),
        ("/html", "", "an answer that is no JSON", 1),
        ("/open", "  records: data.item\n", "did you mean 'items'?", 1),
        ("/open", "", "no list of records in the answer", 1),
        ("/other", "  records: items\n  pages: {next: next}\n", "a next page on another host", 1),
        ("/loop", "  records: items\n  pages: {next: next}\n", "that was read before", 1),
        ("/same", "  records: items\n  pages: {parameter: p}\n", "the same page twice", 2),
    ],
)
def test_an_api_that_fails_is_explained(source, desk, path, more, said, asked):
    source.write(f"- into: t.json\n  get: {desk.address}{path}\n{more}")
    message = source.message()
    assert message.startswith(", line 1, t.json: ")
    assert said in message
    assert len(desk.asked) == asked
    assert not (source.raw / "t.json").exists()


def test_a_wrong_token_is_explained_without_it(source, desk, monkeypatch):
    monkeypatch.setenv("TICKETS_TOKEN", f"{TOKEN}x")
    source.write(
        f"- into: t.json\n  get: {desk.address}/closed\n"
        "  headers: {Authorization: 'Bearer env:TICKETS_TOKEN'}\n"
    )
    assert "HTTP status 401" in source.message()


def test_a_secret_in_the_answer_of_the_network_is_cut_out(source, monkeypatch):
    monkeypatch.setenv("TICKETS_KEY", TOKEN)
    address = f"http://localhost:{_free_port()}"
    source.write(f"- into: t.json\n  get: {address}/x\n  parameters: {{key: env:TICKETS_KEY}}\n")
    assert f"no answer from {address[7:]} (" in source.message()


@pytest.mark.parametrize("address", ["https://[x/y", "https://h:port/x", "https://h h/x"])
def test_an_address_that_is_none_is_explained(source, address):
    source.write(f"- into: t.json\n  get: '{address}'\n")
    assert "address" in source.message()


def test_a_header_that_cannot_be_sent_is_explained(source, monkeypatch):
    monkeypatch.setenv("TICKETS_TOKEN", f"{TOKEN}茶")
    address = f"http://127.0.0.1:{_free_port()}"
    source.write(f"- into: t.json\n  get: {address}\n  headers: {{A: env:TICKETS_TOKEN}}\n")
    source.message()


def test_a_host_that_is_not_there_is_explained(source):
    source.write("- into: t.json\n  get: https://host.invalid/x\n")
    assert "no answer from host.invalid" in source.message()


# --- pull.yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("into: x", "no list of files"),
        ("- into: x.parquet\n", "both or neither of `sql` and `get`"),
        ("- {into: x.parquet, sql: select 1, url: 'postgresql://u:hunter2@h/d'}", "no variable"),
        ("- {into: ../x.parquet, sql: select 1, url: env:A}", "a plain file name that ends with"),
        ("- {into: x.csv, sql: select 1, url: env:A}", "ends with .parquet"),
        ("- {into: x.parquet, sql: select 1, url: env:A, zone: b}", "unknown key 'zone'"),
        ("- {into: x.parquet, sql: select 1, url: env:A, timezone: Mars}", "`timezone: Mars`"),
        ("- {into: x.json, get: 'file:///etc/passwd'}", "`get` without an address"),
        ("- {into: x.json, get: 'https://u:p@host/x'}", "`get` without an address"),
        ("- {into: x.json, get: 'http://h/x', headers: {A: env:B}}", "travel in the clear"),
        ("- {into: x.json, get: 'https://h/x', pages: {skip: a}}", "`pages` of no known kind"),
        ("- &a {into: x.json, get: 'https://h/x'}\n- *a", "alias"),
        ("- {into: x.json, get: 'https://h/x'}\n- {into: X.json, get: 'https://h/x'}", "twice"),
    ],
)
def test_a_wrong_pull_yaml_is_explained(source, text, said):
    source.write(text)
    message = source.message()
    assert said in message
    assert "hunter2" not in message


def test_a_missing_pull_yaml_and_a_missing_variable_are_explained(source, monkeypatch):
    assert ": the file is not there" in source.message()
    monkeypatch.delenv("SHOP_DB_URL", raising=False)
    source.write(entry("select 1"))
    assert "no environment variable SHOP_DB_URL; expected its value" in source.message()
