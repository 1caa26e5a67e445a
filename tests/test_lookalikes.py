"""Prospects like the best: what is known before a purchase, an honest test, a list or none."""

from __future__ import annotations

import pandas as pd
import pytest

from crm import lookalikes
from crm.tables import LOOKALIKE_OFFERS, check, empty

FIRM = "social: type: 企业客户"


def tags(rows):
    """Tags of (customer, purchases, industry); nothing else is known."""
    made = pd.DataFrame(rows, columns=["customer_id", "orders", "industry"])
    return made.assign(gender="unknown", age_band=None, province=None, acquisition=None,
                       first_order_on=pd.Timestamp("2023-01-05"))  # fmt: skip


def people(best_with, with_, best_without, without, *, trait="interest: 骑行俱乐部"):
    """Buyers with and without a trait, so many of each best, in turns; and their traits."""
    flags = [(True, n < best_with) for n in range(with_)]
    flags += [(False, n < best_without) for n in range(without)]
    made = pd.DataFrame(flags, columns=["has", "is_best"])
    made["customer_id"] = [f"c{n:04d}" for n in range(len(made))]
    held = made.loc[made["has"], ["customer_id"]].assign(trait=trait)
    return made[["customer_id", "is_best"]], held


def results(top, rest):
    """100 later buyers, 20 with a score: so many of the best among these, and among the others."""
    best = [n < top for n in range(20)] + [n < rest for n in range(80)]
    return pd.DataFrame({"score": [0.4] * 20 + [0.0] * 80, "is_best": best})


def test_buyers_stand_by_day_of_registration_or_first_purchase_ties_by_id():
    profiles = pd.DataFrame({
        "customer_id": ["d", "c", "b", "a"],
        "registered_on": pd.to_datetime(["2022-01-01", None, "2023-01-05", "2023-02-01"]),
    })  # fmt: skip
    tiers = [("a", "general"), ("b", "high value"), ("c", "general"), ("d", "at risk")]
    tiers = pd.DataFrame(tiers, columns=["customer_id", "tier"])
    rows = [("a", 1, None), ("d", 2, None), ("c", 3, None), ("b", 9, None), ("x", 0, None)]
    made = lookalikes.buyers(tags(rows), tiers, profiles)
    assert made["customer_id"].tolist() == ["d", "b", "c", "a"]
    assert made["is_best"].tolist() == [False, True, False, False]
    first, later = lookalikes.parted(made, first_share=0.7)
    assert (len(first), len(later)) == (3, 1)


def test_traits_are_what_was_known_before_and_no_unknowns():
    rows = pd.DataFrame([("a", "interest", "茶艺"), ("a", "sugar_free_drinks", "yes"),
                         ("a", "social", "type: 企业客户"), ("b", "interest", "茶艺")],
                        columns=["customer_id", "tag", "value"])  # fmt: skip
    rows["since_on"] = pd.to_datetime([None, None, "2023-01-05", "2023-01-06"])  # first: the 5th
    made = lookalikes.traits(tags([("b", 1, "教育"), ("a", 0, None)]), rows)
    assert made.values.tolist() == [["a", "interest: 茶艺"], ["a", FIRM], ["b", "industry: 教育"]]
    assert lookalikes.traits(tags([]), rows.iloc[:0]).empty


def test_a_trait_that_the_best_share_tells_and_a_common_one_does_not():
    buyers, traits = people(20, 100, 20, 900)
    (one,) = lookalikes.learn(buyers, traits).itertuples()
    assert (one.buyers, one.best, round(one.times_all, 1)) == (100, 20, 5.0)
    # (20 + 0.8) ÷ (80 + 19.2) against 0.04 ÷ 0.96
    assert one.weight == pytest.approx(1.615869)
    same, held = people(4, 100, 36, 900)
    assert lookalikes.learn(same, held).empty
    assert lookalikes.learn(buyers, traits, least=101).empty
    assert lookalikes.learn(buyers.assign(is_best=False), traits).empty
    assert lookalikes.learn(buyers.iloc[:0], traits).empty


def test_a_rare_trait_weighs_less_than_a_common_one_of_the_same_share():
    one = lookalikes.learn(*people(8, 20, 42, 980))["weight"].item()
    many = lookalikes.learn(*people(80, 200, 120, 3800))["weight"].item()
    assert 0 < one < many


def test_the_score_is_the_sum_of_weights_with_the_strongest_reasons():
    weights = pd.DataFrame({"trait": ["t1", "t2", "t3"], "weight": [0.1, 0.2, 0.4]})
    held = pd.DataFrame({"customer_id": ["b", "a", "a", "a"], "trait": ["t1", "t3", "t1", "t9"]})
    made = lookalikes.score(pd.DataFrame({"customer_id": ["c", "a", "b"]}), held, weights,
                            reasons=1)  # fmt: skip
    assert made.values.tolist() == [["c", 0.0, ""], ["a", 0.5, "t3"], ["b", 0.1, "t1"]]


def test_the_top_holds_all_who_share_the_last_score_and_nobody_of_score_zero():
    scored = results(8, 2)
    found = lookalikes.tested(scored, top_share=0.1, least=1)
    assert (found["top"], found["top_best"], found["later_best"]) == (20, 8, 10)
    assert (found["lift"], found["found_share"]) == (4.0, 0.8)
    assert found["lift_low"] < 4.0 < found["lift_high"]
    assert lookalikes.beats_chance(found)
    wide = lookalikes.tested(scored, top_share=0.9, least=1)
    assert wide["top"] == 20  # the others are of score zero
    few = lookalikes.tested(scored, top_share=0.1, least=5)  # two of the best are elsewhere
    assert (few["top"], few["lift"], lookalikes.beats_chance(few)) == (None, None, False)


def test_what_luck_explains_does_not_beat_chance():
    scored = results(3, 7)
    assert not lookalikes.beats_chance(lookalikes.tested(scored, least=1))
    none = lookalikes.tested(scored.iloc[:0], least=1)
    assert (none["lift"], none["p_value"]) == (0.0, 1.0)


def test_noise_gives_no_list_in_nineteen_of_twenty_cases():
    sound = 0
    for turn in range(20):
        order = [(7 * n + 13 * turn * n + n * n) % 101 for n in range(600)]
        buyers = pd.DataFrame({"customer_id": [f"c{n:04d}" for n in range(600)],
                               "is_best": [value < 8 for value in order]})  # fmt: skip
        held = pd.DataFrame([(f"c{n:04d}", f"t{(n * (k + 3) + turn) % 17 % 5}")
                             for n in range(600) for k in range(3)],
                            columns=["customer_id", "trait"]).drop_duplicates()  # fmt: skip
        first, later = lookalikes.parted(buyers)
        scored = lookalikes.score(later, held, lookalikes.learn(first, held))
        sound += lookalikes.beats_chance(lookalikes.tested(scored, least=1))
    assert sound <= 1


def test_prospects_bought_once_at_most_and_may_be_addressed():
    permits = pd.DataFrame({"customer_id": ["a", "b", "c"], "purpose": "marketing",
                            "allowed": [True, True, False]})  # fmt: skip
    made = lookalikes.prospects(tags([("b", 0, None), ("a", 1, "教育"), ("c", 0, None)]), permits)
    assert made["customer_id"].tolist() == ["a", "b"]
    assert lookalikes.prospects(tags([("a", 2, None)]), permits).empty


def test_the_list_is_ranked_with_an_offer_for_each_and_empty_if_the_test_failed():
    scored = pd.DataFrame({
        "customer_id": ["d", "c", "b", "a"], "orders": [0, 0, 1, 0],
        "industry": ["教育", "教育", None, None], "score": [0.0, 0.3, 0.3, 0.9],
        "reasons": ["", "x", "x", "x; y"],
    })  # fmt: skip
    firms = pd.DataFrame({"customer_id": ["a", "c"], "trait": FIRM})
    made = lookalikes.listed(scored, firms, is_sound=True)
    assert made["customer_id"].tolist() == ["a", "b", "c"]
    paper, coupon, second = LOOKALIKE_OFFERS
    assert made["offer"].tolist() == [coupon, second, paper]  # no industry, no white paper on it
    assert lookalikes.listed(scored, firms, is_sound=True, most=1)["customer_id"].tolist() == ["a"]
    none = lookalikes.listed(scored, firms, is_sound=False)
    check("features/lookalikes", none)
    assert none.empty and list(none.columns) == list(empty("features/lookalikes").columns)


def test_offers_that_few_get_are_not_counted_on_the_page():
    made = pd.DataFrame({"offer": [LOOKALIKE_OFFERS[1]] * 9 + [LOOKALIKE_OFFERS[0]] * 3})
    found = lookalikes.list_facts(made)
    assert (found["listed"], found["newcomers"], found["white_papers"]) == (12, None, None)
    assert lookalikes.list_facts(made.iloc[:9])["newcomers"] == 9


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"traits": 0}, "Nothing is known"),
        ({"traits": 9, "telling": 0}, "No trait tells"),
        ({"traits": 9, "telling": 1, "lift": None}, "Too few came later"),
        ({"traits": 9, "telling": 1, "lift": 1, "is_sound": False}, "does not find new ones"),
        ({"traits": 9, "telling": 1, "lift": 2, "is_sound": True, "listed": None}, "Hardly any"),
        (
            {"traits": 9, "telling": 1, "lift": 2, "is_sound": True, "listed": 9},
            "are] like our best",
        ),
    ],
)
def test_the_page_says_why_there_is_no_list(found, said):
    assert said in lookalikes.answer(found)


def test_a_page_that_tested_nothing_shows_no_zeros():
    none = lookalikes.tested(results(0, 0)) | {"traits": 0, "telling": 0, "listed": 0}
    assert lookalikes.traits_tile(none)[0] == "none known"
    assert lookalikes.lift_tile(none)[0] == "not tested"
    assert lookalikes.list_tile(none)[0] == "no list"
    found = lookalikes.tested(results(15, 5)) | {"traits": 9, "listed": 12}
    assert lookalikes.traits_tile(found)[0] == "{telling}"
    assert lookalikes.lift_tile(found)[0] == "{lift:num}"
    assert lookalikes.list_tile(found)[0] == "{listed}"
