"""Raw values, scores, tiers and lists: the figures of the requirements, and the edges."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import found, literal

from crm import clean, engine, identity, rfm
from crm.tables import TIERS, check

AS_OF = date(2023, 10, 31)
SCORES = ["r_score", "f_score", "m_score"]


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def measure(con):
    """Raw values by customer."""

    def _measure(customers: str, orders: str = "", returns: str = "", **options) -> pd.DataFrame:
        ids = literal(con, "tables/customers", "customer_id\n" + "\n".join(customers.split()))
        head = "order_id customer_id ordered_at amount\n"
        placed = literal(con, "tables/orders", head + orders)
        head = "return_id customer_id returned_at amount reverses\n"
        back = literal(con, "tables/returns", head + returns)
        raw = engine.frame(con, rfm.measure(ids, placed, back, **{"as_of": AS_OF, **options}))
        return raw.set_index("customer_id").sort_index()

    return _measure


def raw(rows: list[tuple], columns=("recency_days", "frequency", "monetary")) -> pd.DataFrame:
    """Raw values as `measure` gives them."""
    frame = pd.DataFrame(rows, columns=list(columns))
    frame = frame.astype({"recency_days": "int64", "frequency": "int64", "monetary": "float64"})
    names = [f"c{i}" for i in range(len(frame))]
    known = frame.assign(customer_id=names, spend=frame["monetary"])
    return rfm.permit(known, permits(names))  # all agreed, unless a test says otherwise


def permits(analysed: list[str], addressed: list[str] | None = None) -> pd.DataFrame:
    """`features/permits` of customers who may be analysed, and those of them to be addressed."""
    rows = [(c, "analysis", True) for c in analysed]
    rows += [(c, "marketing", addressed is None or c in addressed) for c in analysed]
    made = pd.DataFrame(rows, columns=["customer_id", "purpose", "allowed"])
    return made.astype({"allowed": bool})


# --- raw values (RFM-01, Q-04)


def test_purchases_and_spend_are_counted_in_the_window_and_over_all_history(measure):
    orders = """
    3  a  2023-10-01  30.00
    1  a  2023-01-01  10.00
    2  a  2023-09-01  20.00
    """
    columns = ["recency_days", "frequency", "monetary", "orders", "spend", "sales"]
    assert measure("a", orders)[columns].values.tolist() == [[30, 2, 50.0, 3, 60.0, 60.0]]


@pytest.mark.parametrize(
    ("day", "recency", "frequency"),
    [
        ("2023-08-02T00:00", 90, 0),  # as_of − 90 days: the window is open at its start
        ("2023-08-02T23:59", 90, 0),
        ("2023-08-03T00:00", 89, 1),
        ("2023-10-31T23:59", 0, 1),
        ("2023-11-01T00:00", -1, 0),  # later than as_of
    ],
)
def test_the_window_ends_with_the_day_of_as_of_and_is_open_at_its_start(
    measure, day, recency, frequency
):
    values = measure("a", f"1 a {day} 10")[["recency_days", "frequency", "orders"]]
    assert values.values.tolist() == [[recency, frequency, int(recency >= 0)]]


def test_the_same_window_holds_for_returns(measure):
    returns = """
    R  a  2023-08-02T12:00  1.00    -
    S  a  2023-08-03T12:00  10.00   -
    T  a  2023-10-31T12:00  100.00  -
    U  a  2023-11-01T12:00  999.00  -
    """
    values = measure("a", "1 a 2023-10-01 1000", returns)
    assert values[["monetary", "spend", "sales"]].values.tolist() == [[890.0, 889.0, 1000.0]]


def test_the_length_of_the_window_is_a_parameter(measure):
    order = "1 a 2023-10-24 10"  # 7 days before
    assert measure("a", order, window_days=7)["frequency"].tolist() == [0]
    assert measure("a", order, window_days=8)["frequency"].tolist() == [1]


def test_an_order_cancelled_whole_is_no_purchase(measure):
    orders = "1 a 2023-10-01 50\n2 a 2023-10-30 80\n3 b 2023-10-30 80"
    values = measure("a b", orders, "R a 2023-10-30 80 2\nS b 2023-10-30 80 3")
    columns = ["recency_days", "frequency", "orders", "spend", "sales"]
    assert values[columns].values.tolist() == [[30, 1, 1, 50.0, 130.0], [-1, 0, 0, 0.0, 80.0]]
    assert values["last_order_on"].tolist() == [pd.Timestamp("2023-10-01"), pd.NaT]


def test_an_order_cancelled_in_part_is_a_purchase_of_the_rest(measure):
    values = measure("a", "1 a 2023-10-30 80", "R a 2023-10-30 30 1")
    assert values[["frequency", "monetary"]].values.tolist() == [[1, 50.0]]


def test_a_return_whose_sale_was_not_found_reduces_spend_even_below_zero(measure):
    values = measure("a", "1 a 2023-10-30 80", "R a 2023-10-30 100 -")
    assert values[["frequency", "monetary", "spend"]].values.tolist() == [[1, -20.0, -20.0]]
    assert rfm.score(values)["m_score"].tolist() == [0.0]


def test_free_orders_and_orders_without_a_customer_are_no_purchases(measure):
    values = measure("a", "1 a 2023-10-30 0\n2 - 2023-10-30 80", "R - 2023-10-30 8 -")
    assert values[["recency_days", "orders", "spend"]].values.tolist() == [[-1, 0, 0.0]]


def test_who_never_bought_has_no_recency_and_who_does_not_exist_has_no_row(measure):
    values = measure("b a", "1 a 2023-10-30 8\n2 x 2023-10-30 8")
    assert values["recency_days"].to_dict() == {"a": 1, "b": -1}
    assert values["recency_days"].dtype == "int64"


def test_no_customers_have_no_raw_values(measure):
    assert measure("", "1 x 2023-10-30 8").empty


def test_a_return_after_as_of_does_not_change_the_past(con):
    lines = literal(
        con,
        "staged/order_lines",
        "line order_id kind quantity ordered_at\n1 A sale 2 2023-01-01\n9 R return -2 2023-02-01",
        source="shop", customer_key="1", product_id="mug", unit_price="5",
    )  # fmt: skip
    lines = lines.mutate(amount=(lines.quantity * 5).cast("decimal(18, 4)"))
    judged = clean.judge(lines, clean.duplicates(lines).filter(False), source=clean.Source())
    rest = clean.rest(judged)
    pairs = clean.reversals(judged, rest)
    ids = literal(con, "tables/identity_map", "source customer_key customer_id\nshop 1 a")
    drafts = clean.drafts(judged)
    orders = identity.attach(clean.orders(drafts, clean.odd_orders(drafts)), ids)
    returns = identity.attach(clean.returns(rest, pairs), ids)
    customers = literal(con, "tables/customers", "customer_id\na")
    then = rfm.measure(customers, orders, returns, as_of=date(2023, 1, 15))
    later = rfm.measure(customers, orders, returns, as_of=date(2023, 2, 15))
    assert found(con, later, "recency_days", "orders", "spend") == [(-1, 0, 0.0)]
    assert found(con, then, "recency_days", "orders", "spend") == [(14, 1, 10.0)]


# --- scores (RFM-02, Q-02)


@pytest.mark.parametrize(
    ("column", "value", "score"),
    [
        *[("recency_days", d, s) for d, s in [(0, 100), (11, 90), (30, 81.6), (56, 70)]],
        *[("recency_days", d, s) for d, s in [(95, 40), (108, 30), (180, 0), (999, 0)]],
        *[
            ("frequency", n, s)
            for n, s in [(0, 0), (1, 25), (4, 65), (9, 85), (15, 100), (99, 100)]
        ],
        *[("monetary", m, s) for m, s in [(-5, 0), (0, 0), (800, 20), (2500, 40), (15000, 88)]],
        *[("monetary", m, s) for m, s in [(30000, 100), (1e9, 100)]],
    ],
)
def test_anchors_give_the_scores_of_the_sample(column, value, score):
    one = raw([(1, 1, 1)]).assign(**{column: value})
    assert rfm.score(one)[f"{column[0]}_score"].round(1).tolist() == [score]


def test_the_score_text_joins_whole_scores_by_commas():
    one = rfm.score(raw([(11, 9, 14218.75)]))
    assert one["rfm"].tolist() == ["90,85,85"]  # RFM-18


def test_a_score_of_a_half_is_written_rounded_up():
    anchors = [[0, 0], [1, 0.5], [2, 2.5]]
    scored = rfm.score(raw([(1, 1, 2)]), r_anchors=anchors, f_anchors=anchors, m_anchors=anchors)
    assert scored["rfm"].tolist() == ["1,1,3"]


@pytest.mark.parametrize("method", ["anchor", "percentile"])
def test_who_never_bought_scores_zero(method):
    scored = rfm.score(raw([(-1, 0, 0), (5, 1, 10)]), method=method)
    assert scored.loc[0, [*SCORES, "rfm"]].tolist() == [0, 0, 0, "0,0,0"]


def test_equal_values_share_the_mean_of_their_ranks():
    scored = rfm.score(raw([(5, 1, 10), (5, 1, 10), (1, 2, 30), (-1, 0, 0)]), method="percentile")
    third = 100 / 3
    expected = [third, third, 2.5 * third, 0.0]
    for name in SCORES:
        assert scored[name].tolist() == pytest.approx(expected, abs=1e-6)


def test_permuted_rows_have_the_same_scores():
    rows = raw([(5, 1, 10), (9, 1, 10), (1, 2, 10), (5, 1, 99), (1, 1, 10)])
    scored = rfm.score(rows, method="percentile").set_index("customer_id")
    mixed = rfm.score(rows.sample(frac=1, random_state=1), method="percentile")
    pd.testing.assert_frame_equal(mixed.set_index("customer_id").loc[scored.index], scored)


def test_a_frequency_that_nearly_all_share_does_not_stop_the_ranking():
    scored = rfm.score(raw([(i, 1 if i < 99 else 7, 10) for i in range(100)]), method="percentile")
    assert scored["f_score"].tolist() == [49.5] * 99 + [99.5]
    assert set(scored["m_score"]) == {50.0}


def test_one_customer_is_ranked_in_the_middle():
    assert rfm.score(raw([(5, 1, 10)]), method="percentile")["rfm"].tolist() == ["50,50,50"]


def test_an_unknown_method_is_named():
    with pytest.raises(rfm.RfmError, match=r"rfm.score.method is 'quintile'; expected anchor or"):
        rfm.score(raw([(5, 1, 10)]), method="quintile")


@pytest.mark.parametrize("anchors", [[[0, 1], [0, 2]], [[5, 1], [3, 2]], [1, 2], [[1, 2, 3]], []])
def test_anchors_that_do_not_rise_are_refused(anchors):
    with pytest.raises(rfm.RfmError, match=r"rfm.score.f_anchors must be pairs"):
        rfm.score(raw([(5, 1, 10)]), f_anchors=anchors)


CUSTOMERS = st.lists(
    st.tuples(st.integers(-1, 900), st.integers(0, 40), st.integers(-9, 40_000)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(CUSTOMERS, st.sampled_from(["anchor", "percentile"]))
def test_scores_stay_between_0_and_100_and_rise_with_value_and_each_has_one_tier(rows, method):
    tiers = rfm.tier(rfm.score(raw(rows), method=method))
    buyers = tiers[tiers["recency_days"] >= 0]
    assert tiers[SCORES].ge(0).all(axis=None)
    assert tiers[SCORES].le(100).all(axis=None)
    assert buyers.sort_values("recency_days")["r_score"].is_monotonic_decreasing
    assert buyers.sort_values("frequency")["f_score"].is_monotonic_increasing
    assert buyers.sort_values("monetary")["m_score"].is_monotonic_increasing
    assert tiers["tier"].isin(TIERS).all()
    assert ((tiers["tier"] == "no purchase") == (tiers["recency_days"] < 0)).all()


# --- tiers (RFM-03…07, RFM-10)


def scored(rows: list[tuple], *, recency: int = 5) -> pd.DataFrame:
    frame = raw([(recency, 1, 1)] * len(rows))
    return frame.assign(**dict(zip(SCORES, map(list, zip(*rows, strict=True)), strict=True)))


E4 = [
    (80, 80, 80, "high value"),
    (79.9, 80, 80, "general"),
    (80, 79.9, 80, "general"),
    (80, 80, 79.9, "potential"),
    (60, 60, 79.9, "potential"),
    (59.9, 60, 40, "general"),
    (85, 85, 0, "potential"),
    (70, 70, 95, "general"),
    (39.9, 39.9, 39.9, "at risk"),
    (40, 20, 20, "general"),
    (20, 20, 90, "general"),
]


@pytest.mark.parametrize(("r", "f", "m", "tier"), E4)
def test_tiers_keep_their_boundaries(r, f, m, tier):
    assert rfm.tier(scored([(r, f, m)]))["tier"].tolist() == [tier]


def test_all_zero_is_at_risk_with_an_old_order_and_no_purchase_without_any():
    assert rfm.tier(scored([(0, 0, 0)], recency=400))["tier"].tolist() == ["at risk"]
    assert rfm.tier(scored([(0, 0, 0)], recency=-1))["tier"].tolist() == ["no purchase"]


@pytest.mark.parametrize(
    ("r", "f", "m", "tier"), [(60, 60, 40, "potential"), (70, 70, 80, "general")]
)
def test_potential_needs_recency_and_frequency_and_less_money(r, f, m, tier):
    assert rfm.tier(scored([(r, f, m)]))["tier"].tolist() == [tier]


def test_thresholds_are_parameters():
    near = scored([(75, 75, 75)])
    assert rfm.tier(near)["tier"].tolist() == ["potential"]
    assert rfm.tier(near, high=75)["tier"].tolist() == ["high value"]


# --- flags (RFM-08, RFM-09, Q-03)

E5 = [  # days, purchases a month, order value, months in the window, high, dormant
    (10, 3, 2000.01, 3, True, False),
    (30, 3, 2500, 3, True, False),
    (31, 3, 2500, 3, False, False),
    (10, 2.9, 2500, 10, False, False),  # 29 purchases in 300 days
    (10, 3, 2000, 3, False, False),
    (89, 1, 500, 3, False, False),
    (90, 0, None, 3, False, True),
]


@pytest.mark.parametrize(("days", "monthly", "value", "months", "high", "dormant"), E5)
def test_segments_by_raw_values(days, monthly, value, months, high, dormant):
    purchases = round(monthly * months)
    one = rfm.score(raw([(days, purchases, purchases * (value or 0))]))
    flagged = rfm.flag(one, window_days=30 * months).iloc[0]
    assert purchases / months == monthly
    assert (flagged["is_high_rfm_raw"], flagged["is_dormant"]) == (high, dormant)


def test_who_never_bought_carries_no_flag():
    flags = rfm.flag(rfm.score(raw([(-1, 0, 0), (5, 1, 10)])))
    assert not flags.loc[0, ["is_high_rfm_raw", "is_dormant", "is_lapsing_valuable"]].any()


def test_a_once_good_customer_who_is_silent_is_lapsing():
    rows = rfm.score(raw([(200, 0, 0), (200, 0, 0), (5, 1, 10), (5, 1, 10), (5, 1, 10)]))
    flags = rfm.flag(rows.assign(spend=[900.0, 20.0, 800.0, 30.0, 10.0]))
    assert flags["is_lapsing_valuable"].tolist() == [True, False, False, False, False]


def test_a_silent_customer_who_returned_more_than_was_bought_is_not_valuable():
    rows = rfm.score(raw([(200, 0, 0)])).assign(spend=[-20.0])
    assert rfm.flag(rows)["is_lapsing_valuable"].tolist() == [False]


def test_flags_do_not_depend_on_the_order_of_rows():
    rows = rfm.score(raw([(200, 0, 5), (95, 2, 90), (5, 9, 99_999), (-1, 0, 0)]))
    flags = rfm.flag(rows)
    pd.testing.assert_frame_equal(rfm.flag(rows.iloc[::-1]).sort_index(), flags)


# --- thresholds after a holiday (RFM-16, Q-35)

HOLIDAYS = [
    ("Spring Festival", "2023-01-27", 2.0),
    ("Spring Festival", "2022-02-06", 2.0),
    ("National Day", "10-07", 1.5),
    ("11 November", "11-11", 1.25),
]


@pytest.mark.parametrize(
    ("day", "factor"),
    [
        ("2023-10-07", 1),  # the holiday itself
        ("2023-10-08", 1.5),  # first day
        ("2023-11-06", 1.5),  # last day
        ("2023-11-07", 1),  # the day after
        ("2023-01-28", 2),
        ("2023-02-26", 2),
        ("2023-02-27", 1),
        ("2024-01-28", 1),  # that of 2024 is not listed
    ],
)
def test_the_factor_of_a_holiday_holds_from_the_day_after_it_for_the_set_time(day, factor):
    found = rfm.season(as_of=date.fromisoformat(day), holidays=HOLIDAYS)
    assert found["season_factor"] == factor


def test_the_set_time_is_a_parameter_and_runs_into_the_next_year():
    late = [("Christmas", "12-25", 0.5)]
    assert rfm.season(as_of=date(2024, 1, 24), holidays=late)["season_factor"] == 0.5
    assert rfm.season(as_of=date(2024, 1, 25), holidays=late)["season_factor"] == 1
    assert rfm.season(as_of=date(2024, 1, 25), holidays=late, days=31)["season_factor"] == 0.5


def test_of_several_holidays_in_force_the_last_that_ended_counts_then_the_first_listed():
    rows = [("b", "10-01", 2.0), ("c", "10-09", 3.0), ("a", "10-09", 4.0)]
    assert rfm.season(as_of=date(2023, 10, 20), holidays=rows)["season_holiday"] == "c"
    assert rfm.season(as_of=date(2023, 10, 5), holidays=rows)["season_holiday"] == "b"
    assert rfm.season(as_of=date(2023, 10, 5))["season_factor"] == 1


PARAMS = {
    "season": {"holidays": HOLIDAYS},
    "score": {"method": "anchor", "f_anchors": [[0, 0], [1, 25], [4, 65], [8, 80], [15, 100]]},
    "flag": {"monthly_purchases": 3, "recent_days": 30},
}


def test_the_factor_moves_the_limits_of_frequency_and_no_other():
    now = rfm.in_force(PARAMS, 1.5)
    rows = raw([(5, 11, 90_000), (5, 12, 90_000)])
    tiers = rfm.tier(rfm.score(rows, **now["score"]))
    assert tiers["tier"].tolist() == ["general", "high value"]  # 8 purchases × 1.5
    assert now["flag"] == {"monthly_purchases": 4.5, "recent_days": 30}
    assert PARAMS["flag"]["monthly_purchases"] == 3


def test_with_a_factor_of_one_nothing_moves():
    assert rfm.in_force(PARAMS, 1.0) is PARAMS
    assert rfm.then(PARAMS, date(2023, 11, 7)) is PARAMS["score"]
    assert rfm.then(PARAMS, date(2023, 11, 6))["f_anchors"][3] == [12.0, 80]


def test_the_factor_in_force_is_told_and_so_is_a_calendar_that_is_too_old():
    told = rfm.season(as_of=AS_OF, holidays=HOLIDAYS)
    assert "{season_factor:num2}" in rfm.season_note(told)
    assert "No factor" in rfm.season_note(told | {"season_factor": 1.0})
    assert "No holiday" in rfm.season_note(rfm.season(as_of=date(2023, 6, 1), holidays=HOLIDAYS))
    assert "No holidays are listed" in rfm.season_note(rfm.season(as_of=AS_OF))
    old = rfm.season(as_of=date(2025, 6, 1), holidays=HOLIDAYS)
    assert old["season_undated"] == "Spring Festival"
    assert rfm.season_note(old).startswith("**Marketing: add")


@pytest.mark.parametrize("row", [("x", "31-01", 1.0), ("x", "soon", 1.0), ("x", "10-07", 0.0)])
def test_a_holiday_without_a_date_or_a_factor_is_refused(row):
    with pytest.raises(rfm.RfmError, match=r"rfm.season.holidays: the (last day|factor) of x is"):
        rfm.season(as_of=AS_OF, holidays=[row])


# --- summaries (RFM-11, RFM-12)


def e10() -> pd.DataFrame:
    """The tiers of 15 customers who spend 3,000 each and of 85 who spend 55,000 together."""
    tiers = rfm.tier(scored([(85, 85, 85)] * 15 + [(50, 50, 50)] * 85))
    tiers["spend"] = [3000.0] * 15 + [600.0] * 84 + [4600.0]
    return rfm.summarise(tiers.sample(frac=1, random_state=1)).set_index("tier")


def test_fifteen_of_a_hundred_customers_bring_45_percent_of_spend():
    summary = e10()
    assert summary.loc["high value", ["customers", "spend"]].tolist() == [15, 45_000]
    assert summary.loc["high value", "customer_share"] == pytest.approx(0.15)
    assert summary.loc["high value", "spend_share"] == pytest.approx(0.45)
    assert summary[["customer_share", "spend_share"]].sum().tolist() == pytest.approx([1, 1])
    metrics = rfm.tier_metrics(summary.reset_index())
    assert metrics["high_value_spend_share"] == pytest.approx(0.45)
    assert metrics["at_risk_customers"] == 0


def test_tiers_are_listed_from_high_value_down_with_mean_scores_and_an_action():
    tiers = rfm.tier(scored([(0, 0, 0), (90, 80, 100), (80, 100, 80)]))
    summary = rfm.summarise(tiers)
    assert summary["tier"].tolist() == ["high value", "at risk"]
    assert summary.loc[0, SCORES].tolist() == [85, 90, 90]
    assert summary["action"].str.len().gt(0).all()


def test_every_tier_has_an_action():
    assert set(rfm.ACTIONS) == set(TIERS)


@pytest.mark.parametrize(
    ("amounts", "share"),
    [
        ([100, 0, 0, 0, 0, -5], 0.0),  # a fifth of one buyer is nobody
        ([60, 10, 10, 10, 10], 0.6),
        ([10, 10, 10, 10, 60], 0.6),
        ([20, 20, 20, 20, 20], 0.2),
        ([], 0.0),
    ],
    ids=["one buyer", "sorted", "unsorted", "ties", "nobody"],
)
def test_the_best_fifth_of_buyers_bring_their_share(amounts, share):
    assert rfm.top_share(pd.Series(amounts, dtype=float)) == pytest.approx(share)


def test_the_concentration_curve_runs_from_nobody_to_everybody():
    curve = rfm.concentration(pd.Series([10.0, 30.0, -4.0, 60.0]))
    assert curve["sales_share"].tolist() == pytest.approx([0, 0.6, 0.9, 1])
    assert rfm.concentration(pd.Series([], dtype=float)).values.tolist() == [[0, 0]]


def test_facts_count_who_cancelled_all_and_who_bought_once():
    rows = raw([(10, 1, 5), (20, 1, 5), (60, 0, 5), (-1, 0, 0), (-1, 0, 0)])
    rows = rows.assign(orders=[1, 1, 2, 0, 0], sales=[5.0, 5.0, 5.0, 9.0, 0.0])
    facts = rfm.facts(rows)
    assert (facts["cancelled_all"], facts["median_recency"]) == (1, 20.0)
    assert facts["once_share"] == pytest.approx(2 / 3)


def ready(rows: list[tuple]) -> pd.DataFrame:
    """Raw values with scores, tier, flags and the columns of history."""
    tiers = rfm.flag(rfm.tier(rfm.score(raw(rows))))
    days = pd.to_datetime(AS_OF) - pd.to_timedelta(tiers["recency_days"], unit="D")
    last = days.where(tiers["recency_days"] >= 0).astype("datetime64[us]")
    return tiers.assign(
        first_order_on=last,
        last_order_on=last,
        orders=tiers["frequency"],
        sales=tiers["monetary"],
    )


def test_lists_are_sorted_by_spend_and_ties_by_customer():
    tiers = ready([(1, 20, 40_000), (2, 20, 90_000), (3, 20, 40_000), (200, 0, 5)])
    assert rfm.best(tiers.iloc[::-1])["customer_id"].tolist() == ["c1", "c0", "c2"]
    assert rfm.lapsing(tiers).empty


def test_a_dormant_customer_without_an_offer_is_told_of_the_newest_products():
    tiers = ready([(200, 0, 50), (100, 0, 90), *[(5, 1, 900)] * 3])
    recall = pd.DataFrame({"customer_id": ["c0", "c0"], "product_name": ["mug", "lamp"]})
    assert rfm.dormant(tiers, recall)[["customer_id", "offer"]].values.tolist() == [
        ["c1", "the newest products"], ["c0", "mug, lamp"],
    ]  # fmt: skip


def test_a_list_tells_purchases_of_all_history_from_those_in_the_window():
    listed = rfm.best(ready([(1, 20, 40_000)]).assign(orders=33))
    assert listed[["purchases_in_all", "frequency"]].values.tolist() == [[33, 20]]


def test_the_rule_by_raw_values_is_told_with_its_limits():
    note = rfm.raw_note({"raw_high": 2, "raw_outside": 1})
    assert "Nobody else" in rfm.raw_note({"raw_high": 2, "raw_outside": 0})
    limits = ("recent_days", "monthly_purchases", "order_value", "window_days", "raw_outside")
    assert all("{" + name in note for name in limits)
    assert "No customer" in rfm.raw_note({"raw_high": 0})


def test_who_sent_back_a_quarter_is_called_last():
    tiers = ready([(200, 0, 90_000), (200, 0, 80_000), (200, 0, 70_000)])
    tiers = tiers.assign(sales=[120_000.0, 106_000.0, 70_000.0])  # 25 %, 24.5 % and nothing back
    calls = rfm.lapsing(tiers.assign(is_lapsing_valuable=True))
    assert calls["customer_id"].tolist() == ["c1", "c2", "c0"]
    assert calls["sent_back"].tolist() == [False, False, True]


def test_who_is_called_gets_no_offer_beside():
    tiers = ready([(200, 0, 90_000), (200, 0, 50), (5, 1, 10), (5, 1, 20), (5, 1, 30)])
    assert rfm.lapsing(tiers)["customer_id"].tolist() == ["c0"]
    nothing = pd.DataFrame({"customer_id": [], "product_name": []}, dtype="str")
    assert rfm.dormant(tiers, nothing)["customer_id"].tolist() == ["c1"]


def test_the_rules_in_words_are_the_anchors_read_backwards():
    score = {
        "method": "anchor",
        "r_anchors": [[0, 100], [11, 90], [56, 70], [108, 30], [180, 0]],
        "f_anchors": [[0, 0], [1, 25], [4, 65], [9, 85], [15, 100]],
        "m_anchors": [[0, 0], [800, 20], [2500, 40], [15000, 88], [30000, 100]],
    }
    words = rfm.rules(score, {"high": 80, "potential": 60, "at_risk": 40})
    assert (words["high_days"], words["high_orders"], words["risk_days"]) == (33, 8, 95)
    limit = {"recency_days": [33, 34], "frequency": [8, 7], "monetary": [words["high_money"]] * 2}
    scored = rfm.score(pd.DataFrame(limit))
    assert (scored[["r_score", "f_score"]] >= 80).values.tolist() == [[True] * 2, [False] * 2]
    assert scored["m_score"].round(6).tolist() == [80.0, 80.0]
    assert rfm.rules({"method": "percentile"}, {}) == {}
    assert "high value" not in rfm.rules_note({"method": "percentile"})


def test_agreement_counts_who_stays_in_the_tier():
    ours = pd.DataFrame({"tier": ["high value", "high value", "general", "at risk"]})
    theirs = pd.DataFrame({"tier": ["high value", "general", "general", "at risk"]})
    assert rfm.agreement(ours, theirs) == {"same_tier_share": 0.75, "same_high_share": 0.5}


def test_flag_metrics_count_each_flag():
    tiers = ready([(5, 9, 90_000), (200, 0, 30_000), (-1, 0, 0)])
    assert rfm.flag_metrics(tiers).items() >= {
        "lapsing": 1, "lapsing_spend": 30_000.0, "lapsing_spend_share": 0.25, "dormant": 1,
        "raw_high": 1, "raw_outside": 0, "dormant_at_risk": 0,
    }.items()  # fmt: skip


def test_the_table_is_written_sorted_and_read_back_whole(con, tmp_path):
    from crm.tables import lookup

    made = rfm.settled(ready([(5, 9, 90_000), (200, 0, 30_000), (-1, 0, 0)]).iloc[::-1])
    assert engine.write(con, made, tmp_path / "rfm", lookup("features/rfm")) == 3
    back = engine.frame(con, engine.scan(con, tmp_path / "rfm"))
    assert back["customer_id"].tolist() == ["c0", "c1", "c2"]
    assert back["last_order_on"].isna().tolist() == [False, False, True]


def test_no_customers_make_empty_tables_all_the_way(measure, con, tmp_path):
    from crm.tables import lookup

    none = rfm.permit(measure("").reset_index(), permits([]))
    for method in ("anchor", "percentile"):
        tiers = rfm.flag(rfm.tier(rfm.score(none, method=method)))
        assert engine.write(
            con, rfm.settled(tiers), tmp_path / method, lookup("features/rfm")
        ) == 0  # fmt: skip
    assert rfm.summarise(tiers).empty
    assert rfm.lapsing(tiers).empty
    assert rfm.best(tiers).empty
    assert set(rfm.contacts(tiers).values()) == {0}
    assert set(rfm.tier_metrics(rfm.summarise(tiers)).values()) == {0}
    assert rfm.flag_metrics(tiers)["lapsing_spend_share"] == 0
    assert rfm.facts(none) == {"cancelled_all": 0, "median_recency": 0.0, "once_share": 0.0}


# --- contact lists (PRV-07)


def test_who_may_not_be_analysed_is_in_no_figure_and_who_may_not_be_addressed_on_no_list():
    known = pd.DataFrame({"customer_id": ["silent", "b", "a"]})
    left = rfm.permit(known, permits(["a", "b"], addressed=["a"]))
    assert left[["customer_id", "may_contact"]].values.tolist() == [["b", False], ["a", True]]
    assert rfm.permit(known, permits([])).empty
    assert rfm.permit(known.head(0), permits(["a"])).empty


def addressed(tiers: pd.DataFrame, ids: str) -> pd.DataFrame:
    everybody = tiers["customer_id"].tolist()
    return rfm.permit(tiers.drop(columns="may_contact"), permits(everybody, ids.split()))


# one to visit, two to call, one to recall, one to invite
SEVERAL = [(5, 20, 90_000), (200, 0, 80_000), (200, 0, 70_000), (200, 0, 50), (5, 1, 900)] + [
    (5, 2, 40)
] * 5


def test_a_list_holds_only_customers_who_may_be_addressed_and_counts_those_left_out():
    tiers = addressed(ready(SEVERAL), "c2 c4")
    assert rfm.lapsing(tiers)["customer_id"].tolist() == ["c2"]
    assert rfm.best(tiers).empty
    assert rfm.offered(tiers).empty
    contacts = rfm.contacts(tiers, least=1)
    assert contacts.items() >= {
        "may_contact": 2, "called": 1, "called_left_out": 1, "called_spend": 70_000.0, "cared": 0,
        "cared_left_out": 1, "offered": 0, "offered_left_out": 1, "invited": 1,
        "invited_left_out": 0,
    }.items()  # fmt: skip
    assert rfm.flag_metrics(tiers)["lapsing"] == 2  # what is measured does not change
    assert rfm.summarise(tiers)["may_be_contacted"].sum() == 2


def test_where_nobody_may_be_addressed_every_list_is_empty_and_says_how_many_wait():
    tiers = addressed(ready(SEVERAL), "")
    assert rfm.lapsing(tiers).empty
    assert rfm.dormant(tiers, NO_OFFERS).empty
    contacts = rfm.contacts(tiers, least=1)
    lists = ("called", "cared", "offered", "invited")
    assert [contacts[name] for name in lists] == [0, 0, 0, 0]
    assert [contacts[f"{name}_left_out"] for name in lists] == [2, 1, 1, 1]
    assert "Nobody may be contacted yet" in rfm.consent_note(contacts)
    for note in (rfm.call_note, rfm.care_note, rfm.invite_note):
        assert ": nobody to" in note(contacts)


def test_actions_hold_who_may_be_contacted_and_one_sentence_counts_the_others():
    contacts = rfm.contacts(addressed(ready(SEVERAL), "c0 c1 c3 c4"))
    assert "{called_left_out}" in rfm.consent_note(contacts)
    assert "{called}" in rfm.call_note(contacts)
    assert "{cared}" in rfm.care_note(contacts)
    assert "{invited}" in rfm.invite_note(contacts)
    assert "may not be analysed" in rfm.analysed_note({"not_analysed": 1})
    assert rfm.analysed_note({"not_analysed": 0}) == "Every customer may be analysed."


NO_OFFERS = pd.DataFrame({"customer_id": [], "product_name": []}, dtype="str")


# --- recall (RFM-09)

PRODUCTS = """
product_id  product_name  category  is_product
cup         Cup           home      true
mug         Mug           home      true
pot         Pot           home      true
jug         Jug           home      true
car         Car           toys      true
POST        Postage       home      false
"""


@pytest.fixture
def recall(con):
    """Offers as (customer, rank, product)."""

    def _recall(items: str, returns="", dormant="d", products=PRODUCTS, **options):
        head = "line customer_id product_id ordered_at amount\n"
        sold = literal(con, "tables/order_items", head + items)
        back = literal(con, "tables/returns", "reverses_line returned_at\n" + returns)
        who = literal(con, "features/rfm", "customer_id\n" + "\n".join(dormant.split()))
        goods = literal(con, "tables/products", products)
        made = rfm.recall(who.select("customer_id"), sold, back, goods, as_of=AS_OF, **options)
        return found(con, made, "customer_id", "rank", "product_id")

    return _recall


RECENT = """
3  y  pot   2023-10-01  9
1  x  mug   2023-10-01  9
2  y  mug   2023-10-01  9
4  d  cup   2023-01-01  9
5  x  cup   2023-10-01  9
6  y  POST  2023-10-01  9
7  x  POST  2023-10-01  9
8  x  jug   2023-10-01  9
"""


def test_best_sellers_never_bought_are_offered_ties_by_code_and_never_postage(recall):
    assert recall(RECENT) == [("d", 1, "mug"), ("d", 2, "jug"), ("d", 3, "pot")]


def test_no_more_than_offers_are_made_out_of_the_pool(recall):
    assert recall(RECENT, offers=1) == [("d", 1, "mug")]
    assert recall(RECENT, pool=2) == [("d", 1, "mug")]  # the best is cup, which d has


def test_what_was_bought_is_not_offered(recall):
    assert recall(RECENT + "9 d mug 2022-01-01 1", offers=1) == [("d", 1, "jug")]


def test_the_category_with_the_largest_spend_is_preferred(recall):
    toys = "1 x car 2023-10-01 9\n2 d cup 2023-01-01 9\n3 d bus 2023-01-01 10"
    goods = PRODUCTS + "bus Bus toys true\n"
    assert recall(toys, products=goods) == [("d", 1, "car")]


def test_goods_of_a_season_are_offered_after_those_that_sell_all_year(recall):
    christmas = "".join(f"{n} p{n} mug 2023-10-01 9\n" for n in range(10, 15))
    all_year = "".join(f"{n} p{n} pot 2023-0{n - 19}-01 9\n" for n in range(20, 28))
    lately = "".join(f"{n} p{n} pot 2023-10-01 9\n" for n in range(30, 34))
    sold = christmas + all_year + lately + "1 d cup 2023-01-01 9"
    assert recall(sold) == [("d", 1, "pot"), ("d", 2, "mug")]  # 5 x buyers lately against 4


def test_sales_before_the_recent_days_and_after_as_of_are_no_best_sellers(recall):
    items = "1 x mug 2023-08-02 9\n2 x pot 2023-11-01 9\n3 x jug 2023-08-03 9\n"
    assert recall(items + "4 d cup 2023-01-01 9") == [("d", 1, "jug")]


def test_sales_that_were_cancelled_or_name_nobody_are_no_best_sellers(recall):
    items = "1 x mug 2023-10-01 9\n2 - pot 2023-10-01 9\n3 x jug 2023-10-01 9\n"
    sold = items + "4 d cup 2023-01-01 9"
    assert recall(sold, returns="1 2023-10-02") == [("d", 1, "jug")]
    assert recall(sold, returns="1 2023-11-01") == [("d", 1, "jug"), ("d", 2, "mug")]


def test_a_source_without_categories_has_one_for_all(recall):
    plain = PRODUCTS.replace("home", "-").replace("toys", "-")
    assert recall(RECENT + "9 x car 2023-10-01 9\n9 y car 2023-10-01 9",
                  products=plain, offers=2) == [("d", 1, "car"), ("d", 2, "mug")]  # fmt: skip


def test_who_is_not_dormant_gets_no_offer(recall):
    assert recall(RECENT, dormant="") == recall("", dormant="d") == []


# --- history (RFM-17)


def test_a_history_begins_when_the_data_are_a_window_old():
    first = pd.DataFrame({"first_order_on": [pd.Timestamp("2023-05-02"), pd.NaT]})
    known = [str(at) for at in rfm.quarters(first, as_of=AS_OF)]
    assert known == ["2023-07-31", "2023-10-31"]  # 90 days after; three months earlier is too soon
    later = first + pd.Timedelta(days=1)
    assert rfm.quarters(later, as_of=AS_OF) == [AS_OF]
    assert rfm.quarters(first.iloc[1:], as_of=AS_OF) == [AS_OF]  # nobody bought


def test_a_history_has_a_row_for_each_date_and_customer_who_may_be_analysed():
    columns = ["customer_id", "f_score", "m_score", "tier"]
    then = pd.DataFrame([("b", 1.0, 2.0, "general"), ("a", 3.0, 4.0, "general")], columns=columns)
    made = rfm.remembered({AS_OF: then, date(2023, 7, 31): then}, then[then["customer_id"] == "a"])
    check("features/rfm_quarters", made)
    assert made["at_on"].astype(str).tolist() == ["2023-07-31", "2023-10-31"]
    assert set(made["customer_id"]) == {"a"}
