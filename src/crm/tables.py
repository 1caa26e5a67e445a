"""The schema of every table: what one row is, its columns, key, owner and purpose.

A table is named by its place below `data/`, without suffix: `clean/orders` is the table
`orders` of the layer `clean`. Facts grow with transactions and lie in one folder per month;
the others grow with customers or products and are one file. Columns classed as personal
exist only in `vault/` tables, where they are encrypted (PRV-01…04).

A table goes through three layers: `staged` (typed, as it arrived, keys of the source), `clean`
(after the rules) and `tables` (with `customer_id`, the only facts that analyses read). The
*records* below (events, tickets, …) have the same columns in each, written once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STRIDE = 1_000_000_000  # a line's number is file × this + row, so it names both

TYPES = {  # our name: (DuckDB, pandas)
    "string": ("VARCHAR", "str"),
    "int": ("BIGINT", "int64"),
    "money": ("DECIMAL(18,4)", "float64"),
    "quantity": ("DECIMAL(18,4)", "float64"),
    "float": ("DOUBLE", "float64"),
    "date": ("DATE", "datetime64[us]"),
    "timestamp": ("TIMESTAMP", "datetime64[us]"),
    "bool": ("BOOLEAN", "bool"),
}


class TableError(ValueError):
    """A table does not have the columns, types or key that its schema promises."""


@dataclass(frozen=True)
class Column:
    """One column: its type, what it holds, and how far it may travel.

    `required` columns must be mapped by a source and may not be empty; `codes` is the closed
    list of values; `personal` columns identify a person and stay in the vault; `free` columns
    are text that people wrote, in which phones, e-mails and ID numbers are masked at intake;
    `sensitive` ones, such as assets, enter features in bands only (PRV-05); `unit` says what a
    number counts.
    """

    name: str
    type: str
    about: str
    required: bool = False
    codes: tuple[str, ...] = ()
    personal: bool = False
    free: bool = False
    unit: str = ""
    sensitive: bool = False


@dataclass(frozen=True)
class Table:
    """One table: what a row is, who owns it, what it is for, and its columns.

    `time` names the column that decides the month folder of a fact table; a table without
    it is one file. `same` names the columns that tell two versions of one record: of these the
    newest counts (ING-25). `needs` is the purpose that each customer in it must permit: a row of
    one who does not is refused when the table is written (PRV-07).
    """

    name: str
    row: str
    owner: str
    purpose: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    time: str | None = None
    same: tuple[str, ...] = ()
    needs: str = ""

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _c(name: str, type: str, about: str, **options) -> Column:
    return Column(name, type, about, **options)


KINDS = ("sale", "return", "adjustment", "test")
GENDERS = ("male", "female", "unknown")  # CLN-03, Q-14
CONTRACTS = ("signed", "unsigned", "suspended")  # ING-16
CONTACTS = ("ok", "to_verify", "missing")  # CLN-01
EVENTS = ("view", "search", "click", "favourite", "cart", "checkout", "share", "login")  # ING-05
TICKETS = ("enquiry", "complaint", "praise", "repair", "other")  # ING-07
ARMS = ("treated", "control")  # of a campaign with a group that is left out
DEALS = ("lead", "opportunity", "won", "lost")  # ING-21
DUPLICATES = ("keep", "drop")  # CLN-05
ACTIONS = ("quarantine", "drop", "fix", "flag")  # what becomes of a row that breaks a rule
PURPOSES = ("analysis", "marketing", "profiling", "sharing")  # PRV-07
GROUNDS = ("agreed", "refused", "basis", "nothing said")  # of a permission or its lack
COSTS = ("goods", "shipping", "service", "fee")  # ING-08
GOODS = COSTS[0]  # the one that is of one unit of a product
ANALYSES = ("RFM", "clusters", "baskets", "churn")  # of which the data may carry some
GRADES = ("no", "with care", "yes")  # how well
LEVELS = ("high", "middle", "low")  # of spend and of frequency (TAG-16)
LOYALTIES = ("loyal", "occasional", "inactive")  # TAG-26
TYPES_OF_CUSTOMER = ("new", "old", "churned")
LIFECYCLE = ("prospect", "new", "mature", "churned")
ROADS = ("purchase", "contact")  # what a channel is used for
MOMENTS = (  # what can happen between a customer and the company (C360-10)
    *("registration", "consent", "lead", "visit", "use", "touchpoint", "campaign"),
    *("order", "return", "interaction", "ticket", "survey", "review"),
)
LINKS = ("own key", "decision", "same name and contact", "probability")  # C360-02
HELD = ("yes", "no", "too few", "not looked at")  # of a rule, at another time
RELATIONS = ("complement", "substitute", "in turn")  # ASC-07
GOODS_OF = ("variants", "different goods")  # what a rule goes between
TIERS = ("high value", "potential", "general", "at risk", "no purchase")  # RFM-03…06, RFM-10
GROUPS = (  # CLU-02…04, by the value of one order: many small ones may bring most of the sales
    "high order value, low frequency",  # 高消费低频次
    "low order value, high frequency",  # 低消费高频次
    "active, not converted",  # 活跃互动未转化
)
CROSS_SELLING = ("follows", "bought together")  # where a rule behind an offer comes from (ASC-08)
LOOKALIKE_OFFERS = (  # to businesses, to who has not bought, to who bought once
    "industry solution white paper", "newcomer coupon", "a reason for a second purchase",
)  # fmt: skip
NO_MOVE = "none"  # no purchase at either date, or no history
MOVES = ("moved up", "stayed", "moved down", "began to buy", NO_MOVE)  # RFM-17
NO_PERSONA = "none"
PERSONAS = ("price-sensitive", "quality-seeking", "impulse", NO_PERSONA)  # CLU-07, Q-11

# words that stand for no name, as forms and typists use them
NO_NAME = (
    "测试", "测试用户", "测试账号", "测试客户", "无名氏", "无名", "匿名", "匿名用户", "未知",
    "未填", "未填写", "客户", "顾客", "用户", "会员", "散客", "先生", "女士", "小姐", "新用户",
    "test", "tester", "test user", "test test", "demo", "anonymous", "unknown", "guest", "user",
    "customer", "member", "admin", "name", "null", "none", "na", "a n", "nan",
)  # fmt: skip

_BETWEEN = _c("between", "string", "variants of one article, or goods that differ", codes=GOODS_OF)
_SOURCE = _c("source", "string", "the source the row came from")
_CUSTOMER_KEY = _c("customer_key", "string", "the customer's key in the source; empty if unknown")
_CUSTOMER_ID = _c("customer_id", "string", "pseudonym of the customer; empty if unknown")
_PRODUCT = _c("product_id", "string", "the product's code in the source", required=True)
_ORDERED_AT = _c("ordered_at", "timestamp", "when the order was placed, local time", required=True)
_CHANNEL = _c("channel", "string", "where the order was placed, such as web or store")
_COUNTRY = _c("country", "string", "country of the customer or the delivery")
_UNIT_PRICE = _c("unit_price", "money", "price of one unit", required=True)

_CUSTOMER_FACTS = (
    _c("registered_on", "date", "day of registration", required=True),
    _c("updated_on", "date", "day on which the record was last changed (ING-25)"),
    _c("industry", "string", "industry of the customer"),
    _c("gender", "string", "gender", codes=GENDERS),
    _c("birth_date", "date", "date of birth, for the age"),
    _c("province", "string", "province"),
    _c("city", "string", "city"),
    _c("district", "string", "district"),
    _c("interests", "string", "interests, separated by ;", free=True),
    _c("acquisition", "string", "channel that brought the customer (ING-17)"),
    _c("contract_status", "string", "status of the contract (ING-16)", codes=CONTRACTS),
    _c("renewal_intent", "string", "what the customer says about renewing (ING-28)"),
    _c("assets", "money", "assets held on the account (ING-28)", sensitive=True),
    _c("points", "quantity", "member points (ING-18)", unit="points"),
    _c("consumption_preference", "string", "what the customer says to prefer (ING-14)"),
    _c("complaint_record", "string", "what the file notes of complaints (ING-14)", free=True),
)
_PERSONAL_STATUSES = (  # what may be known of personal columns outside the vault
    _c("phone_status", "string", "whether the phone can be called (CLN-01)", codes=CONTACTS),
    _c("email_status", "string", "whether the e-mail is well formed", codes=CONTACTS),
    _c("name_status", "string", "whether there is a name", codes=("ok", "missing")),
)
PERSONAL_STATUSES = tuple(column.name for column in _PERSONAL_STATUSES)
MISSING = {"gender": "unknown"}  # what an empty field of customers becomes (CLN-03, CLN-06)
_IMPUTED = _c("imputed", "string", "fields that a policy filled, separated by ; (CLN-06)")
_PERSONAL = (
    _c("name", "string", "full name", required=True, personal=True),
    _c("phone", "string", "phone number", personal=True),
    _c("email", "string", "e-mail address", personal=True),
    _c("address", "string", "postal address", personal=True),
    _c("id_number", "string", "number of an identity document", personal=True),
)
_LINE = (
    _c("quantity", "quantity", "units", required=True),
    _UNIT_PRICE,
    _c("amount", "money", "quantity × unit price"),
)
_ITEM = (
    *_LINE,
    _c("is_duplicate", "bool", "the same line stands earlier in the source (CLN-05)"),
)
_ORDER = (
    _CHANNEL,
    _COUNTRY,
    _c("lines", "int", "lines sold"),
    _c("amount", "money", "sales before returns"),
)
_RETURN = (
    _COUNTRY,
    *_LINE,
    _c("reverses", "string", "order of which it cancels a whole line; empty if none was found"),
    _c("reverses_line", "int", "the line of that order, as in order_items"),
)
_PRODUCT_FACTS = (
    _PRODUCT,
    _c("product_name", "string", "name shown to people"),
    _c("category", "string", "category; empty if the source has none"),
    _c("list_price", "money", "price on the label"),
    _c("is_product", "bool", "false for postage, fees, vouchers and manual entries"),
)
_CAMPAIGN = _c("campaign_id", "string", "the campaign's key")
_ORDER_ID = _c("order_id", "string", "order number")
_TEXT = _c("text", "string", "what was written, contacts masked", free=True)

# One record of each kind: columns that all layers share. A table without `customer_key` is about
# no customer. `same` is the key that a later version of the record repeats.
_RECORDS = [
    Table(
        "events",
        "one thing a customer did on the website, in the app or mini-program (ING-05)",
        "product",
        "interest, use and paths before a purchase",
        (),
        (
            _CUSTOMER_KEY,
            _c("at", "timestamp", "when", required=True),
            _c("kind", "string", "what was done", codes=EVENTS, required=True),
            _c("target", "string", "page or thing it was done to"),
            _c("product_id", "string", "the product concerned"),
            _c("dwell_seconds", "quantity", "time spent there", unit="seconds"),
            _c("position", "quantity", "place in the path of the visit, from 1"),
            _c("device", "string", "device, such as app, mini-program or web"),
        ),
        time="at",
    ),
    Table(
        "interactions",
        "one communication with a customer (ING-06, ING-23)",
        "service",
        "contact history and preferred channel",
        (),
        (
            _CUSTOMER_KEY,
            _c("at", "timestamp", "when", required=True),
            _c("channel", "string", "channel, such as wecom, phone or sms", required=True),
            _c("direction", "string", "who began", codes=("in", "out")),
            _c("topic", "string", "what it was about"),
            _TEXT,
        ),
        time="at",
    ),
    Table(
        "tickets",
        "one case of customer service (ING-07)",
        "service",
        "complaints, praise, response times and churn reasons",
        (),
        (
            _c("ticket_id", "string", "the case's number", required=True),
            _CUSTOMER_KEY,
            _c("opened_at", "timestamp", "when it was opened", required=True),
            _c("first_response_at", "timestamp", "when it was first answered"),
            _c("resolved_at", "timestamp", "when it was closed"),
            _c("kind", "string", "kind of case", codes=TICKETS, required=True),
            _c("topic", "string", "what it was about"),
            _c("outcome", "string", "how it ended"),
            _c("agent", "string", "code of the person who answered"),
            _TEXT,
        ),
        same=("ticket_id",),
    ),
    Table(
        "campaigns",
        "one campaign",
        "marketing",
        "effect of campaigns",
        (),
        (
            _c("campaign_id", "string", "the campaign's key", required=True),
            _c("campaign_name", "string", "name shown to people"),
            _c("kind", "string", "kind of campaign"),
            _c("channel", "string", "channel"),
            _c("starts_on", "date", "first day", required=True),
            _c("ends_on", "date", "last day"),
            _c("offer", "string", "what is offered"),
            _c("cost", "money", "cost of the whole campaign"),
        ),
        same=("campaign_id",),
    ),
    Table(
        "campaign_contacts",
        "one customer addressed, or left out on purpose, by one campaign (ING-19)",
        "marketing",
        "open, click and participation rates; response",
        (),
        (
            _c("campaign_id", "string", "the campaign's key", required=True),
            _CUSTOMER_KEY,
            _c("channel", "string", "channel"),
            _c("arm", "string", "treated, or left out for comparison", codes=ARMS),
            _c("sent_at", "timestamp", "when it was sent; of a control, when it would have been"),
            _c("delivered_at", "timestamp", "when it arrived"),
            _c("opened_at", "timestamp", "when it was first opened"),
            _c("clicked_at", "timestamp", "when a link was first followed"),
            _c("joined_at", "timestamp", "when the customer joined the campaign"),
            _c("used_at", "timestamp", "when its coupon was used"),
        ),
        time="sent_at",
    ),
    Table(
        "coupons",
        "one kind of coupon",
        "marketing",
        "price sensitivity and effect of offers",
        (),
        (
            _c("coupon_id", "string", "the coupon's key", required=True),
            _CAMPAIGN,
            _c("coupon_name", "string", "name shown to people"),
            _c("threshold", "money", "order value from which it may be used"),
            _c("value", "money", "what it takes off"),
            _c("valid_from", "date", "first day"),
            _c("valid_to", "date", "last day"),
        ),
        same=("coupon_id",),
    ),
    Table(
        "discounts",
        "one discount given on one order, or one coupon used by a customer (ING-19)",
        "marketing",
        "coupon use and price sensitivity",
        (),
        (
            _c("order_id", "string", "order number; empty if a source names the customer alone"),
            _CUSTOMER_KEY,
            _c("coupon_id", "string", "the coupon's key"),
            _CAMPAIGN,
            _c("given_at", "timestamp", "when", required=True),
            _c("amount", "money", "money taken off"),
        ),
    ),
    Table(
        "spend",
        "marketing cost of one channel on one day (ING-20)",
        "marketing",
        "return on marketing cost",
        (),
        (
            _c("day", "date", "day", required=True),
            _c("channel", "string", "channel", required=True),
            _CAMPAIGN,
            _c("cost", "money", "cost", required=True),
            _c("impressions", "quantity", "times shown"),
            _c("clicks", "quantity", "clicks"),
        ),
        same=("day", "channel", "campaign_id"),
    ),
    Table(
        "touchpoints",
        "one contact of a customer with a marketing channel (ING-20)",
        "marketing",
        "attribution",
        (),
        (
            _CUSTOMER_KEY,
            _c("at", "timestamp", "when", required=True),
            _c("channel", "string", "channel", required=True),
            _CAMPAIGN,
        ),
        time="at",
    ),
    Table(
        "leads",
        "one lead and how far it came (ING-21)",
        "sales",
        "sales funnel and follow-up",
        (),
        (
            _c("lead_id", "string", "the lead's key", required=True),
            _CUSTOMER_KEY,
            _c("created_at", "timestamp", "when it came", required=True),
            _c("channel", "string", "channel that brought it"),
            _c("stage", "string", "how far it came", codes=DEALS, required=True),
            _c("stage_at", "timestamp", "when it reached that stage"),
            _c("owner", "string", "code of the person in charge"),
            _c("first_follow_up_at", "timestamp", "when it was first followed up"),
            _c("outcome", "string", "how it ended, or why it was lost"),
            _c("value", "money", "expected value"),
        ),
        same=("lead_id",),
    ),
    Table(
        "surveys",
        "one answer to one question of a survey (ING-22)",
        "service",
        "satisfaction and loyalty",
        (),
        (
            _c("survey_id", "string", "number of the answer sheet", required=True),
            _CUSTOMER_KEY,
            _c("answered_at", "timestamp", "when", required=True),
            _c("instrument", "string", "set of questions, such as nps or csat", required=True),
            _c("question", "string", "the question"),
            _c("score", "quantity", "the score"),
            _c("scale_max", "quantity", "the best score there is"),
            _TEXT,
        ),
        same=("survey_id", "question"),
    ),
    Table(
        "reviews",
        "one review of a product (ING-09)",
        "product",
        "what customers praise and blame",
        (),
        (
            _c("review_id", "string", "the review's key", required=True),
            _CUSTOMER_KEY,
            _c("product_id", "string", "the product concerned"),
            _c("written_at", "timestamp", "when", required=True),
            _c("score", "quantity", "stars"),
            _c("platform", "string", "where it was written"),
            _TEXT,
        ),
        same=("review_id",),
    ),
    Table(
        "usage",
        "use of one module by one customer on one day (ING-10)",
        "product",
        "engagement and early warning",
        (),
        (
            _CUSTOMER_KEY,
            _c("day", "date", "day", required=True),
            _c("module", "string", "module or feature"),
            _c("sessions", "quantity", "sessions"),
            _c("clicks", "quantity", "clicks"),
            _c("logins", "quantity", "logins"),
            _c("templates_made", "quantity", "templates made"),
            _c("minutes", "quantity", "time spent", unit="minutes"),
        ),
        time="day",
        same=("customer_key", "day", "module"),
    ),
    Table(
        "consents",
        "one statement of a customer on one purpose (PRV-07)",
        "data protection",
        "who may be analysed and addressed",
        (),
        (
            _CUSTOMER_KEY,
            _c("purpose", "string", "what is permitted", codes=PURPOSES, required=True),
            _c("granted", "string", "the answer", codes=("yes", "no"), required=True),
            _c("at", "timestamp", "when", required=True),
        ),
    ),
    Table(
        "finance",
        "one cost of a product, an order or a customer (ING-08)",
        "finance",
        "margin",
        (),
        (
            _c("day", "date", "day from which it holds, or of the booking", required=True),
            _c("kind", "string", "kind of cost", codes=COSTS, required=True),
            _c("product_id", "string", "the product it belongs to; the cost is of one unit"),
            _c("order_id", "string", "the order it belongs to"),
            _CUSTOMER_KEY,
            _c("cost", "money", "cost", required=True),
        ),
    ),
    Table(
        "points",
        "one movement of member points (ING-18)",
        "marketing",
        "loyalty",
        (),
        (
            _CUSTOMER_KEY,
            _c("at", "timestamp", "when", required=True),
            _c("change", "quantity", "points earned, negative when spent", required=True),
            _c("balance", "quantity", "points afterwards"),
            _c("reason", "string", "why"),
        ),
    ),
    Table(
        "traits",
        "one trait of one customer from a social or demographic source (ING-06, ING-15)",
        "marketing",
        "profiles",
        (),
        (
            _CUSTOMER_KEY,
            _c("trait", "string", "what it says, such as follows or age band", required=True),
            _c("value", "string", "its value", required=True, free=True),
            _c("seen_on", "date", "when it was seen"),
            _c("platform", "string", "where it was seen"),
        ),
        same=("customer_key", "trait", "value"),
    ),
    Table(
        "external",
        "one fact from outside the company (ING-09, ING-27)",
        "marketing",
        "market and competitors",
        (),
        (
            _c("day", "date", "day", required=True),
            _c("kind", "string", "kind, such as market or competitor", required=True),
            _c("name", "string", "what or whom it is about", required=True),
            _c("measure", "string", "what was measured"),
            _c("value", "quantity", "the number"),
            _TEXT,
        ),
    ),
]
RECORDS = tuple(table.name for table in _RECORDS)
ARRIVING = ("order_lines", "customers", "products", *RECORDS)  # what files feed, as people read it


def _record(layer: str, table: Table, who: Column | None) -> Table:
    """A record in one layer: `source` and `line` where it arrived, `customer_id` where it ends."""
    columns = tuple(who if who and c is _CUSTOMER_KEY else c for c in table.columns)
    line = _c("line", "int", "place of the record in the source")
    head = (_SOURCE, line) if layer == "staged" else (line,)
    same = tuple(who.name if who and n == _CUSTOMER_KEY.name else n for n in table.same)
    return Table(
        f"{layer}/{table.name}", table.row, table.owner, table.purpose, ("line",),
        (*head, *columns), time=table.time, same=same,
    )  # fmt: skip


def _facts(layer: str, who: Column, purpose: str) -> list[Table]:
    """The fact tables of one layer; `who` is the column that names the customer."""
    return [
        Table(
            f"{layer}/orders",
            "one order with at least one sale",
            "sales",
            purpose,
            ("order_id",),
            (_c("order_id", "string", "order number"), who, _ORDERED_AT, *_ORDER),
            time="ordered_at",
        ),
        Table(
            f"{layer}/order_items",
            "one line of an order that was sold",
            "sales",
            purpose,
            ("line",),
            (
                _c("order_id", "string", "order number"),
                _c("line", "int", "place of the line in the source"),
                who,
                _PRODUCT,
                _ORDERED_AT,
                *_ITEM,
            ),
            time="ordered_at",
        ),
        Table(
            f"{layer}/returns",
            "one line returned or cancelled, amounts positive (Q-16)",
            "sales",
            purpose,
            ("line",),
            (
                _c("return_id", "string", "number of the return or cancelled invoice"),
                _c("line", "int", "place of the line in the source"),
                who,
                _PRODUCT,
                _c("returned_at", "timestamp", "when it was returned"),
                *_RETURN,
            ),
            time="returned_at",
        ),
        Table(
            f"{layer}/products",
            "one product",
            "product",
            purpose,
            ("product_id",),
            _PRODUCT_FACTS,
        ),
        Table(
            f"{layer}/customers",
            "one customer that a source or an order names",
            "sales",
            purpose,
            (who.name,),
            (who, *_CUSTOMER_FACTS, *_PERSONAL_STATUSES, _IMPUTED),
        ),
    ]


PROFILE = {  # the customer view by dimension (C360-12): what a feature means, in both languages
    "customer information": (
        _c("is_known", "bool", "registered or seen by that day (已知客户)"),
        _c("age", "float", "age in whole years (年龄)", unit="years"),
        _c("gender", "string", "gender (性别)", codes=GENDERS),
        _c("province", "string", "province (省份)"),
        _c("city", "string", "city (城市)"),
        _c("industry", "string", "industry (行业)"),
        _c("registered_on", "date", "day of registration (注册日期)"),
        _c("registered_days", "float", "days since registration (注册天数)", unit="days"),
        _c("acquisition", "string", "channel that brought the customer (渠道来源)"),
        _c("contract_status", "string", "status of the contract (签约状态)", codes=CONTRACTS),
        _c("assets_band", "string", "band of the assets held (资产区间, PRV-05)"),
        _c("customer_type", "string", "new, old or churned (客户类型)", codes=TYPES_OF_CUSTOMER),
        _c("lifecycle", "string", "stage of life (生命周期阶段)", codes=LIFECYCLE),
    ),
    "purchase history": (
        _c("first_order_on", "date", "day of the first purchase (首次购买)"),
        _c("last_order_on", "date", "day of the last purchase (最近购买)"),
        _c("recency_days", "float", "days since the last purchase (距上次购买天数)", unit="days"),
        _c("inactive_months", "float", "whole months since it (未购买月数)", unit="months"),
        _c("orders", "int", "purchases over all history (购买次数)", unit="purchases"),
        _c("recent_orders", "int", "purchases in the short window (消费频次)", unit="purchases"),
        _c("window_orders", "int", "purchases in the window (窗口内购买次数)", unit="purchases"),
        _c("sales", "money", "sales before returns (退货前销售额)"),
        _c("returned", "money", "goods returned or cancelled (退货金额)"),
        _c("returned_share", "float", "returned ÷ sales (退货率)"),
        _c("spend", "money", "spend net of returns (净消费金额)"),
        _c("recent_spend", "money", "spend in the short window (近期消费金额)"),
        _c("window_spend", "money", "spend in the window (窗口内消费金额)"),
        _c("order_value", "money", "spend ÷ purchases (客单价)"),
        _c("window_order_value", "money", "window spend ÷ window purchases (窗口内客单价)"),
        _c("products", "int", "different products bought (购买商品数)", unit="products"),
        _c("top_category", "string", "category with the largest spend (品类偏好)"),
        _c("top_category_share", "float", "its share of spend on goods (品类偏好占比)"),
        _c("margin", "money", "sales less returns and known costs (毛利)"),
        _c("margin_share", "float", "margin ÷ sales with a known cost (毛利率)"),
        _c("discounts", "int", "discounts received (优惠次数)", unit="discounts"),
        _c("discounted", "money", "money they took off (优惠金额)"),
        _c("coupons", "int", "coupons used (用券次数)", unit="coupons"),
        _c("discounted_share", "float", "purchases with a discount (优惠订单占比)"),
        _c("channels", "int", "channels of purchase (购买渠道数)", unit="channels"),
        _c("preferred_channel", "string", "channel of most purchases (购买渠道偏好)"),
        _c("preferred_channel_share", "float", "its share of purchases (偏好渠道占比)"),
        _c("store_sales", "money", "purchases in stores, less what was cancelled (门店消费)"),
        _c("online_sales", "money", "other purchases, less what was cancelled (线上消费)"),
        _c("omo_orders", "int", "store purchases after a visit online (先逛后买)",
           unit="purchases"),
        _c("is_omo", "bool", "has such a purchase (OMO客户)"),
        _c("is_recent", "bool", "bought in the short window (近期购买)"),
        _c("is_dormant", "bool", "bought, but not for the dormant span (沉睡客户)"),
        _c("points", "quantity", "member points left (会员积分)", unit="points"),
    ),
    "behaviour records": (
        _c("visit_days", "int", "days with a visit in the window (访问天数)", unit="days"),
        _c("views", "int", "things looked at (浏览)", unit="times"),
        _c("searches", "int", "searches (搜索)", unit="times"),
        _c("clicks", "int", "clicks (点击)", unit="times"),
        _c("favourites", "int", "things marked as favourites (收藏)", unit="times"),
        _c("carts", "int", "things put into the cart (加购)", unit="times"),
        _c("checkouts", "int", "checkouts begun (结算)", unit="times"),
        _c("shares", "int", "things shared (分享)", unit="times"),
        _c("logins", "int", "logins (登录)", unit="times"),
        _c("dwell_minutes", "quantity", "time spent in visits (停留时长)", unit="minutes"),
        _c("carts_left", "int", "products in the cart, not bought since (加购未购)",
           unit="products"),
        _c("devices", "int", "devices used (设备数)", unit="devices"),
        _c("main_device", "string", "device used most (常用设备)"),
        _c("last_visit_on", "date", "day of the last visit (最近访问)"),
        _c("use_sessions", "quantity", "sessions of use in the window (使用次数)",
           unit="sessions"),
        _c("use_minutes", "quantity", "time of use in the window (使用时长)", unit="minutes"),
        _c("use_modules", "int", "modules used in the window (使用模块数)", unit="modules"),
        _c("last_used_on", "date", "day of the last use (最近使用)"),
    ),
    "interaction and marketing": (
        _c("contacts", "int", "communications in the window (互动次数)", unit="times"),
        _c("contacts_begun", "int", "of these begun by the customer (主动联系)", unit="times"),
        _c("preferred_contact", "string", "channel the customer writes on (偏好联系渠道)"),
        _c("last_contact_on", "date", "day of the last communication (最近互动)"),
        _c("campaigns", "int", "campaigns sent, over all history (营销触达)", unit="campaigns"),
        _c("campaigns_delivered", "int", "of these delivered (已送达)", unit="campaigns"),
        _c("campaigns_opened", "int", "of these opened (已打开)", unit="campaigns"),
        _c("campaigns_clicked", "int", "of these followed by a click (已点击)",
           unit="campaigns"),
        _c("campaigns_joined", "int", "of these joined (已参与)", unit="campaigns"),
        _c("opened_share", "float", "opened ÷ delivered (打开率)"),
        _c("joined_share", "float", "joined ÷ sent (活动参与率)"),
        _c("last_campaign_on", "date", "day of the last campaign (最近触达)"),
        _c("touchpoints", "int", "contacts with advertising in the window (广告触点)",
           unit="times"),
        _c("traits", "int", "social traits known (社交标签数)", unit="traits"),
    ),
    "service and satisfaction": (
        _c("tickets", "int", "cases over all history (工单数)", unit="cases"),
        _c("enquiries", "int", "of these enquiries (咨询)", unit="cases"),
        _c("complaints", "int", "of these complaints (投诉)", unit="cases"),
        _c("praises", "int", "of these praise (表扬)", unit="cases"),
        _c("repairs", "int", "of these repairs (报修)", unit="cases"),
        _c("window_tickets", "int", "cases in the window (窗口内工单)", unit="cases"),
        _c("open_tickets", "int", "cases not yet closed (未结工单)", unit="cases"),
        _c("response_hours", "float", "mean time to the first answer (响应时长)", unit="hours"),
        _c("resolution_hours", "float", "mean time to the end (解决时长)", unit="hours"),
        _c("last_complaint_on", "date", "day of the last complaint (最近投诉)"),
        _c("last_complaint_hours", "float", "time to its first answer (最近投诉响应时长)",
           unit="hours"),
        _c("surveys", "int", "answer sheets (问卷数)", unit="sheets"),
        _c("nps", "float", "last answer to the question of recommending (推荐意愿)"),
        _c("satisfaction_share", "float", "mean share of the best score, otherwise (满意度)"),
        _c("last_survey_on", "date", "day of the last answer (最近问卷)"),
        _c("reviews", "int", "reviews (评价数)", unit="reviews"),
        _c("review_score", "float", "their mean score (评价均分)"),
        _c("last_review_on", "date", "day of the last review (最近评价)"),
    ),
    "permission": (
        _c("may_analyse", "bool", "may be analysed (允许分析)"),
        _c("may_market", "bool", "may be addressed for marketing (允许营销)"),
        _c("may_profile", "bool", "may be profiled (允许画像)"),
    ),
}  # fmt: skip

_STAGED_LINES = (
    _SOURCE,
    _c("line", "int", "place of the line in the source"),
    _c("order_id", "string", "order, invoice or return number", required=True),
    _c("kind", "string", "what the line records", codes=KINDS),
    _CUSTOMER_KEY,
    _PRODUCT,
    _c("product_name", "string", "name of the product on the line"),
    _c("category", "string", "category of the product on the line"),
    _c("quantity", "quantity", "units", required=True),
    _UNIT_PRICE,
    _c("amount", "money", "quantity × unit price, or what the source charged"),
    _ORDERED_AT,
    _CHANNEL,
    _COUNTRY,
)
_READING = (
    _c("table", "string", "table the row was meant for"),
    _c("line", "int", "place of the row in the source"),
)
_FINDING = (
    *_READING,
    _c("rule", "string", "the rule"),
    _c("field", "string", "the field"),
    _c("value", "string", "what was found there, contacts masked"),
)

_ALL = [
    Table(
        "staged/customers",
        "one customer record of a source",
        "sales",
        "describe customers",
        ("line",),
        (
            _SOURCE,
            _c("line", "int", "place of the record in the source"),
            _c("customer_key", "string", "the customer's key in the source", required=True),
            *_CUSTOMER_FACTS,
            *_PERSONAL_STATUSES,
        ),
        same=("customer_key",),
    ),
    Table(
        "staged/order_lines",
        "one line of an order, return or adjustment, as it arrived",
        "sales",
        "all sales analyses",
        ("line",),
        _STAGED_LINES,
        time="ordered_at",
    ),
    Table(
        "staged/products",
        "one product of a source's catalogue",
        "product",
        "name and group products",
        ("line",),
        (
            _SOURCE,
            _c("line", "int", "place of the record in the source"),
            _PRODUCT,
            _c("product_name", "string", "name shown to people", required=True),
            _c("category", "string", "category"),
            _c("list_price", "money", "price on the label"),
        ),
        same=("product_id",),
    ),
    Table(
        "staged/unread",
        "one cell that could not be read as its field asks",
        "data",
        "find and mend it in the source (CLN-09)",
        ("table", "line", "field"),
        (
            *_READING,
            _c("field", "string", "the field"),
            _c("value", "string", "what stood there, contacts masked"),
        ),
    ),
    Table(
        "staged/files",
        "one raw file that was read",
        "data",
        "where rows come from and how fresh they are (ING-12, CLN-17)",
        ("table", "number"),
        (
            _c("table", "string", "table it feeds"),
            _c("file", "string", "its name"),
            _c("number", "int", "its place among the files of the table"),
            _c("system", "string", "system that it comes from"),
            _c("encoding", "string", "encoding of a text file, as read"),
            _c("refresh_days", "int", "days in which the next one is expected; 0 if not said"),
            _c("duplicates", "string", "what is done with exact duplicates", codes=DUPLICATES),
            _c("rows", "int", "records in it"),
            _c("newest", "date", "day of its newest record; empty if it has no dates"),
        ),
    ),
    Table(
        "vault/customers",
        "the personal columns of one customer record, encrypted",
        "data protection",
        "contact a customer, by authorised roles only",
        ("line",),
        (
            _c("line", "int", "place of the record in the source"),
            _c("customer_key", "string", "the customer's key in the source"),
            *_PERSONAL,
        ),
    ),
    *_facts("clean", _CUSTOMER_KEY, "facts after the rules, by source key"),
    *_facts("tables", _CUSTOMER_ID, "the only facts that analyses read"),
    Table(
        "clean/quarantine",
        "one row that failed a rule, whole, with the reason",
        "data",
        "mend the source; nothing is lost",
        ("table", "line"),
        (
            *_READING,
            _c("reason", "string", "the first rule it failed"),
            _c("row", "string", "the row as JSON, as it was staged"),
        ),
    ),
    Table(
        "clean/issues",
        "one rule that one row breaks, whatever became of the row (CLN-08)",
        "data",
        "work list of the data owners",
        ("table", "line", "rule", "field"),
        (
            *_FINDING,
            _c("severity", "string", "how bad it is", codes=("error", "warning", "note")),
            _c(
                "action",
                "string",
                "what became of it",
                codes=("quarantine", "drop", "fix", "flag"),
            ),
            _c("origin", "string", "who can mend it", codes=("entry", "interface", "mapping")),
            _c("requirement", "string", "where the rule comes from"),
            _c("month", "string", "month of the row, such as 2023-05; empty without a date"),
        ),
    ),
    Table(
        "clean/conflicts",
        "one field of one customer on which two records disagree (CLN-21)",
        "data",
        "which value was kept, and why",
        ("customer_key", "field", "line"),
        (
            _c("customer_key", "string", "the customer's key in the source"),
            _c("field", "string", "the field"),
            _c("line", "int", "place of the record that was not kept"),
            _c("value", "string", "its value"),
            _c("kept", "string", "the value that was kept"),
            _c("why", "string", "why"),
        ),
    ),
    Table(
        "clean/ledger",
        "rows and money of one table that met one fate for one reason",
        "data",
        "prove that in = kept + quarantined + removed",
        ("table", "fate", "reason"),
        (
            _c("table", "string", "table the rows came in"),
            _c("fate", "string", "what became of them", codes=("kept", "quarantined", "removed")),
            _c("reason", "string", "why"),
            _c("rows", "int", "rows"),
            _c("amount", "money", "their quantity × unit price, signed as it arrived"),
        ),
    ),
    Table(
        "tables/identity_map",
        "one source key and the customer it belongs to",
        "data",
        "trace a pseudonym back to the source (C360-02)",
        ("source", "customer_key"),
        (
            _SOURCE,
            _c("customer_key", "string", "the customer's key in the source"),
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rule", "string", "what linked them", codes=LINKS),
            _c("confidence", "float", "probability of the weakest link to the oldest key, 0–1"),
        ),
    ),
    Table(
        "tables/duplicate_candidates",
        "two customers who may be one person, most money first (CLN-04)",
        "data",
        "merge suggestions; nothing merges without a decision (Q-17)",
        ("rank",),
        (
            _c("rank", "int", "1 has the most money at stake"),
            _c("customer_a", "string", "pseudonym of the older customer"),
            _c("customer_b", "string", "pseudonym of the younger customer"),
            _c("probability", "float", "probability that they are one person, 0–1"),
            _c("rule", "string", "what found them", codes=LINKS),
            _c("reason", "string", "what is the same and what differs, in words"),
            _c("orders", "int", "orders that would move to the older customer"),
            _c("amount", "money", "their sales: the money at stake"),
            _c("decision", "string", "what was decided", codes=("open", "apart")),
        ),
    ),
    Table(
        "tables/id_changes",
        "one source key whose customer is another than at the last freeze",
        "data",
        "ledger of merges and splits, and of the money they move",
        ("own_id",),
        (
            _c("own_id", "string", "pseudonym of the source key alone"),
            _c("before", "string", "pseudonym of its customer at the last freeze"),
            _c("after", "string", "pseudonym of its customer now"),
            _c("change", "string", "what happened", codes=("merged", "split", "moved")),
            _c("orders", "int", "orders that moved"),
            _c("amount", "money", "their sales"),
        ),
    ),
    Table(
        "features/permits",
        "one customer and one purpose: whether it is permitted at `as_of`, and on what ground",
        "data protection",
        "who may be analysed, profiled and addressed; joined by every analysis and list (PRV-07)",
        ("customer_id", "purpose"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("purpose", "string", "what for", codes=PURPOSES),
            _c("allowed", "bool", "whether it is permitted"),
            _c("ground", "string", "why", codes=GROUNDS),
            _c("said_on", "date", "day of the last statement; empty if none was made"),
        ),
    ),
    Table(
        "features/profiles",
        "one customer: all that is known by a day, in five dimensions (C360-04)",
        "marketing",
        "the customer view: tags, models, lists and the customer card",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            *(column for columns in PROFILE.values() for column in columns),
        ),
    ),
    Table(
        "features/channels",
        "one channel that one customer uses for purchases or contacts (TAG-31, TAG-34)",
        "marketing",
        "where to sell to a customer and how to reach them",
        ("customer_id", "road", "channel"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("road", "string", "what it is used for", codes=ROADS),
            _c("channel", "string", "the channel; unknown if the source does not say"),
            _c("times", "int", "purchases over all history, or contacts in the window"),
            _c("begun", "int", "of these begun by the customer"),
            _c("times_share", "float", "share of the customer's purchases or contacts"),
            _c(
                "spend",
                "money",
                "purchases less what was cancelled; other returns name no channel",
            ),
        ),
        needs="analysis",
    ),
    Table(
        "features/timeline",
        "one moment between a customer and the company (C360-10)",
        "service",
        "the history that front-line staff see (C360-09)",
        ("customer_id", "at", "kind", "reference"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("at", "timestamp", "when"),
            _c("kind", "string", "what happened", codes=MOMENTS),
            _c("reference", "string", "number of the order, case or record"),
            _c("channel", "string", "where it happened"),
            _c("what", "string", "a few words from codes, nothing that a person wrote"),
            _c("amount", "money", "its money; of a return positive (Q-16)"),
        ),
        time="at",
    ),
    Table(
        "features/rfm",
        "one customer: raw values, scores and tier at `as_of`",
        "marketing",
        "value tiers and lists for action (RFM-01…13)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("first_order_on", "date", "day of the first purchase; empty if none"),
            _c("last_order_on", "date", "day of the last purchase; empty if none"),
            _c("recency_days", "int", "days from the last purchase to `as_of`; −1 if none"),
            _c("frequency", "int", "purchases in the window"),
            _c("monetary", "money", "spend in the window, net of returns"),
            _c("orders", "int", "purchases over all history"),
            _c("spend", "money", "spend over all history, net of returns"),
            _c("sales", "money", "sales over all history, before returns"),
            _c("r_score", "float", "recency score, 0–100, recent is high"),
            _c("f_score", "float", "frequency score, 0–100"),
            _c("m_score", "float", "monetary score, 0–100"),
            _c("rfm", "string", "the three scores as text, such as 90,85,88 (RFM-18)"),
            _c("tier", "string", "value tier", codes=TIERS),
            _c("is_high_rfm_raw", "bool", "high by raw values (RFM-08)"),
            _c("is_dormant", "bool", "no purchase for the dormant span (RFM-09)"),
            _c("is_lapsing_valuable", "bool", "once good, now silent (Q-03)"),
        ),
        needs="analysis",
    ),
    Table(
        "features/recall",
        "one product to offer to one dormant customer",
        "marketing",
        "offers to recall dormant customers (RFM-09)",
        ("customer_id", "rank"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rank", "int", "1 is offered first"),
            _c("product_id", "string", "product code"),
            _c("product_name", "string", "name shown to people"),
            _c("category", "string", "preferred category it is taken from"),
        ),
        needs="marketing",
    ),
    Table(
        "features/association_rules",
        "one rule between products that go into one basket",
        "product",
        "bundles, offers and places on the shelf (ASC-06)",
        ("unit", "antecedent_code", "consequent_code"),
        (
            _c("unit", "string", "what a basket is", codes=("order", "customer")),
            _c("antecedent", "string", "names of the products it goes from"),
            _c("consequent", "string", "names of the products it goes to"),
            _c("antecedent_code", "string", "their codes, joined by |"),
            _c("consequent_code", "string", "their codes, joined by |"),
            _c("n", "int", "baskets with both sides, in the first part", unit="baskets"),
            _c("n_antecedent", "int", "baskets with the antecedent", unit="baskets"),
            _c("n_consequent", "int", "baskets with the consequent", unit="baskets"),
            _c("support", "float", "share of baskets with both sides"),
            _c("confidence", "float", "share of baskets with the antecedent that have both"),
            _c("lift", "float", "confidence, divided by the consequent's share of all baskets"),
            _c("leverage", "float", "support, less what chance gives"),
            _c("conviction", "float", "misses by chance, divided by misses; empty if none"),
            _c("p_value", "float", "Fisher's exact test, one side"),
            _c("q_value", "float", "the same, for the rate of false discoveries"),
            _c(
                "later_n",
                "int",
                "baskets with both sides, in the rest of the window",
                unit="baskets",
            ),
            _c("later_confidence", "float", "confidence in the rest of the window"),
            _c("later_lift", "float", "lift in the rest of the window"),
            _c("holds", "bool", "it reaches the floors there, too (ASC-12)"),
            _c("relation", "string", "complement, or none (ASC-07)"),
            _c("suggestion", "string", "bundle, offer, show nearby, or none (ASC-06)"),
            _BETWEEN,
        ),
    ),
    Table(
        "features/group_rules",
        "one rule between two products that is stronger in one group of customers than in all",
        "marketing",
        "what to offer to one group and not to the others (ASC-05)",
        ("cluster", "antecedent_code", "consequent_code"),
        (
            _c("cluster", "string", "name of the group by behaviour"),
            _c("antecedent", "string", "name of the product it goes from"),
            _c("consequent", "string", "name of the product it goes to"),
            _c("antecedent_code", "string", "its code"),
            _c("consequent_code", "string", "its code"),
            _c("n", "int", "customers of the group with both", unit="customers"),
            _c("n_antecedent", "int", "customers of the group with the first", unit="customers"),
            _c("confidence", "float", "share of the group's buyers of the first with both"),
            _c("all_confidence", "float", "the same among the customers of all groups"),
            _c("lift", "float", "confidence ÷ the second product's share of the group"),
            _c("all_lift", "float", "the same among the customers of all groups"),
            _c("q_value", "float", "Poisson test of the lift against that of all, many tests"),
        ),
    ),
    Table(
        "features/product_relations",
        "one pair of products that meet in orders more, or less, often than they should",
        "product",
        "what to show beside each other, and what instead of each other (ASC-07)",
        ("code_a", "code_b"),
        (
            _c("code_a", "string", "code of one product"),
            _c("code_b", "string", "code of the other"),
            _c("name_a", "string", "name of one product"),
            _c("name_b", "string", "name of the other"),
            _c("category", "string", "their category; empty if they have two, or none"),
            _c("relation", "string", "what they are to each other", codes=RELATIONS),
            _c("n", "int", "orders with both, in the first part", unit="orders"),
            _c("expected", "float", "orders with both by chance, or by the sizes of orders"),
            _c("lift", "float", "n, divided by what is expected"),
            _c("q_value", "float", "Poisson test, for the rate of false discoveries"),
            _c("by_customer", "float", "the same lift between customers, over the first part"),
            _c("later_n", "int", "orders with both, in the rest of the window", unit="orders"),
            _c("later_lift", "float", "lift in the rest of the window"),
            _c("holds", "bool", "it is beyond the limit there, too, among enough orders"),
        ),
    ),
    Table(
        "features/bundles",
        "one bundle: a rule of orders that holds, and the money it would move",
        "sales",
        "which bundle to try first (ASC-06)",
        ("antecedent_code", "consequent_code"),
        (
            _c("antecedent", "string", "names of the products it goes from"),
            _c("consequent", "string", "name of the product it goes to"),
            _c("antecedent_code", "string", "their codes, joined by |"),
            _c("consequent_code", "string", "its code"),
            _BETWEEN,
            _c("confidence", "float", "share of orders with the first that have the second"),
            _c("later_confidence", "float", "the same in the rest of the window"),
            _c("lift", "float", "confidence, divided by the second's share of all orders"),
            _c("missed", "int", "orders of the window without the second", unit="orders"),
            _c("usual_amount", "money", "median of what an order pays for the second"),
            _c("at_most", "money", "if each of these orders took it: an upper bound"),
            _c("cautious", "money", "if a declared share of them did: an assumption"),
        ),
    ),
    Table(
        "features/rfm_quarters",
        "one customer at one of the dates of the history: scores and tier as they were then",
        "marketing",
        "movement between tiers and levels (RFM-17, TAG-29)",
        ("customer_id", "at_on"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("at_on", "date", "the date: `as_of`, and quarters of a year before it"),
            _c("f_score", "float", "frequency score, 0–100"),
            _c("m_score", "float", "monetary score, 0–100"),
            _c("tier", "string", "value tier", codes=TIERS),
        ),
        needs="analysis",
    ),
    Table(
        "features/tags",
        "one customer who permits profiling: every tag with one value, at `as_of`",
        "marketing",
        "profiles, segments and lists (TAG-01…16, TAG-19, TAG-31, TAG-34)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("gender", "string", "gender", codes=GENDERS),
            _c("age", "int", "age in whole years; −1 if unknown", unit="years"),
            _c("age_band", "string", "band of age"),
            _c("province", "string", "province"),
            _c("city", "string", "city"),
            _c("district", "string", "district"),
            _c("country", "string", "country of most purchases"),
            _c("industry", "string", "industry"),
            _c("customer_type", "string", "new, old or churned", codes=("new", "old", "churned")),
            _c("acquisition", "string", "channel that brought the customer"),
            _c("contract_status", "string", "status of the contract", codes=CONTRACTS),
            _c("first_order_on", "date", "day of the first purchase; empty if none"),
            _c("last_order_on", "date", "day of the last purchase; empty if none"),
            _c("orders", "int", "purchases over all history"),
            _c("spend", "money", "spend over all history, net of returns"),
            _c("freq_30d", "int", "purchases in the short window"),
            _c("freq_90d", "int", "purchases in the window of spend"),
            _c("spend_90d", "money", "spend in the window, net of returns"),
            _c("aov", "float", "average order value; empty without purchases in the window"),
            _c("top_category", "string", "category with most spend"),
            _c("top_category_share", "float", "its share of spend on goods"),
            _c("email_open_rate", "float", "mails opened ÷ delivered; empty if none was"),
            _c("email_click_rate", "float", "mails clicked ÷ delivered; empty if none was"),
            _c("campaign_rate", "float", "campaigns joined ÷ invited to; empty if never invited"),
            _c("enquiries_90d", "int", "enquiries in the window"),
            _c("complaints_n", "int", "complaints so far"),
            _c("last_complaint_on", "date", "day of the last complaint"),
            _c("praise_n", "int", "praise so far"),
            _c("last_praise_on", "date", "day of the last praise"),
            _c("spend_level", "string", "level by M score", codes=LEVELS),
            _c("frequency_level", "string", "level by F score", codes=LEVELS),
            _c("behaviour", "string", "both levels in one label"),
            _c("overtime_order_share", "float", "share of purchases in overtime hours"),
            _c("active_time", "string", "part of the day in which the customer is active"),
            _c("interactions_n", "int", "communications in the window"),
            _c("preferred_channel", "string", "channel with most communications"),
            _c("purchase_channel", "string", "channel with most purchases"),
            _c("purchase_channel_share", "float", "its share of purchases"),
            _c("active_quarters", "int", "of the last four quarters, those with a purchase"),
            _c("loyalty", "string", "how steadily the customer buys", codes=LOYALTIES),
            _c("core", "string", "the few things to know of the customer (TAG-22)"),
            _c("core_zh", "string", "the same in Chinese (核心特征描述)"),
            _c("rules", "string", "version of the rules of this row (TAG-29)"),
        ),
        needs="profiling",
    ),
    Table(
        "features/tag_rows",
        "one customer, tag and value, of the tags that can have several",
        "marketing",
        "interests, channels, preferences and personas (TAG-17…21, TAG-31, TAG-34)",
        ("customer_id", "tag", "value"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("tag", "string", "the tag, as in the catalogue"),
            _c("value", "string", "its value; yes where the tag says all"),
            _c("number", "float", "a share or a count, where the tag has one"),
            _c("since_on", "date", "day on which it was first seen, where a source says it"),
            _c("version", "string", "version of the tag's rule (TAG-29)"),
        ),
        needs="profiling",
    ),
    Table(
        "features/tag_catalogue",
        "one tag: what it means and how it is made (TAG-32)",
        "marketing",
        "read a tag as it is meant, and see that a rule has changed",
        ("tag",),
        (
            _c("tag", "string", "name of the tag"),
            _c("chinese", "string", "its Chinese name"),
            _c("meaning", "string", "what it means"),
            _c("sources", "string", "tables it is made from"),
            _c("rule", "string", "the rule, with the parameters of this run"),
            _c("window_days", "int", "its window; 0 if it has none"),
            _c("owner", "string", "department that answers for it"),
            _c("requirement", "string", "where the rule comes from"),
            _c("version", "string", "number kept by hand, and hash of the rule"),
        ),
    ),
    Table(
        "features/segments",
        "one customer who permits profiling and the segment of each of the four kinds",
        "marketing",
        "segments to plan by, and to cross (TAG-24…28)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("descriptive", "string", "who they are: gender and band of age, or country"),
            _c("need", "string", "what they say or show to need; unknown if nothing tells"),
            _c("value", "string", "value tier and profit"),
            _c("behaviour", "string", "frequency level, purchase channel and loyalty"),
            _c("profit", "money", "sales less costs in the window; empty without costs"),
        ),
        needs="profiling",
    ),
    Table(
        "features/cluster_profile",
        "one group of customers who behave alike; cells of few customers are empty",
        "marketing",
        "what marketing and product do for each group (CLU-10)",
        ("cluster",),
        (
            _c("cluster", "string", "name of the group"),
            _c("customers", "float", "customers in it", unit="customers"),
            _c("customer_share", "float", "their share of all"),
            _c("order_value", "float", "mean sales ÷ purchases; 0 without any", unit="money"),
            _c("orders", "float", "mean purchases in the window", unit="purchases"),
            _c("interactions", "float", "mean interactions in the window"),
            _c("sales", "float", "sales in the window", unit="money"),
            _c("sales_share", "float", "their share of all sales"),
            _c("churned_share", "float", "share whose tags call them churned"),
            _c("main_tier", "string", "commonest value tier (CLU-09)"),
            _c("jaccard", "float", "how much of it comes back when customers are drawn anew"),
            _c("what_they_are_like", "string", "the group in words"),
            _c("marketing", "string", "what it asks of marketing"),
            _c("product", "string", "what it asks of product"),
        ),
    ),
    Table(
        "features/clusters",
        "one customer who permits profiling, and the group they behave like",
        "marketing",
        "what marketing and product do for each group (CLU-10…12)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("cluster", "string", "name of the group by the rules for centres; quiet if none"),
            _c("cluster_id", "int", "number of the group; −1 for the quiet"),
            _c("orders", "int", "purchases in the window"),
            _c("order_value", "float", "sales ÷ purchases; 0 without any (Q-10)", unit="money"),
            _c("interactions", "int", "contacts begun, days with a visit, messages answered"),
            _c("sales", "money", "sales in the window, less what was cancelled whole"),
            _c("distance", "float", "from the centre, in standard deviations of logarithms"),
            _c("is_outlier", "bool", "cut back to four standard deviations"),
            _c("earlier", "string", "name of the group one window earlier; quiet if none"),
        ),
        needs="profiling",
    ),
    Table(
        "features/links",
        "one rule: what is true of customers, and what goes with it more often than expected",
        "marketing",
        "what to follow up: events before silence or value, tags beside a tier (ASC-09, ASC-10)",
        ("kind", "antecedent", "consequent"),
        (
            _c("kind", "string", "what it goes from", codes=("event", "tags")),
            _c("antecedent", "string", "events, or tags, joined by a plus sign"),
            _c("consequent", "string", "what followed, or the tier of the same day"),
            _c("n", "int", "customers with both", unit="customers"),
            _c("n_antecedent", "int", "customers with the first", unit="customers"),
            _c("n_consequent", "int", "customers with the second", unit="customers"),
            _c("base", "int", "customers looked at", unit="customers"),
            _c("expected", "float", "customers with both, if bought as often meant as much"),
            _c("support", "float", "share of all with both"),
            _c("confidence", "float", "share of those with the first that have the second"),
            _c("lift", "float", "confidence, divided by the share of all that have the second"),
            _c("alike_lift", "float", "n, divided by what is expected of customers alike"),
            _c("p_value", "float", "test of Mantel and Haenszel, one side"),
            _c("q_value", "float", "the same, for the rate of false discoveries"),
            _c("later_confidence", "float", "confidence a period later; empty if too few"),
            _c("later_lift", "float", "lift among customers alike, a period later"),
            _c("held", "string", "whether it was seen again (ASC-12)", codes=HELD),
        ),
    ),
    Table(
        "features/personas",
        "one customer with a purchase in the window: how they decide, and what they get for it",
        "marketing",
        "offers that fit how a customer decides (CLU-07, CLU-08)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("orders", "int", "orders in the window"),
            _c("coupon_share", "float", "share of these with a coupon or discount"),
            _c("discounted_share", "float", "money taken off, in parts of list value"),
            _c("price_level", "float", "unit price in parts of its category's, median"),
            _c(
                "decision_hours",
                "float",
                "from the first look to the purchase, median",
                unit="hours",
            ),
            _c("look_seconds", "float", "time spent looking before it, median", unit="seconds"),
            _c("persona", "string", "how the customer decides", codes=PERSONAS),
            _c("action", "string", "what the persona gets (CLU-08)"),
        ),
        needs="profiling",
    ),
    Table(
        "features/tiers",
        "one customer: the tier now and some quarters before, stage of life and group of spend",
        "marketing",
        "who moved up or down, and where the effort goes (RFM-15, RFM-17, RFM-19)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("tier_before", "string", "value tier then; empty without a history", codes=TIERS),
            _c("tier", "string", "value tier now", codes=TIERS),
            _c("move", "string", "between the two", codes=MOVES),
            _c("lifecycle", "string", "stage of life", codes=LIFECYCLE),
            _c("spend_group", "string", "group by spend in the window"),
        ),
        needs="analysis",
    ),
    Table(
        "features/followups",
        "one rule: who bought A comes back for B within some days",
        "marketing",
        "offers after a purchase, and bundles over time (ASC-04)",
        ("antecedent_code", "consequent_code"),
        (
            _c("antecedent", "string", "name of the product that is bought first"),
            _c("consequent", "string", "name of the product that follows"),
            _c("antecedent_code", "string", "code of the first"),
            _c("consequent_code", "string", "code of the second"),
            _c("buyers", "int", "customers who bought the first and had the days to come back"),
            _c("followed", "int", "those who bought the second within the days"),
            _c("rate", "float", "their share: the follow-on rate"),
            _c("before_rate", "float", "share who bought the second in as many days before"),
            _c("usual_rate", "float", "share of all days of a purchase that the second follows"),
            _c("n", "int", "those who came back, of starts in the first part of the window"),
            _c("n_antecedent", "int", "starts in the first part of the window"),
            _c("first_rate", "float", "their share, to which the floor applies"),
            _c("first_before_rate", "float", "share of these starts with the second before"),
            _c("first_usual_rate", "float", "usual rate in the first part"),
            _c("lift", "float", "first rate ÷ first usual rate"),
            _c("p_value", "float", "Fisher's exact test, one side, in the first part"),
            _c("q_value", "float", "the same, for the rate of false discoveries"),
            _c("order_q", "float", "that it comes after and not before, as the rate above"),
            _c("is_in_order", "bool", "the second comes after the first more than before"),
            _c("later_buyers", "int", "starts in the rest of the window"),
            _c("later_n", "int", "those who came back, of these"),
            _c("later_rate", "float", "rate in the rest of the window"),
            _c("later_lift", "float", "lift in the rest of the window"),
            _c("holds", "bool", "it reaches the floors there, too (ASC-12)"),
        ),
    ),
    Table(
        "features/crosssell",
        "one product to offer to one customer who bought another lately",
        "marketing",
        "offers after a purchase (ASC-08)",
        ("customer_id", "rank"),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rank", "int", "1 is offered first"),
            _c("product_id", "string", "code of the product to offer"),
            _c("product_name", "string", "its name"),
            _c("bought_id", "string", "code of the product that was bought"),
            _c("bought_on", "date", "day of its last purchase"),
            _c("reason", "string", "where the rule comes from", codes=CROSS_SELLING),
            _c("rate", "float", "share of buyers of the first who buy the second"),
            _c("added", "float", "that share, less what is usual without the first"),
            _c("value", "float", "usual price of the product to offer", unit="money"),
        ),
        needs="marketing",
    ),
    Table(
        "features/preferences",
        "one category, or product, that a group likes more than all others do",
        "marketing",
        "what to show to which group, and where a market is open (CLU-16, CLU-17)",
        ("group", "thing"),
        (
            _c("group", "string", "group by behaviour, as in features/clusters"),
            _c("thing", "string", "category; product where the source has no categories"),
            _c("buyers", "int", "customers of the group who bought anything in the window"),
            _c("customers", "int", "those of them who bought the thing"),
            _c("share", "float", "their share"),
            _c("low", "float", "least that the true share may be, in 95 of 100 cases"),
            _c("high", "float", "most that it may be"),
            _c("others_share", "float", "the share among the buyers of all other groups"),
            _c("times_others", "float", "share ÷ share of the others"),
            _c("choice", "float", "the same of all pairs of customer and thing"),
            _c("p_value", "float", "the larger of two exact tests, of customers and of pairs"),
            _c("q_value", "float", "the same, for the rate of false discoveries"),
            _c("usual_spend", "float", "median spend of who bought it", unit="money"),
            _c("is_chance", "bool", "most of the group do not buy it yet"),
            _c("not_yet", "int", "buyers of the group who do not; 0 if it is no chance"),
            _c("estimate", "float", "what a part of them would spend", unit="money"),
            _c("at_most", "float", "what all of them would spend", unit="money"),
        ),
    ),
    Table(
        "features/lookalikes",
        "one customer with no purchase, or one, who is like the best customers",
        "marketing",
        "whom to win first (CLU-15)",
        ("customer_id",),
        (
            _c("customer_id", "string", "pseudonym of the customer"),
            _c("rank", "int", "1 is most like the best"),
            _c("score", "float", "sum of the weights of what the customer shares with the best"),
            _c("reasons", "string", "these traits, the strongest first, joined by ;"),
            _c("offer", "string", "what to send", codes=LOOKALIKE_OFFERS),
        ),
        needs="marketing",
    ),
]

for _table in _RECORDS:
    _ALL += [_record(layer, _table, None) for layer in ("staged", "clean")]
    _ALL.append(_record("tables", _table, _CUSTOMER_ID))

FROZEN = Table(  # lies in git beside the mapping: written by `crm freeze`, never by a stage
    "sources/previous_ids",
    "one source key as a pseudonym, and the customer it belonged to at the last freeze",
    "data",
    "ids that stay: which merges and splits are new",
    ("own_id",),
    (
        _c("own_id", "string", "pseudonym of the source key alone"),
        _c("customer_id", "string", "pseudonym of its customer"),
    ),
)
EXTENDED = ("staged/customers", "clean/customers", "tables/customers")
TABLES: dict[str, Table] = {table.name: table for table in _ALL}


def lookup(name: str, extended: tuple[Column, ...] = ()) -> Table:
    """Schema of `layer/name`, or an error that lists the tables there are.

    Tables of customers end with the `extended` fields that the source declares (ING-14).
    """
    if name == FROZEN.name:
        return FROZEN
    try:
        table = TABLES[name]
    except KeyError:
        known = ", ".join(sorted(TABLES))
        raise TableError(
            f"no schema for table {name!r} in src/crm/tables.py; it has: {known}"
        ) from None
    if extended and name in EXTENDED:
        return replace(table, columns=(*table.columns, *extended))
    return table


def moment(table: Table) -> str:
    """The column that says when a record of the table happened; empty if none does.

    Examples
    --------
    >>> moment(lookup("staged/tickets")), moment(lookup("staged/customers"))
    ('opened_at', 'updated_on')
    """
    if table.time:
        return table.time
    dated = [c.name for c in table.columns if c.type in ("timestamp", "date")]
    needed = [c.name for c in table.columns if c.name in dated and c.required]
    return "updated_on" if "updated_on" in dated else next(iter(needed or dated), "")


def duckdb_type(column: Column) -> str:
    """The DuckDB type of a column."""
    return TYPES[column.type][0]


def empty(name: str):
    """A frame of the table with no rows, columns and types as in the schema.

    Examples
    --------
    >>> empty("features/rfm").dtypes["recency_days"]
    dtype('int64')
    """
    import pandas as pd

    return pd.DataFrame(
        {c.name: pd.Series([], dtype=TYPES[c.type][1]) for c in lookup(name).columns}
    )


def check(name: str, frame) -> None:
    """Raise `TableError` unless the frame has the columns, types, codes and key of the schema."""
    table = lookup(name)
    if list(frame.columns) != table.names:
        missing = [c for c in table.names if c not in frame.columns]
        extra = [c for c in frame.columns if c not in table.names]
        raise TableError(
            f"table {name!r}: columns differ from the schema; missing {missing}, not in the "
            f"schema {extra}, expected in this order: {table.names}"
        )
    for column in table.columns:
        _check_column(name, column, frame[column.name])
    twice = frame.duplicated(list(table.key))
    if twice.any():
        example = frame.loc[twice, list(table.key)].iloc[0].to_dict()
        raise TableError(
            f"table {name!r}: {int(twice.sum())} rows repeat a key, such as {example}"
        )


def _check_column(name: str, column: Column, values) -> None:
    expected = TYPES[column.type][1]
    kinds = {"datetime64[us]": "M", "float64": "f", "int64": "i", "bool": "b"}
    if expected == "str":
        fits = (
            values.dtype == "str"
            or values.isna().all()
            or (values.dtype == object and values.dropna().map(type).eq(str).all())
        )
    else:
        fits = values.dtype.kind == kinds[expected]
    if not fits:
        raise TableError(
            f"table {name!r}, column {column.name!r}: expected {expected}, found {values.dtype}"
        )
    if column.codes:
        odd = values.dropna()[~values.dropna().isin(column.codes)]
        if len(odd):
            raise TableError(
                f"table {name!r}, column {column.name!r}: {odd.iloc[0]!r} is not one of "
                f"{list(column.codes)}"
            )
