"""What all customers of the demo retailer share: calendar, catalogue, campaigns, planted effects.

Times are whole seconds since the first midnight of the data, money is whole fen (分). Chance comes
from `Random.random()` alone, and no logarithm or power is taken: the last bit of those differs
between machines, while sums, products and comparisons do not.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import accumulate
from random import Random

START, END = date(2021, 11, 1), date(2023, 10, 31)
DAYS = (END - START).days + 1
DAY = 86_400  # seconds
SEASON = (  # first day, last day, purchases compared with an ordinary day
    (date(2021, 11, 1), date(2021, 11, 11), 2.5),  # Singles' Day (双十一)
    (date(2022, 1, 17), date(2022, 1, 30), 1.7),  # shopping for the Spring Festival …
    (date(2022, 1, 31), date(2022, 2, 6), 0.3),  # … and the days at home
    (date(2022, 6, 1), date(2022, 6, 18), 1.4),  # mid-year sale (618)
    (date(2022, 10, 1), date(2022, 10, 7), 1.3),  # National Day
    (date(2022, 11, 1), date(2022, 11, 11), 2.5),
    (date(2023, 1, 7), date(2023, 1, 20), 1.7),
    (date(2023, 1, 21), date(2023, 1, 27), 0.3),
    (date(2023, 6, 1), date(2023, 6, 18), 1.4),
    (date(2023, 10, 1), date(2023, 10, 7), 1.3),
)
GOODS = {  # category: typical price in yuan, products from best to least known
    "茶叶": (320, "龙井 普洱 铁观音 大红袍 碧螺春 白毫银针 祁门红茶 茉莉花茶 毛尖 六安瓜片"),
    "零食": (80, "坚果礼盒 牛肉干 芒果干 核桃酥 海苔 绿豆糕 山楂片 花生酥 红枣 蜂蜜"),
    "饮料": (60, "无糖气泡水 矿泉水 燕麦奶 果汁 无糖乌龙茶 咖啡液 酸奶 电解质水 豆奶 苏打水"),
    "厨具": (300, "炒锅 砂锅 菜刀 蒸笼 砧板 汤锅 餐具套装 保温杯 筷子 调料罐"),
    "小家电": (900, "电饭煲 空气炸锅 破壁机 电水壶 加湿器 吸尘器 电风扇 烤箱 咖啡机 豆浆机"),
    "家居": (280, "四件套 乳胶枕 毛巾 台灯 收纳箱 地毯 窗帘 香薰 衣架 晾衣架"),
    "美妆": (420, "面霜 口红 精华液 洗面奶 面膜 防晒霜 粉底液 香水 眉笔 护手霜"),
    "母婴": (350, "纸尿裤 奶瓶 积木 绘本 婴儿车 湿巾 辅食机 爬行垫 连体衣 安抚玩偶"),
    "运动": (520, "跑鞋 瑜伽垫 羽毛球拍 冲锋衣 登山包 护膝 跳绳 哑铃 泳镜 帐篷"),
}
SUGAR_FREE = ("无糖气泡水", "无糖乌龙茶")  # with late orders and fitness bloggers: TAG-20
PLACES = {  # city: province, districts, its store
    "上海": ("上海", "浦东新区 徐汇区 静安区 杨浦区", "上海徐汇店"),
    "杭州": ("浙江", "西湖区 滨江区 余杭区 拱墅区", "杭州西湖店"),
    "北京": ("北京", "朝阳区 海淀区 丰台区 西城区", "北京朝阳店"),
    "苏州": ("江苏", "姑苏区 吴中区 虎丘区", "苏州姑苏店"),
    "南京": ("江苏", "鼓楼区 玄武区 江宁区", "南京鼓楼店"),
    "广州": ("广东", "天河区 越秀区 番禺区", "广州天河店"),
    "深圳": ("广东", "南山区 福田区 宝安区", "深圳南山店"),
    "成都": ("四川", "武侯区 锦江区 青羊区", "成都锦江店"),
    "武汉": ("湖北", "武昌区 江汉区 洪山区", "武汉江汉店"),
    "西安": ("陕西", "雁塔区 碑林区 未央区", "西安雁塔店"),
}
ORDER_RULES = (  # in one order: who buys the first adds the second with this probability
    ("纸尿裤", "湿巾", 0.5),
    ("跑鞋", "护膝", 0.4),
    ("炒锅", "调料罐", 0.6),
)
FOLLOW_RULES = (  # within 30 days of the first an order of the second: bargain hunters, others
    ("芒果干", "花生酥", 0.6, 0.2),
)
FOLLOW_DAYS = 30
PATH_WEIGHTS = {  # a touch leads to an order within 3 days with this probability, each by itself
    "企业微信": 0.30,
    "小红书": 0.15,
    "短视频": 0.12,
    "搜索引擎": 0.10,
    "信息流广告": 0.05,
    "线下活动": 0.02,
}
CONTROL_SHARE = 0.2


@dataclass(frozen=True)
class Product:
    """One article of the catalogue."""

    code: str
    name: str
    category: str
    price: int  # fen
    cost: int = 0  # fen


@dataclass(frozen=True)
class Campaign:
    """One campaign, and the planted effect: the chance that being addressed adds an order."""

    key: str
    name: str
    kind: str
    channel: str
    starts: date
    days: int
    offer: str
    threshold: int = 0  # fen
    value: int = 0  # fen; 0: it has no coupon
    effect: float = 0.0
    effects: dict[str, float] = field(default_factory=dict)  # by persona, instead of `effect`

    @property
    def coupon(self) -> str:
        return f"Q-{self.key}" if self.value else ""

    @property
    def first_day(self) -> int:
        return (self.starts - START).days

    def added(self, persona: str) -> float:
        """The planted chance that a treated customer of this persona places one order more."""
        return 0.0 if persona == "browser" else self.effects.get(persona, self.effect)


OFF_30, OFF_40, OFF_60 = (20_000, 3_000), (30_000, 4_000), (50_000, 6_000)
CAMPAIGNS = (
    Campaign("HD2201", "年货节", "促销", "email", date(2022, 1, 8), 10, "满300减40",
             *OFF_40, 0.08),
    Campaign("HD2203", "春季上新", "新品", "email", date(2022, 3, 15), 14, "新品尝鲜",
             effect=0.02, effects={"quality": 0.10}),
    Campaign("HD2206", "年中大促", "促销", "sms", date(2022, 6, 1), 14, "满200减30", *OFF_30, 0.08,
             {"bargain": 0.35}),
    Campaign("HD2209", "会员关怀", "品牌", "email", date(2022, 9, 10), 14, "问候"),  # no effect
    Campaign("HD2211", "双十一", "促销", "sms", date(2022, 11, 1), 11, "满500减60", *OFF_60, 0.08,
             {"impulse": 0.25}),
    Campaign("HD2302", "老客回访", "召回", "email", date(2023, 2, 10), 14, "满200减30", *OFF_30,
             0.10, {"bargain": 0.30}),
    Campaign("HD2306", "年中大促", "促销", "sms", date(2023, 6, 1), 14, "满200减30", *OFF_30, 0.08,
             {"bargain": 0.35}),
    Campaign("HD2310", "金秋满减", "促销", "sms", date(2023, 10, 9), 14, "满200减30", *OFF_30,
             0.08, {"bargain": 0.35}),
)  # fmt: skip
JOINS = {"bargain": 0.65}  # share of those addressed who join a campaign with 满200减30
JOINS_ELSE = 0.2
POSTAGE = Product("YF001", "运费", "服务", 10_00, 9_00)


class Shelf:
    """Products of which the k-th sells k times as rarely as the first (Zipf)."""

    def __init__(self, products: Sequence[Product]):
        self.products = list(products)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self.products) + 1)))

    def pick(self, rng: Random) -> Product:
        return self.products[bisect(self._weights, self._weights[-1] * rng.random())]


class World:
    """The catalogue of one seed, its shelves, and the clock of the seasons."""

    def __init__(self, seed: int):
        self.products = _products(Random(f"{seed} products"))
        self.named = {product.name: product for product in self.products}
        self.shelf = {
            "all": Shelf(self.products),
            "cheap": Shelf([p for p in self.products if p.price <= 150_00]),
            "fine": Shelf([p for p in self.products if p.price >= 400_00]),
        }
        self.aisle = {
            (shelf, category): Shelf([p for p in goods.products if p.category == category])
            for shelf, goods in self.shelf.items()
            for category in {p.category: 0 for p in goods.products}
        }
        self.clock = _clock()

    def liked(self, shelf: str) -> list[str]:
        """Categories that stand on a shelf."""
        return [category for name, category in self.aisle if name == shelf]


def _products(rng: Random) -> list[Product]:
    """The catalogue from best to least sold, the categories taking turns."""
    shelves = [(category, yuan, text.split()) for category, (yuan, text) in GOODS.items()]
    products = []
    for rank in range(10):
        for place, (category, yuan, names) in enumerate(shelves, start=1):
            price = int(yuan * (0.5 + 1.2 * rng.random())) * 100 + 90
            cost = int(price * (0.45 + 0.3 * rng.random()))
            products.append(Product(f"P{place}{rank:02d}", names[rank], category, price, cost))
    return products


def _clock() -> list[float]:
    """Ordinary days that have passed before each day; a day of a sale counts as several."""
    pace = []
    for offset in range(DAYS):
        day = START + timedelta(days=offset)
        season = next((x for first, last, x in SEASON if first <= day <= last), 1.0)
        pace.append(season * (1.25 if day.weekday() >= 5 else 0.9))
    return [0.0, *accumulate(pace)]


def pick(rng: Random, choices: Sequence, *, draws: int = 1):
    """One of the choices; more draws favour the first ones."""
    return choices[int(len(choices) * min(rng.random() for _ in range(draws)))]


def weighted(rng: Random, choices: dict[str, float]) -> str:
    """One of the keys, as often as its weight says."""
    *_, whole = accumulate(choices.values())  # `sum` rounds otherwise from Python 3.12 on
    rest = rng.random() * whole
    for choice, weight in choices.items():
        rest -= weight
        if rest < 0:
            return choice
    return choice


def exponential(rng: Random) -> float:
    """An exponential number of mean 1 by von Neumann's comparisons, the same on any machine."""
    whole = 0
    while True:
        first = last = rng.random()
        falling = 1
        while (new := rng.random()) < last:
            last, falling = new, falling + 1
        if falling % 2:
            return whole + first
        whole += 1


def gamma(rng: Random, shape: int) -> float:
    """A gamma number of mean 1 and a whole shape: how much customers differ."""
    total = 0.0
    for _ in range(shape):  # `sum` rounds otherwise from Python 3.12 on
        total += exponential(rng)
    return total / shape


def shuffled(rng: Random, items: Sequence) -> list:
    """The items in random order."""
    keys = [rng.random() for _ in items]
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]


def at_day(rng: Random, day: int, first: float = 9, last: float = 22) -> int:
    """A time of the day between two hours."""
    return day * DAY + int(3600 * (first + (last - first) * rng.random()))


@cache
def day_text(day: int) -> str:
    """The day so many days after the first, as 2021-11-01."""
    return (START + timedelta(days=day)).isoformat()


def stamp(at: int | None) -> str:
    """A time as text in local time; empty if there is none.

    Examples
    --------
    >>> stamp(3661)
    '2021-11-01 01:01:01'
    """
    if at is None:
        return ""
    day, second = divmod(at, DAY)
    return f"{day_text(day)} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def yuan(fen: int, *, thousands: bool = False) -> str:
    """Money as text.

    Examples
    --------
    >>> yuan(1500000, thousands=True)
    '15,000.00'
    """
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100:{',' if thousands else ''}}.{fen % 100:02d}"
