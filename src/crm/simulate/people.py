"""Who the demo customers are: personas, traits, and the keys under which systems know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from crm.simulate.world import (
    DAY,
    DAYS,
    END,
    PLACES,
    World,
    at_day,
    exponential,
    gamma,
    pick,
    weighted,
)

INDUSTRIES = ["制造业", "互联网", "教育", "金融", "医疗", "零售", "建筑", "物流"]
SOURCES = ["搜索引擎", "社交媒体", "线下推荐", "微信小程序", "门店", "线下活动"]  # ING-17
HOBBIES = ["茶艺", "烹饪", "旅行", "摄影", "阅读", "亲子", "健身", "骑行俱乐部", "露营", "园艺"]
BLOGS = ["美食博主", "旅行博主", "穿搭博主", "数码博主", "育儿博主", "健身博主"]
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
GIVEN_NAMES = "伟芳敏静磊洋勇艳杰涛明超霞平刚华玉兰文慧宁欣雨晨浩宇佳怡嘉琪思远子涵梓轩若彤"
CONTRACTS = {"已签约": 0.6, "未签约": 0.35, "暂停合作": 0.05}
NEVER = 10**6  # a day after all data
RATE = 3.2  # purchases of an ordinary active customer in 90 ordinary days


@dataclass(frozen=True)
class Persona:
    """One way to shop.

    `rate` is the mean of purchases in 90 ordinary days, `shape` says how little customers
    differ in it (gamma), `visits` are visits in 30 days that end in no purchase.
    """

    share: float
    rate: float
    shape: int
    shelf: str
    purse: tuple[float, float]  # 1 spends little, 6 a lot
    visits: float
    coupons: float  # share of orders on which a coupon is used where one can be
    dwell: tuple[int, int]  # seconds on a page


PERSONAS = {
    "regular": Persona(0.33, RATE, 1, "all", (1.2, 4.0), 0.5, 0.08, (10, 120)),
    "loyal": Persona(0.08, 11.0, 4, "all", (3.0, 6.0), 1.0, 0.05, (10, 120)),
    "quality": Persona(0.18, 1.2, 1, "fine", (1.4, 3.0), 0.7, 0.02, (60, 300)),
    "bargain": Persona(0.19, 8.0, 2, "cheap", (1.2, 2.0), 0.8, 0.60, (10, 90)),
    "impulse": Persona(0.10, 3.0, 1, "all", (1.5, 3.5), 0.3, 0.15, (3, 20)),
    "browser": Persona(0.12, 0.08, 1, "all", (1.2, 2.0), 5.0, 0.05, (20, 180)),
}


@dataclass(slots=True)
class Person:
    """One customer: who it is, how it shops, and what becomes of it.

    `key` is the number in the CRM and `card` that of a store membership which nobody linked;
    one of them may be empty. From day `decline` on purchases thin out over `fading` days.
    """

    number: int
    key: str
    card: str
    persona: str
    name: str
    phone: str
    gender: str
    birth: date
    city: str
    district: str
    registered: int
    liked: str
    purse: float
    rate: float  # purchases on an ordinary day
    in_store: float
    decline: int
    fading: int
    reason: str
    source: str
    interests: list[str]
    follows: list[str]
    overtime: bool  # orders sugar-free drinks late and follows fitness bloggers
    corporate: bool
    linked: bool  # its CRM number also stands in the stores' list of members
    consents: dict[str, bool]
    points: int = 0
    complaints: list[str] = field(default_factory=list)
    paid: bool = False  # a corporate trial that became a contract

    @property
    def known(self) -> str:
        """The key that its first system knows it by."""
        return self.key or self.card

    @property
    def store_key(self) -> str:
        """The key at a till."""
        return self.card or self.key

    @property
    def since(self) -> int:
        """The first day on which it may buy."""
        return max(0, self.registered // DAY + 1)

    @property
    def stops(self) -> int:
        """The day from which it buys nothing more."""
        return self.decline + self.fading

    def activity(self, day: int) -> float:
        """Share of its purchases that are left: 1, less while it declines, 0 once it left."""
        if day < self.decline:
            return 1.0
        return max(0.0, 1 - (day - self.decline + 1) / self.fading)


def person(rng: Random, number: int, world: World) -> Person:
    """One new customer."""
    persona = weighted(rng, {name: kind.share for name, kind in PERSONAS.items()})
    key, card = _keys(rng, number, persona)
    who = _identity(rng, key)
    habits = _habits(rng, persona, key, who, world)
    return Person(
        number=number,
        key=key,
        card=card,
        persona=persona,
        **who,
        **habits,
        interests=_interests(rng, persona),
        follows=_follows(rng, habits["liked"], who["gender"], habits["overtime"]),
        corporate=bool(key) and rng.random() < 0.03,
        linked=bool(key) and not card and rng.random() < 0.2,
        consents=_consents(rng),
    )


def _identity(rng: Random, key: str) -> dict:
    """What a registration form asks."""
    city = pick(rng, list(PLACES), draws=2)
    return {
        "name": _name(rng),
        "phone": phone(rng),
        "gender": "女" if rng.random() < 0.55 else "男",
        "birth": END - timedelta(days=int(365.25 * (18 + 52 * min(rng.random(), rng.random())))),
        "city": city,
        "district": pick(rng, PLACES[city][1].split()),
        "registered": at_day(rng, DAYS - 1 - int(1095 * rng.random())),
        "source": pick(rng, SOURCES, draws=2) if key else "门店",
    }


def _habits(rng: Random, persona: str, key: str, who: dict, world: World) -> dict:
    """How a customer shops, and when and why it begins to leave."""
    kind = PERSONAS[persona]
    overtime = persona in ("regular", "impulse") and rng.random() < 0.08
    low, high = kind.purse
    in_store = 0.8 if who["source"] == "门店" else 0.3
    return {
        "liked": "饮料" if overtime else pick(rng, world.liked(kind.shelf), draws=2),
        "purse": low + (high - low) * rng.random(),
        "rate": gamma(rng, kind.shape) * kind.rate / 90,
        "in_store": in_store if key else 1.0,
        "decline": max(0, who["registered"] // DAY) + _leaves_after(rng),
        "fading": 20 + int(70 * rng.random()),
        "reason": weighted(rng, {"price": 30, "competitor": 30, "no need": 25, "moved": 15}),
        "overtime": overtime,
    }


def _keys(rng: Random, number: int, persona: str) -> tuple[str, str]:
    """CRM number and unlinked store card: 3 of 100 have the card alone, 5 have both."""
    dice = rng.random()
    card = f"M{number:07d}" if dice < 0.08 and persona != "browser" else ""
    return ("" if card and dice < 0.03 else f"C{number:07d}"), card


def _name(rng: Random) -> str:
    given = pick(rng, GIVEN_NAMES) + (pick(rng, GIVEN_NAMES) if rng.random() < 0.8 else "")
    return pick(rng, SURNAMES, draws=2) + given


def phone(rng: Random) -> str:
    """A number of 11 digits."""
    return f"1{3 + int(7 * rng.random())}{int(10**9 * rng.random()):09d}"


def _leaves_after(rng: Random) -> int:
    """Days until it begins to leave by itself; customers differ in how soon they tire."""
    return int(exponential(rng) / (0.0001 + 0.0018 * rng.random() * rng.random()))


def _interests(rng: Random, persona: str) -> list[str]:
    found = {pick(rng, HOBBIES) for _ in range(int(4 * rng.random()))}
    if persona == "loyal" and rng.random() < 0.3:
        found.add("骑行俱乐部")
    return sorted(found)


def _follows(rng: Random, liked: str, gender: str, overtime: bool) -> list[str]:
    found = {pick(rng, BLOGS[:4])} if rng.random() < 0.4 else set()
    if overtime or rng.random() < 0.04:
        found.add("健身博主")
    if liked == "母婴" and gender == "女" and rng.random() < 0.6:
        found.add("育儿博主")
    return sorted(found)


def _consents(rng: Random) -> dict[str, bool]:
    return {
        "数据分析": rng.random() < 0.97,
        "营销推送": rng.random() < 0.88,
        "个性化画像": rng.random() < 0.92,
        "第三方共享": rng.random() < 0.30,
    }
