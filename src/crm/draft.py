"""A proposed mapping for files nobody has described yet, with a question wherever it is unsure.

The proposal rests on the words in the header, English and Chinese, and on what the cells look
like. Samples stand beside each column so that a person can judge; samples of columns that seem
to identify a person are masked, and a column without a place is listed, never dropped in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import ibis
from python_calamine import CalamineError, CalamineWorkbook

from crm.document import Problem, printable
from crm.ingest import cell
from crm.mapping import TEXTS, File, SourceError, fields, formats
from crm.raw import LINE, Raw, broken_rows, open_file
from crm.tables import KINDS, RECORDS, Column

WORDS = {  # field: words in a header that name it or a part of it; with =, the whole header
    "order_id": "=order|order id|order no|order number|invoice no|invoice|receipt|"
    "transaction id|bill no|订单号|订单编号|订单id|单号|交易号|流水号|小票号|发票号",
    "kind": "=type|=类型|kind|order type|transaction type|订单类型|交易类型|单据类型",
    "customer_key": "customer id|customer no|customer key|customer code|cust id|client id|"
    "member id|member no|=member|user id|buyer id|客户id|客户编号|客户号|会员id|会员号|"
    "会员编号|会员卡号|用户id|用户编号|买家id",
    "product_id": "product id|product code|product no|stock code|sku|item id|item code|item no|"
    "goods id|article no|商品编码|商品id|商品编号|商品代码|产品编号|产品编码|产品id|"
    "货号",
    "product_name": "product name|description|item name|goods name|product|item|title|name|"
    "商品名称|产品名称|商品名|品名|商品",
    "category": "category|department|dept|类别|品类|分类",
    "quantity": "quantity|qty|units|pieces|数量|件数",
    "unit_price": "unit price|price|单价|价格|售价|成交价",
    "ordered_at": "invoice date|order date|order time|ordered at|created at|purchase date|"
    "transaction date|sold at|date|time|下单时间|下单日期|订单时间|订单日期|"
    "交易时间|交易日期|购买时间|购买日期|销售日期|日期|时间",
    "channel": "channel|platform|渠道|平台",
    "country": "country|国家",
    "registered_on": "registered on|registration date|registered|signup date|register time|"
    "join date|created at|注册时间|注册日期|入会时间|入会日期|开卡时间|开户日期|建档日期",
    "industry": "industry|sector|行业",
    "gender": "gender|sex|性别",
    "city": "city|town|城市",
    "acquisition": "acquisition|acquisition channel|source channel|referral|渠道来源|客户来源|"
    "来源渠道|获客渠道|渠道|channel",
    "name": "full name|customer name|contact name|contact|name|姓名|客户姓名|客户名称|联系人|名字|"
    "收货人",
    "phone": "phone|mobile|telephone|cell|tel|手机号|手机|电话|联系方式",
    "email": "email|e mail|mail|邮箱|邮件",
}
MORE = {  # further fields, those of one table with its name; a record's own words come first
    "birth_date": "birth date|date of birth|birthday|出生日期|生日",
    "province": "province|state|省份|省",
    "district": "district|county|区县",
    "address": "address|street|详细地址|地址",
    "updated_on": "updated on|updated at|last update|modified|更新时间|更新日期|修改时间",
    "points": "points|会员积分|积分",
    "contract_status": "contract status|签约状态",
    "amount": "amount|line total|total|金额|实付金额|小计",
    "list_price": "list price|标价|吊牌价",
    "at": "at|time|timestamp|event time|datetime|date|时间|日期",
    "day": "day|date|日期",
    "text": "text|content|comment|message|body|内容|意见|评论",
    "topic": "topic|subject|主题",
    "outcome": "outcome|result|处理结果|结果",
    "score": "score|rating|stars|星级|得分|评分",
    "target": "page|url|target|页面",
    "device": "device|终端|设备",
    "dwell_seconds": "dwell seconds|stay seconds|停留秒数|停留时长",
    "position": "position|step|路径序号|步骤",
    "arm": "arm|group|分组",
    "campaign_id": "campaign id|campaign no|campaign|活动编号|活动id",
    "coupon_id": "coupon id|coupon code|coupon|券编号|优惠券编号|优惠券id",
    "clicks": "clicks|点击|点击数",
    "cost": "cost|spend|花费|费用|成本|单位成本",
    "events.kind": "event|event type|action|行为|事件",
    "interactions.channel": "contact channel|沟通方式|沟通渠道",
    "interactions.direction": "direction|发起方",
    "tickets.ticket_id": "ticket id|ticket no|case id|case no|工单号|工单编号",
    "tickets.opened_at": "opened at|opened|created at|created|创建时间|受理时间|提交时间",
    "tickets.first_response_at": "first response|first reply|首次响应时间|首次回复时间",
    "tickets.resolved_at": "resolved at|resolved|closed at|closed|解决时间|关闭时间|完结时间",
    "tickets.kind": "=type|kind|category|类型|工单类型",
    "tickets.agent": "agent|客服|坐席",
    "campaigns.campaign_name": "campaign name|name|活动名称",
    "campaigns.kind": "kind|type|类型",
    "campaigns.starts_on": "starts on|start date|start|开始日期|开始时间",
    "campaigns.ends_on": "ends on|end date|end|结束日期|结束时间",
    "campaigns.offer": "offer|优惠",
    "campaign_contacts.sent_at": "sent at|send time|sent|发送时间",
    "campaign_contacts.delivered_at": "delivered at|delivered time|delivered|送达时间",
    "campaign_contacts.opened_at": "opened at|opened time|opened|打开时间",
    "campaign_contacts.clicked_at": "clicked at|click time|clicked|点击时间",
    "campaign_contacts.joined_at": "joined at|join time|joined|参与时间",
    "campaign_contacts.used_at": "used at|used time|used|核销时间",
    "discounts.given_at": "given at|used at|used time|date|time|核销时间|使用时间",
    "discounts.amount": "discount|amount|优惠金额",
    "finance.kind": "cost type|cost kind|费用类型|成本类型",
    "touchpoints.at": "touch time|touched at|触点时间",
    "coupons.coupon_name": "coupon name|券名称",
    "coupons.threshold": "threshold|minimum|使用门槛|门槛",
    "coupons.value": "value|面额",
    "coupons.valid_from": "valid from|生效日期",
    "coupons.valid_to": "valid to|expires|失效日期",
    "spend.impressions": "impressions|曝光",
    "leads.lead_id": "lead id|lead no|线索编号|线索id|商机编号",
    "leads.created_at": "created at|created time|created|创建时间",
    "leads.stage": "stage|stage code|阶段",
    "leads.channel": "source|channel|来源",
    "surveys.survey_id": "survey id|response id|answer id|答卷编号|问卷编号",
    "surveys.answered_at": "answered at|submitted at|submitted|提交时间|填写时间",
    "surveys.instrument": "instrument|survey|questionnaire|问卷",
    "surveys.question": "question|题目",
    "surveys.scale_max": "scale max|max score|满分",
    "reviews.review_id": "review id|review no|评价编号|评论编号",
    "reviews.written_at": "written at|review time|review date|date|评价时间|评论时间",
    "reviews.platform": "platform|平台",
    "consents.purpose": "purpose|授权目的|用途",
    "consents.granted": "granted|consent|agreed|是否同意|同意",
    "points.at": "changed at|date|time|变动时间|时间",
    "points.change": "change|points change|变动积分",
    "points.balance": "balance|变动后余额|余额",
    "points.reason": "reason|原因",
    "usage.module": "module|feature|模块|功能",
    "usage.sessions": "sessions|会话数",
    "usage.logins": "logins|登录次数",
    "usage.minutes": "minutes|使用分钟|使用时长",
}  # fmt: skip
TELLING = {  # record: fields of which one must have a column before a file is taken for it
    "events": ("kind",), "interactions": ("direction", "channel"), "tickets": ("ticket_id",),
    "campaigns": ("starts_on",), "campaign_contacts": ("sent_at", "delivered_at"),
    "coupons": ("threshold", "valid_from", "value"), "spend": ("impressions",),
    "leads": ("lead_id",), "surveys": ("survey_id",), "reviews": ("review_id",),
    "discounts": ("coupon_id",), "finance": ("kind",), "touchpoints": ("at",),
    "consents": ("granted",), "points": ("change",), "usage": ("sessions", "logins", "module"),
}  # fmt: skip
MEANS = {  # code: words that mean it, as values of a column
    "male": "m|male|man|男|男性|先生", "female": "f|female|woman|女|女性|女士",
    "unknown": "unknown|u|未知|保密",
    "view": "view|pageview|浏览", "search": "search|搜索", "click": "click|点击",
    "favourite": "favorite|favourite|收藏", "cart": "cart|add_cart|add to cart|加购",
    "checkout": "checkout|submit_order|下单", "share": "share|分享", "login": "login|登录",
    "enquiry": "enquiry|question|咨询", "complaint": "complaint|投诉", "praise": "praise|表扬",
    "repair": "repair|报修", "other": "other|其他", "in": "in|incoming|客户发起",
    "out": "out|outgoing|员工发起", "yes": "yes|y|true|是|同意", "no": "no|n|false|否|不同意",
    "treated": "treated|t|实验组", "control": "control|c|对照组", "signed": "signed|已签约",
    "unsigned": "unsigned|未签约", "suspended": "suspended|暂停合作", "lead": "lead|线索",
    "opportunity": "opportunity|商机", "won": "won|赢单|成交", "lost": "lost|输单|流失",
    "analysis": "analysis|数据分析", "marketing": "marketing|营销推送",
    "profiling": "profiling|个性化画像", "sharing": "sharing|第三方共享",
}  # fmt: skip
PRIVATE = (  # headers of columns that identify a person and have no field
    "address|street|postcode|zip|birth|passport|id card|identity|wechat|qq|ip|"
    "地址|身份证|生日|出生|微信|收货人|证件"
)
RETURNS = "return|refund|cancel|credit|退"  # values of a kind column that mean a return
TESTS = "test|测试"

_TABLES = ("order_lines", "customers", "products")
_SURE = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030")  # not by likeness
_ANY = "\x1f"  # a delimiter that no file has: each row is one cell
_MOST_PAGE = 64 << 20  # bytes of an API page, as in `crm.raw`
_ROWS = 2_000  # rows looked at, spread evenly over the file
_ISO = r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
_PHONE = r"1[3-9]\d{9}"
_EMAIL = r"[^@\s,;]+@[^@\s,;]+\.[a-zA-Z]{2,}"
_ID_CARD = r"\d{17}[\dXx]"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任"
    "卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
)
_CENTS = r"(?i)(^|[^a-z])(fen|cents?)([^a-z]|$)|[(（]分[)）]$"  # of a header
_NUMBERS = {  # options of a number: what all cells look like
    (): r"[+-]?(\d+(\.\d*)?|\.\d+)",
    (("thousands", ","),): r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?",
    (("thousands", "."), ("decimal", ",")): r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d*)?",
}


_REGISTER = """\
register:             # QUESTION: why is this source accepted? One sentence each (ING-12)
  kind: internal      # data from outside: kind external, with accuracy, coverage and legality
  relevance: ""       # what it is needed for
  reliability: ""     # who writes it, and how often it is wrong
  timeliness: ""      # how soon it has what happened
"""


@dataclass(frozen=True)
class Profile:
    """One column of a raw file: its filled cells in the rows looked at, and its kind."""

    name: str
    cells: tuple[str, ...]
    kind: str  # text, number or moment, as the file stores it
    personal: str = ""  # name, phone, email or other, if it seems to identify a person

    @property
    def values(self) -> list[str]:
        return list(dict.fromkeys(self.cells))

    def looks(self, pattern: str, share: float = 0.9) -> bool:
        """Whether at least this share of the different values looks like the pattern."""
        hits = sum(bool(re.fullmatch(pattern, value)) for value in self.values)
        return bool(self.values) and hits >= share * len(self.values)


@dataclass(frozen=True)
class Guess:
    """What one field is fed with, as YAML, and what a person should confirm."""

    field: str
    yaml: str
    samples: str
    question: str = ""


def draft(con, name: str, files: list[str | Path]) -> str:
    """The text of a mapping.yaml for the source, one entry for each file.

    Parameters
    ----------
    con
        An Ibis DuckDB connection.
    name
        Name of the source.
    files
        The raw files, wherever they lie; the mapping names them without folder, since they
        belong into `data/raw/<name>/`.
    """
    parts = [_file(con, name, Path(file)) for file in files]
    head = (
        f"# Proposed by `crm draft`: read it, answer each QUESTION, then delete the comments.\n"
        f'title: {_quote(name)}\nabout: ""      # one sentence: what the records are\n'
        f'origin: ""     # where a user gets the files\n'
        f'licence: ""    # QUESTION: on what terms may the data be used?\n'
        f"public: false  # true only if anyone may have the data\n{_REGISTER}files:\n"
    )
    codes = "".join(extra for _, extra in parts)
    if not any(entry.startswith("  - table: order_lines") for entry, _ in parts):
        codes += "# QUESTION: every source needs order lines, and no file looks so: which is it?\n"
    return head + "".join(entry for entry, _ in parts) + codes


def mask(text: str, kind: str) -> str:
    """A sample of a personal column as a person may see it.

    Examples
    --------
    >>> mask("13812345678", "phone"), mask("张三丰", "name"), mask("ann@example.org", "email")
    ('138****5678', '张*', 'a***@example.org')
    """
    if kind == "phone":
        return f"{text[:3]}****{text[-4:]}" if len(text) > 8 else "****"
    if kind == "email":
        return re.sub(r"^(.)[^@]*", r"\1***", text)
    return f"{text[:1]}*" if kind == "name" else "***"


# --- one file


def _file(con, name: str, file: Path) -> tuple[str, str]:
    """The entry of a file, and what it says about products that are none."""
    if not file.is_file():
        mend = "check the path that follows the source's name"
        raise SourceError(Problem(file.name, "the file is not there", "a raw file", mend))
    options, doubt = _options(con, name, file)
    entry = File("", (file.name,), **{k: v for k, v in options.items() if k != "encoding"})
    raw = open_file(con, entry, name, file.parent, file.name)
    profiles = _profiles(con, raw)
    table, placed = _place(profiles)
    lines = [f"  - table: {table}", f"    path: {_quote(file.name)}"]
    lines += [
        f"    {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in options.items()
    ]
    lines += [f"    # QUESTION: {doubt}"] if doubt else []
    if table == "order_lines":
        doubt = "are lines alike in every column mistakes? then drop"
        lines.append(f"    duplicates: keep      # QUESTION: {doubt}")
    lines.append("    columns:")
    lines += [line for guess in _guesses(table, placed, raw) for line in _lines(guess)]
    lines += _absent(table, placed) + _unplaced(profiles, placed)
    codes = _odd_codes(raw, placed) if table == "order_lines" else ""
    # whatever a header holds, neither YAML nor a terminal may take it for more than text
    return "\n".join(map(printable, lines)) + "\n", codes


def _options(con, name: str, file: Path) -> tuple[dict[str, str], str]:
    """How the file must be read, and what is doubtful about that."""
    suffix = file.suffix.lower()
    if suffix == ".xlsx":
        return _sheet(file)
    if suffix == ".json":
        return _records(file)
    return ({}, "") if suffix not in TEXTS else _text_options(con, name, file)


def _text_options(con, name: str, file: Path) -> tuple[dict[str, str], str]:
    """Encoding and delimiter of a text file."""
    entry = File("", (file.name,), delimiter=_ANY)
    encoding = open_file(con, entry, name, file.parent, file.name).encoding
    with file.open("rb") as stream:
        start = stream.read(1 << 18).decode(encoding, "replace")
    header = start.lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = max(",;\t|", key=header.count)
    options = {} if encoding == "utf-8" else {"encoding": encoding}
    sure = encoding in _SURE
    doubt = "" if sure else "the encoding is a guess: are accents and signs such as £ right?"
    return options | ({} if delimiter == "," else {"delimiter": delimiter}), doubt


def _records(file: Path) -> tuple[dict[str, str], str]:
    """Where an API page holds its list of records: the longest one of objects."""
    try:
        is_small = file.stat().st_size <= _MOST_PAGE
        page = json.loads(file.read_text(encoding="utf-8-sig")) if is_small else None
        lists = sorted(_lists(page, ""), reverse=True)
    except (ValueError, RecursionError, OSError):
        return {}, ""  # opening the file says what is wrong with it
    if not lists or not lists[0][1]:
        return {}, ""
    others = ", ".join(place for _, place in lists[1:])
    doubt = f"are these the records? There are also: {others}" if others else ""
    return {"records": lists[0][1]}, doubt


def _lists(value, at: str) -> Iterator[tuple[int, str]]:
    """Length and dotted place of each list of objects."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield len(value), at
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _lists(inner, f"{at}.{key}" if at else key)


def _sheet(file: Path) -> tuple[dict[str, str], str]:
    try:
        first, *others = CalamineWorkbook.from_path(file).sheet_names
    except (CalamineError, OSError, ValueError):
        return {}, ""  # opening the file says what is wrong with it
    doubt = f"is it this sheet? There are also: {', '.join(others)}"
    return ({"sheet": first}, doubt) if others else ({}, "")


def _profiles(con, raw: Raw) -> list[Profile]:
    try:
        step = max(1, raw.table.count().execute() // _ROWS)
        rows = raw.table.filter((raw.table[LINE] % step == 0) | (raw.table[LINE] < _ROWS // 10))
        cells = rows.select(**{f"c{i}": cell(rows, c) for i, c in enumerate(raw.columns)})
        columns = cells.to_pyarrow().columns
    except duckdb.Error:
        raise SourceError(*broken_rows(con, raw)) from None
    return [
        _profile(name, [v for v in column.to_pylist() if v is not None], raw.table[name].type())
        for name, column in zip(raw.columns, columns, strict=True)
    ]


def _profile(name: str, cells: list[str], dtype) -> Profile:
    kind = "moment" if dtype.is_timestamp() or dtype.is_date() else "text"
    plain = Profile(name, tuple(cells), "number" if dtype.is_numeric() else kind)
    return Profile(name, plain.cells, plain.kind, _personal(plain))


def _personal(profile: Profile) -> str:
    """Which sort of personal data the cells or the header show, if any."""
    chinese_name = rf"[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}"
    for kind, pattern in (
        ("phone", _PHONE),
        ("email", _EMAIL),
        ("other", _ID_CARD),
        ("name", chinese_name),
    ):
        if profile.looks(pattern, 0.8):
            return kind
    scores = {field: _score(profile.name, words) for field, words in WORDS.items()}
    for kind in ("phone", "email"):
        if scores[kind] >= 2:
            return kind
    # `City name` is a city, but `Name` alone may well be a person
    rivals = [s for field, s in scores.items() if field not in ("name", "product_name")]
    if scores["name"] >= max(2, scores["product_name"]) and scores["name"] > max(rivals):
        return "name"
    return "other" if _score(profile.name, PRIVATE) >= 2 else ""


# --- which column feeds which field


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _score(header: str, words: str) -> float:
    """How well a header fits the words: 3 for one of them, up to 2.9 for a part, 0 for none.

    Examples
    --------
    >>> _score("InvoiceNo", WORDS["order_id"]), _score("Colour", WORDS["order_id"])
    (3.0, 0.0)
    """
    plain, best = _plain(header), 0.0
    tokens = {t.casefold() for t in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", header)}
    for word in words.split("|"):
        short = _plain(word)
        if plain == short:
            return 3.0
        if word.startswith("="):
            continue
        is_part = short in plain if not short.isascii() else set(word.split()) <= tokens
        if is_part:
            best = max(best, 2 + min(0.9, len(short) / len(plain)))
    return best


def _place(profiles: list[Profile]) -> tuple[str, dict[str, Profile]]:
    """The table that the columns fit best, and the column for each of its fields.

    Records count only where a telling field and all required ones have a column.
    """
    best = max((_fit(profiles, table) for table in _TABLES), key=lambda fit: fit[0])
    if best[1] == "order_lines" and best[0] >= 1:
        return best[1:]
    fits = [_fit(profiles, table) for table in TELLING]
    told = [fit for fit in fits if fit[0] >= 1 and set(TELLING[fit[1]]) & set(fit[2])]
    return max(told, key=lambda fit: fit[0], default=best)[1:]


def _fit(profiles: list[Profile], table: str) -> tuple[float, str, dict[str, Profile]]:
    """How well the columns fit a table: 1 and more if every required field has one."""
    columns = fields(table)
    placed = _assign(profiles, table, columns)
    required = [name for name, column in columns.items() if column.required]
    if table == "order_lines" and "amount" in placed:
        required.remove("unit_price")  # computed from it
    share = sum(name in placed for name in required) / len(required)
    return share + len(placed) / 10 * (share == 1 or table in _TABLES), table, placed


def _words(table: str, name: str) -> str:
    """The words for a field; its own name is one of them."""
    own = [MORE.get(f"{table}.{name}"), *([] if table in RECORDS else [WORDS.get(name)])]
    common = [MORE.get(name), WORDS.get(name) if table in RECORDS and name != "name" else None]
    found = [words for words in (*own, *common) if words]
    return "|".join([*found[:1], "=" + name.replace("_", " ")])


def _assign(profiles: list[Profile], table: str, columns: dict[str, Column]) -> dict[str, Profile]:
    pairs = [
        (
            _score(p.name, _words(table, name))
            or (1.0 if column.personal and p.personal == name else 0.0),
            -i,
            name,
            p,
        )
        for name, column in columns.items()
        for i, p in enumerate(profiles)
    ]
    placed: dict[str, Profile] = {}
    for score, _, name, profile in sorted(pairs, key=lambda pair: pair[:2], reverse=True):
        free = name not in placed and profile not in placed.values()
        if score and free and _fits(profile, columns[name]):
            placed[name] = profile
    return placed


def _fits(profile: Profile, column: Column) -> bool:
    """Whether the cells could be of the field, and a personal column stays personal."""
    is_catalogue = column.name == "product_name" and column.required
    if (
        profile.personal
        and not column.personal
        and column.name not in ("customer_key", "birth_date")
        and not (is_catalogue and _plain(profile.name) == "name")
    ):
        return False
    if column.type in ("money", "quantity"):
        return profile.kind == "number" or bool(_number_options(profile) is not None)
    if column.type in ("date", "timestamp"):
        return profile.kind == "moment" or bool(_date_formats(profile))
    return profile.kind != "moment"


# --- how a column is read


def _number_options(profile: Profile) -> tuple | None:
    return next((o for o, pattern in _NUMBERS.items() if profile.looks(pattern)), None)


def _date_formats(profile: Profile) -> list[list[str]]:
    """Formats, as alternatives to each other, that together read the cells; ISO is `%Y-%m-%d`."""
    rest = [value for value in profile.values if not re.fullmatch(_ISO, value)]
    sets = [["%Y-%m-%d"]] if len(rest) < len(profile.values) else []
    while rest and len(sets) < 3:
        found = formats(rest) or formats(rest[:1])
        if not found:
            return []
        sets.append(found)
        read = set(formats([rest[0]])) & set(found)
        rest = [value for value in rest if not read & set(formats([value]))]
    return [] if rest else sets


def _guesses(table: str, placed: dict[str, Profile], raw: Raw) -> list[Guess]:
    columns = fields(table).items()
    guesses = [_guess(column, placed[name], raw) for name, column in columns if name in placed]
    is_lettered = table == "order_lines" and "order_id" in placed and "kind" not in placed
    return guesses + (_kinds(raw, placed) if is_lettered else [])


def _guess(column: Column, profile: Profile, raw: Raw) -> Guess:
    options, question = _feed_options(column, profile, raw)
    name = _quote(profile.name)
    text = name if not options else f"{{column: {name}, {', '.join(options)}}}"
    if column.personal and not profile.personal:
        profile = replace(profile, personal=column.name)
    return Guess(column.name, text, _samples(profile), question)


def _feed_options(column: Column, profile: Profile, raw: Raw) -> tuple[list[str], str]:
    if column.type in ("money", "quantity"):
        options = () if profile.kind == "number" else _number_options(profile) or ()
        marks = [f'{key}: "{mark}"' for key, mark in options]
        if column.type == "money" and re.search(_CENTS, profile.name):
            return [*marks, "unit: cent"], "is it in cents?"
        return marks, ""
    if column.type in ("date", "timestamp"):
        return ([], "") if profile.kind == "moment" else _date_options(profile, raw)
    if column.codes:
        return _code_options(column, profile)
    is_id = profile.kind == "text" and column.name.endswith(("_key", "_id"))
    if is_id and profile.looks(r"\d+\.0", 1):
        return ['strip_suffix: ".0"'], ""
    return [], ""


def _date_options(profile: Profile, raw: Raw) -> tuple[list[str], str]:
    sets = _date_formats(profile)
    chosen = [found[0] for found in sets]
    question = ""
    for found in sets:
        if any("%m" in f and f.index("%m") < f.index("%d") for f in found) and any(
            f.index("%d") < f.index("%m") for f in found if "%m" in f
        ):
            question = f"the day may come first: {found[0]} or {found[1]}?"
    if chosen == ["%Y-%m-%d"]:
        return [], ""
    if len(chosen) > 1:
        question = "several date formats stand in this column: is each right?"
        listed = ", ".join(f'"{f}"' for f in _with_iso_times(chosen, profile))
        return [f"format: [{listed}]"], question
    return [f'format: "{chosen[0]}"'], question


def _with_iso_times(chosen: list[str], profile: Profile) -> list[str]:
    """ISO in a list must be spelt out as the cells have it."""
    iso = [value for value in profile.values if re.fullmatch(_ISO, value)]
    if not iso:
        return chosen
    spelt = dict.fromkeys(formats([value])[0] for value in iso if formats([value]))
    return [*spelt, *chosen[1:]]


def _code_options(column: Column, profile: Profile) -> tuple[list[str], str]:
    """What the values mean; one whose meaning is not known is left out, and asked about."""
    values = profile.values
    if len(values) > 20 or set(values) <= set(column.codes):
        return [], "more than 20 different values: is it this column?" if values[20:] else ""
    means = {value: _meaning(value, column.codes) for value in values}
    odd = ", ".join(json.dumps(v, ensure_ascii=False) for v in values if not means[v])
    question = f"add to `codes` what this means: {odd}" if odd else ""
    if column.codes == KINDS:
        question = "does each value mean this?"
    pairs = [f"{json.dumps(v, ensure_ascii=False)}: {_code(m)}" for v, m in means.items() if m]
    return ([f"codes: {{{', '.join(pairs)}}}"] if pairs else []), question


def _meaning(value: str, codes: tuple[str, ...]) -> str:
    """The code that a value means, empty if no word tells; a kind of line is a sale if nothing."""
    if codes == KINDS:
        return _kind(value)
    plain = value.casefold()
    fitting = (code for code in codes if plain in MEANS.get(code, code).split("|"))
    return value if value in codes else next(fitting, "")


def _code(code: str) -> str:
    """A code as YAML, in quotes where YAML would take it for something else."""
    return f'"{code}"' if code in ("yes", "no") else code


def _kind(value: str) -> str:
    if re.search(RETURNS, value.casefold()):
        return "return"
    return "test" if re.search(TESTS, value.casefold()) else "sale"


def _kinds(raw: Raw, placed: dict[str, Profile]) -> list[Guess]:
    """Returns told by a letter before the order number, if some numbers have one."""
    table, quantity = raw.table, placed.get("quantity")
    letter = cell(table, placed["order_id"].name).re_extract(r"^([A-Za-z]+)", 1)
    minus = cell(table, quantity.name).startswith("-") if quantity else ibis.literal(False)
    found = (
        table.select(letter=letter, minus=minus)
        .group_by("letter")
        .aggregate(rows=ibis._.count(), minus=ibis._.minus.mean())
        .order_by("letter")
        .to_pyarrow()
        .to_pylist()
    )
    plain = sum(group["rows"] for group in found if not group["letter"])
    starts = [group for group in found if group["letter"]]
    if not 0 < len(starts) <= 5 or plain < sum(group["rows"] for group in starts):
        return []
    means = {g["letter"]: "return" if (g["minus"] or 0) > 0.5 else "adjustment" for g in starts}
    listed = ", ".join(f"{letter}: {kind}" for letter, kind in means.items())
    counts = ", ".join(f"{group['rows']:,} with {group['letter']}" for group in starts)
    name = _quote(placed["order_id"].name)
    yaml = f"{{column: {name}, starts_with: {{{listed}}}, default: sale}}"
    return [Guess("kind", yaml, counts, "does the letter before the number mean this?")]


def _odd_codes(raw: Raw, placed: dict[str, Profile]) -> str:
    """Product codes without a digit, which are often postage or fees, as a comment to confirm."""
    if "product_id" not in placed:
        return ""
    code = cell(raw.table, placed["product_id"].name)
    odd = raw.table.select(code=code).filter(~ibis._.code.re_search(r"\d"))
    if not placed["product_id"].looks(r".*\d.*", 0.5):
        return ""
    codes = (
        odd.group_by("code")
        .aggregate(n=ibis._.count())
        .order_by(ibis.desc("n"), "code")
        .limit(20)
        .to_pyarrow()["code"]
        .to_pylist()
    )
    listed = printable(", ".join(_quote(code) for code in codes))
    return (
        (
            f"# QUESTION: codes without a digit: are they postage, fees or manual entries?\n"
            f"# non_products: [{listed}]\n"
        )
        if codes
        else ""
    )


# --- writing


def _lines(guess: Guess) -> list[str]:
    lines = [f"      {guess.field}: {guess.yaml}      # {guess.samples}"]
    return lines + ([f"      # QUESTION: {guess.question}"] if guess.question else [])


def _absent(table: str, placed: dict[str, Profile]) -> list[str]:
    lines = []
    for name, column in fields(table).items():
        is_made = name == "unit_price" and "amount" in placed  # amount ÷ quantity
        if column.required and name not in placed and not is_made:
            lines.append(f"      # {name}: ?      # QUESTION: required, {column.about}: which?")
    if lines and table == "order_lines":
        lines.append(
            "      # what stands in a second file: `join: {path: FILE, on: COLUMN}` above"
        )
    if table == "order_lines" and "channel" not in placed:
        lines.append("      # channel: {value: web}      # QUESTION: which channel are they of?")
    return lines


def _unplaced(profiles: list[Profile], placed: dict[str, Profile]) -> list[str]:
    return [
        f"      # not mapped: {' '.join(profile.name.split())}      # {_samples(profile)}"
        for profile in profiles
        if profile not in placed.values()
    ]


def _samples(profile: Profile) -> str:
    """Up to three values, fit for a comment; personal ones masked, wherever they stand."""
    if not profile.values:
        return "empty in the rows looked at"
    if profile.personal:
        masked = dict.fromkeys(mask(value, profile.personal) for value in profile.values[:20])
        return "personal: " + ", ".join(list(masked)[:3])
    texts = []
    for value in profile.values[:3]:
        hidden = re.sub(_EMAIL, "***", re.sub(rf"(?<!\d){_PHONE}(?!\d)", "***", value))
        short = " ".join("".join(c if c.isprintable() else " " for c in hidden).split())
        texts.append(short if len(short) <= 30 else short[:29] + "…")
    return ", ".join(texts)


def _quote(text: str) -> str:
    """Text as a YAML scalar, quoted only where it must be."""
    is_plain = re.fullmatch(r"[^\W\d_][\w ./()-]*", text) and text == text.strip()
    words = ("true", "false", "null", "yes", "no", "on", "off")
    return (
        text if is_plain and text.casefold() not in words else json.dumps(text, ensure_ascii=False)
    )
