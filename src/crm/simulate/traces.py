"""What customers leave behind in the other systems: visits, messages, answers, points, trials.

Each function yields rows whose first item is the time by which a batch is sorted; it is not
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from crm.simulate.life import Life, Order
from crm.simulate.people import PERSONAS, Person
from crm.simulate.world import (
    DAY,
    DAYS,
    POSTAGE,
    Product,
    World,
    at_day,
    day_text,
    exponential,
    pick,
    stamp,
)

SEEN, SEARCHED, TAPPED, LIKED, CARTED, PAID, SHARED, LOGGED = range(8)
WEB_KINDS = (
    "pageview",
    "search",
    "click",
    "favorite",
    "add_cart",
    "submit_order",
    "share",
    "login",
)
APP_KINDS = ("浏览", "搜索", "点击", "收藏", "加购", "下单", "分享", "登录")
DEVICES = ("小程序", "小程序", "APP", "web")
MODULES = ("选品看板", "模板库", "报表")
TEXTS = {  # stars: what people write
    5: ["质量很好，会回购", "物流快，包装用心", "服务热情，推荐给朋友", "味道不错，家人喜欢"],
    4: ["整体不错，性价比高", "质量好，就是包装一般", "物流快，价格合适"],
    3: ["一般般，价格偏贵", "物流有点慢，质量还行", "和描述差不多"],
    2: ["物流太慢了，客服不回复", "质量一般，价格贵", "包装破损"],
    1: ["质量差，不会再买", "客服态度差，等了两天没人回", "发错货，退款很慢"],
}
WHY = {  # reason of leaving: what is said in a call
    "slow service": "投诉两天没人回，不想再来了",
    "price": "别家便宜，你们价格偏高",
    "competitor": "现在用别的品牌，活动更多",
    "no need": "最近没有需要",
    "moved": "搬家了，附近没有门店",
}
SAYS = {
    "投诉": "{topic}，请尽快处理",
    "咨询": "请问{topic}怎么看",
    "报修": "商品{topic}，怎么维修",
    "表扬": "{topic}，谢谢",
    "其他": "其他问题",
}
CHATS = ("新品推荐", "优惠通知", "使用指导", "节日问候")


# --- visits


def visits(rng: Random, person: Person, life: Life, world: World) -> Iterator[tuple]:
    """Events of one customer: `(ms, customer, kind, page, product, seconds, step, device)`."""
    if person.number and not person.key:
        return
    for order in life.orders:
        goods = [line[0] for line in order.lines if line[0] is not POSTAGE]
        if not order.store and rng.random() < 0.5:
            yield from _visit(rng, person, order.at - 900, goods, world, buys=order.at)
        elif order.store and rng.random() < 0.1:  # looked up at home, bought in the store
            day = order.at // DAY - 1 - int(2 * rng.random())
            if day >= person.since:
                yield from _visit(rng, person, at_day(rng, day, 19, 22), goods, world)
    now = float(person.since)
    pace = 30 / PERSONAS[person.persona].visits
    while (now := now + pace * exponential(rng)) < DAYS:
        left = person.activity(int(now))
        if left < 1 and rng.random() >= left:
            if left <= 0:
                return
            continue
        at = at_day(rng, int(now), 8, 22)
        yield from _visit(rng, person, at, [_looked_at(rng, person, world)], world)


def _looked_at(rng: Random, person: Person, world: World) -> Product:
    shelf = PERSONAS[person.persona].shelf
    likes = rng.random() < 0.6
    return (world.aisle[shelf, person.liked] if likes else world.shelf[shelf]).pick(rng)


def _visit(
    rng: Random, person: Person, at: int, goods: list, world: World, *, buys: int = 0
) -> Iterator[tuple]:
    """One visit: it may begin with a login or a search, and end in a cart or an order."""
    low, high = PERSONAS[person.persona].dwell
    device, now = pick(rng, DEVICES), at * 1000
    for step, (kind, page, product) in enumerate(_steps(rng, goods, buys > 0), 1):
        if kind == PAID:
            now = max(now, buys * 1000)
        seconds = low + int((high - low) * rng.random())
        yield now, person.key, kind, page, product, seconds, step, device
        now += max(2, seconds) * 1000 + int(1000 * rng.random())


def _steps(rng: Random, goods: list[Product], buys: bool) -> Iterator[tuple[int, str, str]]:
    """What one visit does: kind, page, product."""
    if rng.random() < 0.2:
        yield LOGGED, "登录页", ""
    if rng.random() < 0.3:
        yield SEARCHED, goods[0].category, ""
    for product in goods[:3]:
        yield SEEN, f"商品/{product.name}", product.code
        if rng.random() < 0.25:
            yield TAPPED, f"详情/{product.name}", product.code
        if rng.random() < 0.08:
            yield LIKED, f"商品/{product.name}", product.code
        if rng.random() < 0.03:
            yield SHARED, f"商品/{product.name}", product.code
    if buys or rng.random() < 0.18:
        yield CARTED, "购物车", goods[0].code
    if buys:
        yield PAID, "结算页", goods[0].code


# --- what people say


def messages(rng: Random, person: Person, life: Life) -> Iterator[tuple]:
    """企业微信 messages, calls and texts: at, customer, way, who began, topic, text, employee."""
    if not person.key:
        return
    clerk = f"E{1 + person.number % 17:02d}"
    first = person.registered // DAY
    if first >= 0:
        at = person.registered + 300
        yield _message(at, person, "企业微信", "员工发起", "欢迎", "欢迎加入会员群", clerk)
    now = float(max(first, 0))
    while (now := now + 90 * exponential(rng)) < min(DAYS, person.stops):
        topic, at = pick(rng, CHATS), at_day(rng, int(now))
        way = "企业微信" if rng.random() < 0.8 else "短信"
        yield _message(at, person, way, "员工发起", topic, f"{topic}：{person.liked}", clerk)
        if rng.random() < 0.35:
            said = f"好的，我看看{person.liked}"
            yield _message(at + 1800, person, way, "客户发起", topic, said, clerk)
    called = person.stops + 75
    if called < DAYS and life.orders and rng.random() < 0.6:
        at = at_day(rng, called, 10, 18)
        yield _message(at, person, "电话", "员工发起", "流失回访", WHY[person.reason], clerk)


def _message(at: int, person: Person, *rest: str) -> tuple:
    return at, person.key, stamp(at), *rest


def reviews(rng: Random, person: Person, life: Life) -> Iterator[tuple]:
    """Reviews of bought goods: at, customer, product, time, stars, platform, text."""
    for order in life.orders:
        for product, _, price in order.lines:
            if product is POSTAGE or not price or rng.random() >= 0.05:
                continue
            day = order.at // DAY + 2 + int(10 * rng.random())
            stars = _stars(rng, person, day)
            at = at_day(rng, day)
            if at < DAYS * DAY:
                platform = pick(rng, ("自营商城", "小红书", "微博"), draws=2)
                text = pick(rng, TEXTS[stars])
                yield at, order.key, product.code, stamp(at), stars, platform, text


def _stars(rng: Random, person: Person, day: int) -> int:
    """Five to one; people who are about to leave, or complained, give fewer."""
    unhappy = 0.5 * (day >= person.decline) + 0.2 * bool(person.complaints)
    return 5 - int(5 * min(0.999, rng.random() * (0.35 + unhappy)))


def surveys(rng: Random, person: Person, life: Life) -> Iterator[tuple]:
    """Answers to surveys: at, sheet (of this customer), customer, time, set, question, …"""
    sheet = 0
    for order in life.orders:
        if not person.key or rng.random() >= 0.03:
            continue
        sheet += 1
        at = order.at + DAY + int(3 * DAY * rng.random())
        if at >= DAYS * DAY:
            return
        stars = _stars(rng, person, at // DAY)
        said = pick(rng, TEXTS[stars]) if rng.random() < 0.4 else ""
        head = at, sheet, person.key, stamp(at)
        yield (
            *head,
            "NPS",
            "是否愿意推荐给朋友",
            max(0, 2 * stars - int(2 * rng.random())),
            10,
            said,
        )
        yield *head, "CSAT", "对商品满意吗", stars, 5, ""
        yield *head, "CSAT", "对服务满意吗", max(1, stars - bool(person.complaints)), 5, ""


def said(kind: str, topic: str) -> str:
    """The text of a case."""
    return SAYS[kind].format(topic=topic)


# --- what the company books


def points(rng: Random, person: Person, life: Life) -> Iterator[tuple]:
    """Movements of member points, one for each order: at, customer, time, change, balance, why."""
    if not person.key:
        return
    for order in life.orders:
        if order.key != person.key:
            continue
        earned = order.total // 1000
        person.points += earned
        yield order.at, person.key, stamp(order.at), earned, person.points, "消费积分"
        if person.points >= 500 and rng.random() < 0.15:
            spent = person.points // 100 * 50
            person.points -= spent
            at = order.at + 60
            yield at, person.key, stamp(at), -spent, person.points, "积分兑换"


def consents(rng: Random, person: Person) -> Iterator[tuple]:
    """Statements at registration, and for some of marketing a later refusal or grant."""
    at = person.registered
    for purpose, granted in person.consents.items():
        late = purpose == "营销推送" and rng.random() < 0.04
        later = at + DAY * (5 + int(200 * rng.random()))
        if late and later < DAYS * DAY:  # the last answer is the one that counts
            yield at, person.known, purpose, "否" if granted else "是", stamp(at)
            yield later, person.known, purpose, "是" if granted else "否", stamp(later)
        else:
            yield at, person.known, purpose, "是" if granted else "否", stamp(at)


def traits(rng: Random, person: Person) -> Iterator[tuple]:
    """Social tags: at, customer, group, tag, day, platform."""
    if not person.key:
        return
    day = max(person.registered // DAY, 0) + int(20 * rng.random())
    if day >= DAYS:
        return
    platform = pick(rng, ("小红书", "微博", "抖音"))
    for blog in person.follows:
        yield day * DAY, person.key, "关注", blog, day_text(day), platform
    for hobby in person.interests:
        if rng.random() < 0.5:
            yield day * DAY, person.key, "兴趣", hobby, day_text(day), "企业微信"
    if person.corporate:
        yield day * DAY, person.key, "类型", "企业客户", day_text(day), "企业微信"


def trial(rng: Random, person: Person) -> tuple[list[tuple], int]:
    """Use of the trial product by a corporate customer, and the templates it made.

    Three templates or more make a paid contract six times as likely as fewer.
    """
    rows, made = [], 0
    eager = rng.random()
    if not person.corporate or person.since + 30 >= DAYS:
        return rows, 0
    for day in range(person.since, person.since + 30):
        if rng.random() >= 0.1 + 0.6 * eager:
            continue
        for module in MODULES[: 1 + int(3 * rng.random())]:
            new = int(module == "模板库" and rng.random() < 0.5 * eager)
            made += new
            sessions = 1 + int(3 * rng.random() * eager)
            clicks = sessions * (3 + int(12 * rng.random()))
            logins = 1 if module == MODULES[0] else 0
            minutes = sessions * (2 + int(15 * rng.random()))
            rows.append((day * DAY, person.key, day_text(day), module, sessions, clicks, logins,
                         new, minutes))  # fmt: skip
    person.paid = rng.random() < (0.6 if made >= 3 else 0.1)
    return rows, made


def lead(rng: Random, at: int, key: str, won: bool | None) -> dict:
    """One lead as the API of the sales system gives it; `won` is None where nothing is known."""
    stage = "won" if won else pick(rng, ("lost", "opportunity", "lead"))
    stage_at = at + DAY * (3 + int(30 * rng.random()))
    stage = stage if stage_at < DAYS * DAY else "lead"
    follow = at + int(3600 * (0.2 + 60 * rng.random() * rng.random()))
    lost = pick(rng, ("价格高", "选择竞品", "暂无预算", "跟进太慢"))
    return {
        "customer": {"id": key or None, "type": "企业"},
        "created_time": stamp(at),
        "source": pick(rng, ("搜索引擎", "展会", "转介绍", "官网表单")),
        "stage": {"code": stage, "time": stamp(stage_at if stage != "lead" else at)},
        "owner": f"S{1 + int(9 * rng.random()):02d}",
        "first_follow_time": stamp(follow) if follow < DAYS * DAY else None,
        "result": {"won": "签约", "lost": lost}.get(stage),
        "amount": 5_000 + 1_000 * int(45 * rng.random()),
    }


def cost_of(rng: Random, order: Order) -> int:
    """What it costs in fen to send a web order."""
    return 500 + 100 * min(30, len(order.lines)) + int(400 * rng.random())
