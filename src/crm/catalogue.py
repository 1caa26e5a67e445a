"""Which tags there are: those that every source has, and those that one source declares.

The catalogue holds one entry for each tag (TAG-32): its rule has places for parameters, which
`crm.tags` fills. A source adds tags in `data/sources/<name>/tags.yaml`: preferences for products
(TAG-17), personas, for which several tags must agree (TAG-20, TAG-21), and extended fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crm.document import Document, Problem, did_you_mean, load
from crm.tables import lookup

if TYPE_CHECKING:
    import pandas as pd


class TagError(ValueError):
    """The tags that a source declares have problems; the message lists all, one a line."""

    def __init__(self, *problems: Problem):
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Tag:
    """One entry of the catalogue.

    `rule` has places such as `{purchases_spend_days}` for parameters; `window` names the one that
    is the tag's window in days. `revision` is raised by hand where the code of a rule changes and
    its words do not. A tag that is `many` has rows, any other a column.
    """

    name: str
    chinese: str
    meaning: str
    sources: str
    rule: str
    window: str = ""
    owner: str = "marketing"
    many: bool = False
    requirement: str = ""
    revision: int = 1


_FIELD = "the field of that name in the newest customer record"
CATALOGUE = (
    Tag("gender", "性别", "gender; unknown is a value of its own", "customers",
        _FIELD + ", empty is unknown", requirement="TAG-01, Q-14"),
    Tag("age", "年龄", "age in whole years; −1 if unknown", "customers",
        "birthdays from the date of birth to the reference date", requirement="TAG-02, Q-15"),
    Tag("age_band", "年龄段", "band of age", "customers",
        "bands that begin at the ages {label_ages}", requirement="TAG-02, Q-15"),
    Tag("province", "省份", "province", "customers", _FIELD, requirement="TAG-03"),
    Tag("city", "城市", "city", "customers", _FIELD, requirement="TAG-03"),
    Tag("district", "区县", "district", "customers", _FIELD, requirement="TAG-03"),
    Tag("country", "国家", "country of most purchases", "orders",
        "country of most purchases; of a tie the first by name", requirement="TAG-03"),
    Tag("industry", "行业", "industry", "customers", _FIELD, requirement="TAG-04"),
    Tag("customer_type", "客户类型", "new, old or churned customer", "customers, orders",
        "churned: last purchase {label_churned_days} or more days ago; else new: registered less "
        "than {label_new_days} days ago (first purchase where no registration is known); else old",
        requirement="TAG-05, Q-19, Q-52"),
    Tag("acquisition", "渠道来源", "channel that brought the customer", "customers", _FIELD,
        requirement="TAG-06"),
    Tag("contract_status", "签约状态", "status of the contract", "customers", _FIELD,
        owner="sales", requirement="TAG-07"),
    Tag("freq_30d", "消费频次", "purchases lately", "orders, returns",
        "purchases in the window of {purchases_frequency_days} days",
        "purchases_frequency_days", requirement="TAG-08"),
    Tag("spend_90d", "消费金额", "spend lately, after returns", "orders, returns",
        "amounts of orders less lines cancelled whole, which count with their order, and less "
        "other returns, booked when they came, in the window of "
        "{purchases_spend_days} days", "purchases_spend_days", requirement="TAG-09, Q-22"),
    Tag("freq_90d", "季度消费频次", "purchases in the window of spend", "orders, returns",
        "purchases in the window of {purchases_spend_days} days", "purchases_spend_days",
        requirement="TAG-08"),
    Tag("aov", "客单价", "average order value; empty without purchases", "orders, returns",
        "spend_90d ÷ freq_90d", "purchases_spend_days", requirement="TAG-10"),
    Tag("top_category", "购买品类偏好", "category with most spend", "order_items, products",
        "category with the largest spend in the window of {liked_days} days, of a tie the one "
        "with more orders, then the first by code; lines cancelled whole do not count",
        "liked_days", "product", requirement="TAG-11"),
    Tag("top_category_share", "首选品类占比", "its share of spend on goods",
        "order_items, products", "spend in top_category ÷ spend on all goods, in the window of "
        "{liked_days} days", "liked_days", "product", requirement="TAG-11"),
    Tag("email_open_rate", "打开营销邮件率", "mails opened; empty if none was delivered",
        "campaign_contacts", "mails opened ÷ mails delivered in the window of {answered_days} "
        "days", "answered_days", requirement="TAG-12"),
    Tag("email_click_rate", "邮件点击率", "mails clicked; empty if none was delivered",
        "campaign_contacts", "mails clicked ÷ mails delivered in the window of {answered_days} "
        "days", "answered_days", requirement="TAG-13, Q-24"),
    Tag("campaign_rate", "活动参与率", "campaigns joined; empty if never invited",
        "campaign_contacts", "campaigns joined ÷ campaigns invited to in the window of "
        "{answered_days} days; groups left out for comparison are not invited", "answered_days",
        requirement="TAG-13, Q-24"),
    Tag("enquiries_90d", "客服咨询频次", "enquiries lately", "tickets, interactions",
        "cases of the kind enquiry, and messages of the customer on {served_topics}, in the "
        "window of {served_days} days", "served_days", "service", requirement="TAG-14"),
    Tag("complaints_n", "投诉次数", "complaints so far", "tickets", "cases of the kind complaint",
        owner="service", requirement="TAG-15"),
    Tag("last_complaint_on", "最近投诉日期", "day of the last complaint", "tickets",
        "day on which the last case of the kind complaint was opened", owner="service",
        requirement="TAG-15"),
    Tag("praise_n", "表扬次数", "praise so far", "tickets", "cases of the kind praise",
        owner="service", requirement="TAG-15"),
    Tag("last_praise_on", "最近表扬日期", "day of the last praise", "tickets",
        "day on which the last case of the kind praise was opened", owner="service",
        requirement="TAG-15"),
    Tag("spend_level", "消费水平", "level of spend", "features/rfm",
        "by M score: high from {label_high}, middle from {label_middle}, else low",
        requirement="TAG-16, Q-21"),
    Tag("frequency_level", "频次水平", "level of frequency", "features/rfm",
        "by F score: high from {label_high}, middle from {label_middle}, else low",
        requirement="TAG-16, Q-21"),
    Tag("behaviour", "行为标签", "both levels in one label", "features/rfm",
        "spend level (high from {label_high}, middle from {label_middle}) and frequency level",
        requirement="TAG-16, Q-21"),
    Tag("overtime_order_share", "加班时段下单占比", "share of purchases in overtime hours",
        "orders", "purchases on Monday to Friday in the hours {purchases_overtime} ÷ purchases, "
        "in the window of {purchases_habit_days} days", "purchases_habit_days",
        requirement="TAG-19"),
    Tag("active_time", "活跃时段", "part of the day in which the customer is active",
        "orders, interactions", "part of the day with most purchases and messages of the customer "
        "in the window of {reached_days} days; of a tie the earlier one", "reached_days",
        requirement="TAG-31"),
    Tag("interactions_n", "互动次数", "communications", "interactions",
        "communications in the window of {reached_days} days", "reached_days", "service",
        requirement="TAG-31"),
    Tag("preferred_channel", "偏好沟通渠道", "channel with most communications", "interactions",
        "channel with most communications in the window of {reached_days} days; of a tie the "
        "first by name", "reached_days", "service", requirement="TAG-31"),
    Tag("purchase_channel", "偏好购买渠道", "channel with most purchases", "orders",
        "channel with most purchases in the window of {channels_days} days; of a tie the one with "
        "more spend, then the first by name", "channels_days", requirement="TAG-34"),
    Tag("purchase_channel_share", "首选渠道占比", "its share of purchases", "orders",
        "purchases through purchase_channel ÷ purchases, in the window of {channels_days} days",
        "channels_days", requirement="TAG-34"),
    Tag("active_quarters", "活跃季度数", "of the last four quarters, those with a purchase",
        "orders", "quarters of 91 days back from the reference date with a purchase, at most four",
        requirement="TAG-26"),
    Tag("loyalty", "忠诚度", "how steadily the customer buys", "orders",
        "loyal: a purchase in at least {label_loyal_quarters} of the last four quarters; "
        "occasional: in fewer; inactive: in none", requirement="TAG-26"),
    Tag("interest", "兴趣爱好", "one interest", "customers, traits",
        "each part of the field interests, and each trait that is an interest", many=True,
        requirement="TAG-18"),
    Tag("social", "社交标签", "one trait from a social or demographic source", "traits",
        "each other trait, seen up to the reference date", many=True, requirement="TAG-18"),
    Tag("channel_share", "渠道购买占比", "share of purchases through one channel", "orders",
        "purchases through the channel ÷ purchases, in the window of {channels_days} days",
        "channels_days", many=True, requirement="TAG-34"),
    Tag("channel_contacts", "渠道互动次数", "communications through one channel",
        "interactions", "communications through the channel in the window of {reached_days} days",
        "reached_days", "service", many=True, requirement="TAG-31"),
)  # fmt: skip
COLUMNS = tuple(tag.name for tag in CATALOGUE if not tag.many)
NUMBERS = tuple(
    column.name for column in lookup("features/tags").columns
    if column.type in ("int", "float", "money")
)  # fmt: skip
TEXTS = tuple(column.name for column in lookup("features/tags").columns if column.type == "string")


@dataclass(frozen=True)
class Condition:
    """One condition of a persona: a tag, and what its value or number must be."""

    tag: str
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()

    def holds(self, tags: pd.DataFrame, many: pd.DataFrame) -> pd.Series:
        """Whether it holds for each customer; what is not known does not hold."""
        if self.tag in COLUMNS:
            return self._fits(tags[self.tag])
        mine = many[many["tag"] == self.tag]
        value = mine["value"] if self.one_of else mine["number"]
        return tags["customer_id"].isin(mine.loc[self._fits(value), "customer_id"])

    def _fits(self, values: pd.Series) -> pd.Series:
        if self.one_of:
            return values.isin(self.one_of)
        low = values >= self.at_least if self.at_least is not None else values.notna()
        return low & (values <= self.at_most) if self.at_most is not None else low

    @property
    def said(self) -> str:
        """The condition in words, for the catalogue."""
        parts = [f"is {' or '.join(self.one_of)}"] if self.one_of else []
        parts += [f"at least {self.at_least:.12g}"] if self.at_least is not None else []
        parts += [f"at most {self.at_most:.12g}"] if self.at_most is not None else []
        return f"{self.tag} {' and '.join(parts) or 'known'}"


@dataclass(frozen=True)
class Preference:
    """A preference for some products: who ordered one of them at least so often (TAG-17)."""

    tag: str
    chinese: str
    meaning: str
    products: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    at_least: int = 1
    days: int = 365
    owner: str = "product"


@dataclass(frozen=True)
class Persona:
    """A rule of several conditions, all of which must hold, and the action for its customers."""

    tag: str
    chinese: str
    meaning: str
    conditions: tuple[Condition, ...]
    action: str
    owner: str = "marketing"


@dataclass(frozen=True)
class Field:
    """An extended field of customers that becomes a tag."""

    tag: str
    chinese: str
    meaning: str
    field: str
    owner: str = "marketing"


@dataclass(frozen=True)
class Declared:
    """The tags that one source adds."""

    preferences: tuple[Preference, ...] = ()
    personas: tuple[Persona, ...] = ()
    fields: tuple[Field, ...] = ()

    def entries(self) -> list[Tag]:
        """Their entries in the catalogue."""
        made = []
        for one in self.preferences:
            goods = ", ".join([*one.products, *one.categories])
            rule = f"at least {one.at_least} orders with {goods} in the window of {one.days} days"
            made.append(_entry(one, "order_items, products", rule, "TAG-17"))
        for one in self.fields:
            made.append(_entry(one, "customers", f"the extended field {one.field}", "ING-14"))
        for one in self.personas:
            rule = " and ".join(condition.said for condition in one.conditions)
            made.append(_entry(one, "tags", f"{rule}; action: {one.action}", "TAG-20, TAG-21"))
        return made


def read(path: Path, extended: Iterable[str] = ()) -> Declared:
    """The tags that a source declares; raises `TagError` with every problem of the file.

    `extended` are the fields that its mapping declares.
    """
    declared, problems = check(path, extended)
    if problems:
        raise TagError(*problems)
    return declared


def check(path: Path, extended: Iterable[str] = ()) -> tuple[Declared, list[Problem]]:
    """The tags in `data/sources/<name>/tags.yaml`, and all problems of the file."""
    path = Path(path)
    doc = Document(f"data/sources/{path.resolve().parent.name}/{path.name}")
    try:
        data = load(path, doc)
    except FileNotFoundError:
        doc.add((), "there is no such file", "a file, empty if unused", "write an empty one")
        data = None
    if doc.problems or data is None:
        return Declared(), doc.problems
    reader = _Reader(doc, tuple(extended))
    return reader.declared(data), doc.problems


_ITEM = ("tag", "chinese", "meaning", "owner")
_KEYS = {
    "preferences": (*_ITEM, "products", "categories", "at_least", "days"),
    "personas": (*_ITEM, "all", "action"),
    "fields": (*_ITEM, "field"),
}
_CONDITION = ("tag", "at_least", "at_most", "one_of")
_NEEDED = {
    "preferences": ("tag", "chinese", "meaning"),
    "personas": ("tag", "chinese", "meaning", "all", "action"),
    "fields": ("tag", "chinese", "meaning", "field"),
}


class _Reader:
    """Reads the parts of tags.yaml and notes what is wrong with them."""

    def __init__(self, doc: Document, extended: tuple[str, ...]):
        self.doc, self.extended = doc, extended
        self.known = {tag.name for tag in CATALOGUE}
        self.texts = {n for n in self.known if n in TEXTS or n in ("interest", "social")}
        self.several = {"channel_share", "channel_contacts"}  # the channel, and how much of it
        self.numbers = {*NUMBERS, *self.several}

    def declared(self, data) -> Declared:
        if not self._keys((), data, tuple(_KEYS), ()):
            return Declared()
        parts = {name: self._items(name, data.get(name)) for name in _KEYS}
        for name, items in parts.items():
            for place, item in items:
                self._name((name, place), item)
        self.texts |= {str(item["tag"]) for _, item in parts["fields"]}
        liked = {str(item["tag"]) for _, item in parts["preferences"]}  # yes, and its orders
        self.several, self.numbers = self.several | liked, self.numbers | liked
        preferences = [self._preference(("preferences", i), x) for i, x in parts["preferences"]]
        fields = [self._field(("fields", i), x) for i, x in parts["fields"]]
        people = [self._persona(("personas", i), x) for i, x in parts["personas"]]
        return Declared(tuple(preferences), tuple(people), tuple(fields))

    def _items(self, name: str, items) -> list[tuple[int, dict]]:
        if items is None:
            return []
        if not isinstance(items, list):
            self.doc.add((name,), f"{name} is no list", "a list of tags", "begin each with a -")
            return []
        at = [(place, (name, place), item) for place, item in enumerate(items)]
        return [(p, x) for p, where, x in at if self._keys(where, x, _KEYS[name], _NEEDED[name])]

    def _keys(self, at: tuple, item, keys: tuple, needed: tuple) -> bool:
        where = self._at(at)
        if not isinstance(item, dict):
            self.doc.add(at, f"{where} is {_shown(item)}", f"keys such as {keys[0]}", "write keys")
            return False
        for key in item:
            if key not in keys:
                hint = did_you_mean(key, keys)
                self.doc.add((*at, key), f"the key {where}.{key}", "a key of the list", hint)
        missing = [key for key in needed if not item.get(key)]
        for key in missing:
            self.doc.add(at, f"{where} has no {key}", f"the key {key}", f"write {key}: …")
        return not missing and all(key in keys for key in item)

    def _name(self, at: tuple, item: dict) -> None:
        name = item["tag"]
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            expected = "small letters, digits and _, beginning with a letter"
            self._wrong((*at, "tag"), name, expected, "choose another name")
        elif name in self.known:
            self._wrong((*at, "tag"), name, "a name of its own", "it is taken; choose another")
        self.known.add(str(name))

    def _preference(self, at: tuple, item: dict) -> Preference:
        goods = {k: self._texts((*at, k), item.get(k)) for k in ("products", "categories")}
        if not any(goods.values()):
            found = f"{self._at(at)} names no products and no categories"
            self.doc.add(at, found, "a list of one of them", "write products: [code, …]")
        numbers = {
            key: int(self._number((*at, key), item[key], least=1, whole=True))
            for key in ("at_least", "days")
            if key in item
        }
        return Preference(**_texts(item), **goods, **numbers)

    def _field(self, at: tuple, item: dict) -> Field:
        if item["field"] not in self.extended:
            if self.extended:
                hint = did_you_mean(str(item["field"]), self.extended)
            else:
                hint = "declare it there first: fields: [{name: …}]"
            expected = "a field that mapping.yaml declares below `fields`"
            self._wrong((*at, "field"), item["field"], expected, hint)
        return Field(**_texts(item), field=str(item["field"]))

    def _persona(self, at: tuple, item: dict) -> Persona:
        conditions = item["all"] if isinstance(item["all"], list) else [item["all"]]
        made = []
        for place, one in enumerate(conditions):
            where = (*at, "all", place)
            if self._keys(where, one, _CONDITION, ("tag",)):
                made.append(self._condition(where, one))
        return Persona(**_texts(item), conditions=tuple(made), action=str(item["action"]))

    def _condition(self, at: tuple, item: dict) -> Condition:
        name = str(item["tag"])
        if name not in self.known:
            self._wrong((*at, "tag"), name, "a tag", did_you_mean(name, sorted(self.known)))
        limits = [key for key in ("at_least", "at_most") if key in item]
        if bool(limits) == ("one_of" in item):
            found = f"{self._at(at)} has {', '.join([*limits, *(['one_of'] if limits else [])])}"
            found = found if limits else f"{self._at(at)} has no limit"
            self.doc.add(at, found, "at_least, at_most or both; or one_of", "write one of them")
        elif name in self.known and name not in self.numbers | self.texts:
            expected = "a tag that is a text or a number"
            self._wrong((*at, "tag"), name, expected, "dates and personas cannot be conditions")
        elif limits and name in self.texts:
            self._wrong((*at, "tag"), name, "a tag that is a number", "use one_of: […]")
        elif not limits and name in self.numbers - self.several:
            self._wrong((*at, "tag"), name, "a tag that is a text", "use at_least: …")
        numbers = {key: self._number((*at, key), item[key]) for key in limits}
        return Condition(name, **numbers, one_of=self._texts((*at, "one_of"), item.get("one_of")))

    def _texts(self, at: tuple, values) -> tuple[str, ...]:
        if values is None:
            return ()
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
            self._wrong(at, values, "a list of texts", "write it in brackets: [one, two]")
            return ()
        return tuple(values)

    def _number(self, at: tuple, text, *, least: float = float("-inf"), whole: bool = False):
        kind = "a whole number" if whole else "a number"
        try:
            number = int(text) if whole else float(text)
        except (TypeError, ValueError):
            self._wrong(at, text, kind, "mend it")
            return 1
        if number < least or number != number:
            self._wrong(at, text, f"{kind} of at least {least:g}", "mend it")
            return 1
        return number

    def _wrong(self, at: tuple, value, expected: str, mend: str) -> None:
        self.doc.add(at, f"{self._at(at)} is {_shown(value)}", expected, mend)

    def _at(self, at: tuple) -> str:
        parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in at]
        return "".join(parts).lstrip(".") or "the file"


def _entry(one, sources: str, rule: str, requirement: str) -> Tag:
    rule = rule.replace("{", "{{").replace("}", "}}")
    return Tag(one.tag, one.chinese, one.meaning, sources, rule, owner=one.owner, many=True,
               requirement=requirement)  # fmt: skip


def _shown(value) -> str:
    return "empty" if value in (None, "") else repr(value)


def _texts(item: dict) -> dict:
    return {key: str(item[key]) for key in _ITEM if key in item}
