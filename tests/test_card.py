"""The card of one customer: masked, escaped, logged, and one clear message where there is none."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from test_engine import literal

from crm import card, engine, vault
from crm.project import load_specs
from crm.site.card import render
from crm.tables import PROFILE


def facts(**changes) -> dict:
    """What `card.read` finds for a customer of whom little is known."""
    plain = {
        "id": "290c1603925348fe",
        "run": {"title": "Shop", "source": "shop", "as_of": "2023-10-31", "currency": "CNY"},
        "contact": {"name": "张*", "phone": "138****5678"},
        "features": {dimension: {} for dimension in PROFILE},
        "permits": {}, "cases": [], "timeline": [],
    }  # fmt: skip
    return plain | changes


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("欧阳小明", "欧阳**"),
        ("王", "*"),
        (" 李四 ", "李*"),
        ("", ""),
        (None, ""),
    ],
)
def test_of_a_name_the_surname_stays(name, masked):
    assert vault.mask_name(name) == masked


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812345678", "138****5678"),
        ("+86 138-1234-5678", "138****5678"),
        ("１３８１２３４５６７８", "138****5678"),  # full-width digits
        ("1381234567", "****"),
        ("021-12345", "****"),
        (None, ""),
    ],
)
def test_of_a_phone_of_eleven_digits_the_middle_is_hidden_and_others_whole(phone, masked):
    assert vault.mask_phone(phone) == masked


def test_whatever_comes_from_data_is_escaped():
    bad = "<script>alert(1)</script>"
    row = {"at": datetime(2023, 1, 1, 8), "kind": "ticket", "channel": bad,
           "what": bad, "amount": None}  # fmt: skip
    page = render(facts(contact={"name": bad, "phone": bad}, timeline=[row],
                        run={"title": bad, "as_of": "2023-10-31"}))  # fmt: skip
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 5


def test_a_customer_of_whom_nothing_is_known_has_a_card():
    page = render(facts(contact={"name": "", "phone": ""}))
    assert "No name on record" in page
    assert page.count(">None.<") == 3  # permissions, cases, time line


def test_features_are_written_as_people_read_them():
    known = {"purchase history": {"orders": 3, "spend": 1234.5, "returned_share": 0.25}}
    page = render(facts(features={d: {} for d in PROFILE} | known))
    assert ">¥1,234<" in page or ">¥1,235<" in page
    assert ">25.0%<" in page
    assert "purchases over all history (购买次数)" in page


def test_the_newest_record_is_the_one_last_changed_then_the_last_line():
    con = engine.connect(threads=1)
    vault_rows = "line customer_key phone\n1 a old\n2 b new\n3 c older\n4 d undated\n5 e same"
    staged = "line customer_key updated_on\n1 a 2023-01-01\n2 b 2023-06-01\n3 c 2022-01-01\n4 d -"
    records = card.newest_first(
        literal(con, "vault/customers", vault_rows),
        literal(con, "staged/customers", staged + "\n5 e 2023-06-01"),
    )
    phones = engine.frame(con, records)["phone"].tolist()
    assert phones == ["same", "new", "old", "older", "undated"]


@pytest.fixture
def demo_customer(demo) -> str:
    """The customer of the demo with most open cases, then the first id."""
    con = engine.connect()
    view = engine.frame(con, engine.scan(con, demo / "data/features/profiles.parquet"))
    return view.sort_values(["open_tickets", "customer_id"], ascending=[False, True])[
        "customer_id"
    ].iloc[0]


def test_the_card_of_a_demo_customer_is_masked_and_logged(demo, demo_customer):
    found = card.read(demo, demo_customer)
    page = render(found)
    con = engine.connect()
    specs = load_specs(demo, "demo")
    keys = engine.scan(con, demo / specs["identity"].out("identity_map"))
    keys = engine.frame(con, keys.filter(keys.customer_id == demo_customer))["customer_key"]
    stored = engine.scan(con, demo / specs["ingest"].out("vault/customers"))
    stored = engine.frame(con, stored.filter(stored.customer_key.isin(keys.tolist())))
    for name in ("name", "phone"):
        for plain in vault.decrypt(stored[name].tolist(), key=vault.PUBLISHED.encryption,
                                   context=f"vault/customers.{name}"):  # fmt: skip
            assert plain is None or plain not in page
    assert found["cases"]
    assert [row["at"] for row in found["timeline"]] == sorted(
        (row["at"] for row in found["timeline"]), reverse=True
    )
    line = json.loads((demo / ".crm/access.log").read_text().splitlines()[-1])
    assert (line["by"], line["purpose"]) == ("card", "customer card")


@pytest.mark.parametrize("odd", ["nobody", "0" * 16, "../../etc", "<b>", ""])
def test_an_unknown_id_is_one_clear_message(demo, odd):
    with pytest.raises(card.CardError, match="give the pseudonym that the pages show"):
        card.read(demo, odd)
