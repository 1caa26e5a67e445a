"""What customers do: orders by a process that can die, paths, campaigns, complaints, returns."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from crm.simulate.people import PERSONAS, Person
from crm.simulate.world import (
    CAMPAIGNS,
    CONTROL_SHARE,
    DAY,
    DAYS,
    FOLLOW_DAYS,
    FOLLOW_RULES,
    JOINS,
    JOINS_ELSE,
    ORDER_RULES,
    PATH_WEIGHTS,
    POSTAGE,
    SUGAR_FREE,
    Campaign,
    Product,
    World,
    at_day,
    day_text,
    exponential,
    pick,
    weighted,
)

Line = tuple[Product, int, int]  # product, units, price in fen
POPULAR_PATHS = {
    "搜索引擎": 3,
    "短视频": 3,
    "信息流广告": 3,
    "小红书": 2,
    "企业微信": 2,
    "线下活动": 1,
}
STANDING = ("满100减10", 10_000, 1_000)  # a coupon that every quarter brings anew
SLOW = 24 * 3600  # a complaint answered later than this makes customers leave
SLOW_SHARE, SLOW_LEAVES = 0.3, 0.5  # of complaints; of those who waited so long


@dataclass(slots=True)
class Order:
    """One order, or one return of a line."""

    at: int
    key: str
    person: int  # 0: nobody known
    store: bool
    cause: str  # own, path, campaign, follow-on, return, or the mishap that was planted
    lines: list[Line]
    kind: str = "销售"
    coupon: str = ""
    campaign: str = ""
    off: int = 0  # fen
    number: str = ""
    month: int | None = None  # a day of the month whose export holds the lines, if another
    units_text: str = ""  # the units as somebody typed them
    has_header: bool = True

    @property
    def total(self) -> int:
        return sum(units * price for _, units, price in self.lines)


@dataclass(slots=True)
class Ticket:
    """One case of customer service."""

    at: int
    key: str
    person: int
    kind: str
    topic: str
    answered: int
    resolved: int


@dataclass(slots=True)
class Contact:
    """One customer addressed by a campaign, or left out for comparison."""

    campaign: Campaign
    key: str
    person: int
    treated: bool
    sent: int
    opened: int | None = None
    clicked: int | None = None
    joined: int | None = None
    used: int | None = None


@dataclass(slots=True)
class Life:
    """All that one customer did."""

    orders: list[Order] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    touches: list[tuple[int, str, str]] = field(default_factory=list)  # at, key, channel


def live(rng: Random, person: Person, world: World) -> Life:
    """The life of one customer from the first path to the last order."""
    life = Life()
    days = [(day, "own") for day in _own_days(rng, person, world, life)]
    if person.key:
        days += _paths(rng, person, life)
        days += _campaigns(rng, person, life)
    life.orders = [_order(rng, person, world, day, cause) for day, cause in sorted(days)]
    life.orders += list(_follow_ons(rng, person, world, life.orders))
    life.orders.sort(key=lambda order: order.at)
    _settle_campaigns(life)
    _use_coupons(rng, person, life)
    return life


def _own_days(rng: Random, person: Person, world: World, life: Life) -> Iterator[int]:
    """Days of purchases: a Poisson process in the time of the seasons, thinned by decline.

    An order may bring a ticket, and a slow answer to a complaint may begin the decline.
    """
    clock = world.clock
    if person.since >= DAYS:
        return
    now = clock[person.since]
    while (now := now + exponential(rng) / person.rate) < clock[-1]:
        day = bisect(clock, now) - 1
        left = person.activity(day)
        if left <= 0:
            return
        if left < 1 and rng.random() >= left:
            continue
        yield day
        if person.number:
            _ticket(rng, person, day, life)


TICKET_KINDS = {"咨询": 0.5, "投诉": 0.26, "报修": 0.1, "表扬": 0.09, "其他": 0.05}
TOPICS = {
    "咨询": ["物流进度", "产品用法", "优惠活动", "发票"],
    "投诉": ["物流慢", "质量问题", "服务态度", "价格争议"],
    "报修": ["无法开机", "配件损坏"],
    "表扬": ["服务热情", "包装用心"],
    "其他": ["其他"],
}


def _ticket(rng: Random, person: Person, day: int, life: Life) -> None:
    """Perhaps a case after an order; declining customers complain five times as often."""
    declining = day >= person.decline
    if rng.random() >= (0.2 if declining else 0.06):
        return
    kinds = TICKET_KINDS | ({"投诉": 1.2} if declining else {})
    kind = weighted(rng, kinds)
    at = at_day(rng, day + 1 + int(5 * rng.random()))
    slow = rng.random() < SLOW_SHARE
    wait = int(SLOW * (1.02 + 2.5 * rng.random()) if slow else SLOW * (0.005 + 0.8 * rng.random()))
    topic = pick(rng, TOPICS[kind])
    resolved = at + wait + 600 + int(2 * DAY * rng.random())
    if at >= DAYS * DAY:
        return
    life.tickets.append(Ticket(at, person.known, person.number, kind, topic, at + wait, resolved))
    if kind == "投诉":
        person.complaints.append(topic)
        if slow and not declining and rng.random() < SLOW_LEAVES:
            person.decline = min(person.decline, at // DAY + 1 + int(10 * rng.random()))
            person.fading, person.reason = 15 + int(30 * rng.random()), "slow service"


def _paths(rng: Random, person: Person, life: Life) -> Iterator[tuple[int, str]]:
    """Paths of touchpoints: one that ends at registration, later about one a year."""
    first = person.registered // DAY
    if first >= 0:
        yield from _path(rng, person, life, first, max(1, person.since - first))
    now = max(first, 0)
    while (now := now + 20 + int(330 * exponential(rng))) < min(DAYS, person.stops):
        yield from _path(rng, person, life, now, 0)


def _path(rng: Random, person: Person, life: Life, day: int, wait: int) -> list[tuple[int, str]]:
    """One path of one to four touches; each may bring an order by itself within 3 days."""
    converts, path = False, []
    for _ in range(1 + int(4 * rng.random() * rng.random())):
        channel = weighted(rng, POPULAR_PATHS)
        path.append((at_day(rng, day - int(9 * rng.random()), 7, 8.9), channel))
        converts |= rng.random() < PATH_WEIGHTS[channel]
    life.touches += [(at, person.key, channel) for at, channel in sorted(path) if at >= 0]
    day += wait + int((4 - wait) * rng.random())
    if converts and person.persona != "browser" and day < min(DAYS, person.decline):
        return [(day, "path")]
    return []


def _campaigns(rng: Random, person: Person, life: Life) -> Iterator[tuple[int, str]]:
    """Contacts of all campaigns that reach the customer, and the orders that they add."""
    if not person.consents["营销推送"]:
        return
    for campaign in CAMPAIGNS:
        first = campaign.first_day
        if not person.since < first < person.stops or rng.random() >= 0.7:
            continue
        treated = rng.random() >= CONTROL_SHARE
        sent = at_day(rng, first, 9, 11)
        contact = Contact(campaign, person.key, person.number, treated, sent)
        life.contacts.append(contact)
        if treated:
            yield from _answer(rng, person, contact)


def _answer(rng: Random, person: Person, contact: Contact) -> list[tuple[int, str]]:
    """What an addressed customer does: opens, clicks, joins, and perhaps orders once more."""
    campaign = contact.campaign
    added = campaign.added(person.persona)
    joins = JOINS.get(person.persona, JOINS_ELSE) if "满200减30" in campaign.offer else JOINS_ELSE
    joins = max(joins, added)
    opens = joins + (1 - joins) * 0.25
    if rng.random() >= opens:
        return []
    contact.opened = contact.sent + 60 + int(20 * 3600 * rng.random())
    if rng.random() * opens >= joins + (opens - joins) * 0.3:
        return []
    contact.clicked = contact.opened + 5 + int(60 * rng.random())
    if rng.random() * (joins + (opens - joins) * 0.3) >= joins:
        return []
    contact.joined = contact.clicked + 5 + int(300 * rng.random())
    if rng.random() * joins >= added:
        return []
    day = contact.joined // DAY + 1 + int((campaign.days - 3) * rng.random())
    return [(day, f"campaign {campaign.key}")] if day < min(DAYS, person.stops) else []


def _order(rng: Random, person: Person, world: World, day: int, cause: str) -> Order:
    """One order: distinct products, planted companions, a gift or the postage."""
    kind = PERSONAS[person.persona]
    campaign = cause.startswith("campaign")
    store = rng.random() < person.in_store and not campaign
    late = person.overtime and rng.random() < 0.6
    at = at_day(rng, day, 20.5, 23.4) if late else at_day(rng, day)
    if store:
        at = at_day(rng, day, 10, 21.5)
    aisle = world.aisle[kind.shelf, person.liked]
    basket: dict[Product, int] = {}
    for _ in range(1 + int(2 * rng.random() * person.purse)):
        shelf = aisle if rng.random() < 0.35 else world.shelf[kind.shelf]
        basket[shelf.pick(rng)] = 1 + int(person.purse * rng.random())
    if late and not store:
        basket[world.named[pick(rng, SUGAR_FREE)]] = 1 + int(3 * rng.random())
    for first, second, chance in ORDER_RULES:
        if world.named[first] in basket and rng.random() < chance:
            basket.setdefault(world.named[second], 1)
    key = person.store_key if store else person.known
    order = Order(
        at, key, person.number, store, cause, [(p, n, p.price) for p, n in basket.items()]
    )
    _round_off(rng, order, world.shelf[kind.shelf])
    return order


def _round_off(rng: Random, order: Order, shelf) -> None:
    """A gift with a large order, postage with a small one of the web shop."""
    total = order.total
    if total >= 10_000_00:
        order.lines.append((shelf.pick(rng), 1, 0))
    if total < 99_00 and not order.store:
        order.lines.append((POSTAGE, 1, POSTAGE.price))


def _follow_ons(rng: Random, person: Person, world: World, orders: list) -> Iterator[Order]:
    """Orders of the second product of a rule, within 30 days of one of the first."""
    for order in orders:
        for first, second, hunters, others in FOLLOW_RULES:
            if all(product.name != first for product, _, _ in order.lines):
                continue
            chance = hunters if person.persona == "bargain" else others
            day = order.at // DAY + 1 + int((FOLLOW_DAYS - 1) * rng.random())
            if rng.random() < chance and day < min(DAYS, person.stops):
                new = world.named[second]
                units = 1 + int(person.purse * rng.random())
                at = at_day(rng, day)
                lines = [(new, units, new.price)]
                again = Order(at, order.key, person.number, order.store, "follow-on", lines)
                _round_off(rng, again, world.shelf["cheap"])
                yield again


def _settle_campaigns(life: Life) -> None:
    """The coupon of a campaign on the order it added, filled up to the coupon's threshold."""
    for contact in life.contacts:
        campaign = contact.campaign
        cause = f"campaign {campaign.key}"
        order = next((x for x in life.orders if x.cause == cause), None)
        if order is None or not campaign.value:
            continue
        goods = [line for line in order.lines if line[0] is not POSTAGE]
        short = campaign.threshold - sum(units * price for _, units, price in goods)
        if short > 0:
            product, units, price = goods[0]
            order.lines = [(product, units + 1 + short // price, price), *goods[1:]]
        order.coupon, order.campaign, order.off = campaign.coupon, campaign.key, campaign.value
        contact.used = order.at


def _use_coupons(rng: Random, person: Person, life: Life) -> None:
    """The standing coupon on web orders that are large enough, most by bargain hunters."""
    share = PERSONAS[person.persona].coupons
    _, threshold, value = STANDING
    for order in life.orders:
        if order.store or order.coupon or order.total < threshold or rng.random() >= share:
            continue
        order.coupon, order.off = quarter_coupon(order.at), value


def quarter_coupon(at: int) -> str:
    """The standing coupon of the quarter of a time, such as Q-2022Q1."""
    year, month, _ = day_text(at // DAY).split("-")
    return f"Q-{year}Q{(int(month) + 2) // 3}"


def returns(rng: Random, orders: list[Order]) -> Iterator[tuple[Order, Line, Order]]:
    """Some sold lines with the return of the whole line or of a part that equals no other."""
    known = {
        (o.key, p, n) for o in orders for p, n, price in o.lines if price and p is not POSTAGE
    }
    for order in orders:
        for line in order.lines:
            product, units, price = line
            if not price or product is POSTAGE or not order.key or rng.random() >= 0.035:
                continue
            at = at_day(rng, order.at // DAY + 1 + int(14 * rng.random()), 10, 21)
            part = 1 + int((units - 1) * rng.random())
            part = units if (order.key, product, part) in known else part
            if at < DAYS * DAY:
                back = Order(at, order.key, order.person, order.store, "return",
                             [(product, part, price)], kind="退货")  # fmt: skip
                yield order, line, back
