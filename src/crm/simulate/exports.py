"""The rows of each export of the demo, with the columns that such systems have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from crm.simulate import dirt, doubles, traces
from crm.simulate.dirt import Note
from crm.simulate.files import Folder, write_xlsx
from crm.simulate.life import STANDING, Contact, Life, Order, Ticket
from crm.simulate.people import CONTRACTS, INDUSTRIES, Person
from crm.simulate.world import (
    CAMPAIGNS,
    DAY,
    DAYS,
    GOODS,
    PATH_WEIGHTS,
    PLACES,
    POSTAGE,
    START,
    World,
    at_day,
    day_text,
    pick,
    stamp,
    weighted,
    yuan,
)

GB = "gb18030"
OLD_DAYS = 60  # before the first of the two years: from then are visits that were kept too long
EPOCH = (START - date(1970, 1, 1)).days
MONTHS = list(dict.fromkeys(day_text(day)[:7] for day in range(DAYS)))
CRM = (
    "客户编号 姓名 手机号 邮箱 性别 出生日期 省份 城市 区县 详细地址 行业 兴趣爱好 渠道来源 "
    "签约状态 续约意向 账户资产 会员积分 消费偏好 投诉记录 常去门店 备注 注册时间 更新时间"
)
MEMBERS = "会员号 姓名 手机 性别 生日 省份 城市 开卡门店 开卡时间 更新时间"
WEB_ORDERS = "订单号 订单类型 客户编号 下单时间 下单平台 收货城市 订单备注"
WEB_LINES = "订单号 商品编码 商品名称 品类 数量 单价 金额"
STORE = {"order_no": "text", "order_type": "text", "member_id": "text", "sku": "text",
         "item_name": "text", "dept": "text", "qty": "int", "price_fen": "int",
         "sold_at": "time", "store": "text", "cashier": "text"}  # fmt: skip
WEB_EVENTS = {"event_time": "time", "user_id": "text", "event": "text", "page": "text",
              "sku": "text", "stay_seconds": "int", "step": "int", "browser": "text"}  # fmt: skip
APP_EVENTS = {"时间": "time", "客户编号": "text", "行为": "text", "页面": "text",
              "商品编码": "text", "停留秒数": "int", "路径序号": "int",
              "终端": "text"}  # fmt: skip
EMAIL = "活动编号 客户编号 分组 发送时间 送达时间 打开时间 点击时间 参与时间 核销时间"
SMS = "campaign member group send_time delivered_time opened_time click_time join_time used_time"
COUPONS = "券编号 活动编号 券名称 使用门槛 面额 生效日期 失效日期"
PEOPLE = {"person": "int", "persona": "text", "corporate": "bool", "overtime": "bool",
          "rate": "float", "decline_on": "day", "stops_on": "day", "reason": "text",
          "first_order_on": "day", "last_order_on": "day", "orders": "int",
          "churned_on": "day"}  # fmt: skip
KEYS = {"person": "int", "customer_key": "text", "file": "text", "relation": "text"}
ORDERS = {"order_id": "text", "person": "int", "cause": "text"}
NOTES = {"kind": "text", "file": "text", "key": "text", "field": "text", "value": "text"}
REVERSALS = {"return_id": "text", "order_id": "text", "at_till": "bool", "whole": "bool"}


@dataclass
class Batch:
    """What some customers did; person 0 are the guests and walk-ins."""

    people: dict[int, Person]
    lives: dict[int, Life]
    orders: list[Order]
    notes: list[Note]
    taken: list[tuple]  # back: return, order, at a till, of a whole line
    serial: int
    doubles: list[doubles.Double] = field(default_factory=list)

    def named(self) -> Iterator[tuple[Person, Life]]:
        """Everyone with a key, and the life of each."""
        return ((x, self.lives[x.number]) for x in self.people.values() if x.number)


@dataclass
class Desk:
    """Where the exports are written: raw files, truth, and the workbook until its end."""

    raw: Folder
    truth: Folder
    world: World
    workbook: bool
    crm: list[list] = field(default_factory=list)


# --- what does not grow with the customers


def write_shared(desk: Desk, rng: Random, customers: int) -> None:
    """Products, costs, campaigns, coupons, advertising and the market."""
    goods = [*desk.world.products, POSTAGE]
    rows = ((p.code, p.name, p.category, yuan(p.price), "在售") for p in goods)
    desk.raw.csv("products.csv", "商品编码 商品名称 品类 标价 状态", rows, encoding="utf-8-sig")
    desk.raw.csv("product_costs.csv", "生效日期 商品编码 单位成本", _costs(goods))
    rows = (
        (c.key, c.name, c.kind, c.channel, c.starts, c.starts + timedelta(days=c.days - 1),
         c.offer, yuan(customers * (40 + int(60 * rng.random()))))
        for c in CAMPAIGNS
    )  # fmt: skip
    desk.raw.csv("campaigns.csv", "活动编号 活动名称 类型 渠道 开始日期 结束日期 优惠 费用", rows)
    desk.raw.csv("coupons.csv", COUPONS, _coupons())
    rows = _spend(rng, customers)
    desk.raw.csv("ad_spend.csv", "日期 渠道 活动编号 花费 曝光 点击", rows, encoding=GB)
    desk.raw.csv("market.csv", "日期 类型 对象 指标 数值 说明", _market(rng))


def _costs(goods: list) -> Iterator[tuple]:
    """Cost of one unit from the first day, and 3 % more from the second year on."""
    for since, factor in ((START, 100), (date(2022, 11, 1), 103)):
        for product in goods:
            yield since, product.code, yuan(product.cost * factor // 100)


def _coupons() -> Iterator[tuple]:
    for c in CAMPAIGNS:
        if c.value:
            last = c.starts + timedelta(days=c.days - 1)
            yield c.coupon, c.key, c.offer, yuan(c.threshold), yuan(c.value), c.starts, last
    name, threshold, value = STANDING
    for number in range(3, 12):  # quarters since the first of 2021
        year, quarter = 2021 + number // 4, number % 4
        first = date(year, 3 * quarter + 1, 1)
        last = date(year + quarter // 3, 3 * (quarter + 1) % 12 + 1, 1) - timedelta(days=1)
        yield f"Q-{year}Q{quarter + 1}", "", name, yuan(threshold), yuan(value), first, last


def _spend(rng: Random, customers: int) -> Iterator[tuple]:
    """Advertising of each channel and day; a message of our own costs next to nothing."""
    for day in range(DAYS):
        for place, channel in enumerate(PATH_WEIGHTS):
            shown = 1 + int(customers * (0.2 + 0.3 * rng.random()) * (1 + place % 3))
            clicks = int(shown * (0.01 + 0.03 * rng.random()))
            cost = clicks * (10 if channel == "企业微信" else 80 + 40 * place)
            campaign = next((c.key for c in CAMPAIGNS if 0 <= day - c.first_day < c.days), "")
            yield day_text(day), channel, campaign, yuan(cost), shown, clicks


def _market(rng: Random) -> Iterator[tuple]:
    """The market by month and category, competitors by month, and what was read of them."""
    for number, month in enumerate(MONTHS):
        day = f"{month}-28"
        for category in GOODS:
            index = 100 + number // 2 + int(9 * rng.random())
            yield day, "市场", category, "品类景气指数", index, ""
        for rival in ("竞品甲", "竞品乙"):
            yield day, "竞品", rival, "促销天数", int(12 * rng.random()), "满减促销"
            stars = 30 + int(18 * rng.random())
            yield day, "竞品", rival, "评价均分", f"{stars // 10}.{stars % 10}", "平台公开评价"


# --- one batch


def write_batch(desk: Desk, rng: Random, batch: Batch) -> None:
    """Append all that a batch of customers did to every export."""
    _orders(desk, rng, batch)
    _service(desk, batch)
    _events(desk, rng, batch)
    _campaigns(desk, rng, batch)
    _voices(desk, rng, batch)
    _books(desk, rng, batch)
    _trials(desk, rng, batch)
    _customers(desk, rng, batch)  # last: points and complaints are known now
    _truth(desk, batch)


def _by_time(rows: Iterable[tuple]) -> Iterator[tuple]:
    """The rows in the order of their first item, without it."""
    return (row[1:] for row in sorted(rows, key=lambda row: row[0]))


def _orders(desk: Desk, rng: Random, batch: Batch) -> None:
    platforms = ("小程序", "APP", "PC商城")
    web = [order for order in batch.orders if not order.store]
    rows = (
        (o.number, o.kind, o.key, stamp(o.at), platforms[o.at % 3], pick(rng, list(PLACES)), "")
        for o in web
        if o.has_header
    )
    desk.raw.csv("web_orders.csv", WEB_ORDERS, rows, encoding=GB)
    months: dict[str, list] = {month: [] for month in MONTHS}
    for order in web:
        day = order.at // DAY if order.month is None else order.month
        months[day_text(day)[:7]] += _web_lines(order)
    for month, rows in months.items():
        desk.raw.csv(f"web_lines_{month}.csv", WEB_LINES, rows, encoding=GB)
    store = [row for order in batch.orders if order.store for row in _store_lines(order)]
    desk.raw.parquet("store_orders.parquet", STORE, store)
    sent = [o for o in web if o.kind == "销售" and o.has_header and o.month is None]
    rows = ((day_text(o.at // DAY), o.number, "运费", yuan(traces.cost_of(rng, o))) for o in sent)
    desk.raw.csv("order_costs.csv", "日期 订单号 费用类型 金额", rows)
    used = [o for o in web if o.coupon]
    rows = ((o.number, o.key, o.coupon, o.campaign, stamp(o.at), yuan(o.off)) for o in used)
    desk.raw.csv("coupon_uses.csv", "订单号 客户编号 券编号 活动编号 核销时间 优惠金额", rows)


def _web_lines(order: Order) -> Iterator[tuple]:
    for product, units, price in order.lines:
        yield (
            order.number, product.code, product.name, product.category, order.units_text or units,
            yuan(price, thousands=True), yuan(units * price, thousands=True),
        )  # fmt: skip


def _store_lines(order: Order) -> Iterator[tuple]:
    kind = "SALE" if order.kind == "销售" else "REFUND"
    at, shop = (order.at + EPOCH * DAY) * 1000, order.at % len(PLACES)
    name = list(PLACES.values())[shop][2]
    for p, units, price in order.lines:
        yield (order.number, kind, order.key or None, p.code, p.name, p.category, units, price,
               at, name, f"K{shop:02d}")  # fmt: skip


def _service(desk: Desk, batch: Batch) -> None:
    """Cases of the service desk; some texts hold contacts, some were answered too early."""
    found = sorted((t for life in batch.lives.values() for t in life.tickets), key=lambda t: t.at)
    records = []
    for place, ticket in enumerate(found):
        record = _ticket(f"T{batch.serial + place + 1:08d}", ticket)
        if place % 499 == 7:
            record["content"] += "，我的电话13800001111，邮箱a.b@example.com"
            batch.notes.append(_of_ticket("contact_in_ticket", record, "content"))
        if place % 997 == 11:
            record["times"]["first_reply"] = stamp(ticket.at - 3600)
            batch.notes.append(_of_ticket("answered_before_opened", record, "times.first_reply"))
        records.append(record)
    desk.raw.jsonl("service_tickets.jsonl", records)


def _ticket(number: str, t: Ticket) -> dict:
    done = t.resolved < DAYS * DAY
    return {
        "ticket_no": number,
        "customer": {"id": t.key, "channel": "在线客服"},
        "times": {
            "opened": stamp(t.at),
            "first_reply": stamp(t.answered) if t.answered < DAYS * DAY else None,
            "closed": stamp(t.resolved) if done else None,
        },
        "type": t.kind,
        "topic": t.topic,
        "result": "已解决" if done else "处理中",
        "agent": f"A{1 + t.at % 12:02d}",
        "content": traces.said(t.kind, t.topic),
    }


def _of_ticket(kind: str, record: dict, field: str) -> Note:
    return Note(kind, "service_tickets", record["ticket_no"], field, "")


def _events(desk: Desk, rng: Random, batch: Batch) -> None:
    rows = [
        row
        for who in batch.people.values()
        for row in traces.visits(rng, who, batch.lives[who.number], desk.world)
    ]
    rows += [*_clicked_twice(rng, rows, batch), *_kept_too_long(rows, batch)]
    rows.sort(key=lambda row: row[0])
    shift = EPOCH * DAY * 1000
    web, app = [], []
    for ms, key, kind, page, product, seconds, step, device in rows:
        if device == "web":
            web.append((ms + shift, key or None, traces.WEB_KINDS[kind], page, product or None,
                        seconds, step, "Chrome"))  # fmt: skip
        else:
            app.append((ms + shift, key or None, traces.APP_KINDS[kind], page, product or None,
                        seconds, step, device))  # fmt: skip
    desk.raw.parquet("web_events.parquet", WEB_EVENTS, web)
    desk.raw.parquet("app_events.parquet", APP_EVENTS, app)


def _clicked_twice(rng: Random, rows: list[tuple], batch: Batch) -> Iterator[tuple]:
    """Second clicks on one target less than a second after the first (Q-45)."""
    clicks = [row for row in rows if row[2] in (traces.SEEN, traces.TAPPED) and row[1]]
    for row in dirt.shuffled(rng, clicks)[: dirt.count(len(batch.people), 0.02)]:
        again = row[0] + 100 + int(850 * rng.random())
        file = "web_events" if row[7] == "web" else "app_events"
        batch.notes.append(Note("repeated_click", file, row[1], "page", row[3]))
        yield again, *row[1:]


def _kept_too_long(rows: list[tuple], batch: Batch) -> Iterator[tuple]:
    """Visits before the two years, which website and app should have deleted by now (CLN-18)."""
    early = {x.key for x in batch.people.values() if x.key and x.registered < -OLD_DAYS * DAY}
    seen = [row for row in rows if row[1] in early and row[2] == traces.SEEN]
    wanted = dirt.count(len(batch.people), 0.02)
    for place, row in enumerate(seen[:: len(seen) // wanted + 1]):
        day = -2 - place % (OLD_DAYS - 1)  # the day before the first is exactly two years ago
        file = "web_events" if row[7] == "web" else "app_events"
        batch.notes.append(Note("kept_too_long", file, row[1], "event_time", day_text(day)))
        yield row[0] % (DAY * 1000) + day * DAY * 1000, *row[1:]


def _campaigns(desk: Desk, rng: Random, batch: Batch) -> None:
    contacts = [contact for life in batch.lives.values() for contact in life.contacts]
    contacts.sort(key=lambda contact: contact.sent)
    odd = dirt.shuffled(rng, [c for c in contacts if c.opened])
    for contact in odd[: dirt.count(len(batch.people), 0.001)]:
        contact.opened = contact.sent - 7200
        key = f"{contact.campaign.key} {contact.key}"
        batch.notes.append(Note("opened_before_sent", "contacts", key, "打开时间", ""))
    for channel, name, head, arms in (
        ("email", "email_contacts.csv", EMAIL, ("实验组", "对照组")),
        ("sms", "sms_contacts.csv", SMS, ("T", "C")),
    ):
        rows = (_contact(c, arms) for c in contacts if c.campaign.channel == channel)
        desk.raw.csv(name, head, rows)
    touches = [
        (at, key, stamp(at), channel, "")  # no channel says which campaign it was
        for life in batch.lives.values()
        for at, key, channel in life.touches
    ]
    desk.raw.csv("touchpoints.csv", "客户编号 触点时间 渠道 活动编号", _by_time(touches))


def _contact(c: Contact, arms: tuple[str, str]) -> tuple:
    arrived = c.sent + 5 if c.treated else None
    times = (c.sent, arrived, c.opened, c.clicked, c.joined, c.used)
    return c.campaign.key, c.key, arms[0] if c.treated else arms[1], *map(stamp, times)


def _voices(desk: Desk, rng: Random, batch: Batch) -> None:
    """Messages, reviews, surveys and social tags."""
    named = list(batch.named())
    rows = _by_time(row for who, life in named for row in traces.messages(rng, who, life))
    desk.raw.csv("wecom_messages.csv", "客户编号 时间 沟通方式 发起方 主题 内容 员工", rows)
    rows = _by_time(row for who, life in named for row in traces.reviews(rng, who, life))
    rows = [(f"R{number:08d}", *row) for number, row in enumerate(rows, batch.serial + 1)]
    for place in range(0, len(rows), 1500):
        rows[place] = (*rows[place][:4], 6, *rows[place][5:])
        batch.notes.append(Note("stars_out_of_range", "reviews", rows[place][0], "星级", "6"))
    desk.raw.csv("reviews.csv", "评价编号 客户编号 商品编码 评价时间 星级 平台 内容", rows)
    rows = [row for who, life in named for row in traces.surveys(rng, who, life)]
    rows = [(at, f"D{key[1:]}-{sheet}", key, *rest) for at, sheet, key, *rest in rows]
    head = "答卷编号 客户编号 提交时间 问卷 题目 得分 满分 意见"
    desk.raw.csv("surveys.csv", head, _by_time(rows))
    rows = _by_time(row for who, _ in named for row in traces.traits(rng, who))
    desk.raw.csv("wecom_tags.csv", "客户编号 标签组 标签 打标日期 来源平台", rows)


def _books(desk: Desk, rng: Random, batch: Batch) -> None:
    """Member points and consents."""
    named = list(batch.named())
    rows = _by_time(row for who, life in named for row in traces.points(rng, who, life))
    desk.raw.csv("member_points.csv", "客户编号 变动时间 变动积分 变动后余额 原因", rows)
    rows = _by_time(row for who, _ in named for row in traces.consents(rng, who))
    desk.raw.csv("consents.csv", "客户编号 授权目的 是否同意 时间", rows)


def _trials(desk: Desk, rng: Random, batch: Batch) -> None:
    """Use of the trial product, and the leads of the sales system."""
    usage, leads = [], []
    for who, _ in batch.named():
        rows, _ = traces.trial(rng, who)
        usage += rows
        if who.corporate and who.registered >= 0:
            leads.append((who.registered, who.key, who.paid))
    head = "客户编号 日期 模块 会话数 点击数 登录次数 新建模板数 使用分钟"
    desk.raw.csv("trial_usage.csv", head, _by_time(usage))
    strangers = dirt.count(len(batch.people), 0.02)
    leads += [(at_day(rng, int((DAYS - 1) * rng.random())), "", None) for _ in range(strangers)]
    leads.sort(key=lambda one: one[:2])
    desk.raw.page("leads.json", [
        {"lead_id": f"L{number:08d}", **traces.lead(rng, at, key, won)}
        for number, (at, key, won) in enumerate(leads, batch.serial + 1)
    ])  # fmt: skip


# --- customers


def _customers(desk: Desk, rng: Random, batch: Batch) -> None:
    """CRM records and store members, both with the mistakes of their typists."""
    known = [x for x in batch.people.values() if x.key]
    keys = [(x.number, x.key, "crm_customers", "own") for x in known]
    rows = [_crm(rng, x, batch.lives[x.number]) for x in known]
    again = dict(dirt.registered_again(rng, rows, len(batch.people) - 1))
    for key, copy in again.items():
        keys.append((int(key[1:]), copy["客户编号"], "crm_customers", "registered again"))
        note = Note("registered_again", "crm_customers", copy["客户编号"], "客户编号", key)
        batch.notes.append(note)
    own = Random(f"{batch.serial} doubles {len(rows)}")  # what follows below stays as it is
    more = list(doubles.records(own, batch.doubles, {row["客户编号"]: dict(row) for row in rows}))
    keys += [(x.person, x.key, "crm_customers", "second account") for x in batch.doubles]
    twice = {*again, *(f"C{x.person:07d}" for x in batch.doubles)}
    plain = [row for row in rows if row["客户编号"] not in again]
    batch.notes += dirt.spoil_crm(rng, plain, len(batch.people) - 1)
    spoilt = {note.key for note in batch.notes}
    good = [row for row in plain if row["客户编号"] not in spoilt | twice]
    batch.notes += doubles.strange(own, good, len(batch.people) - 1)
    written = (*rows, *again.values(), *more)
    cells = [[_cell(name, row[name]) for name in CRM.split()] for row in written]
    if desk.workbook:
        desk.crm += cells
    else:
        desk.raw.csv("crm_customers.csv", CRM, cells)
    members, found = _members(rng, batch)
    desk.raw.csv("store_members.csv", MEMBERS, members, encoding=GB)
    desk.truth.parquet("keys.parquet", KEYS, sorted([*keys, *found]))


def _cell(name: str, value):
    """Times are true dates in the workbook; all else is as in a text file."""
    if name in ("注册时间", "更新时间") and value:
        return datetime.fromisoformat(value)
    return value


def _crm(rng: Random, who: Person, life: Life) -> dict[str, object]:
    """One CRM record by the names of its columns."""
    province, _, shop = PLACES[who.city]
    gender = weighted(rng, {who.gender: 0.955, "未知": 0.02, "": 0.025})
    status = weighted(rng, CONTRACTS)
    if who.corporate:
        status = "已签约" if who.paid else "未签约"
    changed = min(who.registered + int(200 * DAY * rng.random()), DAYS * DAY - 3600)
    values = (
        who.key, who.name, who.phone, f"{who.key.lower()}@example.com", gender, str(who.birth),
        province, who.city, who.district, f"{who.district}解放路{1 + int(300 * rng.random())}号",
        pick(rng, INDUSTRIES), ";".join(who.interests), who.source, status,
        pick(rng, ("愿意", "考虑中", "不愿意", "", ""), draws=1), _assets(rng), who.points,
        who.liked if rng.random() < 0.7 else "", ";".join(dict.fromkeys(who.complaints)),
        shop if rng.random() < 0.75 else "", "VIP" if who.persona == "loyal" else "",
        stamp(who.registered), stamp(changed),
    )  # fmt: skip
    return dict(zip(CRM.split(), values, strict=True))


def _assets(rng: Random) -> float | int | str:
    """Assets of one in four; some stand exactly at the threshold of 50,000 yuan or a fen below."""
    dice = rng.random()
    if dice < 0.01:
        return 50_000 if dice < 0.005 else 49_999.99
    return 1_000 * int(1 + 200 * rng.random() * rng.random()) if dice < 0.25 else ""


def _members(rng: Random, batch: Batch) -> tuple[list, list]:
    """Rows of the stores' list of members, and the keys of those whom nobody linked."""
    rows, keys = [], []
    for who in batch.people.values():
        if who.card:
            relation, name, phone = dirt.card_contact(rng, who)
            row = _member(rng, who, who.card, name, phone)
            keys.append((who.number, who.card, "store_members", relation))
        elif who.linked:
            row = _member(rng, who, who.key, who.name, who.phone)
            keys.append((who.number, who.key, "store_members", "linked"))
            row = _disagree(rng, row, who, batch)
        else:
            continue
        rows.append(row)
    return rows, keys


DATES = ("{0}-{1}-{2}", "{0}/{1}/{2}", "{0}年{1}月{2}日")


def _member(rng: Random, who: Person, key: str, name: str, phone: str) -> list:
    """One member with dates in the format of the till that wrote it."""
    province, _, shop = PLACES[who.city]
    style = weighted(rng, {DATES[0]: 0.6, DATES[1]: 0.3, DATES[2]: 0.1})
    days = (str(who.birth), day_text(who.registered // DAY),
            day_text(min(who.registered // DAY + int(300 * rng.random()), DAYS - 1)))  # fmt: skip
    birth, opened, changed = (style.format(*day.split("-")) for day in days)
    return [key, name, phone, who.gender, birth, province, who.city, shop, opened, changed]


def _disagree(rng: Random, row: list, who: Person, batch: Batch) -> list:
    """Some linked members moved or gave another birthday: the two files disagree (CLN-21)."""
    dice = rng.random()
    first = all(note.kind != "conflict_city" for note in batch.notes)
    if dice < 0.05 or first:
        city = next(name for name in PLACES if name != who.city)
        row[5:8] = PLACES[city][0], city, PLACES[city][2]
        batch.notes.append(Note("conflict_city", "store_members", who.key, "城市", city))
    elif dice < 0.08:
        row[4] = str(date(who.birth.year - 1, who.birth.month, min(who.birth.day, 28)))
        batch.notes.append(Note("conflict_birth", "store_members", who.key, "生日", row[4]))
    return row


def finish(desk: Desk) -> None:
    """The workbook, which has to be written in one go."""
    if desk.workbook:
        write_xlsx(desk.raw.path / "crm_customers.xlsx", "客户", CRM, desk.crm)


# --- truth


def order_id(order: Order) -> str:
    """The number of an order with the prefix that the mapping gives it."""
    return ("S-" if order.store else "W-") + order.number


def _truth(desk: Desk, batch: Batch) -> None:
    people = [_person(who, life) for who, life in batch.named()]
    desk.truth.parquet("people.parquet", PEOPLE, people)
    rows = [(order_id(o), o.person, o.cause) for o in batch.orders if o.cause != "two_customers"]
    desk.truth.parquet("orders.parquet", ORDERS, rows)
    rows = [(n.kind, n.file, str(n.key), n.field, str(n.value)) for n in batch.notes]
    desk.truth.parquet("dirt.parquet", NOTES, sorted(rows))
    desk.truth.parquet("returns.parquet", REVERSALS, batch.taken)


def _person(who: Person, life: Life) -> tuple:
    """One row of the truth about a customer; days beyond the data are empty."""
    own = [order.at // DAY for order in life.orders]
    last = own[-1] if own else None
    gone = last + 90 if own and last + 90 < DAYS else None
    declines = who.decline if who.decline < DAYS else None
    stops = who.stops if who.stops < DAYS else None
    first = own[0] if own else None
    reason = who.reason if declines is not None else None
    return (who.number, who.persona, who.corporate, who.overtime, round(who.rate, 9),
            _date(declines), _date(stops), reason, _date(first), _date(last), len(own),
            _date(gone))  # fmt: skip


def _date(day: int | None) -> date | None:
    return None if day is None else START + timedelta(days=day)
