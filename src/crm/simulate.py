"""A small demo retailer, written as its own systems would export it.

Customers differ in how often they buy, how much they spend, what they like and when they
leave. Only `Random.random()` decides, money is counted in whole fen (分), and no file holds
a clock or depends on a compression library, so the same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from zipfile import ZipFile, ZipInfo

import duckdb
import xlsxwriter

START, END = date(2021, 11, 1), date(2023, 10, 31)
SEASON = (  # first day, last day, purchases compared with an ordinary day
    (date(2021, 11, 1), date(2021, 11, 11), 2.5),  # Singles' Day (双十一)
    (date(2022, 1, 17), date(2022, 1, 30), 1.7),  # shopping for the Spring Festival …
    (date(2022, 1, 31), date(2022, 2, 6), 0.3),  # … and the days at home
    (date(2022, 6, 1), date(2022, 6, 18), 1.4),  # mid-year sale (618)
    (date(2022, 11, 1), date(2022, 11, 11), 2.5),
    (date(2023, 1, 7), date(2023, 1, 20), 1.7),
    (date(2023, 1, 21), date(2023, 1, 27), 0.3),
    (date(2023, 6, 1), date(2023, 6, 18), 1.4),
)
GOODS = {  # category: typical price in yuan, products from best to least known
    "茶叶": (320, "龙井 普洱 铁观音 大红袍 碧螺春 白毫银针 祁门红茶 茉莉花茶 毛尖 六安瓜片"),
    "零食": (80, "坚果礼盒 牛肉干 芒果干 核桃酥 海苔 绿豆糕 山楂片 花生酥 红枣 蜂蜜"),
    "厨具": (300, "炒锅 砂锅 菜刀 蒸笼 砧板 汤锅 餐具套装 保温杯 筷子 调料罐"),
    "小家电": (900, "电饭煲 空气炸锅 破壁机 电水壶 加湿器 吸尘器 电风扇 烤箱 咖啡机 豆浆机"),
    "家居": (280, "四件套 乳胶枕 毛巾 台灯 收纳箱 地毯 窗帘 香薰 衣架 晾衣架"),
    "美妆": (420, "面霜 口红 精华液 洗面奶 面膜 防晒霜 粉底液 香水 眉笔 护手霜"),
    "母婴": (350, "纸尿裤 奶瓶 积木 绘本 婴儿车 湿巾 辅食机 爬行垫 连体衣 安抚玩偶"),
    "运动": (520, "跑鞋 瑜伽垫 羽毛球拍 冲锋衣 登山包 护膝 跳绳 哑铃 泳镜 帐篷"),
}
INDUSTRIES = ["制造业", "互联网", "教育", "金融", "医疗", "零售", "建筑", "物流"]
CITIES = ["上海", "杭州", "北京", "苏州", "南京", "广州", "深圳", "成都", "武汉", "西安"]
CHANNELS = ["微信小程序", "门店", "抖音", "朋友推荐", "搜索引擎", "线下活动"]
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN_NAMES = "伟芳敏静磊洋勇艳杰涛明超霞平刚华玉兰文慧宁欣雨晨浩宇佳怡嘉琪"
RATE = 3.2  # mean purchases of an active customer in 90 ordinary days


@dataclass(frozen=True)
class Product:
    """One article of the catalogue."""

    code: str
    name: str
    category: str
    price: int  # fen


@dataclass(frozen=True)
class Buyer:
    """How one customer shops; the key is empty for guests of the web shop and walk-ins."""

    key: str
    since: date
    rate: float  # purchases on an ordinary day
    leaves: float  # chance per day to leave for good
    purse: float  # 1 spends little, 6 a lot
    in_store: float  # share of purchases in a store
    liked: str  # favourite category


@dataclass(frozen=True)
class Line:
    """One order line; `order` starts with W in the web shop and with S in a store."""

    at: datetime
    order: str
    customer: str
    kind: str
    product: Product
    quantity: int
    price: int  # fen


@dataclass(frozen=True)
class Company:
    """All that the systems hold, and the `planted` facts that an analysis must find again."""

    customers: list[tuple]
    products: list[Product]
    lines: list[Line]
    planted: dict[str, int]


POSTAGE = Product("YF001", "运费", "服务", 10_00)


def write(folder: Path, *, customers: int = 600, seed: int = 20231031) -> None:
    """Four export files of the demo retailer in `folder`; an equal seed gives equal bytes."""
    company = build(customers=customers, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    head = "客户ID 姓名 手机号 邮箱 性别 行业 城市 渠道来源 注册时间"
    _write_xlsx(folder / "customers.xlsx", head, company.customers)
    goods = [(p.code, p.name, p.category, _yuan(p.price)) for p in company.products]
    _write_csv(folder / "products.csv", "商品编码 商品名称 品类 标价", goods)
    head = "订单号 类型 客户ID 商品编码 商品名称 品类 数量 单价 下单时间"
    web = [_row(line) for line in company.lines if line.order[0] == "W"]
    _write_csv(folder / "web_orders.csv", head, web)
    store = [_row(line) for line in company.lines if line.order[0] == "S"]
    _write_parquet(folder / "store_orders.parquet", store)


def build(*, customers: int, seed: int) -> Company:
    """The company before it is written to files.

    Examples
    --------
    >>> build(customers=50, seed=1).planted["duplicates"]
    12
    """
    rng = Random(seed)
    products = _products(rng)
    people = [_person(rng, f"C{number:05d}") for number in range(1, customers + 1)]
    nobody = Buyer("", START, 0.002 * customers, 0.0, 1.0, 0.8, "零食")
    buyers = [nobody, *(_buyer(rng, person) for person in people)]
    orders = [order for buyer in buyers for order in _purchases(rng, buyer, products)]
    lines, planted = _plant(rng, _number(orders))
    return Company(people, [*products, POSTAGE], lines, planted)


def _products(rng: Random) -> list[Product]:
    """The catalogue from best to least sold, the categories taking turns."""
    shelves = [(category, yuan, text.split()) for category, (yuan, text) in GOODS.items()]
    return [
        Product(f"P{place}{rank:02d}", names[rank], category, _price(rng, yuan))
        for rank in range(10)
        for place, (category, yuan, names) in enumerate(shelves, start=1)
    ]


def _price(rng: Random, typical: int) -> int:
    """A price in fen around the typical one in yuan, ending in .90."""
    return int(typical * (0.5 + 1.2 * rng.random())) * 100 + 90


def _person(rng: Random, key: str) -> tuple:
    """One row of customers.xlsx; some contacts are as untidy as people type them."""
    given = _pick(rng, GIVEN_NAMES) + (_pick(rng, GIVEN_NAMES) if rng.random() < 0.7 else "")
    phone = f"1{3 + int(7 * rng.random())}{int(10**9 * rng.random()):09d}"
    untidy = (phone[:-1], "", f"+86 {phone}", f"{phone[:3]}-{phone[3:7]}-{phone[7:]}")
    phone = phone if rng.random() < 0.95 else _pick(rng, untidy)
    gender = _pick(rng, ("女", "男", ""), draws=2)
    traits = _pick(rng, INDUSTRIES), _pick(rng, CITIES, draws=2), _pick(rng, CHANNELS, draws=2)
    registered = _clock(rng, END - timedelta(days=int(1095 * rng.random())))
    name = _pick(rng, SURNAMES, draws=2) + given
    return key, name, phone, f"{key.lower()}@example.com", gender, *traits, registered


def _buyer(rng: Random, person: tuple) -> Buyer:
    """Habits of a person: gamma purchase rate, chance to leave, Pareto purse."""
    return Buyer(
        key=person[0],
        since=max(START, person[-1].date() + timedelta(days=1)),
        # gamma of shape 1; rounded, since the last bit of a logarithm differs between machines
        rate=round(-math.log(1 - rng.random()) * RATE / 90, 6),
        leaves=0.0003 + 0.0025 * rng.random() * rng.random(),
        purse=min(1.2 / math.sqrt(1 - rng.random()), 6.0),
        in_store=0.8 if person[7] == "门店" else 0.3,
        liked=_pick(rng, tuple(GOODS)),
    )


def _purchases(rng: Random, buyer: Buyer, products: list[Product]) -> Iterator[list[Line]]:
    """The orders of one buyer, day by day until the data end or the buyer leaves."""
    liked = [p for p in products if p.category == buyer.liked]
    for offset in range((END - buyer.since).days + 1):
        day = buyer.since + timedelta(days=offset)
        expected = buyer.rate * next((x for a, z, x in SEASON if a <= day <= z), 1.0)
        while rng.random() < expected:
            expected -= 1
            yield _order(rng, buyer, day, liked if rng.random() < 0.4 else products)
        if rng.random() < buyer.leaves:
            return


def _order(rng: Random, buyer: Buyer, day: date, shelf: list[Product]) -> list[Line]:
    """The lines of one order: distinct products, a gift with a large one, postage with a small."""
    at, channel = _clock(rng, day), "S" if rng.random() < buyer.in_store else "W"
    basket = {}
    for _ in range(1 + int(2 * rng.random() * buyer.purse)):
        basket[_popular(rng, shelf)] = 1 + int(buyer.purse * rng.random())
    lines = [Line(at, channel, buyer.key, "销售", p, n, p.price) for p, n in basket.items()]
    total = sum(line.quantity * line.price for line in lines)
    if total >= 10_000_00:
        lines.append(Line(at, channel, buyer.key, "销售", _popular(rng, shelf), 1, 0))
    if total < 99_00 and channel == "W":
        lines.append(Line(at, channel, buyer.key, "销售", POSTAGE, 1, POSTAGE.price))
    return lines


def _number(orders: list[list[Line]]) -> list[Line]:
    """All lines in the order of time, with order numbers such as W23103104711."""
    orders = sorted(orders, key=lambda order: (order[0].at, order[0].customer))
    return [
        replace(line, order=f"{line.order}{line.at:%y%m%d}{number:05d}")
        for number, order in enumerate(orders, start=1)
        for line in order
    ]


def _plant(rng: Random, lines: list[Line]) -> tuple[list[Line], dict[str, int]]:
    """All lines with returns and the usual mishaps added, and how many there are of each."""
    sold = [x for x in lines if x.customer and x.price and x.product is not POSTAGE]
    back = dict(_returns(rng, sold))
    web = [x for x in sold if x.order[0] == "W" and x not in back]
    store = [x for x in sold if x.order[0] == "S" and x.quantity == 1 and x not in back]
    twice, scans, tests = _spread(web, 12), _spread(store, 8), _spread(web, 5)
    tests = [replace(x, order=f"{x.order}T", kind="测试", quantity=1, price=1) for x in tests]
    wrong = [replace(x, quantity=-1) for x in _spread(web[1:], 1)]  # not a line tested above
    lines = sorted([*lines, *back.values(), *twice, *scans, *tests, *wrong], key=_place)
    return lines, {
        "duplicates": len(twice),  # the same web line exported twice
        "repeated_scans": len(scans),  # the same article scanned twice at a till: two articles
        "tests": len(tests),
        "negative_sales": len(wrong),
        "gifts": sum(x.price == 0 for x in lines),
        "reversals": sum(x.quantity == y.quantity for x, y in back.items()),
        "partial_returns": sum(x.quantity != y.quantity for x, y in back.items()),
        "guest_lines": sum(x.order[0] == "W" and not x.customer for x in lines),
        "walk_in_lines": sum(x.order[0] == "S" and not x.customer for x in lines),
    }


def _place(line: Line) -> tuple:
    return line.at, line.order


def _returns(rng: Random, sold: list[Line]) -> Iterator[tuple[Line, Line]]:
    """Some sold lines, each with its return: of the whole line or of a part of it."""
    known = {(x.customer, x.product, x.quantity) for x in sold}
    for number, line in enumerate(x for x in sold if rng.random() < 0.04):
        at = _clock(rng, line.at.date() + timedelta(days=1 + int(14 * rng.random())))
        part = 1 + int((line.quantity - 1) * rng.random())
        if (line.customer, line.product, part) in known:  # it would look like the whole of another
            part = line.quantity
        if at.date() <= END:
            order = f"{line.order[0]}R{number:05d}"
            yield line, replace(line, at=at, order=order, kind="退货", quantity=part)


def _pick(rng: Random, choices: Sequence[str], *, draws: int = 1) -> str:
    """One of the choices; more draws favour the first ones."""
    return choices[int(len(choices) * min(rng.random() for _ in range(draws)))]


def _popular(rng: Random, shelf: list[Product]) -> Product:
    """One product, the k-th of the shelf k times as rarely as the first (Zipf)."""
    weights = list(accumulate(1 / rank for rank in range(1, len(shelf) + 1)))
    return shelf[bisect(weights, weights[-1] * rng.random())]


def _clock(rng: Random, day: date) -> datetime:
    """A time of the day between 9:00 and 22:00."""
    return datetime.combine(day, time(9)) + timedelta(seconds=int(13 * 3600 * rng.random()))


def _spread(lines: list[Line], count: int) -> list[Line]:
    """So many of the lines, evenly spread over all."""
    return [lines[len(lines) * (2 * n + 1) // (2 * count)] for n in range(count)]


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def _row(line: Line) -> tuple:
    """One line as the web shop writes it; the store has the same facts in English."""
    p = line.product
    return (line.order, line.kind, line.customer, p.code, p.name, p.category, line.quantity,
            _yuan(line.price), line.at)  # fmt: skip


def _write_csv(path: Path, head: str, rows: list[tuple]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head.split(), *rows])


def _write_parquet(path: Path, rows: list[tuple]) -> None:
    columns = """
        unnest(?) AS order_no,
        CASE unnest(?) WHEN '退货' THEN 'REFUND' ELSE 'SALE' END AS order_type,
        nullif(unnest(?), '') AS member_id,
        unnest(?) AS sku,
        unnest(?) AS item_name,
        unnest(?) AS dept,
        unnest(?)::INTEGER AS qty,
        unnest(?)::DECIMAL(10, 2) AS price,
        unnest(?)::TIMESTAMP AS sold_at
    """
    with duckdb.connect(config={"threads": 1}) as db:
        values = [list(column) for column in zip(*rows, strict=True)]
        db.execute(f"CREATE TABLE lines AS SELECT {columns}", values)
        db.execute("COPY lines TO ? (FORMAT parquet, COMPRESSION zstd)", [str(path)])


def _write_xlsx(path: Path, head: str, rows: list[tuple]) -> None:
    """A workbook, then packed anew: uncompressed and without the time of writing."""
    packed = io.BytesIO()
    options = {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    with xlsxwriter.Workbook(packed, options) as book:
        book.set_properties({"created": datetime.combine(END, time(23))})
        sheet = book.add_worksheet("客户")
        for number, row in enumerate([head.split(), *rows]):
            sheet.write_row(number, 0, row)
    with ZipFile(packed) as book, ZipFile(path, "w") as plain:
        for name in book.namelist():
            entry = ZipInfo(name)  # stored, dated 1980
            entry.create_system = 3  # else it names the operating system
            plain.writestr(entry, book.read(name))
