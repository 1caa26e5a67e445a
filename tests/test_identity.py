"""Who is who: what is joined, what is only suggested, and what must never be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from random import Random
from types import SimpleNamespace

import ibis
import pandas as pd
import pytest
from conftest import ROOT, Bench
from test_engine import found, literal

from crm import engine, identity, linkage, simulate, vault
from crm.tables import FROZEN, RECORDS, lookup

NOBODY = pd.DataFrame(columns=["key_a", "key_b", "decision", "author", "decided_on", "line"])


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def people(*rows: tuple, columns=("key", "name", "phone", "email", "address")) -> pd.DataFrame:
    """Records as the vault holds them, unlocked; what a row leaves out is empty."""
    full = [(*row, *[None] * (len(columns) - len(row))) for row in rows]
    frame = pd.DataFrame(full, columns=["customer_key", *columns[1:]], dtype="str")
    return frame.assign(line=range(1, len(frame) + 1))


def customers(*rows: tuple) -> pd.DataFrame:
    """Customers by key: day of registration, birth date and city, empty where left out."""
    full = [(*row, *[None] * (4 - len(row))) for row in rows]
    frame = pd.DataFrame(full, columns=["customer_key", "registered_on", "birth_date", "city"])
    days = {c: pd.to_datetime(frame[c]).astype("datetime64[us]")
            for c in ("registered_on", "birth_date")}  # fmt: skip
    return frame.assign(**days).astype({"customer_key": "str", "city": "str"})


def tidy(*rows: tuple) -> pd.DataFrame:
    return identity.tidy(people(*rows), customers(*sorted({(row[0],) for row in rows})))


def paired(*rows: tuple, known: tuple = (), keys=None, **options) -> pd.DataFrame:
    """The pairs of a few records, by the declared weights: too few to learn from."""
    keys = {row[0]: row for row in [(r[0],) for r in rows] + list(known)
            if keys is None or row[0] in keys}  # fmt: skip
    records = identity.tidy(people(*rows), customers(*keys.values()))
    plain = identity.comparable(records, identity.hubs(records, **options))
    return identity.pairs(plain, identity.train(plain), reused=identity.reused(records))


def suggested(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    return list(pairs.loc[pairs["is_suggested"], ["key_a", "key_b"]].itertuples(index=False))


def own(*keys: str) -> dict[str, str]:
    return identity.own_ids(pd.Series(keys, dtype="str"), source="shop", key=b"k")


def joined(pairs: pd.DataFrame, decided=NOBODY, *, keys="abc", above=None) -> dict[str, str]:
    """The oldest key of each key; the first letter registered first."""
    rows = customers(*((key, f"2020-01-{n:02}") for n, key in enumerate(keys, 1)))
    linked = identity.join(rows, pairs, decided, dict(zip(keys, keys, strict=True)),
                           source="shop", merge_above=above)  # fmt: skip
    return dict(zip(linked["customer_key"], linked["customer_id"], strict=True))


def likely(*rows: tuple) -> pd.DataFrame:
    """Pairs that may be joined, each with its probability."""
    frame = pd.DataFrame(rows, columns=["key_a", "key_b", "probability"])
    return frame.assign(rule=identity.LIKELY, reason="same phone", may_merge=True,
                        is_suggested=True)  # fmt: skip


def decided(*rows: tuple) -> pd.DataFrame:
    full = [(a, b, what, "Li", "2024-01-01", line) for line, (a, b, what) in enumerate(rows, 2)]
    return pd.DataFrame(full, columns=NOBODY.columns)


# ---- values as one would read them -------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("138-0000-1112", "13800001112"),
        ("+86 138 0000 1112", "13800001112"),
        ("１３８００００１１１２", "13800001112"),
        ("1380000", "1380000"),
        ("1380000abcd", None),
        ("00000000000", None),
        ("13800138000", None),
    ],
)
def test_a_phone_is_read_without_what_typists_add(written, read):
    assert tidy(("A", "张三", written))["phone"].replace({float("nan"): None}).tolist() == [read]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (" 张　三 ", "张三"),
        ("张三先生", "张三"),
        ("ANN O'Neil", "ann neil o"),
        ("Neil, Ann O.", "ann neil o"),
        ("张", None),
        ("丁丁", "丁丁"),
        ("方方女士", "方方"),
        ("xx", None),
        ("某某", None),
        *(
            (text, None)
            for text in ("测试", "测试2", "无名氏", "000", "客户", "test", "Test 1", "先生")
        ),
        ('=HYPERLINK("http://x","y")', None),
        ("@SUM(1+1)", None),
        ("+1+cmd|' /C calc'!A0", None),
        ("<b>张三</b>", None),
        ("某某某", None),
    ],
)
def test_a_name_is_read_without_blanks_and_titles_and_nobody_has_none(written, read):
    row = tidy(("A", written, "13800001112")).iloc[0]
    assert (None if row["name"] != row["name"] else row["name"]) == read
    assert row["unnamed"] == (read is None)


@pytest.mark.parametrize(
    "row",
    [
        ("A", "13800001112", "张三", "ann@example.org"),
        ("A", "张三", "ann@example.org", "13800001112"),
        ("A", "ann@example.org", "张三", "13800001112"),
    ],
)
def test_swapped_columns_count_as_what_they_look_like(row):
    read = tidy(row)[["name", "phone", "email", "moved"]].iloc[0].tolist()
    assert read == ["张三", "13800001112", "ann@example.org", True]


def test_what_stands_in_its_own_column_did_not_move():
    assert not tidy(("A", "张三", "13800001112", "Ann@Example.org"))["moved"].any()


def test_a_record_whose_key_is_no_customer_is_left_out():
    rows = [("A", "张三", "13800001112"), ("gone", "张三", "13800001112")]
    records = identity.tidy(people(*rows), customers(("A",)))
    assert records["key"].tolist() == ["A"]
    assert paired(*rows, known=(("A",),), keys="A").empty


def test_no_records_stay_none():
    records = tidy()
    plain = identity.comparable(records, identity.hubs(records))
    assert plain.empty
    assert identity.pairs(plain, identity.train(plain)).empty
    told = identity.facts(records, {}, set())
    assert told["records"] == 0
    assert identity.records_note(told).startswith("This source tells no names")


# ---- what is suggested (CLN-04, E13) -----------------------------------------------------


def test_the_same_name_and_contact_give_one_suggestion():
    pairs = paired(("A", "张三", "13800001112"), ("B", "张三", "138-0000-1112"))
    assert suggested(pairs) == [("A", "B")]
    assert pairs[["rule", "reason"]].values.tolist() == [
        ["same name and contact", "same name, same phone"],
    ]  # fmt: skip


def test_the_same_name_and_contact_are_suggested_however_little_else_agrees():
    known = (("A", None, "1990-05-01", "Bern"), ("B", None, "1958-11-27", "Oslo"))
    rows = [("A", "张三", "13800001112"), ("B", "张三", "13800001112")]
    pairs = paired(*rows, known=known)
    assert suggested(pairs) == [("A", "B")]
    (row,) = pairs.to_dict("records")
    assert row["probability"] < 0.01
    assert row["rule"] == identity.SAME
    assert not row["may_merge"]


def test_any_record_of_two_keys_may_have_the_same_name_and_contact():
    rows = [
        ("A", "Ann Wood", "13800001112"),
        ("A", "Ann Wood", "13911112222", None, "解放路12号"),
        ("B", "Ann Wood", "13800001112"),
        ("B", "Anna Wood", "13911112222", None, "解放路12号"),
    ]
    (row,) = paired(*rows).to_dict("records")
    assert row["rule"] == identity.SAME


@pytest.mark.parametrize(
    "other",
    [
        ("B", "张三", "13911112222"),
        ("B", "李四", "13800001112"),
        ("B", "张三"),
        ("B", "", "13800001112"),
    ],
)
def test_one_thing_in_common_gives_none(other):
    assert suggested(paired(("A", "张三", "13800001112"), other)) == []


def test_without_a_phone_the_mail_counts_whatever_its_case():
    pairs = paired(
        ("A", "Ann O", None, "Ann@Example.org"), ("B", "O ANN", None, "ann@example.org")
    )
    assert suggested(pairs) == [("A", "B")]


def test_a_reason_names_what_is_the_same_and_what_differs_and_no_value():
    known = (("A", None, "1990-05-01", "Bern"), ("B", None, "1990-05-01", "Bern"))
    rows = (("A", "王小明", "13800001112"), ("B", "王小某", "13800009999"))
    (reason,) = paired(*rows, known=known)["reason"]
    assert reason == "similar name, same birth date; another phone, same city"


def test_placeholder_names_and_numbers_pair_nobody():
    rows = [(key, "测试", "00000000000", "test@example.org") for key in "ABCD"]
    assert paired(*rows).empty


# ---- what must stay apart ----------------------------------------------------------------


def test_a_family_that_shares_phone_and_address_is_not_joined():
    home = ("13800001112", None, "解放路12号")
    rows = [(key, name, *home) for key, name in zip("ABC", ("王伟", "王芳", "李静"), strict=True)]
    pairs = paired(*rows)
    assert not pairs["may_merge"].any()


def test_a_call_centre_glues_nobody():
    rng = Random(1)
    names = [a + b + c for a in "王李张刘" for b in "伟芳敏静磊" for c in "洋勇艳杰涛"]
    rows = [(f"K{n:03d}", name, "01085123456") for n, name in enumerate(rng.sample(names, 100))]
    assert identity.hubs(tidy(*rows))["phone"] == {"01085123456"}
    assert paired(*rows).empty
    assert identity.hubs(tidy(*rows[:6]))["phone"] == set()  # a large family


def test_a_key_under_which_two_people_stand_joins_nobody():
    rows = [("A", "张三", "13800001112", "z@example.org"), ("A", "Ann Wood", "13911112222"),
            ("B", "张三", "13800001112", "z@example.org")]  # fmt: skip
    assert identity.reused(tidy(*rows)) == {"A"}
    pairs = paired(*rows)
    assert suggested(pairs) == [("A", "B")]
    assert set(joined(pairs, keys="AB", above=0.5).values()) == {"A", "B"}


def test_a_new_phone_or_another_spelling_makes_no_second_person_of_a_key():
    rows = [
        ("A", "张三", "13800001112"),
        ("A", "张三", "13911112222"),
        ("A", "张三丰", "13911112222"),
    ]
    assert identity.reused(tidy(*rows)) == set()


def test_another_birth_date_needs_a_decision():
    known = (("A", None, "1990-05-01"), ("B", None, "1958-11-27"))
    rows = [(key, "张三", "13800001112", "z@example.org") for key in "AB"]
    pairs = paired(*rows, known=known)
    assert suggested(pairs) == [("A", "B")]
    assert not pairs["may_merge"].any()


# ---- what is joined ----------------------------------------------------------------------


def test_nothing_merges_without_a_threshold_or_a_decision():
    pairs = likely(("a", "b", 1.0))
    assert joined(pairs) == {"a": "a", "b": "b", "c": "c"}
    assert joined(pairs, above=0.99) == {"a": "a", "b": "a", "c": "c"}
    assert joined(likely(), decided(("b", "c", "merge"))) == {"a": "a", "b": "b", "c": "b"}


def test_a_probability_at_the_threshold_joins_and_one_below_does_not():
    assert joined(likely(("a", "b", 0.99)), above=0.99)["b"] == "a"
    assert joined(likely(("a", "b", 0.989999)), above=0.99)["b"] == "b"


def test_apart_beats_any_probability_also_over_others():
    pairs = likely(("a", "b", 0.999), ("b", "c", 0.998), ("a", "c", 0.997))
    assert joined(pairs, decided(("a", "c", "apart")), above=0.9) == {"a": "a", "b": "a", "c": "c"}
    assert joined(pairs, decided(("a", "b", "apart")), above=0.9) == {"a": "a", "b": "b", "c": "b"}


def test_two_birth_dates_do_not_meet_over_a_record_without_one():
    known = (("A", None, "1960-05-01"), ("C", None, "1990-11-27"))
    rows = [(key, "张三", "13800001112", "z@example.org") for key in "ABC"]
    pairs = paired(*rows, known=known)
    assert pairs["may_merge"].tolist() == [True, True, False]
    pairs = pairs.assign(probability=[0.96, 0.95, 0.5])
    assert joined(pairs, keys="ABC", above=0.9) == {"A": "A", "B": "A", "C": "C"}
    surer = pairs.assign(probability=[0.95, 0.96, 0.5])  # B is more likely C than A
    assert joined(surer, keys="ABC", above=0.9) == {"A": "A", "B": "B", "C": "B"}
    both = decided(("A", "C", "merge"))  # somebody knows better
    assert set(joined(pairs, both, keys="ABC", above=0.9).values()) == {"A"}


def test_apart_holds_for_those_whom_a_decision_merged():
    both = decided(("a", "b", "merge"), ("b", "c", "apart"))
    assert joined(likely(("a", "c", 1.0)), both, above=0.9) == {"a": "a", "b": "a", "c": "c"}


def test_the_oldest_key_names_the_customer_and_says_how_sure_each_link_is():
    rows = customers(("c", "2020-01-01"), ("a", "2021-01-01"), ("b", None), ("z", "2020-01-01"))
    pairs = likely(("b", "c", 0.95), ("a", "b", 0.999))
    linked = identity.join(rows, pairs, decided(("a", "z", "merge")), own("a", "b", "c", "z"),
                           source="shop", merge_above=0.9)  # fmt: skip
    ids = own("c")["c"]
    assert linked.drop(columns="source").values.tolist() == [
        ["a", ids, "probability", 0.95], ["b", ids, "probability", 0.95],
        ["c", ids, "own key", 1.0], ["z", ids, "probability", 0.95],
    ]  # fmt: skip
    identity.assert_once(linked, rows["customer_key"])
    with pytest.raises(identity.IdentityError, match="1 keys stand twice, 0 are missing"):
        identity.assert_once(pd.concat([linked, linked.head(1)]), rows["customer_key"])


def test_no_keys_make_an_empty_map(con, tmp_path):
    linked = identity.join(customers(), likely(), NOBODY, {}, source="shop", merge_above=0.9)
    assert engine.write(con, linked, tmp_path / "map", lookup("tables/identity_map")) == 0


# ---- decisions ---------------------------------------------------------------------------

HEAD = "key_a,key_b,decision,author,decided_on,note\n"


@pytest.fixture
def read(tmp_path):
    def _read(text: str) -> pd.DataFrame:
        path = tmp_path / "decisions.csv"
        path.write_text(text, encoding="utf-8")
        return identity.decisions(path, own("1", "2", "3"))

    return _read


def test_a_decision_names_its_keys_as_in_the_source_or_by_their_ids(read):
    rows = read(HEAD + f"2,1,merge,Li,2024-01-02,\n\n{own('3')['3']},1, apart ,Li,2024-01-02,no\n")
    assert rows[["key_a", "key_b", "decision", "line"]].values.tolist() == [
        ["1", "2", "merge", 2], ["1", "3", "apart", 4],
    ]  # fmt: skip


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
def test_a_note_may_hold_signs_that_other_programs_take_for_line_ends(read, sign):
    rows = read(HEAD + f"1,2,merge,Li,2024-01-02,one{sign}two\n1,3,apart,Li,2024-01-02,\n")
    assert rows["line"].tolist() == [2, 3]


def test_a_note_of_two_lines_is_one_note(read):
    assert read(HEAD + '1,2,merge,Li,2024-01-02,"one\ntwo"\n')["decision"].tolist() == ["merge"]


def test_no_file_and_an_empty_one_decide_nothing(read, tmp_path):
    assert identity.decisions(tmp_path / "gone.csv", {}).empty
    assert read(HEAD).empty


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("9,2,merge,Li,2024-01-02,", "line 2, column key_a: '9'; expected a key of the source"),
        ("1,1,merge,Li,2024-01-02,", "line 2, column key_b: '1'; expected another key than key_a"),
        ("1,2,join,Li,2024-01-02,", "column decision: 'join'; expected merge or apart"),
        ("1,2,merge,,2024-01-02,", "column author: ''; expected who decided"),
        ("1,2,merge,Li,2.1.2024,", "column decided_on: '2.1.2024'; expected a day such as"),
        ("1,2,merge,Li,,", "column decided_on: ''"),
    ],
)
def test_a_line_that_cannot_be_right_is_named_with_what_to_write(read, line, said):
    with pytest.raises(identity.IdentityError) as error:
        read(HEAD + line)
    assert said in str(error.value)


def test_a_missing_column_is_named(read):
    with pytest.raises(identity.IdentityError, match="line 1: no column author, decided_on, note"):
        read("key_a,key_b,decision\n1,2,merge")


def test_decisions_that_contradict_each_other_stop_the_run_and_name_the_lines(read):
    text = "1,2,merge,Li,2024-01-02,\n2,3,merge,Li,2024-01-02,\n3,1,apart,Wu,2024-02-01,\n"
    with pytest.raises(identity.IdentityError, match=r"line 4: .* that line 2, 3 merge into one"):
        read(HEAD + text)


# ---- the list of suggestions -------------------------------------------------------------


def test_suggestions_come_by_the_money_at_stake_and_one_for_two_customers():
    pairs = likely(("a", "b", 0.9), ("a", "c", 0.7), ("b", "c", 0.8), ("d", "e", 0.4))
    pairs.loc[3, "rule"] = identity.SAME
    linked = pd.DataFrame({"customer_key": list("abcde"), "customer_id": list("AACDE")})
    sales = pd.DataFrame({"customer_id": list("ACE"), "orders": [9, 2, 3],
                          "amount": [90.0, 20.0, 30.0]})  # fmt: skip
    keys = customers(("a", "2020-01-01"), ("b", "2022-01-01"), ("c", "2021-01-01"), ("d", None),
                     ("e", "2020-01-01"))  # fmt: skip
    made = identity.suggestions(pairs, linked, decided(("b", "c", "apart")), sales, keys)
    columns = ["rank", "customer_a", "customer_b", "probability", "orders", "amount", "decision"]
    assert made[columns].values.tolist() == [
        [1, "A", "C", 0.8, 2, 20.0, "apart"], [2, "E", "D", 0.4, 0, 0.0, "open"],
    ]  # fmt: skip
    assert identity.suggestion_facts(made) == {
        "suggested": 1, "kept_apart": 1, "at_stake": 0.0, "orders_at_stake": 0,
    }  # fmt: skip
    few = identity.suggestions(pairs.head(0), linked, NOBODY, sales, keys)
    assert few.empty and identity.suggestion_note(identity.suggestion_facts(few)).startswith("No ")


def test_of_two_customers_registered_on_one_day_the_older_is_the_one_that_joins_keep():
    keys = customers(("b", "2020-01-01"), ("a", "2020-01-01"))
    linked = pd.DataFrame({"customer_key": list("ab"), "customer_id": ["Z", "Y"]})
    none = pd.DataFrame({"customer_id": [], "orders": [], "amount": []})
    made = identity.suggestions(likely(("a", "b", 0.9)), linked, NOBODY, none, keys)
    assert made[["customer_a", "customer_b"]].values.tolist() == [["Z", "Y"]]
    assert set(joined(likely(("a", "b", 0.9)), keys="ab", above=0.5).values()) == {"a"}


# ---- facts -------------------------------------------------------------------------------


def test_ids_depend_neither_on_the_order_nor_on_the_other_keys():
    assert own("2", "9", "1")["1"] == own("1")["1"] == vault.pseudonyms("shop", ["1"], key=b"k")[0]


def test_two_keys_on_one_id_stop_the_run(monkeypatch):
    monkeypatch.setattr(vault, "ID_LENGTH", 1)
    with pytest.raises(identity.IdentityError, match="use a longer id"):
        own(*map(str, range(17)))


MAP = "customer_key customer_id\n1 a\n2 b\n3 c\n"
ORDERS = """
order_id  customer_key  amount
3         -             5
1         1             1
4         9             2
2         3             4
"""


@pytest.fixture
def attached(con):
    def _attached(orders=ORDERS, identities=MAP):
        before = literal(con, "clean/orders", orders)
        return before, identity.attach(before, literal(con, "tables/identity_map", identities))

    return _attached


def test_rows_have_the_customer_in_place_of_the_key_and_stay_without_one(con, attached):
    _, after = attached()
    assert sorted(after.columns) == sorted(lookup("tables/orders").names)
    assert found(con, after, "order_id", "customer_id") == [
        ("1", "a"), ("2", "c"), ("3", None), ("4", None),
    ]  # fmt: skip


def test_a_key_without_customer_stops_the_run(con, attached):
    facts = engine.frame(con, identity.coverage(*attached())).to_dict("records")[0]
    assert facts == {
        "orders": 4, "free_orders": 0, "free_unnamed": 0, "keyed_orders": 3, "joined_orders": 4,
        "named_orders": 2, "named_share": 0.5,
    }  # fmt: skip
    with pytest.raises(identity.IdentityError, match="3 orders name a source key, 2 a customer"):
        identity.assert_whole(facts)


def test_a_doubled_key_stops_the_run(con, attached):
    facts = engine.frame(con, identity.coverage(*attached(identities=MAP + "1 z")))
    with pytest.raises(identity.IdentityError, match="4 orders went into the join, 5 came out"):
        identity.assert_whole(facts.to_dict("records")[0])


def test_merged_customers_have_what_their_keys_had(con):
    facts = {
        "orders": literal(con, "clean/orders", ORDERS),
        "tickets": literal(con, "clean/tickets", "line ticket_id customer_key\n1 T 1\n2 U 2"),
        "campaigns": literal(con, "clean/campaigns", "line campaign_id\n1 H"),
    }
    ids = literal(con, "tables/identity_map", "customer_key customer_id\n1 a\n2 b\n3 a\n")
    after = {
        name: identity.attach(rows, ids) for name, rows in facts.items() if name != "campaigns"
    }
    totals = engine.frame(con, identity.totals(facts, after, ids))
    identity.assert_same(totals)
    columns = ["table", "rows", "money", "merged_rows", "merged_money"]
    assert totals[columns].values.tolist() == [
        ["orders", 4, 12.0, 2, 5.0], ["tickets", 2, 0.0, 1, 0.0],
    ]  # fmt: skip
    with pytest.raises(
        identity.IdentityError, match=r"orders: merged money 5\.0 by source key, 6"
    ):
        identity.assert_same(totals.assign(merged_money_after=[6.0, 0.0]))


CUSTOMERS = """
customer_key  registered_on  updated_on  city  industry  gender   phone_status  imputed
1             2020-01-01     2023-01-01  Bern  -         unknown  missing       gender
2             2021-01-01     2022-01-01  Oslo  farm      male     ok            -
3             2022-01-01     -           Rome  -         unknown  missing       gender
4             2019-01-01     -           -     -         unknown  missing       gender
"""


def test_each_field_of_a_merged_customer_is_the_newest_that_is_known(con):
    ids = literal(con, "tables/identity_map", "customer_key customer_id\n1 a\n2 a\n3 a\n4 d\n")
    rows = identity.people(literal(con, "clean/customers", CUSTOMERS), ids)
    columns = ("customer_id", "city", "industry", "gender", "phone_status", "imputed")
    assert found(con, rows, *columns) == [
        ("a", "Bern", "farm", "male", "ok", None),
        ("d", None, None, "unknown", "missing", "gender"),
    ]  # fmt: skip


def test_a_merged_customer_is_registered_since_the_first_time(con):
    ids = literal(con, "tables/identity_map", "customer_key customer_id\n1 a\n2 a\n3 a\n4 d\n")
    rows = identity.people(literal(con, "clean/customers", CUSTOMERS), ids)
    days = dict(found(con, rows, "customer_id", "registered_on"))
    assert {key: str(day)[:10] for key, day in days.items()} == {
        "a": "2020-01-01",
        "d": "2019-01-01",
    }


HELD = """
customer_key  registered_on  updated_on  points  assets  acquisition  gender   imputed
1             2020-01-01     2021-01-01  10      1.5     store        female   -
2             2021-01-01     2022-01-01  -       2.25    search       unknown  -
3             2022-01-01     2023-01-01  5       -       -            unknown  gender
4             2019-01-01     -           7       3       advert       unknown  -
5             2019-02-01     -           -       -       -            unknown  gender
6             -              -           -       -       letter       unknown  -
"""
IDS = "customer_key customer_id\n1 a\n2 a\n3 a\n4 d\n5 e\n6 e\n"


def test_a_merged_customer_holds_the_sum_of_points_and_assets_and_comes_by_the_first_channel(con):
    ids = literal(con, "tables/identity_map", IDS)
    rows = identity.people(literal(con, "clean/customers", HELD), ids)
    columns = ("customer_id", "points", "assets", "acquisition", "gender", "imputed")
    assert found(con, rows, *columns) == [
        ("a", 15.0, 3.75, "store", "female", None),
        ("d", 7.0, 3.0, "advert", "unknown", None),
        ("e", None, None, None, "unknown", "gender"),
    ]  # fmt: skip
    assert dict(rows.schema()) == dict(literal(con, "tables/customers", "customer_id").schema())


def test_lost_points_and_assets_stop_the_run(con):
    ids = literal(con, "tables/identity_map", IDS)
    facts = {"customers": literal(con, "clean/customers", HELD)}
    after = identity.attach_all(facts, ids)
    totals = engine.frame(con, identity.totals(facts, after, ids))
    identity.assert_same(totals)
    columns = ["table", "money", "merged_money"]
    assert totals[columns].values.tolist() == [
        ["assets of customers", 6.75, 3.75], ["points of customers", 22.0, 15.0],
    ]  # fmt: skip
    assert identity.merged_totals(totals).empty
    fewer = {"customers": after["customers"].mutate(points=ibis.literal(5).cast("decimal(18, 4)"))}
    with pytest.raises(identity.IdentityError, match="points of customers: money 22"):
        identity.assert_same(engine.frame(con, identity.totals(facts, fewer, ids)))


def test_every_table_that_names_a_customer_gets_the_pseudonym_and_the_others_stay(con):
    ids = literal(con, "tables/identity_map", MAP)
    facts = {
        "tickets": literal(con, "clean/tickets", "line ticket_id customer_key\n1 T 1\n2 U -"),
        "campaigns": literal(con, "clean/campaigns", "line campaign_id\n1 H"),
    }
    after = identity.attach_all(facts, ids)
    assert found(con, after["tickets"], "ticket_id", "customer_id") == [("T", "a"), ("U", None)]
    for name, rows in after.items():
        assert sorted(rows.columns) == sorted(lookup(f"tables/{name}").names)


def test_repeat_rate_and_spend_rise_where_two_keys_are_one_person(con):
    text = "1 1 2023-01-01 4\n2 2 2023-01-02 6\n3 3 2023-01-01 2"
    orders = literal(con, "clean/orders", f"order_id customer_key ordered_at amount\n{text}")
    ids = literal(con, "tables/identity_map", "customer_key customer_id\n1 a\n2 a\n3 c\n")
    before, after = identity.keyed(orders), identity.attach(orders, ids)
    assert found(con, identity.loyalty(before)) == [(3, 0.0, 4.0)]
    assert found(con, identity.loyalty(after)) == [(2, 0.5, 6.0)]
    assert found(con, identity.loyalty(before.filter(before.amount < 0))) == [(0, 0.0, 0.0)]


# ---- ids that stay -----------------------------------------------------------------------


def test_the_ledger_tells_merges_splits_and_moves_with_their_money():
    ids = {key: key.upper() for key in "abcd"}
    linked = pd.DataFrame({"customer_key": list("abcd"), "customer_id": list("AABD")})
    previous = pd.DataFrame({"own_id": list("ABCZ"), "customer_id": list("ABAZ")})
    sales = pd.DataFrame({"customer_key": ["b", "c"], "orders": [2, 1], "amount": [20.0, 10.0]})
    made = identity.changes(linked, ids, previous, sales)
    assert made.values.tolist() == [
        ["B", "B", "A", "merged", 2, 20.0], ["C", "A", "B", "moved", 1, 10.0],
    ]  # fmt: skip
    told = identity.change_facts(made, previous, ids)
    assert told == {
        "frozen": 4, "ids_changed": 2, "ids_kept_share": 0.25, "ids_merged": 1, "ids_split": 0,
        "ids_moved": 1, "ids_gone": 1, "orders_moved": 3, "money_moved": 30.0,
    }  # fmt: skip
    assert {"{ids_moved}", "{ids_gone}"} <= set(re.findall(r"\{\w+\}", identity.change_note(told)))
    split = identity.changes(linked.assign(customer_id=list("ABCD")), ids, previous, sales)
    assert split.values.tolist() == [["C", "A", "C", "split", 1, 10.0]]


def test_ids_that_are_gone_were_not_kept():
    linked = pd.DataFrame({"customer_key": ["a"], "customer_id": ["A"]})
    previous = pd.DataFrame({"own_id": list("AXYZ"), "customer_id": list("AXYZ")})
    sales = pd.DataFrame({"customer_key": ["a"], "orders": [1], "amount": [1.0]})
    told = identity.change_facts(
        identity.changes(linked, {"a": "A"}, previous, sales), previous, {"a": "A"}
    )
    assert (told["ids_kept_share"], told["ids_gone"], told["ids_changed"]) == (0.25, 3, 0)


def test_without_earlier_ids_nothing_moved(con, tmp_path):
    linked = pd.DataFrame({"customer_key": ["a"], "customer_id": ["A"]})
    none = pd.DataFrame({name: pd.Series([], dtype="str") for name in FROZEN.names})
    sales = pd.DataFrame({"customer_key": ["a"], "orders": [1], "amount": [1.0]})
    made = identity.changes(linked, {"a": "A"}, none, sales)
    assert engine.write(con, made, tmp_path / "t", lookup("tables/id_changes")) == 0
    told = identity.change_facts(made, none, {"a": "A"})
    assert told["ids_kept_share"] == 1
    assert identity.change_note(told).startswith("No earlier ids")


# ---- a company of 800 customers ----------------------------------------------------------


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """The demo company, small: its records, its keys, and who is who."""
    place = tmp_path_factory.mktemp("company")
    simulate.write(place / "raw", place / "truth", customers=800, seed=7)
    return staged(place)


def staged(place) -> SimpleNamespace:
    """Records, keys and sales of a company as the stage gets them, and who is who."""
    from crm import ingest, mapping

    con = engine.connect(threads=2)
    loaded = mapping.load(ROOT / "data/sources/demo/mapping.yaml")
    reading = ingest.read(con, loaded, place / "raw")
    tables = ingest.tables(con, reading)
    columns = ("customer_key", "registered_on", "birth_date", "city")
    rows = engine.frame(con, tables["customers"].select(*columns))
    lines = tables["order_lines"]
    sold = lines.filter(lines.kind == "sale", lines.quantity > 0, lines.customer_key.notnull())
    orders = sold.group_by("order_id", "customer_key").agg(
        ordered_at=sold.ordered_at.min(), amount=sold.amount.sum()
    )
    truth = engine.frame(con, engine.scan(con, place / "truth/keys.parquet"))
    truth = truth.drop_duplicates("customer_key").set_index("customer_key")["person"]
    orders = engine.lift(con, engine.frame(con, orders), "company_orders")

    def loyalty(ids: pd.Series) -> dict:
        """Repeat rate and spend if the keys belong to these customers."""
        known = pd.DataFrame({"customer_key": ids.index, "customer_id": ids.astype("str")})
        by = identity.attach(orders, engine.lift(con, known, "company_ids"))
        return engine.frame(con, identity.loyalty(by)).to_dict("records")[0]

    return SimpleNamespace(
        people=engine.frame(con, ingest.personal(con, reading)), truth=truth, loyalty=loyalty,
        keys=rows.drop_duplicates("customer_key"),
    )  # fmt: skip


def resolved(company: SimpleNamespace, *, merge_above: float) -> SimpleNamespace:
    """The identity map of a company, and the customer of each key."""
    linked = linked_of(company.people, company.keys, above=merge_above)
    linked = linked[linked["customer_key"].isin(company.truth.index)]
    return SimpleNamespace(
        linked=linked, ids=linked.set_index("customer_key")["customer_id"].astype("str")
    )


def linked_of(people: pd.DataFrame, keys: pd.DataFrame, above=0.99) -> pd.DataFrame:
    records = identity.tidy(people, keys)
    plain = identity.comparable(records, identity.hubs(records))
    pairs = identity.pairs(plain, identity.train(plain), reused=identity.reused(records))
    ids = identity.own_ids(keys["customer_key"], source="demo", key=b"k")
    return identity.join(keys, pairs, NOBODY, ids, source="demo", merge_above=above)


@pytest.fixture(scope="module")
def linked(company):
    return linked_of(company.people, company.keys)


def test_repeat_rate_and_spend_come_near_those_of_the_true_people(company, linked):
    ours = linked.set_index("customer_key")["customer_id"]
    true, found_, by_key = (
        company.loyalty(ids) for ids in (company.truth, ours, company.truth.index.to_series())
    )
    assert abs(found_["repeat_share"] - true["repeat_share"]) <= 0.005
    off = {name: abs(row["spend_each"] / true["spend_each"] - 1)
           for name, row in (("ours", found_), ("by key", by_key))}  # fmt: skip
    assert off["ours"] < min(0.02, off["by key"])


def test_strangers_are_not_joined_and_most_doubles_are(company, linked):
    true = linked["customer_key"].map(company.truth)
    score = linkage.pairwise(linked["customer_id"], true)
    assert score["precision"] >= 0.99
    assert score["f1"] >= 0.8


def test_one_person_with_ten_keys_is_one_customer(company, linked):
    counts = company.truth[company.truth.index.isin(linked["customer_key"])].value_counts()
    assert counts.max() == 10
    keys = company.truth.index[company.truth == counts.idxmax()]
    assert len({*linked.loc[linked["customer_key"].isin(keys), "customer_id"]}) == 1


def test_permuted_rows_change_nothing(company, linked):
    people, keys = (
        frame.sample(frac=1, random_state=3) for frame in (company.people, company.keys)
    )
    pd.testing.assert_frame_equal(linked, linked_of(people, keys))


def test_one_new_row_in_a_hundred_leaves_the_ids(company, linked):
    new = company.keys["customer_key"].sample(frac=0.01, random_state=3)
    few = linked_of(company.people[~company.people["customer_key"].isin(new)],
                    company.keys[~company.keys["customer_key"].isin(new)])  # fmt: skip
    both = few.merge(linked, on="customer_key")
    assert (both["customer_id_x"] == both["customer_id_y"]).mean() >= 0.995


def test_the_same_records_give_the_same_ids_in_another_process(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nimport test_identity as t\n"
        "c = t.staged(Path(sys.argv[1]))\nl = t.linked_of(c.people, c.keys)\n"
        "print(l.to_csv(index=False))"
    )
    simulate.write(tmp_path / "raw", tmp_path / "truth", customers=200, seed=9)
    here = os.path.dirname(__file__)
    texts = [
        subprocess.run([sys.executable, "-c", code, str(tmp_path), here], capture_output=True,
                       text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert texts[0] == texts[1] != ""


# ---- the notebook ------------------------------------------------------------------------


def bench(con, folder, rows: dict) -> Bench:
    bench = Bench(con, folder, rows, params={name: {} for name in ("join", "hubs", "suggestions")})
    bench.run["source"] = "shop"
    bench.source = SimpleNamespace(folder=folder)
    return bench


def test_all_tables_of_the_notebook_lose_their_key_and_no_row(con, tmp_path):
    from crm import plots

    names = ("orders", "order_items", "returns", "customers", "products", *RECORDS)
    rows = {f"clean/{name}": literal(con, f"clean/{name}", _one_row(name)) for name in names}
    rows["vault/customers"] = literal(con, "vault/customers", "line customer_key\n1 K")
    rows["sources/previous_ids"] = literal(con, "sources/previous_ids", "own_id customer_id")
    made = bench(con, tmp_path, rows)
    made.execute("identity", identity=identity, plots=plots, p=made.params)
    (whose,) = found(con, made.out("tables/customers"), "customer_id")[0]
    for name in names:
        written = made.out(f"tables/{name}")
        assert "customer_key" not in written.columns
        assert written.count().execute() == 1
        if "customer_id" in written.columns:
            assert found(con, written, "customer_id") == [(whose,)]
    assert made.out("tables/duplicate_candidates").count().execute() == 0


def _one_row(name: str) -> str:
    """A row of the table with its key, its time and the customer K."""
    table = lookup(f"clean/{name}")
    values = {"int": "1", "date": "2023-01-01", "timestamp": "2023-01-01", "bool": "true"}
    wanted = {*table.key, table.time, "customer_key"} & set(table.names)
    cells = {c.name: values.get(c.type, "K") for c in table.columns if c.name in wanted}
    return f"{' '.join(cells)}\n{' '.join(cells.values())}"


def test_no_orders_are_whole(con, attached):
    before, after = attached(orders="order_id customer_key", identities=MAP)
    facts = engine.frame(con, identity.coverage(before, after)).to_dict("records")[0]
    identity.assert_whole(facts)
    assert set(facts.values()) == {0}


def test_a_source_without_people_never_loads_the_linkage():
    code = (
        "import sys, pandas as pd\nfrom crm import identity\n"
        "none = pd.DataFrame(columns=['line', 'customer_key', *identity.PERSONAL], dtype='str')\n"
        "keys = pd.DataFrame({'customer_key': ['1'], 'birth_date': pd.to_datetime([None]),"
        " 'city': pd.Series([None], dtype='str')})\n"
        "plain = identity.comparable(identity.tidy(none, keys), {})\n"
        "identity.pairs(plain, identity.train(plain))\nprint('splink' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
