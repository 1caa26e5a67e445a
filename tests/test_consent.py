"""The last statement counts, a refusal beats every ground, silence permits only with a basis."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from test_engine import found, literal

from crm import clean, consent, engine, wording
from crm.tables import PURPOSES, check

AS_OF = date(2023, 10, 31)
SAID = """
customer_id  purpose    granted  at
granted      marketing  yes      2023-01-01T10:00
withdrawn    marketing  no       2023-09-01T10:00
withdrawn    marketing  yes      2023-01-01T10:00
won          marketing  yes      2023-09-01T10:00
won          marketing  no       2023-01-01T10:00
tied         marketing  yes      2023-01-01T10:00
tied         marketing  no       2023-01-01T10:00
later        marketing  yes      2023-11-01T00:00
"""
MOVES = """
customer_id  purpose    granted  at
often        marketing  yes      2023-09-01T10:00
often        marketing  no       2023-09-02T10:00
often        marketing  yes      2023-09-03T10:00
often        marketing  no       2023-09-04T10:00
tied         marketing  yes      2023-09-01T10:00
tied         marketing  no       2023-09-01T10:00
late         marketing  yes      2023-01-01T10:00
late         marketing  yes      2023-09-01T10:00
late         marketing  no       2023-09-01T10:00
"""  # of two at one time the refusal counts: tied never agreed, late withdrew
NOBODY = "customer_id purpose granted at"
PEOPLE = "customer_id\ngranted\nwithdrawn\nwon\ntied\nlater\n"
BASIS = (("analysis", "contract"),)


@pytest.fixture(scope="module")
def con():
    return engine.connect(threads=2)


def permits(con, said=SAID, people=PEOPLE, basis=BASIS, as_of=AS_OF, waiting=NOBODY):
    kept, held = (literal(con, "tables/consents", text) for text in (said, waiting))
    latest = consent.last_statements(kept, held, as_of=as_of)
    made = consent.permits(literal(con, "tables/customers", people), latest, basis)
    frame = engine.frame(con, made)
    return frame.sort_values(["customer_id", "purpose"], ignore_index=True)


def of(frame, purpose: str) -> dict[str, str]:
    rows = frame[frame["purpose"] == purpose]
    return dict(zip(rows["customer_id"], rows["ground"], strict=True))


def test_the_last_statement_counts_and_of_two_at_one_time_the_refusal(con):
    assert of(permits(con), "marketing") == {
        "granted": "agreed", "withdrawn": "refused", "won": "agreed", "tied": "refused",
        "later": "nothing said",
    }  # fmt: skip


def test_a_statement_of_the_day_of_as_of_counts_and_one_of_the_next_day_does_not(con):
    assert of(permits(con, as_of=date(2023, 11, 1)), "marketing")["later"] == "agreed"


def test_who_said_nothing_is_permitted_where_the_source_declares_a_basis(con):
    made = permits(con)
    assert set(of(made, "analysis").values()) == {"basis"}
    assert set(of(made, "sharing").values()) == {"nothing said"}
    allowed = made.set_index(["customer_id", "purpose"])["allowed"]
    assert allowed["granted", "analysis"]
    assert not allowed["granted", "sharing"]


def test_a_refusal_beats_a_basis(con):
    made = permits(con, basis=(("marketing", "existing customers"),))
    assert of(made, "marketing")["withdrawn"] == "refused"
    assert of(made, "marketing")["later"] == "basis"


ARRIVED = """
line  customer_key  purpose    granted  at
1     a             marketing  no       -
2     b             marketing  -        2023-03-01T10:00
3     c             marketing  yes      -
4     d             -          no       2023-03-01T10:00
5     e             marketing  no       2019-03-01T10:00
6     f             marketing  no       2024-03-01T10:00
7     g             marketing  no       2023-03-01T10:00
8     none          marketing  no       -
"""
KEYS = "customer_key customer_id\na A\nb B\nc C\nd D\ne E\nf F\ng G\n"


def waiting(con, arrived=ARRIVED):
    """What of these statements waits in quarantine, as refusals."""
    staged = literal(con, "staged/consents", arrived)
    source = clean.Source(period=("2023-01-01", "2023-12-31"), tables={"consents": staged})
    held = clean.suspects("consents", clean.marks("consents", staged, source), source)
    ids = literal(con, "tables/identity_map", KEYS)
    return consent.waiting(clean.quarantine(held), ids)


def test_what_waits_in_quarantine_is_a_refusal_unless_it_agrees(con):
    columns = ("customer_id", "purpose", "granted", "at")
    rows = [(*row[:3], row[3] and str(row[3])[:10]) for row in found(con, waiting(con), *columns)]
    assert rows == [
        ("A", "marketing", "no", None),
        ("B", "marketing", "no", "2023-03-01"),
        *(("D", purpose, "no", "2023-03-01") for purpose in sorted(PURPOSES)),
        ("F", "marketing", "no", None),  # its day is not to be believed
    ]


def test_a_refusal_in_quarantine_beats_a_basis_and_only_a_later_yes_beats_it(con):
    held = f"""{NOBODY}
    undated  marketing  no  -
    earlier  marketing  no  2023-03-01T10:00
    later    marketing  no  2023-09-01T10:00
    future   marketing  no  2024-01-01T10:00
    """
    said = f"""{NOBODY}
    undated  marketing  yes  2023-06-01T10:00
    earlier  marketing  yes  2023-06-01T10:00
    later    marketing  yes  2023-06-01T10:00
    """
    people = "customer_id\nundated\nearlier\nlater\nfuture\n"
    basis = (("marketing", "existing customers"),)
    made = permits(con, said=said, people=people, basis=basis, waiting=held)
    check("features/permits", made)
    assert of(made, "marketing") == {
        "undated": "refused", "earlier": "agreed", "later": "refused", "future": "basis",
    }  # fmt: skip
    alone = permits(con, said=NOBODY, people="customer_id\nundated\n", basis=basis, waiting=held)
    assert of(alone, "marketing") == {"undated": "refused"}
    assert consent.facts(alone, consent.stand(alone))["statements"] == 1


def test_the_page_says_of_how_many_customers_a_statement_waits(con):
    few = consent.waiting_facts(engine.frame(con, waiting(con)), least=5)
    assert few == {"waiting": None}  # four customers
    none = consent.waiting_facts(engine.frame(con, waiting(con, "line customer_key")))
    assert none == {"waiting": 0}
    assert consent.waiting_note(none).startswith("No statement")
    assert "{waiting}" in consent.waiting_note(few)
    assert consent.waiting_facts(engine.frame(con, waiting(con)), least=4) == {"waiting": 4}


def test_every_customer_has_every_purpose_once_and_strangers_have_none(con):
    made = permits(con, people="customer_id\nb\na\n")
    check("features/permits", made)
    assert made["customer_id"].tolist() == ["a"] * 4 + ["b"] * 4
    assert permits(con, people="customer_id").empty


def test_the_counts_of_a_purpose_add_up_to_all_customers(con):
    made = permits(con)
    stand = consent.stand(made)
    assert stand["purpose"].tolist() == list(PURPOSES)
    grounds = stand[["agreed", "refused", "by_basis", "said_nothing"]]
    assert grounds.sum(axis=1).tolist() == [5, 5, 5, 5]
    facts = consent.facts(made, stand)
    assert facts.items() >= {
        "customers": 5, "statements": 4, "marketing_permitted": 2, "marketing_share": 0.4,
        "marketing_refused": 2, "marketing_silent": 1, "analysis_permitted": 5,
    }.items()  # fmt: skip


def test_without_customers_all_counts_are_zero(con):
    none = permits(con, said=NOBODY, people="customer_id")
    assert set(consent.facts(none, consent.stand(none)).values()) == {0}


def test_the_chart_counts_each_customer_once_for_each_purpose(con):
    shown = consent.by_ground(consent.stand(permits(con)), least=1)
    marketing = shown[shown["purpose"] == "marketing"].set_index("ground")["customers"]
    assert marketing.to_dict() == {"agreed": 2, "by basis": 0, "said nothing": 1, "refused": 2}


def test_grounds_of_few_customers_are_hidden_and_so_is_what_they_add_up_to():
    columns = ["purpose", "agreed", "refused", "by_basis", "said_nothing", "permitted"]
    stand = pd.DataFrame([("marketing", 40, 3, 0, 9, 40), ("sharing", 30, 12, 0, 10, 30)],
                         columns=columns).assign(permitted_share=0.5)  # fmt: skip
    shown = consent.shown(stand, consent.by_ground(stand)).set_index("purpose")
    assert shown.loc["marketing", ["refused", "said_nothing"]].isna().all()
    assert shown.loc["marketing", ["agreed", "permitted"]].tolist() == [40, 40]
    facts = consent.facts(pd.DataFrame({"customer_id": [], "ground": []}), shown.reset_index())
    assert (facts["marketing_refused"], facts["marketing_silent"]) == (None, None)
    assert (facts["marketing_permitted"], facts["sharing_refused"]) == (40, 12)


@pytest.mark.parametrize(("days", "counted"), [(61, (1, 1)), (60, (0, 0))])
def test_a_change_of_mind_counts_on_the_last_day_of_the_span(con, days, counted):
    said = literal(con, "tables/consents", SAID)  # 60 days lie between 1 September and as_of
    moved = engine.frame(con, consent.changes(said, as_of=AS_OF, recent_days=days))
    facts = consent.change_facts(moved, least=1)
    assert (facts["withdrawn"], facts["given_again"]) == counted


def test_changes_are_counted_in_customers_and_only_between_two_times(con):
    said = literal(con, "tables/consents", MOVES)
    moved = engine.frame(con, consent.changes(said, as_of=AS_OF))
    assert consent.change_facts(moved, least=1) == {"withdrawn": 2, "given_again": 1}


def told(agreed=0, refused=0, said_nothing=0, by_basis=0, statements=1) -> dict:
    """Facts as the page shows them, of a stand that is the same for every purpose."""
    permitted, whole = agreed + by_basis, agreed + refused + said_nothing + by_basis
    row = {"agreed": agreed, "refused": refused, "by_basis": by_basis,
           "said_nothing": said_nothing, "permitted": permitted,
           "permitted_share": permitted / whole}  # fmt: skip
    stand = pd.DataFrame([{"purpose": purpose} | row for purpose in PURPOSES])
    shown = consent.shown(stand, consent.by_ground(stand))
    ground = consent.AGREED if statements else consent.BASIS
    people = pd.DataFrame({"customer_id": range(whole), "ground": ground})
    return consent.facts(people, shown)


@pytest.mark.parametrize(
    ("counts", "answer", "action"),
    [
        ({"agreed": 56, "said_nothing": 4}, "is not told", "Ask those who never answered"),
        ({"agreed": 50, "refused": 20, "said_nothing": 3}, "may be addressed", "Ask those who"),
        ({"agreed": 50, "refused": 3, "said_nothing": 20}, "may be addressed", "Ask those who"),
        ({"by_basis": 2, "statements": 0}, "too few customers", "Bring the record"),
        ({"said_nothing": 9, "statements": 0}, "Nobody may be addressed yet", "Bring the record"),
        ({"agreed": 40, "refused": 9}, "{marketing_permitted} of", "Everybody was asked"),
        ({"agreed": 40, "refused": 9, "said_nothing": 6}, "{marketing_permitted} of", "Ask the {"),
    ],
)
def test_a_hidden_number_is_neither_none_nor_in_a_sentence(counts, answer, action):
    found = told(**counts)
    assert answer in consent.answer(found)
    assert action in consent.action(found)
    for text in (consent.answer(found), consent.stand_title(found), consent.action(found)):
        assert not [key for key in wording.keys(text) if found[key] is None], text


@pytest.mark.parametrize(("withdrawn", "given_again"), [(None, 5), (6, None), (None, None)])
def test_a_hidden_number_of_changes_is_said_to_be_of_a_few(withdrawn, given_again):
    found = {"statements": 9, "withdrawn": withdrawn, "given_again": given_again}
    text = consent.change_note(found)
    assert not [k for k in wording.keys(text) if k != "recent_days" and found[k] is None]
    assert "a few" in text


def test_what_is_said_depends_on_whether_statements_or_a_basis_exist(con):
    asked = permits(con)
    assert "said nothing" in consent.answer(consent.facts(asked, consent.stand(asked)))
    based = permits(con, said=NOBODY, basis=(("marketing", "existing customers"),))
    facts = consent.facts(based, consent.stand(based))
    assert "legal basis" in consent.answer(facts)
    assert "Bring the record" in consent.action(facts)
    none = permits(con, said=NOBODY)
    assert "Nobody may be addressed" in consent.answer(consent.facts(none, consent.stand(none)))
    assert consent.grounds(BASIS)["who_said_nothing"].tolist()[0] == "contract"
