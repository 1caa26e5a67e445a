"""The schema of every table: what one row is, its columns, key, owner and purpose.

A table is named by its place below `data/`, without suffix: `clean/orders` is the table
`orders` of the layer `clean`. Facts grow with transactions and lie in one folder per month;
the others grow with customers or products and are one file. Columns classed as personal
exist only in `vault/` tables, where they are encrypted (PRV-01…04).
"""

from __future__ import annotations

from dataclasses import dataclass

STRIDE = 1_000_000_000  # a line's number is file × this + row, so it names both

TYPES = {  # our name: (DuckDB, pandas)
    "string": ("VARCHAR", "str"),
    "int": ("BIGINT", "int64"),
    "money": ("DECIMAL(18,4)", "float64"),
    "quantity": ("DECIMAL(18,4)", "float64"),
    "float": ("DOUBLE", "float64"),
    "date": ("DATE", "datetime64[us]"),
    "timestamp": ("TIMESTAMP", "datetime64[us]"),
    "bool": ("BOOLEAN", "bool"),
}


class TableError(ValueError):
    """A table does not have the columns, types or key that its schema promises."""


@dataclass(frozen=True)
class Column:
    """One column: its type, what it holds, and how far it may travel.

    `required` columns must be mapped by a source and may not be empty; `codes` is the closed
    list of values; `personal` columns identify a person and stay in the vault.
    """

    name: str
    type: str
    about: str
    required: bool = False
    codes: tuple[str, ...] = ()
    personal: bool = False


@dataclass(frozen=True)
class Table:
    """One table: what a row is, who owns it, what it is for, and its columns.

    `time` names the column that decides the month folder of a fact table; a table without
    it is one file.
    """

    name: str
    row: str
    owner: str
    purpose: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time: str | None = None

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _c(name: str, type: str, about: str, **options) -> Column:
    return Column(name, type, about, **options)


KINDS = ("sale", "return", "adjustment", "test")
GENDERS = ("male", "female", "unknown")  # CLN-03, Q-14
TIERS = ("high value", "potential", "general", "at risk", "no purchase")  # RFM-03…06, RFM-10

_SOURCE = _c("source", "string", "the source the row came from")
_CUSTOMER_KEY = _c("customer_key", "string", "the customer's key in the source; empty if unknown")
_CUSTOMER_ID = _c("customer_id", "string", "pseudonym of the customer; empty if unknown")
_PRODUCT = _c("product_id", "string", "the product's code in the source", required=True)
_ORDERED_AT = _c("ordered_at", "timestamp", "when the order was placed, local time", required=True)
_CHANNEL = _c("channel", "string", "where the order was placed, such as web or store")
_COUNTRY = _c("country", "string", "country of the customer or the delivery")
_UNIT_PRICE = _c("unit_price", "money", "price of one unit", required=True)

_CUSTOMER_FACTS = (
    _c("registered_on", "date", "day of registration", required=True),
    _c("industry", "string", "industry of the customer"),
    _c("gender", "string", "gender", codes=GENDERS),
    _c("city", "string", "city"),
    _c("acquisition", "string", "channel that brought the customer"),
)
_PERSONAL = (
    _c("name", "string", "full name", required=True, personal=True),
    _c("phone", "string", "phone number", personal=True),
    _c("email", "string", "e-mail address", personal=True),
)
_LINE = (
    _c("quantity", "quantity", "units", required=True),
    _UNIT_PRICE,
    _c("amount", "money", "quantity × unit price"),
)
_ITEM = (
    *_LINE,
    _c("is_duplicate", "bool", "the same line stands earlier in the source (CLN-05)"),
)
_ORDER = (
    _CHANNEL,
    _COUNTRY,
    _c("lines", "int", "lines sold"),
    _c("amount", "money", "sales before returns"),
)
_RETURN = (
    _COUNTRY,
    *_LINE,
    _c("reverses", "string", "order of which it cancels a whole line; empty if none was found"),
    _c("reverses_line", "int", "the line of that order, as in order_items"),
)
_PRODUCT_FACTS = (
    _PRODUCT,
    _c("product_name", "string", "name shown to people"),
    _c("category", "string", "category; empty if the source has none"),
    _c("is_product", "bool", "false for postage, fees, vouchers and manual entries"),
)


def _facts(layer: str, who: Column, purpose: str) -> list[Table]:
    """The fact tables of one layer; `who` is the column that names the customer."""
    return [
        Table(
            f"{layer}/orders",
            "one order with at least one sale",
            "sales",
            purpose,
            ("order_id",),
            (_c("order_id", "string", "order number"), who, _ORDERED_AT, *_ORDER),
            time="ordered_at",
        ),
        Table(
            f"{layer}/order_items",
            "one line of an order that was sold",
            "sales",
            purpose,
            ("line",),
            (
                _c("order_id", "string", "order number"),
                _c("line", "int", "place of the line in the source"),
                who,
                _PRODUCT,
                _ORDERED_AT,
                *_ITEM,
            ),
            time="ordered_at",
        ),
        Table(
            f"{layer}/returns",
            "one line returned or cancelled, amounts positive (Q-16)",
            "sales",
            purpose,
            ("line",),
            (
                _c("return_id", "string", "number of the return or cancelled invoice"),
                _c("line", "int", "place of the line in the source"),
                who,
                _PRODUCT,
                _c("returned_at", "timestamp", "when it was returned"),
                *_RETURN,
            ),
            time="returned_at",
        ),
        Table(
            f"{layer}/products",
            "one product",
            "product",
            purpose,
            ("product_id",),
            _PRODUCT_FACTS,
        ),
        Table(
            f"{layer}/customers",
            "one customer that a source or an order names",
            "sales",
            purpose,
            (who.name,),
            (who, *_CUSTOMER_FACTS),
        ),
    ]


_STAGED_LINES = (
    _SOURCE,
    _c("line", "int", "place of the line in the source"),
    _c("order_id", "string", "order, invoice or return number", required=True),
    _c("kind", "string", "what the line records", codes=KINDS),
    _CUSTOMER_KEY,
    _PRODUCT,
    _c("product_name", "string", "name of the product on the line"),
    _c("category", "string", "category of the product on the line"),
    _c("quantity", "quantity", "units", required=True),
    _UNIT_PRICE,
    _ORDERED_AT,
    _CHANNEL,
    _COUNTRY,
)

_ALL = [
    Table(
        "staged/customers",
        "one customer record of a source",
        "sales",
        "describe customers",
        ("source", "customer_key"),
        (
            _SOURCE,
            _c("customer_key", "string", "the customer's key in the source", required=True),
            *_CUSTOMER_FACTS,
        ),
    ),
    Table(
        "staged/order_lines",
        "one line of an order, return or adjustment, as it arrived",
        "sales",
        "all sales analyses",
        ("line",),
        _STAGED_LINES,
        time="ordered_at",
    ),
    Table(
        "staged/products",
        "one product of a source's catalogue",
        "product",
        "name and group products",
        ("source", "product_id"),
        (
            _SOURCE,
            _PRODUCT,
            _c("product_name", "string", "name shown to people", required=True),
            _c("category", "string", "category"),
        ),
    ),
    Table(
        "vault/customers",
        "the personal columns of one customer record, encrypted",
        "data protection",
        "contact a customer, by authorised roles only",
        ("source", "customer_key"),
        (_SOURCE, _c("customer_key", "string", "the customer's key in the source"), *_PERSONAL),
    ),
    *_facts("clean", _CUSTOMER_KEY, "facts after the rules, by source key"),
    *_facts("tables", _CUSTOMER_ID, "the only facts that analyses read"),
    Table(
        "clean/quarantine",
        "one order line that failed a rule, whole, with the reason",
        "sales",
        "mend the source; nothing is lost",
        ("line",),
        (*_STAGED_LINES, _c("reason", "string", "the rule it failed")),
        time="ordered_at",
    ),
    Table(
        "clean/ledger",
        "rows and money of one table that met one fate for one reason",
        "data",
        "prove that in = kept + quarantined + removed",
        ("table", "fate", "reason"),
        (
            _c("table", "string", "table the rows came in"),
            _c("fate", "string", "what became of them", codes=("kept", "quarantined", "removed")),
            _c("reason", "string", "why"),
            _c("rows", "int", "rows"),
            _c("amount", "money", "their quantity × unit price, signed as it arrived"),
        ),
    ),
    Table(
        "tables/identity_map",
        "one source key and the customer it belongs to",
        "data",
        "trace a pseudonym back to the source (C360-02)",
        ("source", "customer_key"),
        (
            _SOURCE,
            _c("customer_key", "string", "the customer's key in the source"),
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rule", "string", "what linked them"),
            _c("confidence", "float", "probability that the link is right, 0–1"),
        ),
    ),
    Table(
        "features/rfm",
        "one customer: raw values, scores and tier at `as_of`",
        "marketing",
        "value tiers and lists for action (RFM-01…13)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("first_order_on", "date", "day of the first purchase; empty if none"),
            _c("last_order_on", "date", "day of the last purchase; empty if none"),
            _c("recency_days", "int", "days from the last purchase to `as_of`; −1 if none"),
            _c("frequency", "int", "purchases in the window"),
            _c("monetary", "money", "spend in the window, net of returns"),
            _c("orders", "int", "purchases over all history"),
            _c("spend", "money", "spend over all history, net of returns"),
            _c("sales", "money", "sales over all history, before returns"),
            _c("r_score", "float", "recency score, 0–100, recent is high"),
            _c("f_score", "float", "frequency score, 0–100"),
            _c("m_score", "float", "monetary score, 0–100"),
            _c("rfm", "string", "the three scores as text, such as 90,85,88 (RFM-18)"),
            _c("tier", "string", "value tier", codes=TIERS),
            _c("is_high_rfm_raw", "bool", "high by raw values (RFM-08)"),
            _c("is_dormant", "bool", "no purchase for the dormant span (RFM-09)"),
            _c("is_lapsing_valuable", "bool", "once good, now silent (Q-03)"),
        ),
    ),
    Table(
        "features/recall",
        "one product to offer to one dormant customer",
        "marketing",
        "offers to recall dormant customers (RFM-09)",
        ("customer_id", "rank"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rank", "int", "1 is offered first"),
            _c("product_id", "string", "product code"),
            _c("product_name", "string", "name shown to people"),
            _c("category", "string", "preferred category it is taken from"),
        ),
    ),
]

TABLES: dict[str, Table] = {table.name: table for table in _ALL}


def lookup(name: str) -> Table:
    """Schema of `layer/name`, or an error that lists the tables there are."""
    try:
        return TABLES[name]
    except KeyError:
        known = ", ".join(sorted(TABLES))
        raise TableError(
            f"no schema for table {name!r} in src/crm/tables.py; it has: {known}"
        ) from None


def duckdb_type(column: Column) -> str:
    """The DuckDB type of a column."""
    return TYPES[column.type][0]


def empty(name: str):
    """A frame of the table with no rows, columns and types as in the schema.

    Examples
    --------
    >>> empty("features/rfm").dtypes["recency_days"]
    dtype('int64')
    """
    import pandas as pd

    return pd.DataFrame(
        {c.name: pd.Series([], dtype=TYPES[c.type][1]) for c in lookup(name).columns}
    )


def check(name: str, frame) -> None:
    """Raise `TableError` unless the frame has the columns, types, codes and key of the schema."""
    table = lookup(name)
    if list(frame.columns) != table.names:
        missing = [c for c in table.names if c not in frame.columns]
        extra = [c for c in frame.columns if c not in table.names]
        raise TableError(
            f"table {name!r}: columns differ from the schema; missing {missing}, not in the "
            f"schema {extra}, expected in this order: {table.names}"
        )
    for column in table.columns:
        _check_column(name, column, frame[column.name])
    twice = frame.duplicated(list(table.key))
    if twice.any():
        example = frame.loc[twice, list(table.key)].iloc[0].to_dict()
        raise TableError(
            f"table {name!r}: {int(twice.sum())} rows repeat a key, such as {example}"
        )


def _check_column(name: str, column: Column, values) -> None:
    expected = TYPES[column.type][1]
    kinds = {"datetime64[us]": "M", "float64": "f", "int64": "i", "bool": "b"}
    if expected == "str":
        fits = (
            values.dtype == "str"
            or values.isna().all()
            or (values.dtype == object and values.dropna().map(type).eq(str).all())
        )
    else:
        fits = values.dtype.kind == kinds[expected]
    if not fits:
        raise TableError(
            f"table {name!r}, column {column.name!r}: expected {expected}, found {values.dtype}"
        )
    if column.codes:
        odd = values.dropna()[~values.dropna().isin(column.codes)]
        if len(odd):
            raise TableError(
                f"table {name!r}, column {column.name!r}: {odd.iloc[0]!r} is not one of "
                f"{list(column.codes)}"
            )
