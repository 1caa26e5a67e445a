"""Where fact tables are computed and how tables are written: DuckDB behind Ibis expressions.

Facts are lazy: nothing is read until a result is asked for, and only aggregates and customer
tables ever become frames. The one writer sorts by key, writes aside and leaves the same bytes
for the same expression and rows, whatever the number of threads.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from crm.tables import Table, TableError, check, duckdb_type

if TYPE_CHECKING:
    import ibis
    import pandas as pd

EMPTY_MONTH = "month=none"  # a fact table without rows is still a folder with its schema
SCANNED = "scan_"  # begins the name of the view of a written table
ROW_GROUP = 122_880  # DuckDB's own default, stated because it decides the bytes
DICTIONARY = 1_000  # more distinct values in a row group are written plainly: a fifth faster
WRITERS = 2  # months written at a time: most have too few rows to keep two cores busy


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
    name = SCANNED + hashlib.sha256(where.encode()).hexdigest()[:16]
    con.con.execute(
        f'CREATE OR REPLACE VIEW "{name}" AS '
        f"SELECT * FROM read_parquet('{_quoted(where)}', hive_partitioning = false)"
    )
    return con.table(name)


def lift(con, frame: pd.DataFrame, name: str) -> ibis.Table:
    """A frame as a table of the engine, to be joined with facts."""
    con.con.register("_frame", frame)
    columns = ", ".join(_lifted(column, frame[column]) for column in frame.columns)
    con.con.execute(f'CREATE OR REPLACE TABLE "{name}" AS SELECT {columns} FROM _frame')
    con.con.unregister("_frame")
    return con.table(name)


def frame(con, expr: ibis.Table) -> pd.DataFrame:
    """The result of an expression as a frame: money as float64, dates as datetime64[us]."""
    columns = [
        _as_int(name) if kind.is_integer() else f'"{name}"' for name, kind in expr.schema().items()
    ]
    return con.con.sql(f"SELECT {', '.join(columns)} FROM ({_sql(con, expr)})").df()


def arrays(con, expr: ibis.Table) -> dict:
    """The whole numbers of a result, a NumPy array for each column: no text, no frame."""
    columns = ", ".join(_as_int(name) for name in expr.columns)
    return con.con.sql(f"SELECT {columns} FROM ({_sql(con, expr)})").fetchnumpy()


def batches(con, expr: ibis.Table, size: int) -> Iterator[list[tuple]]:
    """The rows of a result, `size` at a time, so that it is never held whole."""
    cursor = con.con.cursor().execute(_sql(con, expr))
    while rows := cursor.fetchmany(size):
        yield rows


def hold(con, expr: ibis.Table, name: str) -> ibis.Table:
    """The expression computed once and kept in the engine (spilling if large) for several uses."""
    con.con.execute(f'CREATE OR REPLACE TABLE "{name}" AS {_sql(con, expr)}')
    return con.table(name)


def write(con, rows, path: Path, table: Table) -> int:
    """Write a frame or an expression as the schema says; returns the number of rows.

    A fact table becomes a folder with one sorted file per month, any other table one sorted
    file; facts without a time lie in `EMPTY_MONTH`. The target must not exist: the caller writes
    aside and renames.

    Raises
    ------
    TableError
        A column is missing or too many, or a row repeats the key (of facts: in its month).
    """
    expr = _as_expr(con, rows, table)
    if sorted(expr.columns) != sorted(table.names):
        missing = sorted(set(table.names) - set(expr.columns))
        extra = sorted(set(expr.columns) - set(table.names))
        raise TableError(f"table {table.name!r}: missing columns {missing}, unknown {extra}")
    path.parent.mkdir(parents=True, exist_ok=True)
    select = f"SELECT {', '.join(map(_cast, table.columns))} FROM ({_sql(con, expr)})"
    if not table.time:
        return _copy(con.con, f"FROM ({select})", path, table)
    stored = _stored(con, expr, table.time)
    if stored:
        return _write_months(con, select, path, table, stored)
    con.con.execute(f"CREATE OR REPLACE TABLE _out AS {select}")
    return _write_months(con, "FROM _out", path, table, [("_out", table.time)])


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
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _lifted(name: str, values: pd.Series) -> str:
    """A column of a frame: one of text without a value has no type for DuckDB, so it is told."""
    is_text = values.dtype == "str" or values.dtype == object
    if is_text and values.isna().all():
        return f'CAST("{name}" AS VARCHAR) AS "{name}"'
    return f'"{name}"'


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


def _stored(con, expr: ibis.Table, time: str) -> list[tuple[str, str]]:
    """The stored tables and columns that `time` is, if one month of `expr` can be read alone.

    It can if stored rows are only chosen, joined and put below each other: DuckDB then reads no
    other month, and no copy of all rows is needed. Whatever is computed over many rows is better
    computed once.
    """
    from ibis.expr import operations as ops

    node = expr.op()
    plain = (ops.Project, ops.DropColumns, ops.Filter, ops.JoinChain, ops.JoinReference, ops.Union)
    if not all(isinstance(r, (*plain, ops.DatabaseTable)) for r in node.find(ops.Relation)):
        return []
    if node.find((ops.Analytic, ops.WindowFunction, ops.Impure)):
        return []
    found = _origins(node, time)
    return found if all(name and _is_stored(con, name) for name, _ in found) else []


def _origins(node, time: str) -> list[tuple[str, str]]:
    """The tables and columns from which a column comes as it is; without name if from none."""
    from ibis.expr import operations as ops

    while not isinstance(node, ops.DatabaseTable):
        if isinstance(node, ops.Union):
            return [*_origins(node.left, time), *_origins(node.right, time)]
        column = node.values[time]
        if not isinstance(column, ops.Field):
            return [("", time)]
        node, time = column.rel, column.name
    return [(node.name, time)]


def _is_stored(con, name: str) -> bool:
    """Whether a name stands for rows of `hold` or `scan`, not for a query."""
    tables = con.con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = $1", [name])
    return name.startswith(SCANNED) or bool(tables.fetchall())


def _write_months(
    con, select: str, path: Path, table: Table, stored: list[tuple[str, str]]
) -> int:
    """Write each month that the columns of the tables `stored` have, and that has rows."""
    times = " UNION ALL ".join(f'SELECT "{time}" AS t FROM "{name}"' for name, time in stored)
    months = con.con.sql(
        f"SELECT strftime(m, '%Y-%m') FROM (SELECT DISTINCT date_trunc('month', t) AS m "
        f"FROM ({times})) ORDER BY m NULLS LAST"
    ).fetchall()

    def one(month):
        return _write_month(con.con.cursor(), select, path, table, month[0])

    with ThreadPoolExecutor(WRITERS) as writers:
        rows = sum(writers.map(one, months))
    if not rows:
        _write_month(con.con, select, path, table, None, even_empty=True)
    con.con.execute("DROP TABLE IF EXISTS _out")
    return rows


def _write_month(db, select, path: Path, table: Table, month, *, even_empty=False) -> int:
    time, first = f'"{table.time}"', f"TIMESTAMP '{month}-01'"
    within = f"{time} >= {first} AND {time} < {first} + INTERVAL 1 MONTH"
    within = within if month else f"{time} IS NULL"
    part = path / (f"month={month}" if month else EMPTY_MONTH) / "part.parquet"
    part.parent.mkdir(parents=True)
    rows = _copy(db, f"FROM ({select}) WHERE {within}", part, table)
    if not rows and not even_empty:
        shutil.rmtree(part.parent)
    return rows


def _copy(db, select: str, path: Path, table: Table) -> int:
    """Write one file sorted by key; rows that share a key raise."""
    options = (
        f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v2, "
        f"ROW_GROUP_SIZE {ROW_GROUP}, DICTIONARY_SIZE_LIMIT {DICTIONARY}"
    )
    done = db.execute(f"COPY ({select} ORDER BY {_key(table)}) TO '{_quoted(path)}' ({options})")
    rows = done.fetchall()[0][0]
    if not _rises(db, path, table):
        clash = _clash(db, path, table)
        path.unlink()
        raise clash
    return rows


def _rises(db, path: Path, table: Table) -> bool:
    """Whether each key of a file is greater than the one before it: sorted, and none twice."""
    key = f"ROW({_key(table)})"
    found = db.execute(
        f"SELECT bool_and(rises) FROM (SELECT {key} > lag({key}) OVER () AS rises "
        f"FROM read_parquet('{_quoted(path)}'))"
    )
    return found.fetchall()[0][0] is not False


def _clash(db, path: Path, table: Table) -> TableError:
    """The error that names a key which several rows of a file share."""
    key = _key(table)
    twice = db.execute(
        f"SELECT {key}, count(*) FROM read_parquet('{_quoted(path)}') "
        "GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchall()[0]
    example = dict(zip(table.key, twice[:-1], strict=True))
    return TableError(f"table {table.name!r}: {twice[-1]} rows share the key {example}")


def _sql(con, expr: ibis.Table) -> str:
    """The query of an expression; small tables written in Python become known to the engine."""
    from ibis.expr import operations as ops

    for table in expr.op().find(ops.InMemoryTable):
        con.con.register(table.name, table.data.to_frame())
    return con.compile(expr)


def _quoted(path) -> str:
    """A path inside a SQL text."""
    return str(path).replace("'", "''")


def _key(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.key)
