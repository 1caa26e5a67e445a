"""Where fact tables are computed and how tables are written: DuckDB behind Ibis expressions.

Facts are lazy: nothing is read until a result is asked for, and only aggregates and customer
tables ever become frames. The one writer sorts by key, writes aside and leaves the same bytes
for the same rows, whatever the number of threads.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from crm.tables import Table, TableError, check, duckdb_type

if TYPE_CHECKING:
    import ibis
    import pandas as pd

EMPTY_MONTH = "month=none"  # a fact table without rows is still a folder with its schema
ROW_GROUP = 122_880  # DuckDB's own default, stated because it decides the bytes


def connect(*, threads: int = 0, memory: str = "", spill: Path | None = None):
    """An Ibis connection to a fresh in-memory DuckDB.

    `threads` 0 means all cores; `memory` such as `4GB` is the limit above which DuckDB spills
    to the folder `spill`. Neither changes any result.
    """
    import ibis

    con = ibis.duckdb.connect()
    if threads:
        con.raw_sql(f"SET threads = {int(threads)}")
    if memory:
        con.raw_sql(f"SET memory_limit = '{memory}'")
    if spill:
        con.raw_sql(f"SET temp_directory = '{spill}'")
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def scan(con, path: Path) -> ibis.Table:
    """The rows of a written table, lazily: a Parquet file or a folder of months."""
    where = f"{path}/month=*/part.parquet" if path.is_dir() else str(path)
    return con.read_parquet(where, hive_partitioning=False)


def lift(con, frame: pd.DataFrame, name: str) -> ibis.Table:
    """A frame as a table of the engine, to be joined with facts."""
    con.con.register(name, frame)
    return con.table(name)


def frame(con, expr: ibis.Table) -> pd.DataFrame:
    """The result of an expression as a frame: money as float64, dates as datetime64[us]."""
    columns = [
        _as_int(name) if kind.is_integer() else f'"{name}"' for name, kind in expr.schema().items()
    ]
    return con.con.sql(f"SELECT {', '.join(columns)} FROM ({con.compile(expr)})").df()


def hold(con, expr: ibis.Table, name: str) -> ibis.Table:
    """The expression computed once and kept in the engine (spilling if large) for several uses."""
    con.con.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {con.compile(expr)}')
    return con.table(name)


def write(con, rows, path: Path, table: Table) -> int:
    """Write a frame or an expression as the schema says; returns the number of rows.

    A fact table becomes a folder with one sorted file per month, any other table one sorted
    file. The target must not exist: the caller writes aside and renames.

    Raises
    ------
    TableError
        A column is missing or too many, or a row repeats the key.
    """
    expr = _as_expr(con, rows, table)
    if sorted(expr.columns) != sorted(table.names):
        missing = sorted(set(table.names) - set(expr.columns))
        extra = sorted(set(expr.columns) - set(table.names))
        raise TableError(f"table {table.name!r}: missing columns {missing}, unknown {extra}")
    path.parent.mkdir(parents=True, exist_ok=True)
    select = f"SELECT {', '.join(map(_cast, table.columns))} FROM ({con.compile(expr)})"
    if table.time:
        return _write_months(con, select, path, table)
    con.con.execute(f"CREATE OR REPLACE TEMP TABLE _out AS {select}")
    _check_key(con, table)
    _copy(con, "SELECT * FROM _out", path, table)
    return con.con.sql("SELECT count(*) FROM _out").fetchall()[0][0]


def digest(path: Path) -> str:
    """SHA-256 over the bytes of a file, or over the names and bytes of a folder's files.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a"
    >>> _ = file.write_text("x")
    >>> digest(file)[:8]
    '2d711642'
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()} {digest(part)}\n".encode())
    return whole.hexdigest()


def replace(new: Path, target: Path) -> None:
    """Put a freshly written file or folder where the old one stands, by renaming."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_dir():
        new.replace(target)
        return
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    new.rename(target)
    shutil.rmtree(old)


def _as_int(name: str) -> str:
    """DuckDB sums integers as 128 bits, which frames know only as floats."""
    return f'CAST("{name}" AS BIGINT) AS "{name}"'


def _as_expr(con, rows, table: Table):
    import pandas as pd

    if not isinstance(rows, pd.DataFrame):
        return rows
    check(table.name, rows)
    return lift(con, rows, "_rows")


def _cast(column) -> str:
    name, kind = f'"{column.name}"', duckdb_type(column)
    if column.type == "float":  # 12 digits: sums may differ in the last bits between machines
        return f"CAST(printf('%.12g', CAST({name} AS DOUBLE)) AS DOUBLE) AS {name}"
    return f"CAST({name} AS {kind}) AS {name}"


def _write_months(con, select: str, path: Path, table: Table) -> int:
    con.con.execute(
        f"CREATE OR REPLACE TEMP TABLE _out AS SELECT *, strftime(\"{table.time}\", '%Y-%m') "
        f"AS _month FROM ({select})"
    )
    months = con.con.sql(
        "SELECT _month, count(*) FROM _out GROUP BY _month ORDER BY _month"
    ).fetchall()
    for month, _ in months or [(None, 0)]:
        part = path / (f"month={month}" if months else EMPTY_MONTH) / "part.parquet"
        part.parent.mkdir(parents=True)
        where = f"WHERE _month = '{month}'" if months else ""
        _copy(con, f"SELECT * EXCLUDE (_month) FROM _out {where}", part, table)
    con.con.execute("DROP TABLE _out")
    return sum(rows for _, rows in months)


def _copy(con, select: str, path: Path, table: Table) -> None:
    key = ", ".join(f'"{name}"' for name in table.key)
    con.con.execute(
        f"COPY ({select} ORDER BY {key}) TO '{path}' "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
    )


def _check_key(con, table: Table) -> None:
    key = ", ".join(f'"{name}"' for name in table.key)
    twice = con.con.sql(
        f"SELECT {key}, count(*) FROM _out GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchall()
    if twice:
        example = dict(zip(table.key, twice[0][:-1], strict=True))
        raise TableError(f"table {table.name!r}: {twice[0][-1]} rows share the key {example}")
