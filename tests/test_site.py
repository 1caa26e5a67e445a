"""The report site, built from a small made-up project that has run."""

from __future__ import annotations

import json
import random
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crm import chart
from crm.site import SiteError, build
from crm.site.pages import _period

EVIL = "<img src=x onerror=alert(1)>"
HERE = Path(chart.__file__).parent / "site"

DVC = """
stages:
  simulate:
    desc: A demo company with known truth
    cmd: crm simulate
    outs: [data/raw/demo]
  ingest:
    desc: The source's files as typed tables, every row kept
    cmd: crm run ingest
    deps: [notebooks/ingest.ipynb, data/raw/demo]
    outs: [data/staged/run.json, data/staged/order_lines, reports/notebooks/ingest.ipynb]
    metrics: [reports/metrics/ingest.json]
  clean:
    desc: Which lines can be trusted, and where every other line went
    cmd: crm run clean
    deps: [notebooks/clean.ipynb, data/staged/run.json, data/staged/order_lines]
    outs: [data/clean/orders, reports/notebooks/clean.ipynb: {persist: true}]
    metrics: [reports/metrics/clean.json: {cache: false}]
  sales:
    desc: Sales by month, country and product
    cmd: crm run sales
    deps: [notebooks/sales.ipynb, data/staged/run.json, data/clean/orders]
    outs: [reports/notebooks/sales.ipynb]
    metrics: [reports/metrics/sales.json]
  rfm:
    desc: Recency, frequency and monetary scores and the value tier of every customer
    cmd: crm run rfm
    deps: [notebooks/rfm.ipynb, data/staged/run.json, data/clean/orders]
    outs: [data/features/rfm.parquet: {persist: true}, reports/notebooks/rfm.ipynb]
    metrics: [reports/metrics/rfm.json]
  site:
    desc: These pages
    cmd: crm site
    deps: [dvc.yaml, reports/notebooks, reports/metrics]
    outs: [reports/index.html, reports/pages]
"""
RUN = {
    "source": "demo",
    "title": "Online Retail (UCI)",
    "as_of": "2011-12-09",
    "currency": "GBP",
    "about": "One year of invoice lines of a UK web shop for gift-ware.",
    "origin": "UCI Machine Learning Repository, https://doi.org/10.24432/C5BW33",
    "seed": 7,
    "time_zone": "Europe/London",
}
METRICS = {
    "ingest": {"lines": 541909, "first": "2010-12-01", "last": "2011-12-09"},
    "clean": {
        "lines": 541909,
        "kept_share": 0.979,
        "quarantined": 2517,
        "removed": 9135,
        "unknown_share": 0.249,
        "money_in": 9747747.93,
    },
    "sales": {
        "sales": 8911407.9,
        "orders": 18532,
        "months": 13,
        "best": "2011-11-01",
        "best_share": 0.13,
        "abroad_share": 0.18,
        "order_value": 480.87,
    },
    "rfm": {
        "customers": 4338,
        "high": 868,
        "top20_share": 0.746,
        "dormant": 1449,
        "dormant_share": 0.334,
        "asleep": 412331.5,
        "lapsing": 214,
        "lapsing_spend": 318220.0,
        "worst": EVIL,
    },
}
TIERS = [
    ("high value", 868, 0.746),
    ("potential", 912, 0.14),
    ("general", 1109, 0.071),
    ("at risk", 1103, 0.039),
    (EVIL, 346, 0.004),
]
COUNTRIES = [
    ("United Kingdom", 7308391),
    ("Netherlands", 284661),
    ("EIRE", 263276),
    ("Germany", 221698),
    ("France", 197403),
    ("Australia", 137077),
    ("Spain", 54774),
    ("Switzerland", 56385),
    ("Belgium", 40910),
    ("Channel Islands", 20076),
]


# ---- a project that has run --------------------------------------------------------------------


def md(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def cell(source: str, *outputs: dict, tag: str = "") -> dict:
    return {
        "cell_type": "code",
        "metadata": {"tags": [tag] if tag else []},
        "source": source,
        "execution_count": None,
        "outputs": list(outputs),
    }


def out(kind: str, data: dict) -> dict:
    bundle = {f"application/vnd.crm.{kind}+json": data, "text/plain": f"{kind}"}
    return {"output_type": "display_data", "metadata": {}, "data": bundle}


def picked(stage: str, *messages: str) -> dict:
    keys = re.findall(r"\{(\w+)", " ".join(messages))
    return {key: METRICS[stage][key] for key in keys}


def say(stage: str, message: str) -> dict:
    return out("say", {"message": message, "values": picked(stage, message), "stage": stage})


def tiles(stage: str, *entries: tuple[str, str, str]) -> dict:
    made = [
        {"label": la, "message": m, "note": n, "values": picked(stage, m, n)}
        for la, m, n in entries
    ]
    return out("tiles", {"tiles": made, "stage": stage})


def picture(stage: str, title: str, alt: str, spec: dict) -> dict:
    return out(
        "chart",
        {
            "title": title,
            "alt": alt,
            "values": picked(stage, title, alt),
            "spec": spec,
            "source": stage,
        },
    )


def table(title: str, columns: dict, rows: list, total: int, stage: str = "rfm") -> dict:
    heads = [{"id": key, "form": form} for key, form in columns.items()]
    return out(
        "table",
        {
            "title": title,
            "values": picked(stage, title),
            "columns": heads,
            "rows": rows,
            "total": total,
        },
    )


def box(stage: str, inputs: list, params: list, outputs: list) -> dict:
    return out(
        "stage",
        {
            "stage": stage,
            "desc": "",
            "as_of": RUN["as_of"],
            "source": "demo",
            "title": RUN["title"],
            "currency": "GBP",
            "inputs": inputs,
            "params": params,
            "outputs": outputs,
        },
    )


def head(stage: str, title: str, opening: str, outputs: list) -> list[dict]:
    inputs = [
        {"name": "tables/orders", "rows": 18532, "from": "2010-12-01", "to": "2011-12-09"},
        {"name": "tables/customers", "rows": 4372},
    ]
    params = [
        {"name": "score.method", "value": "anchor", "default": "anchor", "about": ""},
        {"name": "score.window_days", "value": 365, "default": 730, "about": ""},
    ]
    return [
        md(f"# {title}\n\n{opening}"),
        cell("params = {}", tag="parameters"),
        cell(
            f"from crm import {stage}, plots\nfrom crm.stage import Stage\n\n"
            f'stage = Stage("{stage}", params)  # what dvc.yaml declares',
            tag="plumbing",
        ),
        cell("stage", box(stage, inputs, params, outputs)),
    ]


def saved(stage: str) -> dict:
    text = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"text/plain": f"features/{stage}.parquet: 4,338 rows, sha256 4be1"},
    }
    return cell(f'stage.write("{stage}", scores)', text, tag="plumbing")


def bars(rows: list, label: str, value: str, form: str, title: str) -> dict:
    return {
        "data": {"values": [{label: r[0], value: r[-1]} for r in rows]},
        "mark": "bar",
        "height": {"step": 34},
        "encoding": {
            "y": {"field": label, "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": value,
                "type": "quantitative",
                "title": title,
                "axis": {"format": form},
            },
        },
    }


def monthly() -> dict:
    draw = random.Random(3)
    months = [f"2010-{12:02d}-01"] + [f"2011-{m:02d}-01" for m in range(1, 13)]
    rows = [
        {
            "month": m,
            "buyers": k,
            "sales": round((480000 + 42000 * i) * s * draw.uniform(0.8, 1.2)),
        }
        for i, m in enumerate(months)
        for k, s in (("known customers", 1), ("unknown", 0.2))
    ]
    return {
        "data": {"values": rows},
        "mark": "line",
        "encoding": {
            "x": {
                "field": "month",
                "type": "temporal",
                "title": None,
                "axis": {"format": "%b %Y"},
            },
            "y": {
                "field": "sales",
                "type": "quantitative",
                "title": "Sales per month",
                "axis": {"format": "$~s"},
            },
            "color": {"field": "buyers", "type": "nominal", "title": None},
        },
    }


def cloud() -> dict:
    draw = random.Random(5)
    rows = [
        {
            "orders": int(draw.paretovariate(1.1)) % 90 + 1,
            "tier": draw.choice(TIERS)[0],
            "spend": round(draw.lognormvariate(6, 1.1), 2),
        }
        for _ in range(300)
    ]
    axis = {"type": "quantitative", "scale": {"type": "log"}}
    return {
        "data": {"values": rows},
        "mark": "point",
        "encoding": {
            "x": axis | {"field": "orders", "title": "Orders"},
            "y": axis
            | {"field": "spend", "title": "Spend after returns", "axis": {"format": "$,.0f"}},
            "color": {"field": "tier", "type": "nominal", "title": None},
        },
    }


def customers() -> list[list]:
    draw = random.Random(9)
    return [
        [
            f"c{draw.getrandbits(40):010x}",
            draw.choice(TIERS)[0],
            draw.randint(0, 370),
            draw.randint(1, 60),
            round(draw.lognormvariate(7, 1), 2),
            draw.choice([True, False]),
            draw.choice(["2011-12-08", "2011-03-14", None]),
        ]
        for _ in range(40)
    ]


def rfm_page() -> list[dict]:
    return [
        *head(
            "rfm",
            "Which customers carry the business, and which are slipping away?",
            "Every customer gets three scores at one date: how **recently**, how **often** and "
            "for how **much** they bought. The tier follows from the three, see "
            "[the cleaning](clean.ipynb).",
            ["data/features/rfm.parquet"],
        ),
        md(
            "## What one row is\n\nOne customer with at least one purchase up to the date of the "
            "data. Postage, fees and vouchers are left out, and returns are taken from the spend."
        ),
        cell("scores = rfm.score(orders, as_of=stage.as_of, **stage.params['score'])"),
        cell("stage.metrics(**rfm.summary(scores))"),
        cell(
            "stage.tiles(customers=..., high_value=...)",
            tiles(
                "rfm",
                ("Customers", "{customers:int}", "with at least one purchase"),
                ("High value", "{high:int}", "they bring {top20_share:pct} of sales"),
                (
                    "Dormant",
                    "{dormant_share:pct0}",
                    "{dormant:int} without a purchase in 180 days",
                ),
                ("Spend asleep", "{asleep:money}", "of the dormant, in their last active year"),
            ),
        ),
        md(
            "## The few and the many\n\nWe expect sales to be concentrated: in gift-ware a small "
            "number of wholesalers buys most of the goods.\n\n- high value: scores of 60 up\n"
            "- at risk: a recency score under 40"
        ),
        cell(
            "stage.chart(plots.bars(tiers, 'tier', 'spend_share'))",
            picture(
                "rfm",
                "{high:int} customers of high value bring **{top20_share:pct}** of sales",
                "Bars of the share of sales by tier; {worst} is the last",
                bars(TIERS, "tier", "spend_share", ".0%", "Share of sales"),
            ),
        ),
        cell(
            "stage.say(...)",
            say(
                "rfm",
                "The tier at the bottom, {worst}, brings next to nothing; "
                "the **{lapsing}** lapsing customers once spent "
                "{lapsing_spend:money}.",
            ),
        ),
        md(
            f"### Orders against spend\n\nWe see a band, not a line: some spend much in few "
            f"orders. {EVIL} is only text here, and so is `{EVIL}`.\n\n"
            "| score | meaning |\n|---|---|\n| 100 | bought today |\n| 0 | longest silent |"
        ),
        cell(
            "stage.chart(plots.cloud(scores))",
            picture(
                "rfm",
                "Spend grows with orders, with exceptions worth a call",
                "Points: orders across, spend upward",
                cloud(),
            ),
        ),
        md("## Who to call first"),
        cell(
            "stage.show(scores.head(40))",
            table(
                "{lapsing} lapsing customers of value, the highest spend first",
                {
                    "customer_id": "text",
                    "tier": "text",
                    "recency_days": "days",
                    "orders": "int",
                    "spend": "money2",
                    "is_dormant": "text",
                    "last_order_on": "date",
                },
                customers(),
                4338,
            ),
        ),
        md(
            "## Verdict and limits\n\nThe scores rank customers; they do not say why. "
            "Do not use them for customers who registered less than 30 days ago."
        ),
        md("## In one sentence"),
        cell(
            "stage.say(...)",
            say(
                "rfm",
                "**{top20_share:pct}** of sales come from {high:int} of "
                "{customers:int} customers, and {dormant_share:pct0} of all "
                "customers have gone quiet.",
            ),
            say(
                "rfm",
                "Calling the {lapsing} lapsing ones first puts {lapsing_spend:money} of "
                "yearly sales within reach.",
            ),
            tag="answer",
        ),
        saved("rfm"),
    ]


def sales_page() -> list[dict]:
    return [
        *head("sales", "How much was sold, when, where and what?", "Sales before returns.", []),
        cell(
            "stage.tiles(...)",
            tiles(
                "sales",
                ("Sales", "{sales:money}", "in {months} months"),
                ("Orders", "{orders:int}", "{order_value:money2} on average"),
                ("Abroad", "{abroad_share:pct}", "of sales"),
            ),
        ),
        md("## By month\n\nA season before Christmas is expected."),
        cell(
            "stage.chart(...)",
            picture(
                "sales",
                "{best:month} alone brings {best_share:pct0} of the year",
                "Line of sales by month",
                monthly(),
            ),
        ),
        md("## By country"),
        cell(
            "stage.chart(...)",
            picture(
                "sales",
                "Outside the United Kingdom, no country counts for much",
                "Bars of sales by country",
                bars(COUNTRIES, "country", "sales", "$~s", "Sales"),
            ),
        ),
        cell(
            "stage.say(...)",
            say(
                "sales",
                "Sales reached **{sales:money}**, and {best:month} was the strongest month.",
            ),
            tag="answer",
        ),
    ]


def clean_page() -> list[dict]:
    ledger = [
        ["order_lines", "kept", "passed every rule", 530257, 9610134.21],
        ["order_lines", "quarantined", "price of zero or less", 2517, -22014.5],
        ["order_lines", "removed", "no product", 9135, None],
    ]
    forms = {"table": "text", "fate": "text", "reason": "text", "rows": "int", "amount": "money2"}
    return [
        *head(
            "clean",
            "Can the data be trusted?",
            "Every line that arrived met one fate.",
            ["data/clean/orders"],
        ),
        cell(
            "stage.tiles(...)",
            tiles(
                "clean",
                ("Lines kept", "{kept_share:pct}", "of {lines:int}"),
                ("Quarantined", "{quarantined:int}", "kept aside, with reason"),
            ),
        ),
        md("## The ledger"),
        cell("stage.show(ledger)", table("", forms, ledger, 3, "clean")),
        cell(
            "stage.say(...)",
            say(
                "clean",
                "**{kept_share:pct}** of {lines:int} lines are kept; "
                "{quarantined:int} wait in quarantine with their reason.",
            ),
            say(
                "clean",
                "A quarter of sales ({unknown_share:pct}) has no customer number and "
                "cannot be analysed by customer.",
            ),
            tag="answer",
        ),
    ]


def ingest_page() -> list[dict]:
    return [
        *head("ingest", "What arrived?", "The files, as they are.", ["data/staged/order_lines"]),
        cell(
            "stage.say(...)",
            say("ingest", "{lines:int} lines from {first:date} to {last:date}."),
            tag="answer",
        ),
    ]


PAGES = {"ingest": ingest_page, "clean": clean_page, "sales": sales_page, "rfm": rfm_page}


def make(root: Path) -> Path:
    """Write the whole made-up project into a folder."""
    for folder in ("reports/notebooks", "reports/metrics", "data/staged"):
        (root / folder).mkdir(parents=True)
    (root / "dvc.yaml").write_text(DVC, encoding="utf-8")
    (root / "data/staged/run.json").write_text(json.dumps(RUN), encoding="utf-8")
    for stage, cells in PAGES.items():
        save(root, stage, cells())
        (root / f"reports/metrics/{stage}.json").write_text(json.dumps(METRICS[stage]))
    return root


def save(root: Path, stage: str, cells: list[dict]) -> None:
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / f"reports/notebooks/{stage}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    root = make(tmp_path_factory.mktemp("site"))
    build(root)
    return root / "reports"


@pytest.fixture
def root(tmp_path) -> Path:
    """A project with the ingest page only, which builds in no time."""
    make(tmp_path)
    text = DVC[: DVC.index("  clean:")]
    (tmp_path / "dvc.yaml").write_text(text, encoding="utf-8")
    return tmp_path


class Reader(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def pages(reports: Path) -> list[Path]:
    return [reports / "index.html", *sorted((reports / "pages").iterdir())]


# ---- what a page may hold ----------------------------------------------------------------------


def test_a_name_that_is_html_stays_text_everywhere(built):
    assert EVIL in Reader(built / "pages/rfm.html").text
    for path in pages(built):
        for tag, attributes in Reader(path).tags:
            assert tag not in ("img", "iframe", "object", "embed"), path.name
            assert not [name for name in attributes if name.startswith("on")], path.name


def test_a_page_names_nothing_outside_itself(built):
    for path in pages(built):
        for tag, attributes in Reader(path).tags:
            for name in ("src", "href", "xlink:href", "action", "poster", "data"):
                value = attributes.get(name) or ""
                is_link = tag == "a" and name == "href"
                assert is_link or not value or value.startswith(("data:", "#")), (path.name, tag)
        style = re.search(r"<style>(.*?)</style>", path.read_text(encoding="utf-8"), re.S)[1]
        assert "url(" not in style and "@import" not in style


def test_the_source_is_linked_in_the_foot_only(built):
    outward = [
        a["href"]
        for tag, a in Reader(built / "pages/rfm.html").tags
        if tag == "a" and a["href"].startswith("http")
    ]
    assert outward == ["https://doi.org/10.24432/C5BW33"]


def test_two_builds_in_two_places_give_the_same_bytes(built, tmp_path):
    build(make(tmp_path / "elsewhere"))
    for path in pages(built):
        other = tmp_path / "elsewhere/reports" / path.relative_to(built)
        assert path.read_bytes() == other.read_bytes(), path.name


def test_each_value_of_a_sentence_names_its_metric(built):
    spans = [
        a
        for tag, a in Reader(built / "pages/rfm.html").tags
        if tag == "span" and a.get("class") == "num"
    ]
    assert {a["title"] for a in spans} >= {"rfm.top20_share", "rfm.high", "rfm.worst"}


def test_a_message_is_read_as_markdown_and_its_values_are_not(root):
    path = root / "reports/metrics/ingest.json"
    path.write_text(json.dumps({"name": "**a** [b](javascript:c) <b>"}))
    data = {"message": "**Best**: {name}", "values": json.loads(path.read_text())}
    save(root, "ingest", [md("# T"), cell("x", out("say", data))])
    build(root)
    page = (root / "reports/pages/ingest.html").read_text()
    assert "<strong>Best</strong>" in page
    assert ">**a** [b](javascript:c) &lt;b&gt;</span>" in page


@pytest.mark.parametrize(
    ("names", "period"),
    [
        (("staged/events", "staged/order_lines", "tables/orders"), "3 Jan 2024 – 4 Jan 2024"),
        (("staged/events", "staged/order_lines"), "2 Jan 2024 – 4 Jan 2024"),
        (("staged/events",), "1 Jan 2024 – 4 Jan 2024"),
        ((), ""),
    ],
)
def test_the_days_of_a_page_are_those_of_orders_cleaned_ones_first(names, period):
    first = {"staged/events": "01-01", "staged/order_lines": "01-02", "tables/orders": "01-03"}
    inputs = [{"name": n, "from": f"2024-{first[n]}", "to": "2024-01-04"} for n in names]
    assert _period([{"inputs": inputs}]) == period


def test_words_agree_with_numbers_in_sentences_and_titles(root):
    path = root / "reports/metrics/ingest.json"
    path.write_text(json.dumps({"n": 1, "name": "two[s]"}))
    data = {"message": "{n} line[s] [is|are] in {name}", "values": json.loads(path.read_text())}
    shown = out("table", {"title": "{n} row[s]", "values": {"n": 1}, "columns": [], "rows": []})
    save(root, "ingest", [md("# T"), cell("x", out("say", data), shown)])
    build(root)
    text = Reader(root / "reports/pages/ingest.html").text
    assert "1 line is in two[s]" in text
    assert "1 row" in text
    assert "row[s]" not in text


# ---- order and tables --------------------------------------------------------------------------


def test_the_answer_opens_the_page_then_tiles_then_the_story(built):
    text = Reader(built / "pages/rfm.html").text
    text = text[text.index("In short") :]
    order = [
        "have gone quiet",
        "Spend asleep",
        "Every customer gets three scores",
        "The few and",
        "Who to call first",
        "How this page was made",
        "score.method",
        'Stage("rfm"',
    ]
    found = [text.index(words) for words in order[:-1]]
    assert found == sorted(found)


def test_a_heading_whose_answer_moved_up_is_dropped(built):
    assert "In one sentence" not in Reader(built / "pages/rfm.html").text


def test_a_long_table_starts_short_and_says_how_many_rows_there_are(built):
    reader = Reader(built / "pages/rfm.html")
    assert "The first 40 of 4,338 rows" in reader.text
    assert any(a.get("data-more") == "Show all 40" for tag, a in reader.tags if tag == "button")


def test_empty_and_true_cells_read_well_and_no_rows_are_said(root):
    forms = {"is_dormant": "text", "spend": "money2"}
    save(
        root,
        "ingest",
        [
            md("# T"),
            cell("x", table("", forms, [[True, None]], 1, "ingest")),
            cell("y", table("", forms, [], 0, "ingest")),
        ],
    )
    build(root)
    page = (root / "reports/pages/ingest.html").read_text()
    assert '<td class="yes" data-v="1">yes</td>' in page
    assert 'none" data-v="">–</td>' in page
    assert '<p class="none">None.</p>' in page


def test_the_index_shows_findings_first_and_stages_without_a_notebook_have_no_page(built):
    text = Reader(built / "index.html").text
    order = [
        "What was found",
        "How much was sold",
        "Which customers carry",
        "How far to trust it",
        "What arrived?",
        "Lists for action",
        "data/features/rfm.parquet",
    ]
    text = text[text.index("What was found") :]
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    assert [path.stem for path in pages(built)] == ["index", "clean", "ingest", "rfm", "sales"]


def test_the_index_repeats_an_action_only_if_it_asks_for_something(root):
    told = [say("ingest", "**Sales: call them.**"), say("ingest", "Service: nobody waits.")]
    save(root, "ingest", [md("# T"), cell("x", *told, tag="action")])
    build(root)
    page = (root / "reports/pages/ingest.html").read_text()
    index = (root / "reports/index.html").read_text()
    assert "call them" in page and "nobody waits" in page
    assert "call them" in index and "nobody waits" not in index


def test_links_between_pages_lead_somewhere(built):
    for path in pages(built):
        ids = {a["id"] for _, a in Reader(path).tags if "id" in a}
        for tag, attributes in Reader(path).tags:
            href = attributes.get("href", "")
            if tag == "a" and href.startswith("#"):
                assert href[1:] in ids, (path.name, href)
            elif tag == "a" and not href.startswith("http"):
                assert (path.parent / href).exists(), (path.name, href)


def test_an_id_stands_once_on_a_page(built):
    for path in pages(built):
        ids = [a["id"] for _, a in Reader(path).tags if "id" in a]
        assert len(ids) == len(set(ids)), path.name


# ---- errors ------------------------------------------------------------------------------------


def test_a_number_that_differs_from_its_metric_fails_and_leaves_the_old_site(root):
    build(root)
    before = (root / "reports/pages/ingest.html").read_bytes()
    (root / "reports/metrics/ingest.json").write_text(json.dumps(METRICS["ingest"] | {"lines": 7}))
    with pytest.raises(SiteError, match=r"'ingest', key 'lines': .* 541909, but .* says 7"):
        build(root)
    assert (root / "reports/pages/ingest.html").read_bytes() == before


def test_a_number_without_a_metric_fails(root):
    (root / "reports/metrics/ingest.json").write_text("{}")
    with pytest.raises(SiteError, match=r"'ingest', key 'lines': .* says nothing"):
        build(root)


def test_a_number_in_a_chart_title_is_checked_too(root):
    chart_cell = out(
        "chart",
        {
            "title": "{lines} lines",
            "alt": "",
            "values": {"lines": 1},
            "spec": monthly(),
            "source": "ingest",
        },
    )
    save(root, "ingest", [md("# T"), cell("x", chart_cell)])
    with pytest.raises(SiteError, match="would show 1"):
        build(root)


def test_a_stage_that_did_not_run_is_named_with_the_command(root):
    (root / "reports/notebooks/ingest.ipynb").unlink()
    with pytest.raises(SiteError, match=r"ingest\.ipynb is not there: run `dvc repro ingest`"):
        build(root)


def test_a_chart_that_links_outward_is_refused(root):
    spec = bars([("a", 1)], "k", "v", "d", "V")
    spec["encoding"]["href"] = {"value": "https://example.org"}
    save(root, "ingest", [md("# T"), cell("x", picture("ingest", "T", "", spec))])
    with pytest.raises(SiteError, match="links, images and scripts"):
        build(root)


def test_pages_of_stages_no_longer_there_are_removed(root):
    (root / "reports/pages").mkdir()
    (root / "reports/pages/gone.html").write_text("old")
    written = build(root)
    assert [path.name for path in written] == ["index.html", "ingest.html"]
    assert [path.name for path in (root / "reports/pages").iterdir()] == ["ingest.html"]


def test_a_notebook_of_a_title_alone_still_makes_a_page(root):
    save(root, "ingest", [md("# Nothing yet?")])
    build(root)
    assert "Nothing yet?" in Reader(root / "reports/pages/ingest.html").text


# ---- charts ------------------------------------------------------------------------------------


def test_a_chart_drawn_twice_is_the_same_and_is_as_wide_as_asked():
    spec = bars(COUNTRIES, "country", "sales", "$~s", "Sales")
    once, again = (chart.svg(spec, width=340, currency="GBP") for _ in range(2))
    assert once == again
    assert 'width="340"' in once[:400]
    assert ">£8M<" in once


def test_a_chart_does_not_depend_on_the_fonts_of_the_machine(tmp_path):
    import os
    import subprocess
    import sys

    (tmp_path / "fonts.conf").write_text("<fontconfig><dir>/nowhere</dir></fontconfig>")
    rows = [*COUNTRIES, ("空气炸锅（大号）", 20000)]
    spec = bars(rows, "country", "sales", "$~s", "Sales")
    program = (
        "import json, sys; from crm.chart import svg; print(svg(json.load(sys.stdin), width=340))"
    )
    bare = os.environ | {
        "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"),
        "PYTHONUTF8": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(spec),
        env=bare,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.rstrip("\n") == chart.svg(spec, width=340)


def test_every_colour_of_the_charts_has_its_dark_twin():
    style = (HERE / "style.css").read_text(encoding="utf-8")
    for colour in (chart.INK, chart.MUTED, chart.GRID, *chart.PALETTE):
        assert f'[fill="{colour}"]' in style and f'[stroke="{colour}"]' in style, colour


# ---- in a real browser -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("chromium is not installed: `apt-get install chromium`")
    api = pytest.importorskip("playwright.sync_api")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def sheet(browser):
    """A way to open a page without a network; everything that went wrong is collected."""
    contexts = []

    def open_(path: Path, width: int = 1280, scheme: str = "light"):
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.wrong = []
        page.on("console", lambda m: page.wrong.append(m.text))
        page.on("pageerror", lambda e: page.wrong.append(str(e)))
        page.on("requestfailed", lambda r: page.wrong.append(r.url))
        page.on("dialog", lambda d: (page.wrong.append(d.message), d.dismiss()))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_and_nothing_goes_wrong(built, sheet, width, scheme):
    for path in pages(built):
        page = sheet(path, width, scheme)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        assert page.wrong == [], path.name


def test_chart_text_is_readable_on_a_phone(built, sheet):
    page = sheet(built / "pages/rfm.html", 390)
    sizes = page.evaluate("""[...document.querySelectorAll('.drawing.narrow svg')].map((svg) =>
        Math.min(...[...svg.querySelectorAll('text')]
            .map((t) => parseFloat(getComputedStyle(t).fontSize)))
        * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)""")
    assert sizes and min(sizes) >= 11


def test_a_table_is_sorted_by_keyboard_and_unfolds(built, sheet):
    page = sheet(built / "pages/rfm.html")
    figure = page.locator("figure:not(.chart)").first
    rows = figure.locator("tbody tr:visible")
    assert rows.count() == 12
    figure.locator("th button", has_text="Spend").press("Enter")
    assert figure.locator("th[aria-sort=descending]").inner_text() == "Spend after returns"
    figure.locator(".more").press("Enter")
    spends = [float(row.locator("td").nth(4).get_attribute("data-v")) for row in rows.all()]
    assert len(spends) == 40
    assert spends == sorted(spends, reverse=True)


def test_a_chart_tells_its_values_by_pointer_and_by_keys(built, sheet):
    page = sheet(built / "pages/sales.html")
    drawing = page.locator(".drawing.wide").first
    drawing.focus()
    drawing.press("ArrowRight")
    tip = page.locator(".tip")
    assert tip.is_visible() and "£" in tip.inner_text()
    drawing.press("Escape")
    assert not tip.is_visible()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert tip.is_visible() and "2011" in tip.inner_text()


def test_paper_shows_what_the_screen_folds(built, sheet):
    page = sheet(built / "pages/rfm.html")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("figure:not(.chart) tbody").first.locator("tr:visible").count() == 40
    assert not page.locator(".bar").is_visible()
