"""Which order lines count as sales, which as returns, and where every other line went.

A *sale* is a line of goods or services charged to somebody. A *return* is a line of a returned
or cancelled invoice; it is a fact of its own with positive amounts and reduces spend (Q-16). A
return *reverses* a sale when customer, product, quantity and price are the same and the sale is
the latest one before it that none has reversed yet: such a sale was never a purchase in the end.
An *exact duplicate* repeats every column of an earlier line of the source.

Each line meets one fate: kept, quarantined (it broke a rule and waits for its owner, whole and
with the reason) or removed (it is well-formed but not a sale or a return). Nothing else can
happen to it, and the ledger proves it (CLN-05, CLN-09).
"""

from __future__ import annotations

import ibis
from ibis import _

from crm.tables import STRIDE

REMOVED = {  # well-formed, but neither sale nor return
    "duplicate": "the same line stands earlier, and the mapping says to drop it (CLN-05)",
    "adjustment": "an entry of the accounts, not a sale",
    "test": "a test order (CLN-07)",
}
QUARANTINED = {  # broke a rule
    "missing": "a required field is empty (CLN-06)",
    "price below zero": "an amount may not be negative (CLN-02)",
    "quantity not above zero": "a sale needs a quantity above zero (CLN-08)",
    "order of two customers": "one order number names two customers (CLN-08)",
}
CONTENT = (  # two lines with the same content are exact duplicates
    "source", "order_id", "kind", "customer_key", "product_id", "product_name", "category",
    "quantity", "unit_price", "ordered_at", "channel", "country",
)  # fmt: skip
SAME = ("customer_key", "product_id", "unit_price")  # of a sale and its return, beside the units
TELLING = ("order_id", "product_id", "quantity", "ordered_at")  # differ in nearly all lines
REQUIRED = ("order_id", "product_id", "quantity", "unit_price", "ordered_at")


class LedgerError(ValueError):
    """Rows were lost or doubled, or too many were quarantined."""


@ibis.udf.scalar.builtin(name="hash")
def _hash(row) -> int: ...


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


def mixed_orders(drafts: ibis.Table) -> ibis.Table:
    """One order number whose sales name more than one customer: `order_id`."""
    return drafts.filter(_.customer_key != _.other_key).select("order_id")


def orders(drafts: ibis.Table) -> ibis.Table:
    """One order of one customer, or of nobody named, as in `clean/orders`."""
    mixed = (drafts.customer_key != drafts.other_key).fill_null(False)
    return drafts.filter(~mixed).drop("other_key")


def judge(lines: ibis.Table, dropped: ibis.Table, mixed: ibis.Table | None = None) -> ibis.Table:
    """One line as it arrived, with `amount`, its `fate` and the `reason`.

    Parameters
    ----------
    lines
        `staged/order_lines`.
    dropped, mixed
        What `dropped` and `mixed_orders` found; without `mixed` that rule is not applied, as
        when the orders are first put together.
    """
    twice = dropped.select(twice=_.line)
    joined = lines.left_join(twice, lines.line == twice.twice)
    if mixed is None:
        joined = joined.mutate(torn=ibis.null("string"))
    else:
        torn = mixed.select(torn=_.order_id)
        joined = joined.left_join(torn, joined.order_id == torn.torn)
    amount = (_.quantity * _.unit_price).round(4)  # as it is written: sums over lines stay equal
    judged = joined.mutate(amount=amount, reason=_reason(joined)).mutate(fate=_fate())
    return judged.drop("twice", "torn")


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


def items(judged: ibis.Table, repeats: ibis.Table) -> ibis.Table:
    """One line sold, as in `clean/order_items`."""
    sold = judged.filter(_.fate == "kept", _.kind == "sale")
    joined = sold.left_join(repeats, "line")
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
        is_product=~code.isin(non_products) if non_products else ibis.literal(True),
    )


def customers(records: ibis.Table, orders: ibis.Table, rest: ibis.Table) -> ibis.Table:
    """One customer that a record, an order or any other line names, as in `clean/customers`."""
    keys = [t.select("customer_key") for t in (orders, rest)]
    named = ibis.union(*keys, distinct=True).filter(_.customer_key.notnull())
    joined = named.outer_join(records, "customer_key")
    return joined.select(
        customer_key=ibis.coalesce(_.customer_key, _.customer_key_right),
        **{c: joined[c] for c in ("registered_on", "industry", "gender", "city", "acquisition")},
    )


def quarantine(rest: ibis.Table) -> ibis.Table:
    """One quarantined line, whole, with the rule it failed, as in `clean/quarantine`."""
    return rest.filter(_.fate == "quarantined").drop("fate", "amount")


def ledger(orders: ibis.Table, rest: ibis.Table) -> ibis.Table:
    """Rows and money of one fate and reason, as in `clean/ledger`.

    It is counted from what is written, not from what arrived, so that `balance` can compare.
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
    return both.mutate(table=ibis.literal("order_lines")).select("table", *columns)


def facts(judged: ibis.Table) -> ibis.Table:
    """One row of counts: lines, those of each fate, and those without a customer."""
    kept = judged.fate == "kept"
    return judged.aggregate(
        lines=_.count(),
        kept=kept.sum().fill_null(0),
        kept_share=kept.cast("float64").mean().fill_null(0),
        sale_lines=(kept & (_.kind != "return")).sum().fill_null(0),
        return_lines=(kept & (_.kind == "return")).sum().fill_null(0),
        quarantined=(_.fate == "quarantined").sum().fill_null(0),
        removed=(_.fate == "removed").sum().fill_null(0),
        removed_amount=_.amount.sum(where=_.fate == "removed").fill_null(0),
        unknown_lines=_.customer_key.isnull().sum().fill_null(0),
        unknown_share=_.customer_key.isnull().cast("float64").mean().fill_null(0),
    )


def choices(judged: ibis.Table, repeats: ibis.Table) -> ibis.Table:
    """One way to count sales: `choice`, lines, customers and sales under it.

    Every choice counts lines with a price and a quantity above zero that are no returns.
    """
    is_sale = (judged.kind == "sale") & (judged.amount > 0) & (judged.quantity > 0)
    counted = judged.filter(is_sale, judged.reason.isnull() | (judged.reason == "duplicate"))
    sold = counted.left_join(repeats, "line").mutate(is_duplicate=_.line_right.notnull())
    ways = {
        "all": sold,
        "without exact duplicates": sold.filter(~_.is_duplicate),
        "customer known": sold.filter(_.customer_key.notnull()),
        "customer known, without exact duplicates": sold.filter(
            _.customer_key.notnull(), ~_.is_duplicate
        ),
    }
    parts = [
        way.aggregate(
            lines=_.count(), customers=_.customer_key.nunique(), sales=_.amount.sum().fill_null(0)
        ).select("lines", "customers", "sales", choice=ibis.literal(name), place=ibis.literal(i))
        for i, (name, way) in enumerate(ways.items())
    ]
    return ibis.union(*parts).order_by("place").select("choice", "lines", "customers", "sales")


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
    )


def largest(undone: ibis.Table, *, top: int = 10) -> ibis.Table:
    """The `top` sales cancelled whole, by amount."""
    best = undone.order_by(_.amount.desc(), _.sale_line).limit(top)
    return best.select("order_id", "product_name", "amount", "ordered_at", "hours")


def balance(
    ledger,
    *,
    rows_in: int,
    sale: int,
    returned: int,
    quarantined: int,
    max_share: float = 0.05,
) -> None:
    """Raise `LedgerError` unless in = kept + quarantined + removed, and each table has its part.

    Parameters
    ----------
    ledger
        The ledger as a frame.
    rows_in
        Lines that arrived.
    sale, returned, quarantined
        Rows written to order_items, returns and quarantine.
    max_share
        Share of quarantined lines above which the run stops (CLN-09).

    Raises
    ------
    LedgerError
        A row was lost or doubled, or too many are quarantined; the message names the rule.
    """
    booked = _booked(ledger)
    if sum(booked.values()) != rows_in:
        raise LedgerError(
            f"{rows_in} lines came in, the ledger accounts for {sum(booked.values())}"
        )
    written = {"sale": sale, "return": returned, "quarantined": quarantined}
    for name, rows in written.items():
        if booked.get(name, 0) != rows:
            raise LedgerError(
                f"the ledger has {booked.get(name, 0)} rows of {name!r}, its table has {rows}"
            )
    if quarantined > max_share * rows_in:
        waiting = ledger[ledger["fate"] == "quarantined"]
        worst = waiting.nlargest(1, "rows").iloc[0]
        raise LedgerError(
            f"{quarantined} of {rows_in} order lines are quarantined, more than "
            f"clean.balance.max_share {max_share:.1%} allows; most of them ({worst['rows']}) "
            f"because: {QUARANTINED[worst['reason']]}. Mend the source, or raise the limit in "
            "params.yaml"
        )


def _booked(ledger) -> dict[str, int]:
    """Rows by fate, the kept ones by kind."""
    where = ledger["reason"].where(ledger["fate"] == "kept", ledger["fate"])
    return ledger.groupby(where)["rows"].sum().to_dict()


def _reason(joined: ibis.Table):
    """The first rule that a line breaks; empty for a line that is kept."""
    missing = ibis.or_(*(joined[name].isnull() for name in REQUIRED))
    is_sale = joined.kind == "sale"
    return ibis.cases(
        (joined.twice.notnull(), "duplicate"),
        (joined.kind.isin(["adjustment", "test"]), joined.kind),
        (missing, "missing"),
        (joined.unit_price < 0, "price below zero"),
        ((is_sale & (joined.quantity <= 0)) | (joined.quantity == 0), "quantity not above zero"),
        (joined.torn.notnull(), "order of two customers"),
    )


def _fate():
    return ibis.cases(
        (_.reason.isnull(), "kept"), (_.reason.isin(list(REMOVED)), "removed"), else_="quarantined"
    )
