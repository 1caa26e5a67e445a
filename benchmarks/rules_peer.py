"""The contenders of rules.py; each reads the shop's CSV of a folder and writes to one beside.

    python benchmarks/rules_peer.py ingest|clean|pandera FOLDER

`ingest` and `clean` run the code of the notebooks of those stages, with a stand-in for the stage
that reads and writes as it does but shows nothing and encrypts nothing (there are no customers).
`pandera` is what an analyst would write who knows pandas well: all cells read as text, numbers
and dates coerced, one lazy pandera schema for the lines and one for the orders put together from
those that passed, rows that fail a check put aside with the reason. Money is float64, as is usual.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

SOURCE = "shop"  # the folder of the mapping names the source
FILE = "order_lines.csv"
PERIOD = ("2022-01-01", "2023-12-31")
TEST_ACCOUNT = "C0"
FIELDS = {  # column of the file: field
    "order_no": "order_id", "customer": "customer_key", "sku": "product_id",
    "article": "product_name", "category": "category", "quantity": "quantity",
    "price": "unit_price", "placed_at": "ordered_at", "channel": "channel",
}  # fmt: skip
KINDS = {"R": "return", "A": "adjustment", "T": "test"}  # by the first letter of the order
REQUIRED = ("order_id", "product_id", "quantity", "unit_price", "ordered_at")
FACTS = ("order_lines", "order_items", "returns", "orders")  # in month folders
CENT = 0.01
MOST = 1e14  # an amount beyond it does not fit


# --- ours


class Bench:
    """What a notebook uses of `crm.stage.Stage`: data in a folder, and nothing shown."""

    folder: Path  # of the benchmark
    written_to: Path

    def __init__(self, name: str, params: dict):
        import contenders

        from crm import engine
        from crm.project import load_params

        everything = load_params(Path(__file__).parents[1])
        self.params, self.run = everything[name], everything["run"] | {"as_of": "auto"}
        self.con = engine.connect(**contenders.SETTINGS, spill=self.written_to / "spill")
        self.written, self.holds, self.seed = {}, 0, self.run["seed"]
        where = self.folder / SOURCE / "mapping.yaml", self.folder / "raw"
        self.source = SimpleNamespace(mapping=where[0], raw=where[1])
        self.keys = SimpleNamespace(pseudonym=b"benchmark")

    def __getattr__(self, name: str):
        if name not in ("metrics", "say", "show", "tiles", "chart"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

    @property
    def as_of(self) -> date:
        return date.fromisoformat((self.folder / "ingest/as_of").read_text())

    def save_run(self, *, as_of: date, **facts) -> None:
        (self.written_to / "as_of").write_text(str(as_of))

    def layer(self, layer: str) -> dict:
        from crm import engine

        found = sorted((self.folder / "ingest" / layer).iterdir())
        return {path.stem: engine.scan(self.con, path) for path in found}

    def counts(self, tables: dict) -> dict:
        return {name: int(rows.count().execute()) for name, rows in tables.items()}

    def frame(self, expr):
        from crm import engine

        return engine.frame(self.con, expr)

    def row(self, expr) -> dict:
        return self.frame(expr).to_dict("records")[0]

    def hold(self, expr):
        from crm import engine

        self.holds += 1
        return engine.hold(self.con, expr, f"held_{self.holds}")

    def lift(self, frame):
        from crm import engine

        self.holds += 1
        return engine.lift(self.con, frame, f"lifted_{self.holds}")

    def write(self, name: str, rows) -> None:
        from crm import engine
        from crm.tables import lookup

        layer, _, table = name.rpartition("/")
        layer = layer or {"ingest": "staged", "clean": "clean"}[self.written_to.name]
        schema = lookup(f"{layer}/{table}")
        path = self.written_to / layer / (table if schema.time else f"{table}.parquet")
        self.written[table] = engine.write(self.con, rows, path, schema)

    def write_all(self, layer: str, tables: dict) -> None:
        for name, rows in tables.items():
            self.write(f"{layer}/{name}", rows)


def notebook(folder: Path, out: Path) -> None:
    """Every code cell of a stage's notebook, as it stands, without what it shows."""
    from crm import stage

    Bench.folder, Bench.written_to = folder, out
    stage.Stage = Bench
    path = Path(__file__).parents[1] / "notebooks" / f"{out.name}.ipynb"
    cells = json.loads(path.read_text())["cells"]
    known: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), known)


# --- pandas and pandera


def pandera(folder: Path, out: Path) -> None:
    """Read, coerce, validate lines, put orders together, validate those, write."""
    lines, unread = _read(folder / "raw" / FILE)
    lines["is_duplicate"] = lines.duplicated([*FIELDS.values()])
    found = _failures(_line_schema(), lines, "line")
    lines["reason"] = _reasons(found).reindex(lines.index)
    sales = lines[lines["reason"].isna() & (lines["kind"] == "sale")]
    orders = _orders(sales)
    torn = _failures(_order_schema(), orders, "order")
    of_order = lines["order_id"].map(_reasons(torn))
    lines["reason"] = lines["reason"].fillna(of_order)
    late = lines.loc[of_order.notna() & (lines["reason"] == of_order), "reason"]
    late = late.rename("rule").rename_axis("line").reset_index()
    _save(lines, orders[~orders.index.isin(torn["order"])], [found, late], unread, out)


def _read(path: Path):
    """The lines with fields and types of ours, numbered as ours, and the cells that are unread."""
    import pandas as pd

    # text first: with types of its own pandas stops at the first cell that is no number
    lines = pd.read_csv(path, engine="pyarrow", dtype="str").rename(columns=FIELDS)
    lines.index = pd.RangeIndex(2, len(lines) + 2, name="line")
    unread = []
    for name in lines.columns:
        text = lines[name].str.strip()
        if name in ("quantity", "unit_price"):
            lines[name] = pd.to_numeric(text, errors="coerce")
        elif name == "ordered_at":
            lines[name] = pd.to_datetime(text, format="%Y-%m-%d %H:%M:%S", errors="coerce")
        else:
            lines[name] = text
            continue
        bad = text[text.notna() & lines[name].isna()]
        unread.append(bad.rename("value").reset_index().assign(field=name))
    lines["kind"] = lines["order_id"].str[0].map(KINDS).fillna("sale")
    lines["amount"] = (lines["quantity"] * lines["unit_price"]).round(4)
    return lines, pd.concat(unread)


def _line_schema():
    """The checks of a line; the order is that of the reasons."""
    import pandera.pandas as pa

    first, last = (f"{day}" for day in PERIOD)
    checks = {
        "is_duplicate": [pa.Check.eq(False, error="duplicate")],
        "kind": [pa.Check.ne("adjustment", error="adjustment"), pa.Check.ne("test", error="test")],
        "customer_key": [pa.Check.ne(TEST_ACCOUNT, error="test account")],
        "amount": [pa.Check(lambda sums: sums.abs() < MOST, error="amount missing")],
        "unit_price": [pa.Check.ge(0, error="price below zero")],
        "ordered_at": [
            pa.Check(
                lambda days: days.dt.normalize().between(first, last), error="outside the period"
            )
        ],
    }
    columns = {
        name: pa.Column(checks=checks.get(name, []), nullable=name not in REQUIRED)
        for name in dict.fromkeys((*checks, *REQUIRED))
    }
    sold = pa.Check(
        lambda lines: ~((lines["kind"] == "sale") & (lines["quantity"] <= 0)),
        error="quantity not above zero",
    )
    returned = pa.Check(
        lambda lines: ~((lines["kind"] == "return") & (lines["quantity"] == 0)),
        error="quantity is zero",
    )
    return pa.DataFrameSchema(columns, checks=[sold, returned])


def _order_schema():
    import pandera.pandas as pa

    worth = pa.Check(lambda sums: ~((sums > 0) & (sums <= CENT)), error="test amount")
    return pa.DataFrameSchema({
        "is_mixed": pa.Column(bool, pa.Check.eq(False, error="order of two customers")),
        "amount": pa.Column(float, worth),
    })  # fmt: skip


ORDER = (  # of reasons
    "duplicate", "adjustment", "test", "test account", *(f"{name} missing" for name in REQUIRED),
    "amount missing", "price below zero", "quantity not above zero", "quantity is zero",
    "outside the period", "order of two customers", "test amount",
)  # fmt: skip
REMOVED = ("duplicate", "adjustment", "test", "test account", "test amount")


def _failures(schema, rows, key: str):
    """One check that one row fails: `key`, rule."""
    import pandas as pd
    import pandera.pandas as pa

    try:
        schema.validate(rows, lazy=True, inplace=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        rule = cases["check"].where(cases["check"] != "not_nullable", cases["column"] + " missing")
        made = pd.DataFrame({key: cases["index"], "rule": rule})
        return made.drop_duplicates(ignore_index=True)
    return pd.DataFrame({key: [], "rule": []})


def _reasons(found):
    """The first rule that each row breaks."""
    import pandas as pd

    places = found["rule"].map({rule: place for place, rule in enumerate(ORDER)})
    least = places.groupby(found.iloc[:, 0]).min()
    return least.map(dict(enumerate(ORDER))).astype(pd.StringDtype(na_value=float("nan")))


def _orders(sales):
    """One order, worth what its lines are, and whether they name several customers."""
    orders = sales.groupby("order_id").agg(
        customer_key=("customer_key", "first"), ordered_at=("ordered_at", "min"),
        channel=("channel", "first"), lines=("amount", "size"), amount=("amount", "sum"),
    )  # fmt: skip
    named = sales[["order_id", "customer_key"]].dropna().drop_duplicates()
    twice = named.loc[named["order_id"].duplicated(), "order_id"]
    orders["is_mixed"] = orders.index.isin(twice)
    return orders


def _save(lines, orders, found, unread, out: Path) -> None:
    import pandas as pd
    from peer import file, months

    kept = lines["reason"].isna()
    fate = kept.map({True: "kept", False: "quarantined"})
    fate = fate.mask(lines["reason"].isin(REMOVED), "removed")
    booked = lines.assign(fate=fate, reason=lines["reason"].fillna(lines["kind"]))
    ledger = booked.groupby(["fate", "reason"])["amount"].agg(["size", "sum"])
    ledger = ledger.set_axis(["rows", "amount"], axis=1).reset_index()
    rows = lines.reset_index()
    kept = kept.to_numpy()
    columns = ["line", "order_id", "customer_key", "product_id", "ordered_at", "quantity",
               "unit_price", "amount", "is_duplicate"]  # fmt: skip
    is_sale = (rows["kind"] == "sale").to_numpy()
    back = rows.loc[kept & ~is_sale, columns]
    back = back.assign(quantity=back["quantity"].abs(), amount=back["amount"].abs())
    months(rows.loc[kept & is_sale, columns], "ordered_at", ["line"], out / "order_items")
    months(back, "ordered_at", ["line"], out / "returns")
    months(orders.drop(columns="is_mixed").reset_index(), "ordered_at", ["order_id"],
           out / "orders")  # fmt: skip
    waits = (fate == "quarantined").to_numpy()
    file(rows[waits].drop(columns="is_duplicate"), ["line"], out / "quarantine.parquet")
    told = pd.concat(found)  # of a line that is removed nothing else is told
    told = told[~told["line"].isin(lines.index[fate == "removed"])]
    file(told, ["line", "rule"], out / "issues.parquet")
    file(unread, ["line", "field"], out / "unread.parquet")
    file(ledger, ["fate", "reason"], out / "ledger.parquet")
    assert ledger["rows"].sum() == len(lines)


ALL = {"ingest": notebook, "clean": notebook, "pandera": pandera}

if __name__ == "__main__":
    contender, where = sys.argv[1], Path(sys.argv[2])
    written = where / contender
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    ALL[contender](where, written)
