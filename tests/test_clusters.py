"""Groups of customers: behaviour at its limits, the worked example, names that stay."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from test_engine import literal

from crm import clusters, engine, kmeans
from crm.clusters import GROUPS, QUIET
from crm.tables import check

AS_OF = date(2023, 10, 31)
FEATURES = [*clusters.FEATURES]
ORDERS = "order_id customer_id ordered_at amount\n"
RETURNS = "return_id customer_id returned_at amount reverses\n"
TALKS = "line customer_id at direction\n"
EVENTS = "line customer_id at\n"
CONTACTS = "line customer_id clicked_at joined_at\n"


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


@pytest.fixture
def measured(con):
    """The behaviour of each customer, from tables of a few rows."""

    def _measured(orders="", returns="", talks="", events="", contacts="", **options):
        made = clusters.measure(
            literal(con, "tables/orders", ORDERS + orders),
            literal(con, "tables/returns", RETURNS + returns),
            literal(con, "tables/interactions", TALKS + talks),
            literal(con, "tables/events", EVENTS + events),
            literal(con, "tables/campaign_contacts", CONTACTS + contacts),
            **{"as_of": AS_OF, **options},
        )
        frame = clusters.ordered(engine.frame(con, made)).set_index("customer_id")
        return frame[[*FEATURES]].astype(float).T.to_dict("list")

    return _measured


def behaviour(*rows: tuple, ids: str = "") -> pd.DataFrame:
    """Customers a, b, c …: order value, purchases, interactions, and their sales."""
    frame = pd.DataFrame(rows, columns=FEATURES, dtype=float)
    names = list(ids) or [chr(97 + n) for n in range(len(rows))]
    sales = frame["order_value"] * frame["orders"]
    return frame.assign(customer_id=names, sales=sales, usual_orders=frame["orders"])


def built(noise: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The fixture of E6: 30 customers around each of three centres, and the true names."""
    rng = np.random.default_rng(seed)
    middle = np.repeat([(3_000, 1, 3), (120, 9, 4), (0, 0, 25)], 30, axis=0)
    drawn = middle + rng.normal(size=middle.shape) * np.array([50, 0.5, 1.5]) * noise
    frame = pd.DataFrame(np.maximum(drawn, 0), columns=FEATURES)
    ids = [f"c{n:02d}" for n in range(90)]
    return frame.assign(customer_id=ids, sales=frame["order_value"]), np.repeat(GROUPS, 30)


def grouped(frame: pd.DataFrame, k: int = 3, seed: int = 1) -> pd.DataFrame:
    points = clusters.points(frame)
    groups = clusters.group(points, k=k, seed=seed)
    names = clusters.named(clusters.centres(frame, groups), frame)
    return clusters.assigned(frame, points, groups, names)


def whole(frame: pd.DataFrame, quiet: str = "") -> pd.DataFrame:
    rest = pd.Series(list(quiet), dtype="str")
    return clusters.settled(frame, frame.iloc[:0], rest)


# --- behaviour


def test_orders_count_from_the_day_after_the_window_opens_to_as_of(measured):
    found = measured("""
        1  a  2023-08-02T12:00:00  10
        2  a  2023-08-03T00:00:00  20
        3  a  2023-10-31T23:59:59  40
        4  a  2023-11-01T00:00:00  80
    """)
    assert found == {"a": [30, 2, 0]}


def test_an_order_that_was_cancelled_whole_by_as_of_is_no_purchase(measured):
    orders = "1 a 2023-10-01T09:00:00 50\n2 a 2023-10-02T09:00:00 70\n3 b 2023-10-03T09:00:00 9"
    back = "r1 a 2023-10-05T09:00:00 50 1\nr2 b 2023-11-01T09:00:00 9 3"
    assert measured(orders, back) == {"a": [70, 1, 0], "b": [9, 1, 0]}


def test_part_of_an_order_that_was_cancelled_lowers_its_value(measured):
    found = measured("1 a 2023-10-01T09:00:00 50", "r1 a 2023-10-05T09:00:00 20 1")
    assert found == {"a": [30, 1, 0]}


def test_interactions_are_contacts_begun_days_with_a_visit_and_messages_answered(measured):
    found = measured(
        talks="1 a 2023-10-01T09:00:00 in\n2 a 2023-10-01T10:00:00 out\n"
        "3 a 2023-10-01T11:00:00 in",
        events="1 a 2023-10-02T09:00:00\n2 a 2023-10-02T22:00:00\n3 a 2023-10-03T00:00:00",
        contacts="1 a 2023-10-04T09:00:00 2023-10-04T10:00:00\n2 a - 2023-10-05T09:00:00\n3 a - -",
    )
    assert found == {"a": [0, 0, 2 + 2 + 2]}


def test_who_did_nothing_has_no_behaviour_and_unknown_customers_have_none(measured):
    assert measured("1 - 2023-10-01T09:00:00 10", talks="1 b 2023-10-01T09:00:00 out") == {}


def test_the_earlier_window_ends_where_todays_begins():
    assert clusters.before(AS_OF) == date(2023, 8, 2)


def test_quiet_is_who_permits_both_and_did_nothing():
    permits = pd.DataFrame(
        [("a", "analysis", True), ("a", "profiling", True), ("b", "analysis", True),
         ("b", "profiling", False), ("c", "analysis", True), ("c", "profiling", True)],
        columns=["customer_id", "purpose", "allowed"],
    )  # fmt: skip
    assert clusters.quiet(permits, behaviour((1, 1, 1))).tolist() == ["c"]


# --- names (CLU-02…05, E6)


@pytest.mark.parametrize("seed", range(20))
def test_the_three_groups_of_e6_are_found_whole(seed):
    frame, true = built(1, seed)
    assert (grouped(frame, seed=seed)["cluster"] == true).all()


BASE = behaviour((500, 1, 0), (500, 9, 0), (0, 0, 20), (0, 0, 4))  # buyers: mean 500 and 5


@pytest.mark.parametrize(
    ("centre", "name"),
    [
        ((550, 4.5, 0), GROUPS[0]),  # a tenth above and below
        ((450, 5.5, 0), GROUPS[1]),
        ((550, 5.5, 0), "other: high order value, high frequency"),
        ((450, 4.5, 0), "other: low order value, low frequency"),
        ((549.9, 5.4, 0), "other: usual order value, usual frequency"),
        ((450.1, 4.5, 0), "other: usual order value, low frequency"),
        ((550, 4.6, 0), "other: high order value, usual frequency"),
        ((0, 0.49, 8), GROUPS[2]),  # the upper quartile of 0, 0, 20 and 4
        ((0, 0.49, 7.9), "other: little activity"),
        ((0, 0.5, 8), "other: low order value, low frequency"),  # who bought, even if rarely
    ],
)
def test_a_name_follows_from_the_centre_at_its_limits(centre, name):
    assert clusters.named(behaviour(centre), BASE) == [name]


def test_the_quiet_count_in_the_upper_quartile_of_interactions():
    assert clusters.named(behaviour((0, 0, 4)), BASE, quiet=1) == [GROUPS[2]]
    assert clusters.named(behaviour((0, 0, 4)), BASE) == ["other: little activity"]


def test_of_two_groups_with_one_name_the_lesser_carries_a_number():
    centres = behaviour((600, 2, 0), (900, 1, 0), (700, 2, 0))
    expected = [f"{GROUPS[0]} 3", GROUPS[0], f"{GROUPS[0]} 2"]
    assert clusters.named(centres, BASE) == expected


def test_permuted_rows_and_other_seeds_keep_every_name():
    frame, _ = built(3, 7)
    one = grouped(clusters.ordered(frame)).set_index("customer_id")["cluster"]
    shuffled = clusters.ordered(frame.sample(frac=1, random_state=3))
    again = grouped(shuffled).set_index("customer_id")["cluster"]
    assert (again == one[again.index]).all()
    points = clusters.points(frame)
    groups = clusters.group(points, k=3, seed=1)
    names = clusters.named(clusters.centres(frame, groups), frame)
    kept = clusters.reseeded(frame, points, names, groups, seed=1)
    assert kept["reseeded_share"] >= 0.98


def test_groups_of_an_earlier_date_take_the_names_of_the_nearest_centres():
    now = behaviour((900, 1, 0), (100, 9, 0), (0, 0, 20))
    then = behaviour((0, 0.2, 30), (1_200, 1, 1), (90, 12, 0))
    assert clusters.matched(now, then, ["A", "B", "C"]) == ["C", "A", "B"]
    assert clusters.matched(now.head(1), then, ["A"]) == [
        "other: no group of today", "A", "other: no group of today",
    ]  # fmt: skip
    assert clusters.matched(now, then.iloc[:0], ["A", "B", "C"]) == []


# --- bad input


def test_one_customer_is_one_group():
    found = grouped(behaviour((50, 2, 1)))
    assert found["cluster"].tolist() == ["other: usual order value, usual frequency"]
    assert found["distance"].tolist() == [0]


def test_identical_customers_are_one_group():
    assert grouped(behaviour(*[(50, 2, 1)] * 4))["cluster_id"].tolist() == [0] * 4


def test_k_above_the_customers_gives_a_group_to_each_behaviour():
    found = grouped(behaviour((50, 2, 1), (90, 1, 1), (50, 2, 1)), k=9)
    assert found["cluster_id"].nunique() == 2


def test_a_constant_feature_has_no_say():
    frame = behaviour((50, 2, 7), (60, 2, 7), (900, 2, 7), (950, 2, 7))
    assert grouped(frame, k=2)["cluster_id"].tolist() == [0, 0, 1, 1]
    found = clusters.alike(frame) | {"grouped": 4}
    assert found["idle"] == "orders, interactions"
    assert clusters.alike_note(found).startswith("The same for all")


def test_no_customer_at_all_leaves_a_page_that_says_so():
    nobody = behaviour()
    points = clusters.points(nobody)
    groups, scans = clusters.group(points, seed=1), clusters.scan(points, seed=1)
    names = clusters.named(clusters.centres(nobody, groups), nobody)
    found = clusters.facts(nobody, pd.Series(["x"])) | clusters.scan_facts(scans, groups)
    found |= clusters.rival(points, groups, seed=1)
    found |= clusters.reseeded(nobody, points, names, groups, seed=1)
    every = whole(clusters.assigned(nobody, points, groups, names), quiet="x")
    found |= clusters.moved(every)
    assert every["cluster"].tolist() == [QUIET]
    assert clusters.answer(found).startswith("**Nobody did anything")
    assert clusters.scanned(scans).empty
    check("features/clusters", every)


@pytest.mark.parametrize("features", [[], ["orders", "colour"], ["customer_id"]])
def test_a_feature_that_is_none_is_refused_by_name(features):
    with pytest.raises(clusters.ClusterError, match=r"clusters.points.features: .* there are "):
        clusters.points(BASE, features=features)
    with pytest.raises(clusters.ClusterError):
        clusters.alike(BASE, features=features)


def test_a_customer_far_from_all_is_marked_and_does_not_draw_the_centre():
    frame = behaviour(*[(100 + n, 2, 1) for n in range(40)], (1e9, 2, 1), ids="")
    frame = frame.assign(customer_id=[f"c{n:02d}" for n in range(41)])
    found = grouped(frame, k=1)
    assert found.loc[found["is_outlier"], "customer_id"].tolist() == ["c40"]


# --- what is shown


def test_moves_count_customers_and_money_and_small_cells_are_hidden():
    every = pd.DataFrame(
        {"customer_id": range(20), "earlier": ["A"] * 12 + ["B"] * 8,
         "cluster": ["A"] * 6 + ["B"] * 6 + ["B"] * 6 + ["A"] * 2, "sales": [10.0] * 20,
         "orders": [1] * 20},
    )  # fmt: skip
    shown = clusters.migration(every, least=1)
    assert shown["customers"].tolist() == [6, 6, 2, 6]
    assert shown["kept_sales"].tolist() == [60, 60, 20, 60]
    assert clusters.migration(every, least=5)["customers"].isna().sum() >= 2
    found = clusters.moved(every, least=1)
    assert found["stayed_share"] == 12 / 20
    assert found["chance_share"] == pytest.approx(0.6 * 0.4 + 0.4 * 0.6)


def test_the_profile_of_a_group_is_size_means_money_churn_and_main_tier():
    every = whole(grouped(behaviour((900, 1, 0), (100, 9, 0), (100, 9, 0)), k=2), quiet="z")
    tags = pd.DataFrame({"customer_id": list("abcz"), "customer_type": ["old"] * 3 + ["churned"]})
    tiers = pd.DataFrame({"customer_id": list("abcz"), "tier": ["general"] * 3 + ["at risk"]})
    firm = {GROUPS[0]: 0.9, GROUPS[1]: 0.8}
    found = clusters.profile(every, tags, tiers, firm, least=1)
    likes = tags.assign(top_category=None, purchase_channel=None)
    cards = clusters.cards(found, every, likes, least=1)
    check("features/cluster_profile", clusters.described(found, cards))
    found = found.set_index("cluster")
    assert found["jaccard"].tolist()[:2] == [0.8, 0.9]
    assert found["customers"].to_dict() == {GROUPS[1]: 2, GROUPS[0]: 1, QUIET: 1}
    assert found["kept_sales"].astype(float).to_dict() == {
        GROUPS[1]: 1800,
        GROUPS[0]: 900,
        QUIET: 0,
    }
    assert found["churned_share"].to_dict() == {GROUPS[1]: 0, GROUPS[0]: 0, QUIET: 1}
    assert found.loc[QUIET, "main_tier"] == "at risk"
    assert found["sales_share"].round(3).tolist() == [0.667, 0.333, 0.0]


def test_a_group_is_asked_only_by_those_who_may_be_addressed_and_are_not_of_high_value():
    every = pd.DataFrame(
        {"customer_id": list("abcdefg"), "cluster": [GROUPS[2]] * 7, "orders": [0] * 7,
         "interactions": [20] * 7, "order_value": [0.0] * 7, "sales": [0.0] * 7,
         "is_outlier": [False] * 7},
    )  # fmt: skip
    permits = pd.DataFrame({"customer_id": list("abcdef"), "purpose": "marketing",
                            "allowed": [True] * 5 + [False]})  # fmt: skip
    tiers = pd.DataFrame(
        {"customer_id": list("abcdefg"), "tier": ["high value"] + ["general"] * 6}
    )
    profile = clusters.profile(every, every.assign(customer_type="old"), tiers, {}, least=1)
    found = clusters.group_facts(every, profile, tiers, permits, least=1)
    assert (found["active"], found["active_may"]) == (7, 4)
    hidden = clusters.group_facts(every, profile, tiers, permits, least=4)
    assert (hidden["active"], hidden["active_may"]) == (7, None)  # the other three


def sized(**sizes: int) -> pd.DataFrame:
    """`features/clusters` with so many customers in each group, each with one purchase."""
    names = {"dear": GROUPS[0], "frequent": GROUPS[1], "other": "other: little activity"}
    groups = [names.get(name, name) for name, size in sizes.items() for _ in range(size)]
    ids = [f"c{n:03d}" for n in range(len(groups))]
    nothing = {"earlier": QUIET, "is_outlier": False, "interactions": 1, "order_value": 10.0}
    return pd.DataFrame({"customer_id": ids, "cluster": groups, "orders": 1, "sales": 10.0,
                         **nothing})  # fmt: skip


def test_no_sentence_tells_of_a_group_that_the_table_hides():
    every = sized(dear=6, frequent=3, other=100, quiet=200)
    tags = every.assign(customer_type="old")
    tiers, permits = every.assign(tier="general"), every.assign(purpose="marketing", allowed=True)
    profile = clusters.profile(every, tags, tiers, {}, least=5)
    shown = profile.set_index("cluster")
    assert shown["customers"].isna().to_dict() == {
        GROUPS[0]: True, GROUPS[1]: True, "other: little activity": False, QUIET: False,
    }  # fmt: skip
    assert shown.loc[GROUPS[1]].isna().all()  # the main tier, too
    found = clusters.group_facts(every, profile, tiers, permits, least=5)
    assert {found[f"dear{part}"] for part in ("", "_may", "_orders", "_value")} == {None}
    assert (found["best_share"], found["active"]) == (None, 0)


def test_money_of_few_buyers_in_a_large_group_is_hidden():
    every = sized(other=61, quiet=50).assign(orders=[1] + [0] * 110)
    profile = clusters.profile(every, every.assign(customer_type="old"),
                               every.assign(tier="general"), {}, least=5)  # fmt: skip
    assert profile["kept_sales"].isna().all()
    assert clusters.tiered(every, every.assign(tier="general"))["kept_sales"].isna().all()


def test_one_who_churned_in_a_group_is_not_told():
    every = sized(other=61, dear=50)
    tags = every.assign(customer_type=["churned"] + ["old"] * 110)
    profile = clusters.profile(every, tags, every.assign(tier="general"), {}, least=5)
    assert profile["churned_share"].isna().any()


def test_moves_are_told_only_where_none_is_of_few():
    every = sized(dear=20, frequent=20, quiet=20)
    then = [GROUPS[0]] * 30 + [GROUPS[1]] * 20 + [QUIET] * 10
    found = clusters.moved(every.assign(earlier=then), least=5)
    assert (found["both_dates"], found["stayed_share"]) == (40, 30 / 40)
    assert (found["fell_quiet"], found["woken"], found["stayed_all"]) == (10, 0, 30 / 50)
    few = [*then[:-3], GROUPS[0], GROUPS[0], GROUPS[0]]
    assert clusters.moved(every.assign(earlier=few), least=8)["stayed_share"] is None
    none = clusters.moved(every.assign(earlier=QUIET))
    assert "nothing can be said" in clusters.stay_note(none)
    assert clusters.stay_tile(none)[0] == "not known"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda points: clusters.group(points, k=0, seed=1), r"clusters\.group\.k is 0"),
        (lambda points: clusters.scan(points, up_to=0, seed=1), r"clusters\.scan\.up_to is 0"),
    ],
)
def test_no_group_at_all_is_refused(call, said):
    with pytest.raises(clusters.ClusterError, match=said):
        call(clusters.points(BASE))


def test_whether_anybody_looks_in_is_not_known_only_where_nobody_is_on_record():
    same = clusters.alike(behaviour((10, 1, 3), (20, 2, 3)))
    assert (same["idle"], same["is_seen"]) == ("interactions", True)
    assert not clusters.alike(behaviour((10, 1, 0), (20, 2, 0)))["is_seen"]
    assert not clusters.alike(behaviour())["is_seen"]


def test_the_end_of_the_scan_is_no_edge_where_no_square_is_left():
    row = behaviour(*[(100, 1, 0)] * 20, *[(0, 0, 3)] * 20, ids="a" * 40)
    points = clusters.points(row)
    found = clusters.scan_facts(clusters.scan(points, seed=1), clusters.group(points, seed=1))
    assert (found["advised_k"], found["is_edge"]) == (2, False)
    wide = clusters.scan_facts(clusters.scan(points, up_to=1, seed=1),
                               clusters.group(points, k=2, seed=1))  # fmt: skip
    assert wide["least_jaccard"] is None
    assert "more than the scan looks at" in clusters.firm_note(wide)


def test_every_name_has_advice_numbered_ones_too():
    values, often = (900, 500, 100), (9, 5, 1)
    names = clusters.named(behaviour(*[(v, o, 0) for v in values for o in often]), BASE)
    assert len({*names}) == 9
    for name in [*names, *GROUPS, QUIET, f"{GROUPS[0]} 2", "other: little activity"]:
        assert clusters._plain(name) in clusters.ADVICE


def test_the_scan_says_when_its_advice_is_the_last_number_tried():
    rows = [kmeans.Scan(k, None, 9 - k, 0.1 * k, np.array([0.9]), -100.0 * k) for k in (1, 2, 3)]
    found = clusters.scan_facts(rows, kmeans.Groups(None, np.zeros((2, 1)), 7))
    assert (found["k"], found["advised_k"], found["is_edge"], found["widest_k"]) == (2, 3, True, 3)
    assert "the most that were tried" in clusters.scan_note(found)
