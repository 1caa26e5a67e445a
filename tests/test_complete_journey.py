"""A source made only of a mapping: groceries of households that have no names and no records."""

from __future__ import annotations

import json
import shutil

import ibis
import pytest
from conftest import call, clone

NAME = "complete-journey"
USED = (
    "transactions_sample", "products", "demographics", "campaigns", "campaign_descriptions",
    "coupon_redemptions",
)  # fmt: skip
TRAITS = {
    "age band", "income", "home ownership", "marital status", "household size", "composition",
    "kids",
}  # fmt: skip
PUBLISHED = {  # data/README of the public data
    "ingest": {"lines": 75_000, "first_day": "2017-01-01", "last_day": "2018-01-01", "unread": 0},
    "clean": {"kept": 74_584, "quarantined": 416, "removed": 0, "all_sales": 233_935.24},
    "identity": {"named_share": 1.0},
    "rfm": {"spend": 233_935.24, "as_of": "2018-01-01"},
}


@pytest.fixture(scope="module")
def journey(tmp_path_factory, public_data):
    """A clone that ran the pipeline on the files that the mapping names."""
    folder = clone(tmp_path_factory.mktemp("journey") / "project")
    raw = folder / f"data/raw/{NAME}"
    raw.mkdir(parents=True)
    for name in USED:
        shutil.copy(public_data / f"{NAME}/{name}.parquet", raw)
    for command in (("crm", "check", NAME), ("crm", "use", NAME),
                    ("dvc", "repro", "quality", "sales", "rfm")):  # fmt: skip
        done = call(folder, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def rows(journey):
    """The rows of a table of the clone, as a frame."""
    con = ibis.duckdb.connect()

    def read(name):
        path = journey / "data" / name
        files = path / "*/*.parquet" if path.is_dir() else path.with_suffix(".parquet")
        return con.read_parquet(str(files), hive_partitioning=False).to_pandas()

    return read


def metrics(folder, stage):
    return json.loads((folder / f"reports/metrics/{stage}.json").read_text())


def test_published_figures_come_out(journey):
    for stage, expected in PUBLISHED.items():
        found = metrics(journey, stage)
        assert {k: found[k] for k in expected} == expected


def test_lines_without_a_quantity_are_all_that_waits_in_quarantine(rows):
    waiting = rows("clean/quarantine")
    assert set(waiting["reason"]) == {"quantity not above zero"}
    assert {json.loads(row)["quantity"] for row in waiting["row"]} == {0}


def test_the_amount_is_what_the_shop_received_and_the_price_follows_from_it(rows):
    items = rows("clean/order_items").astype({"amount": float, "quantity": float})
    assert round(items["amount"].sum(), 2) == 233_935.24
    price = (items["amount"] / items["quantity"]).round(4)
    assert (abs(items["unit_price"].astype(float) - price) < 0.00011).all()


def test_seven_columns_of_one_file_become_seven_traits_of_each_household(rows):
    traits = rows("tables/traits")
    assert set(traits["trait"]) == TRAITS
    assert (traits.groupby("customer_id")["trait"].nunique() == 7).all()
    assert traits["customer_id"].nunique() == 801
    unknown = traits[traits["value"] == "unknown"]
    assert unknown["trait"].value_counts().to_dict() == {"home ownership": 233,
                                                         "marital status": 137}  # fmt: skip


def test_contacts_without_a_date_find_campaign_and_customer(rows):
    contacts, campaigns = rows("tables/campaign_contacts"), rows("tables/campaigns")
    assert (len(contacts), len(campaigns)) == (6_589, 27)
    assert contacts["sent_at"].isna().all()
    assert contacts["customer_id"].notna().all()
    assert set(contacts["campaign_id"]) <= set(campaigns["campaign_id"])


def test_coupons_used_without_an_order_find_household_campaign_and_day(rows):
    used, campaigns = rows("tables/discounts"), rows("tables/campaigns")
    assert (len(used), used["coupon_id"].nunique(), used["customer_id"].nunique()) == (
        2_102, 491, 410,
    )  # fmt: skip
    assert used["order_id"].isna().all()
    assert used["amount"].isna().all()
    assert set(used["campaign_id"]) <= set(campaigns["campaign_id"])
    assert {f"{day:%Y}" for day in used["given_at"]} == {"2017"}


def test_the_page_on_fields_names_every_trait(journey):
    page = (journey / "reports/notebooks/ingest.ipynb").read_text()
    assert all(f"always {trait}" in page for trait in TRAITS)


def test_gift_cards_are_no_products_and_fuel_is(rows):
    products = rows("tables/products").set_index("product_id")["is_product"]
    assert not products["1021164"]
    assert products["6534178"]


def test_anchors_fit_the_money_of_the_sample(journey):
    found = metrics(journey, "rfm")
    assert 0.05 < found["high_value_customer_share"] < 0.2
    assert found["high_value_spend_share"] > 2 * found["high_value_customer_share"]
    assert 0.1 < found["at_risk_customer_share"] < 0.4


def test_the_source_register_says_that_baskets_are_incomplete(journey):
    page = (journey / "reports/notebooks/quality.ipynb").read_text()
    assert "baskets are incomplete" in page


def shown(folder, title: str) -> list[dict]:
    """The rows of a table on the page on quality."""
    book = json.loads((folder / "reports/notebooks/quality.ipynb").read_text())
    outputs = [o["data"] for cell in book["cells"] for o in cell.get("outputs", [])]
    tables = [o.get("application/vnd.crm.table+json", {"title": ""}) for o in outputs]
    (table,) = [one for one in tables if one["title"].startswith(title)]
    names = [column["id"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def test_what_a_sample_of_lines_cannot_carry_is_said(journey):
    verdicts = {row["analysis"]: row for row in shown(journey, "What these data can carry")}
    assert {name: row["verdict"] for name, row in verdicts.items()} == {
        "RFM": "with care", "clusters": "with care", "baskets": "no", "churn": "with care",
    }  # fmt: skip
    assert "baskets are incomplete" in verdicts["baskets"]["reason"]


def test_the_verdicts_of_today_stand_at_the_end_of_those_before(journey):
    today = shown(journey, "What these data can carry")
    last = shown(journey, "The verdicts at the ends of earlier months")[-1]
    assert last["until_on"] == "2018-01-01"
    assert [last[f"can_{row['analysis'].lower()}"] for row in today] == [
        row["verdict"] for row in today
    ]


def test_no_line_of_code_knows_the_source(root):
    code = [*root.glob("src/**/*.py"), *root.glob("notebooks/*.ipynb"), root / "dvc.yaml"]
    assert [path.name for path in code if NAME in path.read_text()] == []
