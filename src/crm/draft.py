"""A proposed mapping for files nobody has described yet, with a question wherever it is unsure.

The proposal rests on the words in the header, English and Chinese, and on what the cells look
like. Samples stand beside each column so that a person can judge; samples of columns that seem
to identify a person are masked, and a column without a place is listed, never dropped in silence.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import ibis
from python_calamine import CalamineError, CalamineWorkbook

from crm.ingest import cell
from crm.mapping import File, Problem, SourceError, fields, formats
from crm.raw import LINE, Raw, broken_rows, open_file
from crm.tables import GENDERS, Column

WORDS = {  # field: words in a header that name it or a part of it; with =, the whole header
    "order_id": "=order|order id|order no|order number|invoice no|invoice|receipt|"
    "transaction id|bill no|订单号|订单编号|订单id|单号|交易号|流水号|小票号|发票号",
    "kind": "=type|=类型|kind|order type|transaction type|订单类型|交易类型|单据类型",
    "customer_key": "customer id|customer no|customer key|customer code|cust id|client id|"
    "member id|member no|user id|buyer id|客户id|客户编号|客户号|会员id|会员号|"
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
    "join date|created at|注册时间|注册日期|入会时间|入会日期|开户日期|建档日期",
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
PRIVATE = (  # headers of columns that identify a person and have no field
    "address|street|postcode|zip|birth|passport|id card|identity|wechat|qq|ip|"
    "地址|身份证|生日|出生|微信|收货人|证件"
)
RETURNS = "return|refund|cancel|credit|退"  # values of a kind column that mean a return
TESTS = "test|测试"
SEXES = {"male": "m|male|man|男|男性|先生", "female": "f|female|woman|女|女性|女士"}

_TABLES = ("order_lines", "customers", "products")
_ROWS = 2_000  # rows looked at, spread evenly over the file
_ISO = r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
_PHONE = r"1[3-9]\d{9}"
_EMAIL = r"[^@\s,;]+@[^@\s,;]+\.[a-zA-Z]{2,}"
_ID_CARD = r"\d{17}[\dXx]"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任"
    "卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
)
_NUMBERS = {  # options of a number: what all cells look like
    (): r"[+-]?(\d+(\.\d*)?|\.\d+)",
    (("thousands", ","),): r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?",
    (("thousands", "."), ("decimal", ",")): r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d*)?",
}


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
    about = f'title: {_quote(name)}\nabout: ""      # one sentence: what the records are\n'
    head = (
        f"# Proposed by `crm draft`: read it, answer each QUESTION, then delete the comments.\n"
        f'{about}origin: ""     # where a user gets the files\nlicence: ""\n'
        f"public: false   # true only if anyone may have the data\nfiles:\n"
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
    options, doubt = _options(file)
    raw = open_file(con, File("", (file.name,), **options), name, file.parent)
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
    return "\n".join(lines) + "\n", _odd_codes(raw, placed) if table == "order_lines" else ""


def _options(file: Path) -> tuple[dict[str, str], str]:
    """How the file must be read, and what is doubtful about that."""
    if file.suffix.lower() == ".xlsx":
        return _sheet(file)
    if file.suffix.lower() == ".parquet":
        return {}, ""
    with file.open("rb") as stream:
        start = stream.read(1 << 18)
    encoding, doubt = _encoding(start)
    header = start.decode(encoding, "replace").lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = max(",;\t|", key=header.count)
    options = {} if encoding == "utf-8" else {"encoding": encoding}
    return options | ({} if delimiter == "," else {"delimiter": delimiter}), doubt


def _sheet(file: Path) -> tuple[dict[str, str], str]:
    try:
        first, *others = CalamineWorkbook.from_path(file).sheet_names
    except (CalamineError, OSError, ValueError):
        return {}, ""  # opening the file says what is wrong with it
    doubt = f"is it this sheet? There are also: {', '.join(others)}"
    return ({"sheet": first}, doubt) if others else ({}, "")


def _encoding(start: bytes) -> tuple[str, str]:
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16", ""
    for encoding in ("utf-8", "gb18030"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(start)
        except UnicodeDecodeError:
            continue
        beyond = [char for char in text if char > "\x7f"]
        chinese = sum("\u4e00" <= char <= "\u9fff" or char in "，。、（）￥" for char in beyond)
        if encoding == "utf-8" or chinese > len(beyond) / 2:
            return encoding, ""
    return "latin-1", "the encoding is a guess: are accents and signs such as £ right?"


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
    """The table that the columns fit best, and the column for each of its fields."""
    best: tuple[float, str, dict[str, Profile]] = (-1.0, "", {})
    for table in _TABLES:
        columns = fields(table)
        placed = _assign(profiles, columns)
        required = [name for name, column in columns.items() if column.required]
        fit = sum(name in placed for name in required) / len(required) + len(placed) / 10
        if fit > best[0]:
            best = (fit, table, placed)
    return best[1], best[2]


def _assign(profiles: list[Profile], columns: dict[str, Column]) -> dict[str, Profile]:
    pairs = [
        (
            _score(p.name, WORDS[name])
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
        and column.name != "customer_key"
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
    return guesses + (_kinds(raw, placed) if "order_id" in placed and "kind" not in placed else [])


def _guess(column: Column, profile: Profile, raw: Raw) -> Guess:
    options, question = _feed_options(column, profile, raw)
    name = _quote(profile.name)
    text = name if not options else f"{{column: {name}, {', '.join(options)}}}"
    if column.personal and not profile.personal:
        profile = replace(profile, personal=column.name)
    return Guess(column.name, text, _samples(profile), question)


def _feed_options(column: Column, profile: Profile, raw: Raw) -> tuple[list[str], str]:
    if column.type in ("money", "quantity"):
        if profile.kind == "number":
            return [], ""
        options = _number_options(profile) or ()
        return [f'{key}: "{mark}"' for key, mark in options], ""
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
    values = profile.values
    if len(values) > 20 or set(values) <= set(column.codes):
        return [], "more than 20 different values: is it this column?" if values[20:] else ""
    if column.codes == GENDERS:
        means = {
            value: next(
                (sex for sex, words in SEXES.items() if value.casefold() in words.split("|")),
                "unknown",
            )
            for value in values
        }
        default, question = ["default: unknown"], ""
    else:
        means = {value: _kind(value) for value in values}
        default, question = [], "does each value mean this?"
    listed = ", ".join(f"{json.dumps(v, ensure_ascii=False)}: {m}" for v, m in means.items())
    return [f"codes: {{{listed}}}", *default], question


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
    listed = ", ".join(_quote(code) for code in codes)
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
        if column.required and name not in placed:
            lines.append(f"      # {name}: ?      # QUESTION: required, {column.about}: which?")
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
