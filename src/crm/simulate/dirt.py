"""What goes wrong in real systems, planted on purpose and noted: worked example E13 and more.

Each kind is planted at least once in every batch, and all of one column together stay far below
5 %, above which a column counts as wrongly mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import NamedTuple

from crm.simulate.life import Line, Order
from crm.simulate.people import Person
from crm.simulate.people import phone as new_phone
from crm.simulate.world import DAY, DAYS, POSTAGE, day_text, shuffled

TEST_ACCOUNT = "K0000001"
EXAMPLES = {  # kind: the phone of worked example E13
    "phone_short": "1380000111",
    "phone_long": "138000011112",
    "phone_letters": "1380000abcd",
    "phone_hyphens": "138-0000-1111",
}
FULL = str.maketrans("0123456789", "０１２３４５６７８９")


class Note(NamedTuple):
    """One planted thing and where it stands: the truth that scorers read."""

    kind: str
    file: str
    key: object  # an order until it has its number
    field: str
    value: str


def count(customers: int, share: float) -> int:
    """How many to plant: a share of the customers, but one at least."""
    return max(1, int(customers * share))


# --- customers


def mistyped(kind: str, number: str) -> str:
    """The phone as somebody typed it.

    Examples
    --------
    >>> mistyped("phone_plus86", "13800001111")
    '+86 13800001111'
    """
    parts = number[:3], number[3:7], number[7:]
    return {
        "phone_short": number[:-1],
        "phone_long": number + "2",
        "phone_letters": number[:7] + "abcd",
        "phone_hyphens": "-".join(parts),
        "phone_spaces": " ".join(parts),
        "phone_plus86": f"+86 {number}",
        "phone_fullwidth": number.translate(FULL),
        "phone_landline": f"0571-8{number[4:]}",
        "phone_empty": "",
    }[kind]


PHONE_KINDS = {  # share of the customers
    "phone_short": 0.003,
    "phone_long": 0.002,
    "phone_letters": 0.002,
    "phone_hyphens": 0.006,
    "phone_spaces": 0.002,
    "phone_plus86": 0.006,
    "phone_fullwidth": 0.003,
    "phone_landline": 0.002,
    "phone_empty": 0.006,
}
CRM_KINDS = {  # kind: column, value, share
    "gender_m": ("性别", "M", 0.003),
    "gender_f": ("性别", "F", 0.002),
    "gender_other": ("性别", "先生", 0.001),
    "name_empty": ("姓名", "", 0.001),
    "birth_impossible": ("出生日期", "1899-12-31", 0.002),
    "birth_unreadable": ("出生日期", "1990-02-30", 0.002),
    "birth_future": ("出生日期", "2033-05-01", 0.001),
    "email_bad": ("邮箱", "无", 0.003),
    "contract_unknown": ("签约状态", "洽谈中", 0.002),
    "registered_empty": ("注册时间", "", 0.001),
    "contact_in_text": ("投诉记录", "请回电 13800001111 或 a.b@example.com", 0.002),
}


def spoil_people(rng: Random, people: list[Person]) -> Iterator[tuple[str, Person, Person]]:
    """Before anything happens: namesakes with other phones, and phones of a family."""
    known = shuffled(rng, [p for p in people if p.key and not p.card])
    for kind, share in (("namesake", 0.002), ("shared_phone", 0.004)):
        for _ in range(count(len(people), share)):
            if len(known) < 2:
                return
            one, other = known.pop(), known.pop()
            if kind == "namesake":
                other.name = one.name
            else:
                other.phone = one.phone
            yield kind, one, other


def spoil_crm(rng: Random, rows: list[dict[str, object]], customers: int) -> Iterator[Note]:
    """Phones and other fields of CRM records as people type them."""
    for kinds in (PHONE_KINDS, CRM_KINDS):
        left = shuffled(rng, rows)
        for kind, how in kinds.items():
            for place in range(count(customers, how if isinstance(how, float) else how[2])):
                if not left:
                    return
                row = left.pop()
                field = "手机号" if kinds is PHONE_KINDS else how[0]
                row[field] = _typed(kind, how, row, place)
                yield Note(kind, "crm_customers", row["客户编号"], field, str(row[field]))


def _typed(kind: str, how, row: dict, place: int) -> str:
    if isinstance(how, float):
        return EXAMPLES[kind] if not place and kind in EXAMPLES else mistyped(kind, row["手机号"])
    return how[1]


def registered_again(rng: Random, rows: list[dict], customers: int) -> Iterator[tuple[str, dict]]:
    """The key of a CRM record, and a second record of the same person under another key."""
    left = shuffled(rng, rows)
    for row in left[: count(customers, 0.007)]:
        key = f"C5{row['客户编号'][2:]}"
        again = {"客户编号": key, "会员积分": 0, "投诉记录": "", "邮箱": ""}
        yield row["客户编号"], row | again


def card_contact(rng: Random, person: Person) -> tuple[str, str, str]:
    """How the store wrote an unlinked member down: relation to the CRM record, name, phone."""
    if not person.key:
        return "store only", person.name, person.phone
    dice = rng.random()
    if dice < 0.5:
        return "same name and phone", person.name, person.phone
    if dice < 0.65:
        return "phone written otherwise", person.name, mistyped("phone_hyphens", person.phone)
    if dice < 0.8:
        return "typo in name", person.name[:-1] + "某", person.phone
    return "another phone", person.name, new_phone(rng)


# --- orders


ORDER_KINDS = {  # kind: share of the customers; each is a new web order of one line
    "test_flag": 0.006,
    "test_account": 0.003,
    "test_amount": 0.003,
    "negative_quantity": 0.002,
    "negative_amount": 0.002,
    "amount_15000": 0.001,
    "unknown_customer": 0.002,
    "before_registration": 0.002,
    "after_end": 0.001,
    "orphan_line": 0.001,
    "quantity_unreadable": 0.001,
    "quantity_fullwidth": 0.001,
}


def spoil_orders(
    rng: Random, orders: list[Order], returned: set[int], people: dict[int, Person]
) -> tuple[list[Order], list[Note]]:
    """Lines repeated within orders, and new orders that are wrong in one way each.

    `returned` holds the `id` of every line that was returned; those stay as they are.
    """
    sold = [
        (order, line)
        for order in orders
        for line in order.lines
        if order.key and line[2] and line[0] is not POSTAGE and id(line) not in returned
    ]
    web = shuffled(rng, [x for x in sold if not x[0].store])
    till = shuffled(rng, [x for x in sold if x[0].store and x[1][1] == 1])
    notes = list(_repeated(web, till, len(people)))
    added = list(_wrong_orders(web, till, people, notes))
    return added, notes


def _repeated(web: list, till: list, customers: int) -> Iterator[Note]:
    """Web lines that were exported twice, and articles scanned twice at a till."""
    for kind, file, lines, share in (
        ("duplicate_line", "web_lines", web, 0.02),
        ("repeated_scan", "store_orders", till, 0.012),
    ):
        for _ in range(min(count(customers, share), len(lines))):
            order, line = lines.pop()
            order.lines.append(line)
            yield Note(kind, file, order, "商品编码", line[0].code)


def _wrong_orders(web: list, till: list, people: dict, notes: list[Note]) -> Iterator[Order]:
    late = [x for x in web if people[x[0].person].since > 10 and people[x[0].person].key]
    for kind, share in ORDER_KINDS.items():
        for place in range(count(len(people), share)):
            pool = late if kind == "before_registration" else web
            if not pool:
                continue
            order, line = pool.pop()
            wrong, field, value = _wrong(kind, order, line, people[order.person], place)
            wrong.cause = kind
            notes.append(Note(kind, "web_lines" if kind == "orphan_line" else "web_orders",
                              wrong, field, value))  # fmt: skip
            yield wrong
    for _ in range(min(count(len(people), 0.0007), len(till) // 2)):
        pair = till.pop(), till.pop()
        (other, line), (order, _) = sorted(pair, key=lambda one: one[0].at)
        torn = replace(order, key=other.key, lines=[line], cause="two_customers")
        notes.append(Note("two_customers", "store_orders", order, "member_id", other.key))
        torn.number = order  # takes the number of the other order
        yield torn


def _wrong(kind: str, order: Order, line: Line, who: Person, place: int) -> tuple:
    """The order with one thing wrong, the field and what stands there."""
    product, units, price = line
    early, late, stranger = who.since - 6, DAYS + 30 + place, f"C99{who.number:05d}"
    changes = {
        "test_flag": ("订单类型", "测试", {"kind": "测试"}),
        "test_account": ("客户编号", TEST_ACCOUNT, {"key": TEST_ACCOUNT, "person": 0}),
        "test_amount": ("单价", "0.01", {"lines": [(product, 1, 1)]}),
        "negative_quantity": ("数量", str(-units), {"lines": [(product, -units, price)]}),
        "negative_amount": ("金额", "-1.00", {"lines": [(product, 1, -100)]}),
        "amount_15000": ("金额", "15,000.00", {"lines": [(product, 10, 1_500_00)]}),
        "unknown_customer": ("客户编号", stranger, {"key": stranger, "person": 0}),
        "before_registration": ("下单时间", day_text(early), _moved(order, early)),
        "after_end": ("下单时间", day_text(late), _moved(order, late)),
        "orphan_line": ("订单号", "", {"has_header": False}),
        "quantity_unreadable": ("数量", "2件", {"units_text": "2件"}),
        "quantity_fullwidth": ("数量", "２", {"units_text": "２", "lines": [(product, 2, price)]}),
    }
    field, value, change = changes[kind]
    plain = {"lines": [line], "coupon": "", "campaign": "", "off": 0}
    return replace(order, **(plain | change)), field, value


def _moved(order: Order, day: int) -> dict:
    """Another day in the head of an order whose lines stay in the export of their month."""
    return {"at": day * DAY + order.at % DAY, "month": order.at // DAY}
