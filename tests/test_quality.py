"""What the data can carry, what waits for its owner, and that an empty table reads well."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, quality, wording
from crm.quality import STRIDE, QualityError
from crm.rules import Rule

AS_OF = date(2024, 3, 15)
ORDERS = """
order_id  customer_id  ordered_at        channel  amount
4         c            2024-03-16T00:00  web      9.00
2         -            2024-03-15T23:59  web      5.00
1         a            2023-12-16T10:00  store    8.00
3         b            2024-03-01T10:00  web      7.00
5         b            2024-02-01T10:00  web      2.00
6         d            2024-01-01T10:00  web      0.00
"""
ITEMS = """
order_id  line        product_id  ordered_at
1         1           mug         2023-12-16T10:00
1         1000000001  cup         2023-12-16T10:00
1         1000000002  POST        2023-12-16T10:00
2         1000000003  POST        2024-03-15T23:59
3         1000000004  mug         2024-03-01T10:00
3         1000000005  mug         2024-03-01T10:00
"""
PRODUCTS = "product_id is_product\nmug true\ncup true\nPOST false"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def placed(con):
    return quality.placed(
        literal(con, "tables/orders", ORDERS),
        literal(con, "tables/order_items", ITEMS),
        literal(con, "tables/products", PRODUCTS),
    )


@pytest.fixture
def traces(con):
    """First days of what customers left besides orders."""
    return quality.traces(records(con, **SEEN), as_of=AS_OF)


@pytest.fixture
def none_placed(con):
    return quality.placed(
        literal(con, "tables/orders", "order_id"),
        literal(con, "tables/order_items", "line"),
        literal(con, "tables/products", "product_id"),
    )


# ---- the verdict -----------------------------------------------------------------------------


def test_a_purchase_has_an_amount_and_postage_is_no_product(con, placed):
    assert found(con, placed, "order_id", "customer_id", "products") == [
        ("1", "a", 2), ("2", None, 0), ("3", "b", 1), ("4", "c", 0), ("5", "b", 0),
    ]  # fmt: skip


def test_facts_count_up_to_as_of_and_silence_of_the_whole_span_is_churn(con, placed, traces):
    row = engine.frame(con, quality.facts(placed, traces, as_of=AS_OF)).iloc[0].to_dict()
    assert row["until_on"] == pd.Timestamp(AS_OF)
    assert (row["orders"], row["named_share"], row["history_days"]) == (4, 0.75, 91)
    assert row["named_sales_share"] == pytest.approx(17 / 22)
    assert (row["buyers"], row["repeat_share"], row["stopped"]) == (2, 0.5, 1)
    assert (row["baskets"], row["basket_share"]) == (1, 0.25)
    later = quality.facts(placed, traces, as_of=AS_OF, churned_days=91)
    later = engine.frame(con, later).iloc[0]
    assert later["stopped"] == 0


def test_facts_of_nothing_are_zero(con, none_placed, traces):
    rows = engine.frame(con, quality.facts(none_placed, traces, as_of=AS_OF))
    assert rows.iloc[0].drop("until_on").tolist() == [0] * 10


ENOUGH = {
    "named_share": 0.9, "named_sales_share": 0.9, "sound_share": 0.99, "history_days": 360,
    "buyers": 1000, "repeat_share": 0.3, "baskets": 2000, "basket_share": 0.3, "stopped": 200,
    "signal_share": 0.2,
}  # fmt: skip


def judged(**other) -> pd.DataFrame:
    return quality.verdicts(quality.judge(ENOUGH | other, quality.limits()))


def test_figures_that_reach_all_limits_say_yes():
    verdicts = judged()
    assert verdicts["analysis"].tolist() == ["RFM", "clusters", "baskets", "churn"]
    assert set(verdicts["verdict"]) == {"yes"}
    assert set(verdicts["fix"]) == {"nothing"}
    assert quality.headline(verdicts)["refused"] == "nothing"
    assert "Nothing stands in the way" in quality.first_note(verdicts)


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"named_share": 0.899}, ["with care", "with care", "yes", "with care"]),
        ({"named_share": 0.499}, ["no", "no", "yes", "no"]),
        ({"named_sales_share": 0.85}, ["with care", "with care", "yes", "yes"]),
        ({"history_days": 89}, ["no", "yes", "yes", "no"]),
        ({"history_days": 180}, ["yes", "yes", "yes", "with care"]),
        ({"stopped": 99}, ["yes", "yes", "yes", "no"]),
        ({"baskets": 1999}, ["yes", "yes", "with care", "yes"]),
        ({"signal_share": 0.0}, ["yes", "yes", "yes", "with care"]),
        ({"sound_share": 0.98}, ["with care"] * 4),
    ],
)
def test_each_limit_decides_on_its_own_analyses(planted, said):
    assert judged(**planted)["verdict"].tolist() == said


def test_the_worst_figure_is_the_reason_and_of_equals_the_first_named():
    churn = judged(stopped=99, history_days=200, named_share=0.4).set_index("analysis")
    assert churn.loc["churn", "reason"] == "99 customers stopped buying"
    assert churn.loc["churn", "fix"] == "load older orders"
    assert churn.loc["RFM", "reason"] == "40.0% of orders name a customer"
    head = quality.headline(churn.reset_index())
    assert (head["refused"], head["carried"]) == ("RFM, clusters, churn", "baskets")
    assert head["first_analysis"] == "RFM"
    assert head["first_reason"] == "40.0% of orders name a customer"
    assert (head["first_owner"], head["first_enough"]) == ("Sales", "90.0%")
    assert quality.first_note(churn.reset_index()).startswith("**{first_owner")


def test_no_data_carry_nothing_and_a_figure_not_known_is_not_judged():
    verdicts = judged(**dict.fromkeys(ENOUGH, 0))
    assert verdicts["verdict"].tolist() == ["no"] * 4
    assert verdicts["reason"].iloc[0] == "orders of 0 days"
    one = quality.verdicts(quality.judge({"baskets": 2000}, quality.limits()))
    assert one["analysis"].tolist() == ["baskets"]


def test_what_the_mapping_declares_is_a_verdict_that_no_figure_can_raise():
    declared = [("baskets", "no", "lines are a sample"), ("churn", "with care", "so are orders")]
    rows = quality.limited(judged(stopped=99, baskets=0)[::-1], declared).set_index("analysis")
    assert rows.loc["baskets"].to_dict() == {
        "verdict": "no", "reason": "lines are a sample", "fix": quality.UNLIMITED,
        "yes_from": "–", "owner": "sales",
    }  # fmt: skip
    assert rows.loc["churn", ["verdict", "reason"]].tolist() == [
        "no", "99 customers stopped buying",
    ]  # fmt: skip
    assert rows.loc["RFM", "verdict"] == "yes"
    head = quality.headline(rows[::-1].reset_index())
    assert (head["first_reason"], head["first_fix"]) == ("Lines are a sample", quality.UNLIMITED)
    assert quality.first_note(rows[::-1].reset_index()).startswith("**First")


def test_where_the_mapping_declares_nothing_the_figures_decide():
    verdicts = judged(stopped=99)
    pd.testing.assert_frame_equal(quality.limited(verdicts), verdicts)
    assert len(quality.limited(verdicts.head(0), [("churn", "no", "why")])) == 0


def test_evidence_writes_each_figure_beside_its_limits():
    shown = quality.evidence(quality.judge({"buyers": 1234, "mixed": 1}, quality.limits()))
    columns = ["analysis", "measure", "found", "no_below", "yes_from", "grade"]
    assert shown[columns].values.tolist() == [
        ["RFM", "buyers", "1,234", "30", "100", "yes"],
        ["clusters", "buyers", "1,234", "200", "1,000", "yes"],
    ]  # fmt: skip


# ---- the ledger ------------------------------------------------------------------------------


def files(*rows: tuple) -> pd.DataFrame:
    columns = ["table", "file", "number", "system", "refresh_days", "rows", "newest"]
    frame = pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("number", "refresh_days", "rows"), "int64")
    )
    return frame.assign(newest=pd.to_datetime(frame["newest"]).astype("M8[us]"))


WEB = ("order_lines", "web_2024-02.csv", 1, "web shop", 17, 5, "2024-02-27")
FILES = files(
    WEB,
    ("order_lines", "web_2024-01.csv", 0, "web shop", 17, 4, "2024-01-31"),
    ("customers", "crm.xlsx", 0, "crm.xlsx", 0, 3, "2024-02-29"),
)
LEDGER = pd.DataFrame(
    [("order_lines", "removed", "test", 2), ("order_lines", "kept", "sale", 6),
     ("order_lines", "quarantined", "price below zero", 1), ("customers", "kept", "record", 3)],
    columns=["table", "fate", "reason", "rows"],
)  # fmt: skip


def test_what_arrived_is_kept_quarantined_and_removed():
    balance = quality.tables_ledger(FILES, LEDGER)
    assert balance.values.tolist() == [
        ["order_lines", 9, 6, 1, 2, 0, "sales"], ["customers", 3, 3, 0, 0, 0, "sales"],
    ]  # fmt: skip
    quality.assert_balanced(balance)
    totals = quality.totals(balance)
    assert (totals["arrived"], totals["quarantined"], totals["kept_share"]) == (12, 1, 0.75)
    assert totals["sound_share"] == pytest.approx(8 / 9)  # of order lines
    assert totals["unfed"].startswith("products, events, interactions")
    assert "{unfed:text}" in quality.unfed_note(balance)


def test_a_row_that_is_in_no_fate_stops_the_run():
    balance = quality.tables_ledger(FILES, LEDGER[LEDGER["fate"] != "removed"])
    with pytest.raises(QualityError, match=r"differ: order_lines \+2; run `dvc repro`"):
        quality.assert_balanced(balance)


def test_a_ledger_of_nothing_balances():
    balance = quality.tables_ledger(files(), LEDGER.head(0))
    assert len(balance) == 0
    quality.assert_balanced(balance)
    totals = quality.totals(balance)
    assert (totals["arrived"], totals["kept_share"], totals["sound_share"]) == (0, 0, 0)


def test_retention_shows_what_is_kept_how_long_and_what_was_removed():
    ledger = pd.DataFrame(
        [("usage", "removed", "past its retention", 3), ("usage", "removed", "duplicate", 2),
         ("events", "kept", "record", 4)],
        columns=["table", "fate", "reason", "rows"],
    )  # fmt: skip
    kept = quality.retention([("usage", 30), ("events", 1)], ledger, as_of=AS_OF)
    assert kept.values.tolist() == [
        ["usage", 30, pd.Timestamp("2024-02-14"), 3], ["events", 1, pd.Timestamp("2024-03-14"), 0],
    ]  # fmt: skip
    said = wording.fill(quality.retention_note(kept), {"expired": 1})
    assert said.startswith("1 row older than the retention period of the table was removed:")


def test_without_a_retention_period_nothing_is_removed():
    none = quality.retention([], LEDGER, as_of=AS_OF)
    assert (len(none), int(none["removed"].sum())) == (0, 0)
    assert "nothing is removed for its age" in quality.retention_note(none)


# ---- quarantine ------------------------------------------------------------------------------

QUARANTINE = """
table        line        reason            row
order_lines  1000000002  price_below_zero  {"order_id":"A2","name":"Li"}
order_lines  7           price_below_zero  {"order_id":"A7"}
order_lines  3           price_below_zero  {"order_id":"A3","unit_price":-1.5,"city":null}
customers    9           key_missing       {"text":"13800138000"}
tickets      9           key_missing       {"text":"13800138000"}
"""


def test_reasons_come_by_number_and_examples_by_line(con):
    quarantine = literal(con, "clean/quarantine", QUARANTINE)
    reasons = engine.frame(con, quality.reasons(quarantine))
    assert reasons.values.tolist() == [
        ["order_lines", "price_below_zero", 3], ["customers", "key_missing", 1],
        ["tickets", "key_missing", 1],
    ]  # fmt: skip
    told = quality.waiting_facts(reasons, pd.DataFrame({"cells": [2, 1]}))
    assert (told["reasons"], told["common_rows"], told["cells_unread"]) == (3, 3, 3)
    assert (told["common_table"], told["common_reason"]) == ("order lines", "price_below_zero")
    assert "{common_reason:text}" in quality.waiting_note(reasons)
    few = engine.frame(con, quality.examples(quarantine, each=2))
    assert few["line"].tolist() == [9, 3, 7, 9]


def test_an_example_names_file_and_record_and_shows_nobody(con):
    quarantine = literal(con, "clean/quarantine", QUARANTINE)
    few = engine.frame(con, quality.examples(quarantine, each=3))
    shown = quality.shown(few, FILES)
    assert list(shown.columns) == ["table", "reason", "file", "record", "row"]
    assert shown.iloc[[0, 1, 3]][["file", "record", "row"]].values.tolist() == [
        ["crm.xlsx", 9, "text ***"], ["web_2024-01.csv", 3, "order_id A3, unit_price -1.5"],
        ["web_2024-02.csv", 2, "order_id A2"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "secret",
    ["13800138000", "+86 138 0013 8000", "138-0013-8000", "１３８００１３８０００", "1380013800",
     "138001380001", "021-58880000", "li.na+x@example.com.cn", "11010519491231002X",
     "110105491231002", "6222021234567890123", "+44 20 7946 0958"],
)  # fmt: skip
def test_whatever_looks_like_a_contact_or_an_identity_is_masked(secret):
    assert quality.mask(f"call {secret}, please") == "call ***, please"
    assert secret not in quality.told(f'{{"text": "call {secret}"}}')
    assert secret not in quality.told(f"no JSON {secret}")


@pytest.mark.parametrize(
    "text", ["2024-01-31T10:00:00", "W-20240131-17", "-12345.6700", "商品 12"]
)
def test_dates_order_numbers_and_amounts_stay_readable(text):
    assert quality.mask(text) == text


def test_a_reason_is_explained_by_its_rule_and_a_rule_of_the_source():
    own = Rule("price-cap", "order_lines", "unit_price", "at_most", "9", why="nothing costs more")
    frame = pd.DataFrame({"table": ["order_lines", "order_lines", "tickets"],
                          "reason": ["price-cap", "test", "made up"]})  # fmt: skip
    told = quality.explained(frame, "reason", [own])
    assert told["owner"].tolist() == ["sales", "sales", "service"]
    assert told["why"].tolist() == ["nothing costs more", "an order marked as a test", ""]


def test_cells_that_could_not_be_read_are_counted_by_field_with_the_first(con):
    text = """
    table   line  field  value  rule
    orders  5     price  n/a    unreadable
    orders  2     price  ten    unreadable
    orders  1     price  -1     price_below_zero
    usage   1     day    soon   unreadable
    """
    cells = engine.frame(con, quality.cells(literal(con, "clean/issues", text)))
    assert cells.values.tolist() == [
        ["orders", "price", 2, 2, "ten"],
        ["usage", "day", 1, 1, "soon"],
    ]


def test_an_empty_quarantine_is_an_empty_table(con):
    empty = literal(con, "clean/quarantine", "line")
    reasons = quality.explained(engine.frame(con, quality.reasons(empty)), "reason")
    assert (len(reasons), list(reasons)[-2:]) == (0, ["owner", "why"])
    assert quality.waiting_note(reasons).startswith("No row waits")
    assert len(quality.shown(engine.frame(con, quality.examples(empty)), files())) == 0
    unread = engine.frame(con, quality.cells(literal(con, "clean/issues", "line")))
    assert len(quality.shown(unread, FILES)) == 0
    assert quality.waiting_facts(reasons, unread)["common_rows"] == 0


# ---- issues ----------------------------------------------------------------------------------

ISSUES = """
table        line  rule   field  severity  action      origin     requirement  month
order_lines  3     price  p      error     quarantine  entry      CLN-02       2024-02
order_lines  3     units  q      error     quarantine  entry      CLN-08       2024-02
order_lines  1     price  p      error     quarantine  entry      CLN-02       2023-11
order_lines  2     price  p      error     quarantine  entry      CLN-02       -
customers    2     phone  f      warning   flag        interface  CLN-01       2024-03
customers    1     phone  f      warning   flag        interface  CLN-01       2024-01
"""
HEAD = "rule,table,line,status,handled_on,note\n"


@pytest.fixture
def marks(con, tmp_path):
    def _marks(text=HEAD):
        path = tmp_path / "issues.csv"
        path.write_text(text, encoding="utf-8-sig")
        return engine.lift(con, quality.handled(path), "marks")

    return _marks


@pytest.fixture
def tagged(con, marks):
    def _tagged(text=HEAD, issues=ISSUES):
        return quality.tagged(literal(con, "clean/issues", issues), marks(text))

    return _tagged


def test_an_issue_is_open_until_the_file_says_otherwise(con, tagged):
    assert {row[0] for row in found(con, tagged(), "status")} == {"open"}
    text = HEAD + "price,order_lines,,handled,2024-03-01,asked\nprice,order_lines,1,closed,,\n"
    rows = found(con, tagged(text), "line", "rule", "status")
    assert [row for row in rows if row[1] == "price"] == [
        (1, "price", "closed"), (2, "price", "handled"), (3, "price", "handled"),
    ]  # fmt: skip
    assert len(rows) == 6


def test_the_last_of_several_entries_counts(con, tagged):
    text = HEAD + "price,order_lines,,closed,2024-03-01,\nprice,order_lines,,open,2024-03-02,back"
    assert {row[0] for row in found(con, tagged(text), "status")} == {"open"}


def test_an_entry_that_matches_no_issue_is_counted(con, marks):
    text = "prise,order_lines,,open,,\nprice,order_lines,9,open,,\nprice,order_lines,3,open,,"
    issues = literal(con, "clean/issues", ISSUES)
    assert found(con, quality.idle(marks(HEAD + text), issues)) == [(2,)]
    assert found(con, quality.idle(marks(), issues)) == [(0,)]


def test_no_file_of_issues_is_an_empty_one(con, tmp_path):
    none = quality.handled(tmp_path / "issues.csv")
    assert (list(none), len(none)) == (list(quality.HANDLED), 0)
    lifted = engine.lift(con, none, "none")
    assert len(found(con, quality.tagged(literal(con, "clean/issues", ISSUES), lifted))) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rule,table\n", "has no column ['line', 'status', 'handled_on', 'note']"),
        (HEAD + "price,order_lines,,done,,\n", "row 2: status is 'done', expected open or"),
        (HEAD + "a,b,,open,,\na,b,x,open,,\n", "row 3: line is 'x', expected the number"),
        (HEAD + "a,b,,open,3/1/2024,\n", "row 2: handled_on is '3/1/2024', expected a date"),
        (HEAD + ",b,,open,,\n", "row 2: rule is"),
        (HEAD + "a,b,,open,,x,y,z\n,,\n", "issues.csv"),
        ("", "issues.csv cannot be read"),
    ],
)
def test_a_wrong_entry_is_named_by_its_row(tmp_path, text, said):
    (tmp_path / "issues.csv").write_text(text, encoding="utf-8")
    with pytest.raises(QualityError) as error:
        quality.handled(tmp_path / "issues.csv")
    assert said in str(error.value)


def test_a_file_of_issues_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "issues.csv").write_bytes((HEAD + "a,b,,open,,改\n").encode("gb18030"))
    with pytest.raises(QualityError, match="save it as UTF-8"):
        quality.handled(tmp_path / "issues.csv")


FLOW = pd.DataFrame({"table": ["tickets"], "now": [100], "then": [100]})  # as many as before


def work(con, tagged, as_of=AS_OF) -> pd.DataFrame:
    rules = engine.frame(con, quality.by_rule(tagged, as_of=as_of))
    return quality.worklist(rules.iloc[::-1], FLOW, as_of=as_of)


def test_the_work_list_begins_with_open_errors_and_tells_their_age(con, tagged):
    text = HEAD + "units,order_lines,,closed,2024-03-01,\nprice,order_lines,1,handled,,\n"
    frame = work(con, tagged(text))
    columns = ["rule", "owner", "issues", "open", "handled", "closed", "age_days"]
    assert frame[columns].values.tolist() == [
        ["price", "sales", 3, 2, 1, 0, 43], ["phone", "sales", 2, 2, 0, 0, 74],
        ["units", "sales", 1, 0, 0, 1, None],
    ]  # fmt: skip
    first = quality.issue_facts(frame, engine.frame(con, quality.by_month(tagged(text))))
    assert (first["issues"], first["issues_open"], first["issues_undated"]) == (6, 4, 1)
    assert (first["worst_rule"], first["worst_open"], first["worst_owner"]) == (
        "price",
        2,
        "Sales",
    )
    assert (first["issues_entry"], first["issues_interface"], first["issues_mapping"]) == (4, 2, 0)


def test_recent_are_the_last_full_months_and_before_as_many(con, tagged):
    text = "rule month table origin severity\n"
    text += "".join(f"r 2023-{m:02} t entry note\n" for m in (8, 9, 11, 12))
    text += "r 2024-01 t entry note\nr 2024-02 t entry note\nr 2024-03 t entry note"
    rows = tagged(issues=text)
    assert found(con, quality.by_rule(rows, as_of=AS_OF), "recent", "before") == [(3, 2)]
    full = quality.by_rule(rows, as_of=date(2024, 3, 31))
    assert found(con, full, "recent", "before") == [
        (3, 2)
    ]  # January to March, October to December
    one = quality.by_rule(rows, as_of=AS_OF, recent_months=1)
    assert found(con, one, "recent", "before") == [(1, 1)]


def rule(recent: int, before: int, **other) -> pd.DataFrame:
    row = {"table": "tickets", "rule": "r", "severity": "note", "origin": "entry", "open": 1,
           "issues": 9, "handled": 0, "closed": 0, "since": None,
           "handled_on": pd.NaT, "recent": recent, "before": before}  # fmt: skip
    return pd.DataFrame([row | other])


@pytest.mark.parametrize(
    ("recent", "before", "trend"),
    [(9, 0, "rising"), (4, 0, "steady"), (0, 9, "falling"), (60, 50, "steady"),
     (0, 0, "none lately")],
)  # fmt: skip
def test_a_rule_rises_only_beyond_chance(recent, before, trend):
    frame = quality.worklist(rule(recent, before), FLOW, as_of=AS_OF)
    assert frame["trend"].tolist() == [trend]
    assert frame["age_days"].tolist() == [None]


@pytest.mark.parametrize(
    ("now", "then", "trend"),
    [(100, 100, "rising"), (200, 100, "steady"), (500, 100, "falling"), (0, 0, "rising"),
     (100, 0, "rising")],
)  # fmt: skip
def test_a_rule_rises_beside_the_rows_that_came(now, then, trend):
    flow = pd.DataFrame({"table": ["tickets"], "now": [now], "then": [then]})
    frame = quality.worklist(rule(200, 100), flow, as_of=AS_OF)
    assert frame["trend"].tolist() == [trend]


def test_volumes_are_the_rows_of_the_months_that_the_rules_look_at(con):
    text = "opened_at\n" + "\n".join(
        ["2023-08-31", "2023-09-01", "2023-11-30", "2023-12-01", "2024-02-29", "2024-03-01", "-"]
    )
    tickets = literal(con, "tables/tickets", text)
    tables = {"tickets": tickets, "reviews": literal(con, "tables/reviews", "written_at")}
    assert found(con, quality.volumes(tables, as_of=AS_OF), "table", "now", "then") == [
        ("reviews", 0, 0), ("tickets", 2, 2),
    ]  # fmt: skip


def test_of_rules_with_as_many_issues_the_first_by_name_stands_first():
    tied = pd.concat([rule(0, 0, rule="b"), rule(0, 0, rule="a"), rule(0, 0, rule="c", open=2)])
    assert quality.worklist(tied, FLOW, as_of=AS_OF)["rule"].tolist() == ["c", "a", "b"]


def test_an_issue_of_the_future_has_no_negative_age():
    frame = quality.worklist(rule(0, 0, since="2099-01"), FLOW, as_of=AS_OF)
    assert frame["age_days"].tolist() == [0]


def test_the_calendar_has_every_month_and_origin_and_no_impossible_month(con, tagged):
    by_month = engine.frame(con, quality.by_month(tagged()))
    strange = pd.concat([by_month, by_month.head(1).assign(month="2099-01")])
    calendar = quality.calendar(strange, as_of=AS_OF)
    review = quality.review(calendar)
    assert review["month"].dt.strftime("%Y-%m").tolist() == [
        "2024-03", "2024-02", "2024-01", "2023-12", "2023-11",
    ]  # fmt: skip
    columns = ["entry", "interface", "mapping", "issues", "open"]
    assert review[columns].head(2).values.tolist() == [[0, 1, 0, 1, 1], [2, 0, 0, 2, 2]]
    assert len(calendar) == 15
    assert quality.review(quality.calendar(by_month, as_of=AS_OF, months=1))["issues"].sum() == 1


def test_without_issues_the_lists_are_empty_and_the_sentences_stand(con, tagged):
    none = tagged(issues="line")
    frame, by_month = work(con, none), engine.frame(con, quality.by_month(none))
    assert len(frame) == 0
    facts = quality.issue_facts(frame, by_month)
    assert (facts["issues"], facts["worst_open"], facts["issues_undated"]) == (0, 0, 0)
    assert quality.issue_note(frame) == "No row breaks a rule."
    assert "No issue is open" in quality.issue_action(frame)
    assert quality.month_title(frame) == "No issue has a date"
    calendar = quality.calendar(by_month, as_of=AS_OF)
    assert quality.review(calendar)["issues"].tolist() == [0]


def test_the_largest_orders_without_a_customer_come_first(con, placed):
    rows = quality.largest_unnamed(placed.mutate(products=1), top=1)
    assert found(con, quality.largest_unnamed(placed.mutate(products=0)), "order_id") == []
    unnamed = engine.frame(con, placed.filter(placed.customer_id.isnull()))
    assert found(con, rows, "amount") == [(unnamed["amount"].max(),)]
    assert found(con, quality.largest_unnamed(placed.limit(0)), "order_id") == []


def test_of_one_month_the_share_of_its_sales_that_names_nobody(con):
    frame = pd.DataFrame(
        {"order_id": list("CBA"), "customer_id": [None, None, "c"], "amount": [5.0, 10.0, 30.0],
         "day": pd.to_datetime(["2024-02-01", "2024-01-01", "2024-01-31"])}
    )  # fmt: skip
    rows = engine.lift(con, frame, "months_of_orders")
    assert found(con, quality.unnamed(rows), "month", "month_unnamed_share") == [
        ("2024-01", 0.25), ("2024-02", 1.0),
    ]  # fmt: skip


def test_lines_that_no_rule_names_are_told_with_their_money(con):
    items = literal(con, "tables/order_items", """
        customer_id  amount  is_duplicate
        c1           5.00    false
        -            7.00    false
        c1           5.00    true
        -            0.00    false
    """)  # fmt: skip
    names = ("unnamed_lines", "unnamed_amount", "repeated_lines", "repeated_amount", "free_lines")
    assert found(con, quality.unlisted(items), *names) == [(2, 7.0, 1, 5.0, 1)]
    assert found(con, quality.unlisted(items.limit(0)), *names) == [(0, 0.0, 0, 0.0, 0)]


# ---- completeness ----------------------------------------------------------------------------

CUSTOMERS = """
customer_id  registered_on  industry  gender   city  phone_status  name_status  imputed
a            2023-01-01     retail    female   -     ok            ok           -
b            2024-01-01     -         unknown  Bern  missing       missing      -
c            2024-03-16     retail    male     Bern  ok            ok           -
p            2024-03-15     retail    female   Rome  to_verify     ok           gender;city
q            -              -         -        -     -             -            -
"""


@pytest.fixture
def customers(con):
    return literal(con, "tables/customers", CUSTOMERS)


def records(con, **texts) -> dict:
    names = [name for group in quality.GROUPS.values() for name in group]
    return {n: literal(con, f"tables/{n}", texts.get(n, "line")) for n in names}


SEEN = {
    "events": "customer_id at\na 2024-03-15T23:00\na 2024-01-01\nb 2024-03-16T00:00",
    "tickets": "customer_id opened_at\na 2024-01-01\n- 2024-01-01",
    "consents": "customer_id at\np 2024-01-01",
}


def test_each_customer_has_one_stage_of_life(con, customers, placed):
    stages = quality.lifecycle(customers, placed, as_of=AS_OF)
    assert found(con, stages) == [
        ("a", "churned"), ("b", "new"), ("p", "prospect"), ("q", "prospect"),
    ]  # fmt: skip
    older = quality.lifecycle(customers, placed, as_of=AS_OF, new_days=43)
    assert ("b", "mature") in found(con, older)  # first purchase 43 days ago


def test_traces_are_what_customers_left_up_to_as_of(con):
    traces = quality.traces(records(con, **SEEN), as_of=AS_OF)
    columns = ["customer_id", "behaviour", "service", "consent"]
    day = pd.Timestamp("2024-01-01")
    assert found(con, traces, *columns) == [("a", day, day, None), ("p", None, None, day)]


def test_a_field_is_known_if_the_source_said_something(con, customers):
    columns = ["customer_id", "contact", "gender", "city", "name", "email"]
    assert found(con, quality.known(customers), *columns) == [
        ("a", True, True, False, True, False), ("b", False, False, True, False, False),
        ("c", True, True, True, True, False), ("p", True, False, False, True, False),
        ("q", False, False, False, False, False),
    ]  # fmt: skip


def lives(con, customers, placed) -> pd.DataFrame:
    stages = quality.lifecycle(customers, placed, as_of=AS_OF)
    traces = quality.traces(records(con, **SEEN), as_of=AS_OF)
    return engine.frame(con, quality.lives(quality.known(customers), stages, traces))


def test_completeness_is_weighed_by_customers_and_held_against_its_floor(con, customers, placed):
    complete = quality.completeness(lives(con, customers, placed)).set_index("field")
    assert complete.index[:4].tolist() == ["contact", "industry", "name", "registered_on"]
    columns = ["kind", "filled_share", "state"]
    assert complete.loc[["registered_on", "city", "province"], columns].values.tolist() == [
        ["base", 0.75, "below the floor"], ["extended", 0.25, "below the floor"],
        ["extended", 0.0, "nobody has it"],
    ]  # fmt: skip
    low = quality.completeness(lives(con, customers, placed), base_floor=0.75)
    assert low.set_index("field").loc["registered_on", "state"] == "good"
    gaps = quality.gaps(low)
    assert gaps["fields_low"] == 5
    assert gaps["low_names"] == "contact, industry, name, city, gender"
    assert "below their floor" in quality.gaps_note(low)


def test_each_stage_of_life_is_asked_for_what_it_needs(con, customers, placed):
    needs = quality.needs(lives(con, customers, placed).iloc[::-1])
    assert needs["stage"].unique().tolist() == ["prospect", "new", "churned"]
    columns = ["stage", "customers", "field", "filled_share"]
    shown = needs[needs["field"].isin(["contact", "service", "consent"])][columns]
    assert shown.values.tolist() == [
        ["prospect", 2, "contact", 0.5], ["new", 1, "contact", 0.0], ["new", 1, "consent", 0.0],
        ["churned", 1, "contact", 1.0], ["churned", 1, "service", 1.0],
        ["churned", 1, "consent", 0.0],
    ]  # fmt: skip


def test_signals_are_of_buyers_alone_and_of_what_came_by_then(con, placed, none_placed):
    traces = quality.traces(records(con, **SEEN), as_of=AS_OF)

    def share(placed, day):
        return found(con, quality.facts(placed, traces, as_of=day), "signal_share")

    assert share(placed, AS_OF) == [(0.5,)]  # a of a and b; p never bought
    assert share(placed, date(2023, 12, 31)) == [(0.0,)]  # a had bought, and said nothing yet
    assert share(none_placed, AS_OF) == [(0.0,)]


def test_phones_to_verify_and_values_filled_are_counted(con, customers):
    assert found(con, quality.filled(customers)) == [(5, 1, 2)]


def test_each_field_that_a_policy_fills_is_counted(con):
    people = literal(con, "tables/customers", "customer_id imputed\nb gender;city\na -\nc gender")
    missing = (("gender", "unknown"), ("city", "nowhere"), ("industry", "other"))
    names = ("field", "becomes", "filled")
    assert found(con, quality.policy(people, missing), *names) == [
        ("city", "nowhere", 1), ("gender", "unknown", 2), ("industry", "other", 0),
    ]  # fmt: skip
    none = quality.policy(people.limit(0), missing[:1])
    assert found(con, none, "filled", "filled_share") == [(0, 0.0)]


def test_customers_known_by_orders_alone_and_none_at_all_read_well(con, placed, none_placed):
    alone = literal(con, "tables/customers", "customer_id\na\nb")
    frame = quality.completeness(lives(con, alone, placed))
    assert set(frame["state"]) == {"nobody has it"}
    assert "known by orders" in quality.gaps_note(frame)
    none = literal(con, "tables/customers", "customer_id")
    empty = lives(con, none, none_placed)
    assert (len(quality.completeness(empty)), len(quality.needs(empty))) == (0, 0)
    assert "nobody to describe" in quality.gaps_note(quality.completeness(empty))
    assert quality.gaps(quality.completeness(empty))["low_names"] == "none"
    assert found(con, quality.filled(none)) == [(0, 0, 0)]


# ---- freshness -------------------------------------------------------------------------------


def test_of_several_deliveries_of_a_system_the_newest_counts():
    fresh = quality.freshness(FILES, as_of=AS_OF)
    columns = ["system", "files", "rows", "age_days", "refresh_days", "state"]
    assert fresh[columns].values.tolist() == [
        ["crm.xlsx", 1, 3, 15, None, "no rhythm stated"], ["web shop", 2, 9, 17, 17, "fresh"],
    ]  # fmt: skip
    assert "late" in quality.stale_note(fresh)


def test_a_day_over_the_rhythm_is_stale_and_stands_first():
    fresh = quality.freshness(FILES, as_of=date(2024, 3, 16))
    assert fresh[["system", "state"]].values.tolist()[0] == ["web shop", "stale"]
    told = quality.stale(fresh)
    assert told == {"deliveries": 2, "stale": 1, "stale_names": "web shop", "refresh_stated": 1}
    assert "{stale_names:text}" in quality.stale_note(fresh)


def test_files_without_dates_or_after_as_of_are_said():
    odd = files(("products", "p.csv", 0, "p.csv", 0, 1, None), WEB).assign(refresh_days=0)
    fresh = quality.freshness(odd, as_of=date(2024, 1, 1))
    assert fresh[["system", "age_days", "state"]].values.tolist() == [
        ["p.csv", None, "no dates"],
        ["web shop", 0, "later than the reference date"],
    ]
    assert "refresh_days" in quality.stale_note(fresh)


def test_no_files_make_an_empty_table():
    fresh = quality.freshness(files(), as_of=AS_OF)
    assert len(fresh) == 0
    assert quality.stale(fresh)["stale_names"] == "none"
    assert quality.stale_note(fresh) == "No file was read."


# ---- earlier months --------------------------------------------------------------------------

ALONE = pd.DataFrame({"month": ["2024-02", "2024-03"], "month_unnamed_share": [0.1, 0.4]})
SOUND = pd.DataFrame(
    [("2024-02", 10, 1), ("2024-03", 10, 0), ("2024-04", 2, 2), (None, 3, 1)],
    columns=["month", "lines", "waiting"],
)  # fmt: skip


def test_sound_lines_are_counted_by_month_and_undated_ones_apart(con):
    lines = "line ordered_at\n3 2024-02-29T23:59\n1 2024-02-01\n2 2024-03-01\n4 -"
    waiting = "table line reason\norder_lines 2 x\ntickets 1 x\norder_lines 4 x"
    rows = quality.soundness(
        literal(con, "staged/order_lines", lines), literal(con, "clean/quarantine", waiting)
    )
    assert found(con, rows) == [(None, 1, 1), ("2024-02", 2, 0), ("2024-03", 1, 1)]


def test_a_line_without_a_date_or_after_the_last_row_counts_in_every_row():
    history = pd.DataFrame(
        {"until_on": pd.to_datetime(["2024-01-31", "2024-02-29", "2024-03-15"])}
    )
    shares = quality.sounded(history, SOUND)["sound_share"].tolist()
    assert shares == [2 / 5, 11 / 15, 21 / 25]  # 5 lines are free, 3 of them wait
    assert quality.sounded(history, SOUND.head(0))["sound_share"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("said", "declared"),
    [
        ({}, ()),
        ({"signal_share": 0.0}, ()),  # churn: with care, as on groceries without records
        ({"sound_share": 0.98}, ()),
        ({}, [("baskets", "no", "lines are a sample"), ("RFM", "with care", "sums, too")]),
    ],
)
def test_the_last_row_of_the_past_has_the_verdicts_of_today(said, declared):
    now = ENOUGH | said
    row = pd.DataFrame([now | {"until_on": pd.Timestamp(AS_OF), "orders": 9}])
    past = quality.past(row, [], ALONE, quality.limits(), declared)
    today = quality.limited(quality.verdicts(quality.judge(now, quality.limits())), declared)
    last = past.iloc[-1][[f"can_{analysis.lower()}" for analysis in today["analysis"]]]
    assert last.tolist() == today["verdict"].tolist()


def test_a_past_that_lacks_a_figure_is_refused():
    row = pd.DataFrame([ENOUGH | {"until_on": pd.Timestamp(AS_OF), "orders": 9}])
    with pytest.raises(QualityError, match="lacks \\['signal_share'\\]"):
        quality.past(row.drop(columns="signal_share"), [], ALONE, quality.limits())


def test_earlier_months_are_computed_from_what_had_happened_by_then(con, placed, traces):
    rows = engine.frame(con, quality.history(placed, traces, as_of=AS_OF, months=3))
    assert rows["until_on"].dt.strftime("%m-%d").tolist() == ["12-31", "01-31", "02-29", "03-15"]
    assert rows["orders"].tolist() == [1, 1, 2, 4]
    assert rows["stopped"].tolist() == [0, 0, 0, 1]
    assert rows["signal_share"].tolist() == [0, 1, 0.5, 0.5]


def test_months_before_the_first_order_are_left_out(con, placed, none_placed, traces):
    assert len(engine.frame(con, quality.history(placed, traces, as_of=AS_OF, months=12))) == 4
    assert len(engine.frame(con, quality.history(none_placed, traces, as_of=AS_OF))) == 0


def test_the_past_has_sums_so_far_and_a_verdict(con, placed, traces):
    history = engine.frame(con, quality.history(placed, traces, as_of=AS_OF, months=1))
    history = quality.sounded(history, SOUND)
    counts = pd.DataFrame({"month": ["2024-03", "2023-11", "2024-04"], "quarantined": [2, 1, 9]})
    past = quality.past(history, [counts], ALONE, quality.limits())
    columns = ["orders", "unnamed_sales_share", "quarantined", "can_rfm", "can_churn"]
    assert past[columns].values.tolist() == [
        [2, 0.0, 1, "no", "no"],
        [4, 1 - 17 / 22, 3, "no", "no"],
    ]
    told = quality.past_facts(past)
    assert (told["past_month"], told["unnamed_share"], told["late"]) == ("2024-02", 1 - 17 / 22, 0)
    assert "{past_month:month}" in quality.past_note(past)


def test_without_orders_there_is_no_past(con, none_placed, traces):
    history = engine.frame(con, quality.history(none_placed, traces, as_of=AS_OF))
    history = quality.sounded(history, SOUND.head(0))
    past = quality.past(
        history, [pd.DataFrame({"month": [], "late": []})], ALONE.head(0), quality.limits()
    )
    assert len(past) == 0
    assert quality.past_facts(past)["past_month"] == ""
    assert quality.past_note(past) == "There are no earlier months to compare with."


def test_a_row_in_quarantine_counts_once_in_its_month(con):
    issues = literal(con, "clean/issues", ISSUES)
    assert found(con, quality.waiting(issues)) == [("2023-11", 1), ("2024-02", 1)]


def test_a_line_older_than_the_delivery_before_it_is_late(con):
    floors = quality.floors(FILES)
    assert floors.values.tolist() == [[1, pd.Timestamp("2024-01-31")]]
    late = quality.late(literal(con, "tables/order_items", ITEMS), engine.lift(con, floors, "f"))
    assert found(con, late) == [("2023-12", 2)]  # the first line came in time
    none = quality.floors(FILES.tail(2))
    late = quality.late(literal(con, "tables/order_items", ITEMS), engine.lift(con, none, "f"))
    assert (STRIDE, found(con, late)) == (10**9, [])


# ---- several sources -------------------------------------------------------------------------


def test_conflicts_are_counted_by_field_with_the_first_as_example(con):
    text = """
    customer_key  field     line  value  kept  why
    2             city      9     Rome   Bern  newer
    1             city      4     Oslo   Bern  newer
    1             industry  4     farm   shop  newer
    """
    rows = engine.frame(con, quality.disagreements(literal(con, "clean/conflicts", text)))
    assert rows.values.tolist() == [
        ["city", "newer", 2, 2, 4, "Bern", "Oslo"], ["industry", "newer", 1, 1, 4, "shop", "farm"],
    ]  # fmt: skip
    shown = quality.shown(rows.assign(table="customers"), FILES)
    assert shown[["file", "record", "value"]].values.tolist()[0] == ["crm.xlsx", 4, "Oslo"]


def pairs(con, text: str):
    return quality.suggestions(
        literal(con, "tables/duplicate_candidates", text), literal(con, "tables/orders", ORDERS)
    )


def test_a_store_customer_who_looks_like_an_online_one_is_not_joined(con):
    rows = pairs(con, "rank customer_a customer_b reason decision\n1 b a same open\n"
                      "2 b c same open\n3 a d same open\n4 a c same apart")  # fmt: skip
    columns = ["customer_a", "customer_b", "is_unjoined"]
    assert found(con, rows, *columns) == [
        ("a", "d", True), ("b", "a", True), ("b", "c", False),
    ]  # fmt: skip
    assert found(con, quality.unjoined(rows)) == [(3, 2, 3)]


def test_without_conflicts_and_candidates_the_sentence_says_so(con):
    found_ = engine.frame(con, quality.unjoined(pairs(con, "rank"))).to_dict("records")[0]
    none = engine.frame(con, quality.disagreements(literal(con, "clean/conflicts", "line")))
    assert found_ == {"candidates": 0, "unjoined": 0, "unjoined_customers": 0}
    assert quality.several(none, found_, customers=0)["unjoined_share"] == 0
    assert quality.several_note(none, found_).startswith("No two records disagree")
    assert "{candidates}" in quality.several_note(none, found_ | {"candidates": 1})


# ---- register --------------------------------------------------------------------------------


def test_the_register_shows_the_licence_and_each_criterion():
    source = SimpleNamespace(
        title="Shop", licence="our own", origin="", register=(("kind", "internal"), ("x", "y")),
        limits=(("baskets", "no", "a sample"),), basis=(("analysis", "contract"),),
    )  # fmt: skip
    assert quality.register(source).values.tolist() == [
        ["source", "Shop"], ["licence", "our own"], ["kind", "internal"], ["x", "y"],
        ["baskets: no", "a sample"], ["basis of analysis", "contract"],
    ]  # fmt: skip


def test_every_sentence_can_be_filled():
    """Places of messages are words that `wording` knows how to fill."""
    note = quality.first_note(judged(stopped=1))
    values = quality.headline(judged(stopped=1))
    assert wording.fill(note, values) == (
        "**Sales: load older orders.** 1 customer stopped buying; churn needs 200 for a yes."
    )
