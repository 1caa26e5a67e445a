"""Which order lines count as sales, which as returns, and where every other line went.

A *sale* is a line of goods or services charged to somebody. A *return* is a line of a returned
or cancelled invoice; it is a fact of its own with positive amounts and reduces spend (Q-16). A
return *reverses* a sale when customer, product, quantity and price are the same and the sale is
the latest one before it that none has reversed yet: such a sale was never a purchase in the end.
An *exact duplicate* repeats every column of an earlier line of the source.

Each line meets one fate: kept, quarantined (it broke a rule and waits for its owner, whole and
with the reason) or removed (it is well-formed but not a sale or a return: an adjustment of the
accounts, a copy, a test). Nothing else can
happen to it, and the ledger proves it (CLN-05, CLN-09).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import ibis
from ibis import _

from crm import rules
from crm.rules import Given, Rule
from crm.tables import (
    ARRIVING,
    MISSING,
    PERSONAL_STATUSES,
    RECORDS,
    STRIDE,
    Column,
    Table,
    lookup,
    moment,
)

ORDER_OF_TWO = "order of two customers"
TEST_AMOUNT = Decimal("0.01")  # an order worth more than nothing but not more than this
FORGOTTEN = "forgotten"  # why rows of a customer with a tombstone were dropped (PRV-08)
DAY_HOURS = 24
SHORT_HOURS = 2  # below it a time is told in minutes
LONG_HOURS = 2 * DAY_HOURS  # from here on in days
CLICK_SECONDS = 1  # the same thing done to the same target within it is one click
CONTENT = (  # two lines with the same content are exact duplicates
    "source", "order_id", "kind", "customer_key", "product_id", "product_name", "category",
    "quantity", "unit_price", "amount", "ordered_at", "channel", "country",
)  # fmt: skip
SAME = ("customer_key", "product_id", "unit_price")  # of a sale and its return, beside the units
TELLING = ("order_id", "product_id", "quantity", "ordered_at")  # differ in nearly all lines


class LedgerError(ValueError):
    """Rows were lost or doubled, or too many were quarantined."""


@dataclass(frozen=True)
class Source:
    """What cleaning must know of a source: its own rules, period, test accounts and policies.

    `expiry` are the rules that remove what is past its retention (CLN-18), `missing` what empty
    fields of customers become (CLN-06). `policies` says of each
    table and file, in order, whether exact duplicates are kept or dropped; `tables` are the staged
    tables that have rows, for rules across tables.
    """

    rules: tuple[Rule, ...] = ()
    expiry: tuple[Rule, ...] = ()
    missing: tuple[tuple[str, str], ...] = tuple(MISSING.items())
    period: tuple[str, str] | None = None
    test_accounts: tuple[str, ...] = ()
    policies: dict[str, list[str]] = field(default_factory=dict)
    extended: tuple[Column, ...] = ()
    as_of: date | None = None
    tables: dict[str, ibis.Table] = field(default_factory=dict)

    def of(self, table: str) -> list[Rule]:
        """The rules of a table, those of the source last.

        Retention comes first: what is past it is neither quarantined nor told for anything else.
        """
        return [*(r for r in self.expiry if r.table == table), *rules.of(table, self.rules)]

    def given(self, row: ibis.Table) -> Given:
        """What the checks of a row compare with."""
        return Given(row, self.tables, self.period, self.as_of)


@ibis.udf.scalar.builtin(name="hash")
def _hash(row) -> int: ...


@ibis.udf.scalar.builtin(name="to_json")
def _to_json(row) -> str: ...


@ibis.udf.scalar.builtin(name="json_extract_string", signature=(("string", "string"), "string"))
def _json_value(row, path): ...


def duplicates(lines: ibis.Table) -> ibis.Table:
    """One line that repeats an earlier one in every column: `line`.

    Lines are first compared by a hash of a few columns, which rules out nearly all of them; only
    those that share one are compared column by column, so the answer is exact.
    """
    mark = _hash(ibis.struct({name: lines[name] for name in TELLING}))
    shared = lines.select(mark=mark).group_by("mark").having(_.count() > 1).agg()
    suspects = lines.semi_join(shared, mark == shared.mark)
    place = ibis.row_number().over(group_by=CONTENT, order_by=suspects.line)
    return suspects.mutate(place=place).filter(_.place > 0).select("line")


def source(mapping, files, staged: dict[str, ibis.Table], *, as_of: date | None = None) -> Source:
    """What cleaning must know of a source.

    Parameters
    ----------
    mapping
        The mapping of the source.
    files
        `staged/files` as a frame.
    staged
        The staged tables, by name.
    as_of
        The reference date of the run.
    """
    inorder = files.sort_values("number").groupby("table")["duplicates"]
    filled = set(files.loc[files["rows"] > 0, "table"])
    return Source(
        rules=mapping.rules,
        expiry=tuple(rules.expiry(table, days, as_of) for table, days in mapping.retention),
        missing=mapping.missing,
        period=mapping.period,
        test_accounts=mapping.test_accounts,
        policies={name: policies.tolist() for name, policies in inorder},
        extended=mapping.extended,
        as_of=as_of,
        tables={name: rows for name, rows in staged.items() if name in filled},
    )


def dropped(repeats: ibis.Table, policies: list[str]) -> ibis.Table:
    """One exact duplicate of a file whose policy is `drop`: `line`; elsewhere they are kept.

    `policies` are those of the files that feed order lines, in the mapping's order.
    """
    files = [number for number, policy in enumerate(policies) if policy == "drop"]
    return repeats.filter((_.line // STRIDE).isin(files) if files else ibis.literal(False))


def drafts(judged: ibis.Table) -> ibis.Table:
    """One order with at least one sale, and the first and last of the customers it names."""
    sold = judged.filter(_.fate == "kept", _.kind == "sale")
    return sold.group_by("order_id").agg(
        customer_key=_.customer_key.max(),
        other_key=_.customer_key.min(),
        ordered_at=_.ordered_at.min(),
        channel=_.channel.max(),
        country=_.country.max(),
        lines=_.count(),
        amount=_.amount.sum(),
    )


def odd_orders(drafts: ibis.Table) -> ibis.Table:
    """One order that names two customers, or is worth a cent: `order_id`, `odd` (the rule)."""
    is_cent = (_.amount > 0) & (_.amount <= TEST_AMOUNT)
    odd = ibis.cases((_.customer_key != _.other_key, ORDER_OF_TWO), (is_cent, "test amount"))
    return drafts.select("order_id", odd=odd).filter(_.odd.notnull())


def orders(drafts: ibis.Table, odd: ibis.Table) -> ibis.Table:
    """One order of one customer, or of nobody named, as in `clean/orders`."""
    return drafts.anti_join(odd, "order_id").drop("other_key")


def judge(
    lines: ibis.Table, dropped: ibis.Table, odd: ibis.Table | None = None, *, source: Source
) -> ibis.Table:
    """One line as it arrived, with its `fate` and the `reason`: the first rule that it breaks.

    Parameters
    ----------
    lines
        `staged/order_lines`.
    dropped, odd
        What `dropped` and `odd_orders` found; without `odd` those rules are not applied, as when
        the orders are first put together.
    source
        Its rules, period and test accounts.
    """
    twice = dropped.select(twice=_.line)
    joined = lines.left_join(twice, lines.line == twice.twice)
    if odd is None:
        joined = joined.mutate(odd=ibis.null("string"))
    else:
        torn = odd.select("odd", torn=_.order_id)
        joined = joined.left_join(torn, joined.order_id == torn.torn).drop("torn")
    broken = _broken("order_lines", joined, source, _line_marks(joined, source))
    return _fated(joined, broken, source.of("order_lines")).drop("twice", "odd")


def rest(judged: ibis.Table) -> ibis.Table:
    """One line that is no kept sale: returned, quarantined or removed. Few, so worth holding."""
    return judged.filter((_.fate != "kept") | (_.kind != "sale"))


def equals(lines: ibis.Table, rest: ibis.Table) -> ibis.Table:
    """One line that some return equals in customer, product, price and units: few of them."""
    back = rest.filter(_.fate == "kept").select(*SAME, quantity=_.quantity.abs())
    return lines.semi_join(back, [*SAME, "quantity"])


def reversals(equals: ibis.Table, rest: ibis.Table) -> ibis.Table:
    """One sale that a later return cancels whole: `sale_line`, `return_line`, the order that the
    return `reverses` and when the sale was `reversed_at`.

    Each return takes the latest sale before it with the same customer, product, quantity and
    price that none has taken yet, as a closing bracket takes an opening one: among equals, a sale
    opens a level and a return closes it, and both stand side by side in their level.

    Parameters
    ----------
    equals
        The judged lines of `equals`.
    rest
        The judged lines of `rest`.
    """
    sold = equals.filter(_.fate == "kept", _.kind == "sale", _.customer_key.notnull()).select(
        *SAME, "line", "order_id", units=_.quantity, at=_.ordered_at, step=ibis.literal(1)
    )
    back = rest.filter(_.fate == "kept", _.customer_key.notnull()).select(
        *SAME, "line", "order_id", units=_.quantity.abs(), at=_.ordered_at, step=ibis.literal(-1)
    )
    same = [*SAME, "units"]
    order = ["at", ibis.desc("step"), "line"]  # at one time, first the sale
    so_far = ibis.cumulative_window(group_by=same, order_by=order)
    both = sold.union(back).mutate(open=_.step.sum().over(so_far))
    both = both.mutate(unmatched=ibis.least(_.open.min().over(so_far), 0))
    both = both.mutate(level=_.open - _.unmatched + (_.step < 0).cast("int64"))
    before = ibis.window(group_by=[*same, "level"], order_by=order)
    pairs = both.mutate(
        sale_line=ibis.ifelse(_.step.lag().over(before) > 0, _.line.lag().over(before), None),
        reverses=_.order_id.lag().over(before),
    ).filter(_.step < 0, _.sale_line.notnull())
    return pairs.select("sale_line", "reverses", return_line=_.line, reversed_at=_.at)


def items(lines: ibis.Table, rest: ibis.Table, repeats: ibis.Table) -> ibis.Table:
    """One line sold, as in `clean/order_items`: what is left of the lines without the `rest`."""
    joined = lines.anti_join(rest, "line").left_join(repeats, "line")
    return joined.select(
        "order_id", "line", "customer_key", "product_id", "ordered_at", "quantity", "unit_price",
        "amount", is_duplicate=joined.line_right.notnull(),
    )  # fmt: skip


def returns(rest: ibis.Table, reversed: ibis.Table) -> ibis.Table:
    """One line returned or cancelled, quantity and amount positive, as in `clean/returns`."""
    back = rest.filter(_.fate == "kept")
    joined = back.left_join(reversed, back.line == reversed.return_line)
    return joined.select(
        "line", "customer_key", "product_id", "country", "unit_price", "reverses",
        return_id=_.order_id, returned_at=_.ordered_at, quantity=_.quantity.abs(),
        amount=_.amount.abs(), reverses_line=_.sale_line,
    )  # fmt: skip


def products(lines: ibis.Table, catalogue: ibis.Table, *, non_products: list[str]) -> ibis.Table:
    """One product, as in `clean/products`: the catalogue's name, else the commonest on the lines.

    Codes in `non_products` (postage, fees, vouchers, manual entries) are marked, so that no list
    of best products names the postage.
    """
    said = (
        lines.filter(_.product_id.notnull())
        .group_by("product_id", "product_name", "category")
        .agg(times=_.count())
    )
    best = ibis.row_number().over(
        group_by="product_id",
        order_by=[said.product_name.isnull(), ibis.desc("times"), "product_name", "category"],
    )
    commonest = said.mutate(place=best).filter(_.place == 0).drop("place", "times")
    joined = commonest.outer_join(catalogue, "product_id")
    code = ibis.coalesce(joined.product_id, joined.product_id_right)
    return joined.select(
        product_id=code,
        product_name=ibis.coalesce(_.product_name_right, _.product_name, code),
        category=ibis.coalesce(_.category_right, _.category),
        list_price=_.list_price,
        is_product=~code.isin(non_products) if non_products else ibis.literal(True),
    )


def customers(records: ibis.Table, named: list[ibis.Table], source: Source) -> ibis.Table:
    """One customer that a record or any other row names, as in `clean/customers`.

    `named` are tables that may have a `customer_key`; a row past its retention names nobody.
    Empty fields become what `source.missing` says, and `imputed` names them (CLN-03, CLN-06).
    """
    named = [t.filter((t.reason != rules.EXPIRED).fill_null(True)) if "reason" in t.columns else t
             for t in named]  # fmt: skip
    keys = [t.select("customer_key") for t in named if "customer_key" in t.columns]
    every = ibis.union(*keys, distinct=True).filter(_.customer_key.notnull())
    joined = every.outer_join(records, "customer_key")
    names = lookup("clean/customers", source.extended).names
    marks = [joined[field].isnull().ifelse(field, None) for field, _value in source.missing]
    filled = {
        "customer_key": ibis.coalesce(joined.customer_key, joined.customer_key_right),
        **{field: joined[field].fill_null(value) for field, value in source.missing},
        **{c: joined[c].fill_null("missing") for c in names if c in PERSONAL_STATUSES},
        "imputed": ibis.array(marks).filter(lambda mark: mark.notnull()).join(";").nullif(""),
    }
    return joined.select(**{c: filled[c] if c in filled else joined[c] for c in names})


def strangers(lines: ibis.Table, orders: ibis.Table, source: Source) -> ibis.Table:
    """The lines of orders whose customer has no record, if any file feeds customers: few.

    Parameters
    ----------
    lines
        `staged/order_lines`.
    orders
        `clean/orders`.
    source
        The tables that have rows.
    """
    people = source.tables.get("customers")
    if people is None:
        return lines.filter(False)
    known = people.filter(_.customer_key.notnull()).select("customer_key").distinct()
    named = orders.filter(_.customer_key.notnull())
    return lines.semi_join(named.anti_join(known, "customer_key"), "order_id")


def beside(rest: ibis.Table, strangers: ibis.Table) -> ibis.Table:
    """The judged lines that may break a rule: those of `rest`, and kept sales of `strangers`."""
    return rest.union(strangers.filter(_.fate == "kept", _.kind == "sale"))


def all_suspects(
    judged: ibis.Table, rest: ibis.Table, marked: dict[str, ibis.Table], orders: ibis.Table,
    source: Source,
) -> ibis.Table:  # fmt: skip
    """One row of any table that breaks a rule; see `suspects`.

    Parameters
    ----------
    judged, rest
        All order lines, looked at only if a rule of the source flags kept ones; else those of
        `beside`.
    marked
        The other staged tables with their `marks`, by name.
    orders
        `clean/orders`, for the first order of each customer.
    source
        Rules, period and policies.
    """
    flags = any(rule.action == "flag" for rule in source.rules if rule.table == "order_lines")
    parts = [suspects("order_lines", judged if flags else rest, source)]
    for name, rows in marked.items():
        if name in source.tables:  # the others have no rows
            rows = _early(rows, orders) if name == "customers" else rows
            parts.append(suspects(name, rows, source))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def _early(customers: ibis.Table, orders: ibis.Table) -> ibis.Table:
    """Whether the first order of a customer lies before the registration."""
    first = orders.group_by("customer_key").agg(first_on=_.ordered_at.min().cast("date"))
    joined = customers.left_join(first, "customer_key")
    early = (joined.first_on < joined.registered_on).fill_null(False)
    return joined.mutate(early=early).drop("first_on", "customer_key_right")


def suspects(name: str, rows: ibis.Table, source: Source) -> ibis.Table:
    """One row of any table that breaks a rule: its `reason` and `fate`, and all rules `broken`.

    Columns: table, line, month, row (as JSON), reason, fate, broken (a list of rules).

    Parameters
    ----------
    name
        The staged table.
    rows
        Its rows, with what `marks` adds.
    source
        Rules, period and policies.
    """
    staged = lookup(f"staged/{name}", source.extended).names
    made = _line_reasons(rows) if name == "order_lines" else _record_marks(name, rows)
    broken = _broken(name, rows, source, made)
    listed = ibis.array([flag.ifelse(rule.id, None) for rule, flag in broken])
    when = _month(name, rows)
    noted = rows.mutate(broken=listed.filter(lambda x: x.notnull()), month=when)
    judged = _fated(noted, broken, source.of(name)).filter(_.broken.length() > 0)
    whole = _to_json(ibis.struct({c: judged[c] for c in staged}))
    return judged.select(
        "line", "reason", "fate", "broken", "month", table=ibis.literal(name),
        row=_json_value(whole, "$"),
    )  # fmt: skip


def marks(name: str, rows: ibis.Table, source: Source) -> ibis.Table:
    """The rows of a table with what the rules found elsewhere need to know.

    `older` tells a record that a newer one with the same key replaces (ING-25), `twice` one that
    repeats an earlier one in every column where the mapping drops those, `again` a repeated click.
    """
    table = lookup(f"staged/{name}", source.extended)
    policies = source.policies.get(name, [])
    dropping = [number for number, policy in enumerate(policies) if policy == "drop"]
    older = twice = again = ibis.literal(False)
    if table.same:
        place = ibis.row_number().over(group_by=list(table.same), order_by=_newest(rows, table))
        older = (place > 0) & rows[table.same[0]].notnull()
    if dropping:
        content = [c for c in table.names if c not in ("source", "line")]
        place = ibis.row_number().over(group_by=content, order_by=ibis.desc("line"))
        twice = (place > 0) & (rows["line"] // STRIDE).isin(dropping)
    if name == "events":
        before = ibis.window(group_by=["customer_key", "target", "kind"], order_by=["at", "line"])
        gap = rows["at"].delta(rows["at"].lag().over(before), unit="millisecond")
        known = rows["customer_key"].notnull() & rows["target"].notnull()
        again = (known & (gap <= CLICK_SECONDS * 1000)).fill_null(False)
    return rows.mutate(older=older, twice=twice, again=again)


def _newest(rows: ibis.Table, table: Table) -> list:
    """The order in which versions of a record count: a whole one first, then the newest."""
    needed = [rows[c.name].isnull() for c in table.columns if c.required]
    updated = [ibis.desc(rows["updated_on"])] if "updated_on" in rows.columns else []
    return [*([ibis.or_(*needed)] if needed else []), *updated, ibis.desc(rows["line"])]


def merged(records: ibis.Table, suspects: ibis.Table, source: Source) -> ibis.Table:
    """One customer with records: each field from the newest record that has it (ING-25).

    That a phone, an e-mail or a name is missing says nothing where another record has it.

    Parameters
    ----------
    records
        `staged/customers` with its `marks`.
    suspects
        Rows that break a rule; what is in quarantine is left out.
    source
        The fields that the source declares itself.
    """
    waiting = suspects.filter(_.table == "customers", _.fate == "quarantined").select("line")
    table = lookup("staged/customers", source.extended)
    newest = ibis.row_number().over(order_by=_newest(records, table))
    said = {name: records[name].nullif("missing") for name in PERSONAL_STATUSES}
    ranked = records.mutate(place=newest, **said).anti_join(waiting, "line")
    fields = [name for name in table.names if name not in ("source", "line", "customer_key")]
    return ranked.group_by("customer_key").agg(
        **{
            name: ranked[name].argmin(ranked.place, where=ranked[name].notnull())
            for name in fields
        }
    )


def kept(rows: ibis.Table, suspects: ibis.Table, name: str) -> ibis.Table:
    """The rows of a staged table that no rule keeps back, without the column `source`."""
    out = suspects.filter(suspects.table == name, suspects.fate != "kept").select("line")
    return rows.anti_join(out, "line").drop("source")


def issues(suspects: ibis.Table, unread: ibis.Table, source: Source) -> ibis.Table:
    """One rule that one row breaks, or one cell that could not be read, as in `clean/issues`.

    A row that was removed concerns nobody; only an older record of a customer still fills what
    the newer one lacks.
    """
    is_gone = (suspects.fate == "removed") & (suspects.reason != "older record")
    gone = suspects.filter(is_gone).select("table", "line")
    unread = unread.anti_join(gone, ["table", "line"])
    every = [rule for name in ARRIVING for rule in source.of(name)]
    known = ibis.memtable(
        [{"table": r.table, "rule": r.id, "field": r.field, "severity": r.severity,
          "action": r.action, "origin": r.origin, "requirement": r.requirement}
         for r in every if r.action != "drop"]  # nobody need mend what is dropped
    )  # fmt: skip
    told = suspects.filter(~is_gone)
    broken = told.select("table", "line", "row", "month", rule=_.broken.unnest())
    joined = broken.inner_join(known, ["table", "rule"])
    columns = lookup("clean/issues").names
    found = joined.mutate(value=_json_value(_.row, '$."' + _.field + '"')).select(*columns)
    needed = ibis.memtable(
        [{"table": name, "field": c.name, "action": "quarantine" if c.required else "fix"}
         for name in ARRIVING
         for c in lookup(f"staged/{name}").columns if c.required or c.name == "gender"]
    )  # fmt: skip
    cells = unread.left_join(needed, ["table", "field"]).select(
        "table", "line", "field", "value", rule=ibis.literal(rules.UNREADABLE),
        severity=ibis.literal("error"), action=_.action.fill_null("flag"),
        origin=ibis.literal("entry"), requirement=ibis.literal("CLN-09"),
        month=ibis.null("string"),
    )  # fmt: skip
    return found.union(cells.select(*columns))


def quarantine(suspects: ibis.Table) -> ibis.Table:
    """One quarantined row, whole, with the rule it failed, as in `clean/quarantine`."""
    waiting = suspects.filter(suspects.fate == "quarantined")
    return waiting.select("table", "line", "reason", "row")


def conflicts(records: ibis.Table, merged: ibis.Table, source: Source) -> ibis.Table:
    """One field in which a record differs from the customer it went into, as `clean/conflicts`.

    `records` are those of `marks`, `merged` what became of them.
    """
    keys = ("source", "line", "customer_key", "updated_on", *PERSONAL_STATUSES)
    fields = lookup("staged/customers", source.extended).names
    names = [name for name in fields if name not in keys]
    texts = [records[c].cast("string").name(c) for c in names]
    old = records.select("line", "customer_key", *texts)
    new = merged.select("customer_key", **{f"new_{c}": merged[c].cast("string") for c in names})
    both = old.inner_join(new, "customer_key")
    parts = [
        both.filter(both[c] != both[f"new_{c}"]).select(
            "customer_key", "line", field=ibis.literal(c), value=both[c], kept=both[f"new_{c}"],
            why=ibis.literal("the newest record that has it"),
        )
        for c in names
    ]  # fmt: skip
    return ibis.union(*parts)


def ledger(
    orders: ibis.Table, rest: ibis.Table, suspects: ibis.Table, arrived: dict[str, int]
) -> ibis.Table:
    """Rows and money of one table, fate and reason, as in `clean/ledger`.

    Order lines are counted from what is written, not from what arrived, so that `balance` can
    compare; of other tables, what is neither quarantined nor removed counts as kept.
    """
    sold = orders.aggregate(rows=_.lines.sum().fill_null(0), amount=_.amount.sum().fill_null(0))
    sold = sold.filter(_.rows > 0).mutate(fate=ibis.literal("kept"), reason=ibis.literal("sale"))
    others = (
        rest.mutate(reason=ibis.coalesce(_.reason, "return"))
        .group_by("fate", "reason")
        .agg(rows=_.count(), amount=_.amount.sum().fill_null(0))
    )
    columns = ("fate", "reason", "rows", "amount")
    both = sold.select(*columns).cast({"rows": "int64"}).union(others.select(*columns))
    lines = both.mutate(table=ibis.literal("order_lines")).select("table", *columns)
    nothing = ibis.null("decimal(38, 4)")  # as a sum of money
    odd = suspects.filter(_.table != "order_lines", _.fate != "kept")
    odd = odd.group_by("table", "fate", "reason").agg(rows=_.count()).mutate(amount=nothing)
    counts = [{"table": n, "came": r} for n, r in arrived.items() if n != "order_lines"]
    came = ibis.memtable(counts, schema={"table": "string", "came": "int64"})
    out = odd.group_by("table").agg(out=_.rows.sum())
    whole = came.left_join(out, "table").select(
        "table", fate=ibis.literal("kept"), reason=ibis.literal("record"),
        rows=(_.came - _.out.fill_null(0)).cast("int64"), amount=nothing,
    ).filter(_.rows > 0)  # fmt: skip
    return lines.union(odd.select("table", *columns)).union(whole.select("table", *columns))


def and_forgotten(ledger, forgotten: dict[str, int]):
    """The ledger with the rows that ingest dropped, by table: a tombstone stood for their key.

    What they sold for is not in it: it would tell of a customer who asked to be forgotten.

    Examples
    --------
    >>> import pandas as pd
    >>> none = pd.DataFrame(columns=["table", "fate", "reason", "rows", "amount"])
    >>> and_forgotten(none, {"tickets": 2}).values.tolist()[0][:4]
    ['tickets', 'removed', 'forgotten', 2]
    """
    import pandas as pd

    if not forgotten:
        return ledger
    rows = [(table, "removed", FORGOTTEN, count, None) for table, count in forgotten.items()]
    added = pd.DataFrame(rows, columns=["table", "fate", "reason", "rows", "amount"])
    both = pd.concat([ledger, added.astype({"amount": "float64"})], ignore_index=True)
    return both.astype({"table": "str", "fate": "str", "reason": "str", "rows": "int64"})


def in_order(ledger):
    """The ledger, a frame, as people read it: order lines first, and the commonest reason first.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("tickets", "kept", "record", 2), ("order_lines", "kept", "sale", 1)]
    >>> in_order(pd.DataFrame(rows, columns=["table", "fate", "reason", "rows"]))["table"].tolist()
    ['order_lines', 'tickets']
    """
    placed = ledger.assign(place=ledger["table"].map(ARRIVING.index))
    order = ["place", "fate", "rows", "reason"]
    ranked = placed.sort_values(order, ascending=[True, True, False, True], ignore_index=True)
    return ranked.drop(columns="place")


def facts(lines: ibis.Table, rest: ibis.Table) -> ibis.Table:
    """One row of counts: lines, those of each fate, and those without a customer.

    Kept sales are all lines less the `rest`, so those without a customer need no second reading.
    """
    came = lines.aggregate(
        lines=_.count(), unknown_lines=_.customer_key.isnull().sum().fill_null(0)
    )
    others = rest.aggregate(
        others=_.count(),
        unknown_others=_.customer_key.isnull().sum().fill_null(0),
        return_lines=(_.fate == "kept").sum().fill_null(0),
        quarantined=(_.fate == "quarantined").sum().fill_null(0),
        removed=(_.fate == "removed").sum().fill_null(0),
        removed_amount=_.amount.sum(where=_.fate == "removed").fill_null(0),
    )
    both = came.cross_join(others).mutate(
        kept=_.lines - _.quarantined - _.removed,
        sale_lines=_.lines - _.others,
        unknown_sale_lines=_.unknown_lines - _.unknown_others,
    )
    return both.select(
        "lines", "kept", "sale_lines", "return_lines", "quarantined", "removed",
        "removed_amount", "unknown_lines", "unknown_sale_lines",
        kept_share=(_.kept / _.lines.nullif(0)).fill_null(0),
        unknown_share=(_.unknown_lines / _.lines.nullif(0)).fill_null(0),
        unknown_sale_share=(_.unknown_sale_lines / _.sale_lines.nullif(0)).fill_null(0),
    )  # fmt: skip


_WAYS = (  # to count sales: name, whether the customer must be known, whether a line counts once
    ("all", False, False),
    ("without exact duplicates", False, True),
    ("customer known", True, False),
    ("customer known, without exact duplicates", True, True),
)


def choices(lines: ibis.Table, rest: ibis.Table, repeats: ibis.Table) -> ibis.Table:
    """One way to count sales: `choice`, lines, customers and sales under it.

    Every choice counts lines with a price and a quantity above zero that are no returns.
    """
    out = rest.filter(_.reason.isnull() | (_.reason != "duplicate"))
    sold = lines.anti_join(out, "line").left_join(repeats, "line")
    # not as a filter, which the engine takes for so few lines that it holds them all for the join
    is_sale = (sold.kind == "sale") & (sold.amount > 0) & (sold.quantity > 0)
    # customers are few: the lines are read once, whatever the number of ways
    few = sold.group_by("customer_key", once=sold.line_right.isnull()).agg(
        lines=is_sale.sum(), sales=sold.amount.sum(where=is_sale)
    )
    few = few.filter(few.lines > 0)
    ways = ibis.memtable(
        [(place, *way) for place, way in enumerate(_WAYS)],
        schema={"place": "int64", "choice": "string", "known": "boolean", "unique": "boolean"},
    )
    counted = ways.left_join(
        few, [few.customer_key.notnull() | ~ways.known, few.once | ~ways.unique]
    ).group_by("place", "choice").agg(
        lines=_.lines.sum().fill_null(0), customers=_.customer_key.nunique(),
        sales=_.sales.sum().fill_null(0),
    )  # fmt: skip
    return counted.order_by("place").select("choice", "lines", "customers", "sales")


def named(choices) -> dict:
    """The counts of `choices` (a frame) as metrics: `known_lines`, `known_unique_sales`, ….

    Examples
    --------
    >>> import pandas as pd
    >>> one = {"choice": ["customer known"], "lines": [2], "customers": [1], "sales": [9.5]}
    >>> named(pd.DataFrame(one))
    {'known_lines': 2, 'known_customers': 1, 'known_sales': 9.5}
    """
    prefix = {
        "all": "all", "without exact duplicates": "unique", "customer known": "known",
        "customer known, without exact duplicates": "known_unique",
    }  # fmt: skip
    return {
        f"{prefix[row['choice']]}_{column}": row[column]
        for row in choices.to_dict("records")
        for column in ("lines", "customers", "sales")
    }


def undone(equals: ibis.Table, reversed: ibis.Table) -> ibis.Table:
    """One sale that a later return cancelled whole: order_id, product_name, amount, hours."""
    sold = equals.select(
        "order_id", "product_name", "amount", sale_line=_.line, ordered_at=_.ordered_at
    ).inner_join(reversed, "sale_line")
    minutes = sold.reversed_at.delta(sold.ordered_at, unit="minute")
    return sold.mutate(hours=minutes / 60.0).select(
        "order_id", "product_name", "amount", "ordered_at", "hours", "sale_line"
    )


def undone_facts(undone: ibis.Table) -> ibis.Table:
    """One row: how many sales were cancelled whole, what they were worth, and the largest."""
    return undone.aggregate(
        reversed_lines=_.count(),
        reversed_amount=_.amount.sum().fill_null(0),
        largest_reversed=_.amount.max().fill_null(0),
        largest_reversed_hours=_.hours.argmax(_.amount).fill_null(0),
        swift_lines=(_.hours <= DAY_HOURS).sum().fill_null(0),
    ).mutate(
        largest_reversed_minutes=(_.largest_reversed_hours * 60).round().cast("int64"),
        largest_reversed_days=_.largest_reversed_hours / DAY_HOURS,
    )


def undone_note(found: dict) -> str:
    """What the returns that cancel a whole sale amount to, if there are any."""
    if not found["reversed_lines"]:
        return "No return cancels a whole earlier line."
    return (
        "Of {return_lines} returned line[s], {reversed_lines} cancel[s|] a whole earlier line, "
        "worth {reversed_amount:money}; {swift_lines} of them came within a day."
    )


def largest_note(found: dict) -> str:
    """When the largest sale was cancelled, in the unit that a reader would say."""
    if not found["reversed_lines"]:
        return "Every sale counts as a purchase."
    if found["largest_reversed_hours"] < SHORT_HOURS:
        return (
            "The largest was worth {largest_reversed:money} and was cancelled after "
            "{largest_reversed_minutes:int} minute[s]."
        )
    if found["largest_reversed_hours"] < LONG_HOURS:
        return (
            "The largest was worth {largest_reversed:money} and was cancelled after "
            "{largest_reversed_hours:num} hours."
        )
    return (
        "The largest was worth {largest_reversed:money} and was cancelled after "
        "{largest_reversed_days:num} days."
    )


def rest_note(found: dict) -> str:
    """Where the lines that are no fact can be found, if there are any."""
    if not found["quarantined"] + found["removed"]:
        return "Every order line is kept."
    return (
        "`data/clean/quarantine.parquet` holds the {quarantined} order line[s] in quarantine "
        "whole and with the reason; the page on quality says who looks into them. The "
        "{removed} line[s] ({removed_amount:money}) removed for the reasons in the ledger are in "
        "the raw files only."
    )


def largest(undone: ibis.Table, *, top: int = 10) -> ibis.Table:
    """The `top` sales cancelled whole, by amount."""
    best = undone.order_by(_.amount.desc(), _.sale_line).limit(top)
    return best.select("order_id", "product_name", "amount", "ordered_at", "hours")


def told(undone):
    """`undone`, a frame, with the time until the sale was cancelled in words, not in hours.

    Examples
    --------
    >>> import pandas as pd
    >>> told(pd.DataFrame({"hours": [0.25, 5.0, 2328.0]}))["cancelled_after"].tolist()
    ['15 minutes', '5.0 hours', '97.0 days']
    """
    words = [_span(hours) for hours in undone["hours"]]
    return undone.drop(columns="hours").assign(cancelled_after=words)


def _span(hours: float) -> str:
    """A time in the unit that a reader would say."""
    if hours < SHORT_HOURS:
        minutes = round(hours * 60)
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    if hours < LONG_HOURS:
        return f"{hours:.1f} hours"
    return f"{hours / DAY_HOURS:,.1f} days"


def balance(
    ledger, *, arrived: dict[str, int], written: dict[str, int], max_share: float = 0.05
) -> None:
    """Raise `LedgerError` unless in = kept + quarantined + removed for every table.

    Parameters
    ----------
    ledger
        The ledger as a frame.
    arrived
        Rows that arrived, by table.
    written
        Rows written, by table: order_items, returns, quarantine and the records.
    max_share
        Share of quarantined rows of a table above which the run stops (CLN-09).

    Raises
    ------
    LedgerError
        A row was lost or doubled, or too many are quarantined; the message names the rule.
    """
    ledger = ledger[ledger["reason"] != FORGOTTEN]  # ingest dropped them, and counted
    for table, rows in arrived.items():
        booked = ledger[ledger["table"] == table]
        if booked["rows"].sum() != rows:
            raise LedgerError(
                f"{rows} rows of {table} came in, the ledger accounts for {booked['rows'].sum()}"
            )
        _assert_few(booked, table, rows, max_share)
    for table, (fate, reason) in _BOOKED.items():
        of_it = ledger[(ledger["table"] == "order_lines") & (ledger["fate"] == fate)]
        _assert_same(table, of_it[of_it["reason"] == reason]["rows"].sum(), written[table])
    waiting = ledger[ledger["fate"] == "quarantined"]["rows"].sum()
    _assert_same("quarantine", waiting, written["quarantine"])
    for table in RECORDS:
        of_it = ledger[(ledger["table"] == table) & (ledger["fate"] == "kept")]
        _assert_same(table, of_it["rows"].sum(), written.get(table, 0))


_BOOKED = {"order_items": ("kept", "sale"), "returns": ("kept", "return")}


def _assert_same(table: str, booked: int, written: int) -> None:
    if booked != written:
        raise LedgerError(f"the ledger has {booked} rows of {table!r}, its table has {written}")


def _assert_few(booked, table: str, rows: int, max_share: float) -> None:
    waiting = booked[booked["fate"] == "quarantined"]
    if waiting["rows"].sum() > max_share * rows:
        worst = waiting.nlargest(1, "rows").iloc[0]
        raise LedgerError(
            f"{waiting['rows'].sum()} of {rows} rows of {table} are quarantined, more than "
            f"clean.balance.max_share {max_share:.1%} allows; most of them ({worst['rows']}) "
            f"because: {worst['reason']}. Mend the source, or raise the limit in params.yaml"
        )


def _line_marks(joined: ibis.Table, source: Source) -> dict[str, ibis.Value]:
    """Which order lines break the rules that are found elsewhere."""
    accounts = list(source.test_accounts)
    of_test = joined.customer_key.isin(accounts) if accounts else ibis.literal(False)
    both = joined.quantity.notnull() & joined.unit_price.notnull()
    made = {
        "test account": of_test.fill_null(False),
        "amount missing": joined.amount.isnull() & both,
    }
    if "twice" in joined.columns:
        made["duplicate"] = joined.twice.notnull()
        made |= {
            name: (joined.odd == name).fill_null(False) for name in (ORDER_OF_TWO, "test amount")
        }
    return made


def _line_reasons(judged: ibis.Table) -> dict[str, ibis.Value]:
    """The same of lines that have been judged."""
    names = [r.id for r in rules.of("order_lines") if r.check == rules.FOUND]
    return {name: (judged.reason == name).fill_null(False) for name in names}


def _record_marks(name: str, rows: ibis.Table) -> dict[str, ibis.Value]:
    early = {"order before registration": rows["early"]} if "early" in rows.columns else {}
    older = {"customers": "older record", "products": "older product"}.get(name, "older version")
    return early | {
        older: rows["older"], "duplicate": rows["twice"], "repeated click": rows["again"],
    }  # fmt: skip


def _broken(
    name: str, rows: ibis.Table, source: Source, marked: dict
) -> list[tuple[Rule, ibis.Value]]:
    """Each rule of a table that can be broken here, and whether a row breaks it."""
    given = source.given(rows)
    return [
        (rule, rules.breaks(rule, given, marked.get(rule.id)))
        for rule in source.of(name)
        if rule.check != rules.FOUND or rule.id in marked
    ]


def _fated(rows: ibis.Table, broken: list, every: list[Rule]) -> ibis.Table:
    """The rows with the first rule that keeps them back as `reason`, and their `fate`."""
    blocking = [(flag, rule.id) for rule, flag in broken if rule.action in ("quarantine", "drop")]
    dropped = [rule.id for rule in every if rule.action == "drop"]
    judged = rows.mutate(reason=ibis.cases(*blocking) if blocking else ibis.null("string"))
    fate = ibis.cases(
        (_.reason.isnull(), "kept"), (_.reason.isin(dropped), "removed"), else_="quarantined"
    )
    return judged.mutate(fate=fate)


def _month(name: str, rows: ibis.Table) -> ibis.Value:
    """The month of a row, such as 2023-05; empty if nothing in it has a date."""
    when = moment(lookup(f"staged/{name}"))
    return rows[when].strftime("%Y-%m") if when else ibis.null("string")
