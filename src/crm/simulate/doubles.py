"""People who stand in the systems twice, and records that stand for nobody in particular.

Planted from seeds of their own, so that everything else stays as it was. Half of the orders of a
person with a second account come under the second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from crm.simulate.dirt import FULL, Note, count
from crm.simulate.life import Order
from crm.simulate.people import GIVEN_NAMES, Person
from crm.simulate.people import phone as new_phone
from crm.simulate.world import DAY, DAYS, pick, shuffled, stamp

SHARE = 0.012  # of the customers have a second account
KEYS = 10  # of the one person in a batch who never finds the password
HOTLINE = "01085123456"  # a call centre that wrote its own number
NOBODY = ("测试", "无名氏", "000", "客户", "test")
ODD = (
    '=HYPERLINK("http://example.com","中奖")',
    "<b>张三</b>",
    "@SUM(1+1)",
    "+1+cmd|' /C calc'!A0",
)
WAYS = ("typo in name", "new phone, same e-mail", "full-width", "birth date mistyped", "moved")


class Double(NamedTuple):
    """A second key of a person: how its record differs, and when it was made."""

    person: int
    key: str
    way: str
    at: int


def doubles(rng: Random, people: list[Person], orders: list[Order], back: list) -> list[Double]:
    """Second accounts; the later orders of each are put under them, with their returns."""
    known = [p for p in people if p.key and not p.card and not p.linked and p.registered >= 0]
    known = shuffled(rng, [p for p in known if p.registered < (DAYS - 60) * DAY])
    found = []
    for place, person in enumerate(known[: count(len(people), SHARE)]):
        again = range(KEYS - 1) if place == 0 else range(1)
        bought = [o for o in orders if o.person == person.number and _plain(o, person)]
        half = sorted(bought, key=lambda order: order.at)[len(bought) // 2 :]
        since = half[0].at - 60 if half else person.registered + 40 * DAY
        made = [_double(person, number, place, max(since, person.registered)) for number in again]
        for number, order in enumerate(half):
            order.key = made[number % len(made)].key
        found += made
    _follow(back)
    return found


def noted(double: Double) -> Note:
    """The second account as a planted thing."""
    first = f"C{double.person:07d}"
    return Note("second_account", "crm_customers", double.key, "客户编号", first)


def records(rng: Random, made: list[Double], rows: dict[str, dict]) -> Iterator[dict]:
    """The CRM record of each second account; `rows` are the first records by key."""
    for double in made:
        row = rows[f"C{double.person:07d}"] | {
            "客户编号": double.key, "会员积分": 0, "投诉记录": "",
            "注册时间": stamp(double.at), "更新时间": stamp(double.at),
        }  # fmt: skip
        yield row | _typed(rng, double.way, row)


def strange(rng: Random, rows: list[dict], customers: int) -> Iterator[Note]:
    """Records of a call centre, of nobody, with swapped columns, and with code as a name."""
    left = shuffled(rng, rows)
    shares = {"hotline": 0.008, "nobody": 0.003, "swapped": 0.002, "code_in_name": 0.002}
    for kind, share in shares.items():
        for place in range(count(customers, share)):
            if not left:
                return
            row = left.pop()
            row |= {
                "hotline": {"手机号": HOTLINE},
                "nobody": {"姓名": NOBODY[place % len(NOBODY)]},
                "swapped": {"姓名": row["手机号"], "手机号": row["姓名"]},
                "code_in_name": {"姓名": ODD[place % len(ODD)]},
            }[kind]
            field = "手机号" if kind == "hotline" else "姓名"
            yield Note(kind, "crm_customers", row["客户编号"], field, row[field])


def _plain(order: Order, person: Person) -> bool:
    """Whether an order is one of the web shop under the first key, with nothing planted in it."""
    is_own = order.key == person.key and not order.store and order.kind == "销售"
    late = order.at > person.registered + DAY
    return is_own and late and order.month is None and order.has_header and not order.units_text


def _double(person: Person, number: int, place: int, at: int) -> Double:
    ten = place == 0
    way = "same" if ten else WAYS[place % len(WAYS)]
    return Double(person.number, f"D{number}{person.key[1:]}", way, at)


def _follow(back: list) -> None:
    """Returns stand under the key of what they take back."""
    for order, _line, new in back:
        new.key = order.key


def _typed(rng: Random, way: str, row: dict) -> dict[str, str]:
    """What somebody wrote otherwise the second time."""
    name, number, birth = row["姓名"], row["手机号"], row["出生日期"]
    parts = [part.translate(FULL) for part in (number[:3], number[3:7], number[7:])]
    ten, one = birth[-2:]
    day = birth[:-2] + (f"2{one}" if ten == "3" else f"{ten}{int(one) % 8 + 1}")
    return {
        "same": {},
        "typo in name": {"姓名": name[:-1] + pick(rng, GIVEN_NAMES)},
        "new phone, same e-mail": {"手机号": new_phone(rng)},
        "full-width": {
            "姓名": f"{name[0]}\u3000{name[1:]}",
            "手机号": "-".join(parts),
            "邮箱": "",
        },
        "birth date mistyped": {"出生日期": day, "邮箱": ""},
        "moved": {"手机号": new_phone(rng), "邮箱": "", "详细地址": "", "区县": ""},
    }[way]
