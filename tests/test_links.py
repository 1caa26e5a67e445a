"""Events and what followed, tags and tiers: counts, direction in time, limits, small groups."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from test_engine import found, literal

from crm import engine, links
from crm.tables import check, empty, lookup

CUT = date(2023, 5, 31)
SPAN = {"cut": CUT, "days": 10}
ORDERS = "order_id customer_id ordered_at amount\n"
RETURNS = "customer_id reverses returned_at amount\n"
MAY = "customer_id purpose allowed\n" + "\n".join(
    f"{who} {purpose} {who != 'd' or purpose == 'analysis'}"
    for who in "abcd" for purpose in ("analysis", "profiling")
)  # fmt: skip
HEADS = {
    "events": "customer_id at kind",
    "interactions": "customer_id at direction",
    "tickets": "customer_id opened_at first_response_at kind",
    "campaign_contacts": "customer_id sent_at joined_at used_at",
    "discounts": "customer_id given_at coupon_id",
    "surveys": "line customer_id answered_at instrument score",
    "reviews": "customer_id written_at score",
    "points": "customer_id at change",
    "returns": "customer_id returned_at amount",
    "orders": "customer_id ordered_at amount",
}
ANY = {"support": 0.0, "count": 1, "confidence": 0.0, "false_discoveries": 1.0, "least": 1}


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def bought(con, orders: str, returns: str = "") -> pd.DataFrame:
    rows = links.people(
        literal(con, "tables/orders", ORDERS + orders),
        literal(con, "tables/returns", RETURNS + returns),
        literal(con, "features/permits", MAY),
        after=5, **SPAN,
    )  # fmt: skip
    return engine.frame(con, rows)


def events(con, **texts) -> list[tuple]:
    tables = {
        name: literal(con, f"tables/{name}", f"{head}\n{texts.get(name, '')}")
        for name, head in HEADS.items()
    }
    return found(con, links.happened(tables, slow_hours=24, **SPAN), "customer_id", "event")


def held(rows: list[set], kinds: int = 3):
    """Customers as sets of item numbers."""
    pairs = [(place, item) for place, row in enumerate(rows) for item in sorted(row)]
    frame = pd.DataFrame(pairs, columns=["basket", "item"], dtype="int64")
    return links.packed(frame, tuple("abcdefgh")[:kinds], customers=len(rows))


def came(*values: int, name: str = "silent") -> pd.DataFrame:
    return pd.DataFrame({name: np.array(values, bool)})


# --- people and events


def test_events_end_at_the_cut_and_outcomes_begin_on_the_next_day(con):
    orders = """
    1 a 2023-06-05T23:59 4
    2 a 2023-05-31T23:59 1
    3 a 2023-06-01T00:00 2
    4 a 2023-06-06T00:00 8
    5 b 2023-05-22T00:00 1
    6 b 2023-05-21T23:59 1
    7 c 2023-05-21T10:00 1
    8 d 2023-05-30T10:00 1
    """
    made = bought(con, orders)
    columns = ["customer_id", "basket", "before", "later", "spend"]
    assert made[columns].values.tolist() == [["a", 0, 1, 2, 6.0], ["b", 1, 1, 0, 0.0]]


def test_an_order_that_was_cancelled_in_its_window_is_no_purchase(con):
    orders = "1 a 2023-05-30 5\n2 b 2023-05-30 5\n3 c 2023-05-30 5\n4 c 2023-06-02 5"
    returns = "a 1 2023-05-31 5\nb 2 2023-06-01 5\nc 4 2023-06-03 5"
    made = bought(con, orders, returns)  # b gave it back after the cut: nobody knew by then
    assert made[["customer_id", "later"]].values.tolist() == [["b", 0], ["c", 0]]


def test_nobody_bought(con):
    nobody = bought(con, "")
    assert nobody.empty
    assert links.outcomes(nobody).empty


def test_an_event_counts_once_and_only_in_the_window(con):
    tickets = """
    a 2023-05-22T00:00 2023-05-22T01:00 complaint
    a 2023-05-23T00:00 2023-05-23T01:00 complaint
    b 2023-05-21T23:59 2023-05-22T01:00 complaint
    b 2023-06-01T00:00 2023-06-01T01:00 praise
    - 2023-05-30T00:00 2023-05-30T01:00 praise
    """
    assert events(con, tickets=tickets) == [("a", "complaint")]


@pytest.mark.parametrize(
    ("opened", "answered", "slow"),
    [
        ("2023-05-25T10:00", "2023-05-26T10:00", False),  # a day, not more
        ("2023-05-25T10:00", "2023-05-26T10:01", True),
        ("2023-05-25T10:00", "-", True),  # waits still
        ("2023-05-31T10:00", "-", False),  # for 14 hours only, at the cut
        ("2023-05-31T10:00", "2023-06-03T10:00", False),  # what came later is not known by then
        ("2023-05-25T10:00", "2023-05-20T10:00", False),  # a mistake of the record
    ],
)
def test_an_answer_is_slow_from_its_hours_as_known_at_the_cut(con, opened, answered, slow):
    made = events(con, tickets=f"a {opened} {answered} other")
    assert made == ([("a", "slow answer")] if slow else [])


def test_the_last_answer_makes_a_promoter_or_a_detractor(con):
    surveys = """
    1 a 2023-05-23 nps 10
    2 a 2023-05-24 NPS 6
    3 b 2023-05-23 nps 9
    4 c 2023-05-23 nps 7
    5 c 2023-05-24 csat 1
    """
    assert events(con, surveys=surveys) == [("a", "NPS detractor"), ("b", "NPS promoter")]


def test_each_kind_of_record_makes_its_event(con):
    texts = {
        "events": "a 2023-05-23 cart",
        "interactions": "a 2023-05-23 in\nb 2023-05-23 out",
        "campaign_contacts": "a 2023-04-01 2023-05-23 -\nb 2023-05-23 - 2023-05-24",
        "discounts": "b 2023-05-23 Q1\na 2023-05-23 -",
        "reviews": "a 2023-05-23 4\nb 2023-05-23 2\nc 2023-05-23 3",
        "points": "a 2023-05-23 -5\nb 2023-05-23 5",
        "returns": "c 2023-05-23 5",
        "orders": "a 2023-05-01 5\nc 2023-05-23 5",  # a's lies before the window
    }
    made = events(con, **texts)
    assert [event for who, event in made if who == "a"] == [
        "campaign joined", "cart filled", "contact begun by the customer", "good review",
        "points used", "visit online",
    ]  # fmt: skip
    assert [event for who, event in made if who == "b"] == [
        "contact begun by us", "coupon used", "poor review"
    ]  # fmt: skip
    assert [event for who, event in made if who == "c"] == ["first order", "return"]
    assert {event for _, event in made} <= {*links.EVENTS}


def test_who_orders_first_as_the_source_begins_may_be_an_old_customer(con):
    orders = "a 2023-05-15 5\nb 2023-05-25 5\nc 2023-05-26 5"  # the window has ten days
    assert events(con, orders=orders) == [("c", "first order")]


def test_events_are_numbered_for_customers_of_the_table_alone(con):
    rows = pd.DataFrame({"customer_id": list("baz"), "event": ["return", "praise", "praise"]})
    happened = engine.lift(con, rows, "happened")
    people = engine.lift(con, pd.DataFrame({"customer_id": ["a", "b"], "basket": [0, 1]}), "who")
    rows = engine.arrays(con, links.numbered(happened, people))
    assert [links.EVENTS[item] for item in rows["item"]] == ["praise", "return"]
    assert rows["basket"].tolist() == [0, 1]


def test_the_best_by_spend_are_of_high_value_ties_and_all_but_not_without_a_purchase():
    rows = pd.DataFrame({"later": [1, 1, 1, 0, 0], "spend": [5.0, 9.0, 9.0, 0.0, 0.0]})
    assert links.outcomes(rows, top_share=0.2)["spent much"].tolist() == [
        False, True, True, False, False
    ]  # fmt: skip
    none = rows.assign(later=0, spend=0.0)
    assert not links.outcomes(none)["spent much"].any()
    assert links.outcomes(none)["silent"].all()


# --- rules


def test_counts_and_what_is_expected_of_customers_alike():
    rows = [{0}, {0}, {0}, set(), {0}, set(), set(), set()]
    results = came(1, 1, 0, 0, 1, 1, 0, 0)
    bands = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    one = links.weighed(np.array([[0, -1]], np.int32), held(rows), results, bands).iloc[0]
    assert (one["n"], one["n_antecedent"], one["n_consequent"], one["base"]) == (3, 4, 4, 8)
    assert (one["support"], one["confidence"], one["lift"]) == (0.375, 0.75, 1.5)
    assert one["expected"] == 3 * 2 / 4 + 1 * 2 / 4
    assert one["alike_lift"] == 1.5
    spread = 3 * 1 * 2 * 2 / (16 * 3) + 1 * 3 * 2 * 2 / (16 * 3)
    assert one["p_value"] == pytest.approx(
        0.5 * (1 - np.vectorize(_erf)((0.5 / spread**0.5) / 2**0.5))
    )


def _erf(x: float) -> float:
    from math import erf

    return erf(x)


def test_what_frequent_buyers_have_more_of_is_no_finding():
    """All frequent buyers complain, and most buy again: among them a complaint means nothing."""
    rows = [{0}] * 20 + [set()] * 20
    results = came(*[1] * 16, *[0] * 4, *[1] * 4, *[0] * 16, name="bought again")
    plain = links.rules(held(rows), results, np.zeros(40), ("a", "b", "c"), **ANY)
    assert plain["antecedent"].tolist() == ["a"]
    alike = links.rules(held(rows), results, np.repeat([1, 0], 20), ("a", "b", "c"), **ANY)
    assert alike.empty


def test_noise_gives_hardly_a_rule_and_a_planted_one_is_found():
    rng = np.random.default_rng(5)
    rows = [set(np.flatnonzero(rng.random(8) < 0.3).tolist()) for _ in range(3000)]
    luck, bands = rng.random(3000) < 0.4, rng.integers(0, 3, 3000)
    options = {"confidence": 0.0, "longest": 2}
    noise = links.rules(held(rows, 8), came(*luck), bands, tuple("abcdefgh"), **options)
    assert len(noise) <= 2
    planted = luck | (np.array([{0, 1} <= row for row in rows]) & (rng.random(3000) < 0.7))
    made = links.rules(held(rows, 8), came(*planted), bands, tuple("abcdefgh"), **options)
    assert made["antecedent"].iloc[0] == "a + b"


def test_floors_keep_what_reaches_them():
    rows = [{0}] * 10 + [set()] * 30
    results = came(*[1] * 3, *[0] * 7, *[1] * 3, *[0] * 27)
    options = {**ANY, "confidence": 0.3, "support": 0.075, "count": 3}
    made = links.rules(held(rows), results, np.zeros(40), ("a", "b", "c"), **options)
    assert made[["n", "confidence"]].values.tolist() == [[3, 0.3]]
    for floor in ({"confidence": 0.31}, {"support": 0.076}, {"count": 4}, {"lift": 2.1}):
        more = {**options, **floor}
        assert links.rules(held(rows), results, np.zeros(40), ("a", "b", "c"), **more).empty


def test_a_longer_rule_has_to_say_more_than_its_parts():
    rows = [{0, 1}] * 8 + [{0}] * 8 + [{1}] * 8 + [set()] * 16
    same = came(*[1] * 4, *[0] * 4, *[1] * 4, *[0] * 4, *[0] * 24)
    made = links.rules(held(rows), same, np.zeros(40), ("a", "b", "c"), **ANY)
    assert made["antecedent"].tolist() == ["a", "b"]  # of a and b half, as of a alone
    more = came(*[1] * 8, *[1] * 2, *[0] * 6, *[1] * 2, *[0] * 22)
    made = links.rules(held(rows), more, np.zeros(40), ("a", "b", "c"), **ANY)
    assert made["antecedent"].tolist() == ["a + b", "a", "b"]
    little = links.rules(held(rows), more, np.zeros(40), ("a", "b", "c"), improvement=0.4, **ANY)
    assert little["antecedent"].tolist() == ["a", "b"]


def test_no_rule_is_made_of_a_small_group_nor_gives_one_away():
    both = [{0, 1}] * 16 + [{0}] * 3 + [{1}] * 8 + [set()] * 13  # three with the first alone
    results = came(*[1] * 10, *[0] * 6, *[0] * 3, *[1] * 2, *[0] * 6, *[1] * 5, *[0] * 8)
    found = {least: "a + b" in links.rules(held(both), results, np.zeros(40), ("a", "b", "c"),
                                           **{**ANY, "least": least})["antecedent"].tolist()
             for least in (1, 4)}  # fmt: skip
    assert found == {1: True, 4: False}


def test_a_rule_is_looked_at_again_a_period_later():
    names, bands = ("a", "b", "c"), np.zeros(40)
    rows = [{0}] * 20 + [set()] * 20
    results = came(*[1] * 15, *[0] * 5, *[1] * 5, *[0] * 15)
    made = links.rules(held(rows), results, bands, names, **ANY)
    floors = {"confidence": 0.3, "lift": 1.0, "least": 5}
    same = links.confirmed(made, held(rows), results, bands, **floors)
    assert same[["later_confidence", "held"]].values.tolist() == [[0.75, "yes"]]
    turned = links.confirmed(made, held(rows), ~results, bands, **floors)
    assert turned[["later_confidence", "held"]].values.tolist() == [[0.25, "no"]]
    few = links.confirmed(made, held([{0}] * 4 + [set()] * 4), came(*[1] * 4, *[0] * 4),
                          np.zeros(8), **floors)  # fmt: skip
    assert few["held"].tolist() == ["too few"]
    assert few["later_confidence"].isna().all()


def test_the_order_of_customers_and_rows_does_not_matter():
    rows = [{0}] * 6 + [{0, 1}] * 6 + [{2}] * 8
    results = came(*[1] * 4, *[0] * 2, *[1] * 5, *[0], *[1] * 2, *[0] * 6)
    names = ("a", "b", "c")
    made = links.rules(held(rows), results, np.zeros(20), names, **ANY)
    back = links.rules(held(rows[::-1]), results[::-1], np.zeros(20), names, **ANY)
    pd.testing.assert_frame_equal(made, back)


# --- tags


def profiled(*rows: dict) -> pd.DataFrame:
    blank = empty("features/tags").reindex(range(len(rows)))
    made = pd.DataFrame(list(rows))
    return blank.assign(**{name: made[name] for name in made})


def test_tags_become_words_and_what_defines_value_is_left_out():
    people = profiled(
        {"customer_id": "a", "gender": "female", "age_band": "unknown", "complaints_n": 1,
         "email_open_rate": 0.5, "spend_level": "high"},
        {"customer_id": "b", "gender": "unknown", "industry": "tea", "complaints_n": 0,
         "email_open_rate": 0.49},
    )  # fmt: skip
    rows = pd.DataFrame(
        [("b", "rich", "yes"), ("b", "fan", "yes"), ("a", "interest", "golf"), ("z", "fan", "yes"),
         ("a", "channel_share", "web")],
        columns=["customer_id", "tag", "value"],
    )  # fmt: skip
    catalogue = pd.DataFrame({"tag": ["rich", "fan"], "rule": ["aov at least 9", "likes tea"]})
    made = links.traits(people, rows, catalogue)
    assert made[made["basket"] == 0]["item"].tolist() == [
        "Gender: female", "Interest: golf", "has complained", "opens mails"
    ]  # fmt: skip
    assert made[made["basket"] == 1]["item"].tolist() == ["Fan", "Industry: tea"]
    pack = links.packed(made, links.vocabulary(made), customers=2)
    assert (len(pack), pack.kinds) == (2, 6)


def test_no_tag_may_stand_for_what_it_is_computed_from():
    known = {*lookup("features/tags").names}
    assert {*links.DEFINING} <= known
    assert not {*links.DEFINING} & {*links.TAGS, *links.HABITS}
    assert {*links.TAGS, *links.HABITS} <= known


def test_only_customers_who_bought_lately_are_set_beside_a_tier():
    day = pd.to_datetime(["2023-05-21", "2023-05-22", None, "2023-05-31"])
    tags = pd.DataFrame({"customer_id": ["c", "b", "d", "a"], "last_order_on": day})
    names = ["high value", "at risk", "at risk", "no purchase"]
    tiers = pd.DataFrame({"customer_id": list("abcd"), "tier": names})
    made = links.recent(tags, tiers, as_of=CUT, days=10)
    assert made["customer_id"].tolist() == ["a", "b"]
    assert links.tiers(made).values.tolist() == [[True, False], [False, True]]


# --- page and table


def found_rules() -> pd.DataFrame:
    rows = [{0, 1}] * 10 + [{0}] * 10 + [set()] * 20
    results = came(*[1] * 9, *[0], *[1] * 5, *[0] * 5, *[1] * 2, *[0] * 18)
    names = ("slow answer", "complaint", "c")
    made = links.rules(held(rows), results, np.zeros(40), names, **ANY)
    return links.confirmed(made, held(rows), results, np.zeros(40), confidence=0.3, lift=1.0,
                           least=1)  # fmt: skip


def test_the_table_holds_both_kinds_and_fits_its_schema():
    events = found_rules()
    tags = events[:1].drop(columns=["later_confidence", "later_lift", "held"])
    both = links.settled(events, tags)
    check("features/links", both)
    assert both["kind"].tolist() == ["event", "event", "tags"]
    assert both["held"].tolist() == ["yes", "yes", "not looked at"]


def test_the_page_names_the_strongest_that_held_for_each_department():
    events = found_rules()
    facts = links.facts(events, events[:0], base=40, tagged=0)
    assert (facts["silent_from"], facts["silent_customers"]) == ("complaint", 10)
    assert facts["service_rules"] == 2
    assert "Silence goes with" in links.answer(facts)
    assert "call back" in links.service_note(facts)
    assert "nothing to single out" in links.product_note(facts)
    shown = links.shown(events, least=1)
    assert shown["what_happened"].tolist() == ["complaint", "slow answer"]
    assert shown["of_all_share"].tolist() == [0.4, 0.4]


def test_a_weak_rule_is_shown_and_gives_no_advice_nor_does_a_return_ask_for_a_sale():
    weak = found_rules().assign(alike_lift=1.19)
    facts = links.facts(weak, weak[:0], base=40, tagged=0)
    assert (facts["event_hold"], facts["silent_rules"], facts["service_rules"]) == (2, 0, 0)
    assert "No event goes strongly" in links.answer(facts)
    good = found_rules().assign(consequent="spent much", antecedent=["praise + return", "praise"])
    facts = links.facts(good, good[:0], base=40, tagged=0)
    assert (facts["good_rules"], facts["good_from"]) == (1, "praise")
    assert "praise" not in links.sales_note({**facts, "good_rules": 0, "valued_rules": 0})
    assert "goes with {good_to:text}" in links.answer(facts)


def test_what_did_not_hold_stands_below_and_gives_no_advice():
    events = found_rules().assign(held=["no", "yes"])
    assert links.shown(events, least=1)["what_happened"].tolist() == ["slow answer", "complaint"]
    facts = links.facts(events, events[:0], base=40, tagged=0)
    assert facts["silent_from"] == "slow answer"


def test_nothing_at_all_makes_empty_tables_and_true_sentences():
    none = links.rules(held([]), came(), np.zeros(0), ("a", "b", "c"))
    events = links.confirmed(
        none, held([]), came(), np.zeros(0), confidence=0.3, lift=1.0, least=5
    )
    assert links.settled(events, none).empty
    check("features/links", links.settled(events, none))
    assert links.shown(events).empty
    assert links.shown(none).empty
    facts = links.facts(events, none, base=0, tagged=0)
    assert "Nothing goes together" in links.answer(facts)
    assert "so few" in links.events_note(facts)
    assert "Hardly anybody" in links.window_note(facts)
    assert "Too few" in links.tags_note(facts)
    assert links.facts(events, none, base=4, tagged=3)["base"] is None  # is not told
    assert "None of the events" in links.events_note(facts | {"base": 9})
    for note in (links.service_note, links.product_note, links.sales_note, links.marketing_note):
        assert "nothing to single out" in note(facts)
    assert "No combination" in links.tags_note(facts | {"tagged": 9})
    empty_tags = links.traits(empty("features/tags"), empty("features/tag_rows"),
                              empty("features/tag_catalogue"))  # fmt: skip
    assert links.vocabulary(empty_tags) == ()
