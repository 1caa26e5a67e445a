"""The whole pipeline on real data: the figures that others published must come out."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import call, clone

PUBLISHED = {  # data/README of the public data, and the filter that most papers use
    "ingest": {"lines": 541_909, "unknown_lines": 135_080, "return_lines": 9_288},
    "clean": {
        "duplicates": 5_268,
        "known_lines": 397_884,
        "known_customers": 4_338,
        "known_sales": 8_911_407.904,
        "known_unique_lines": 392_692,
        "known_unique_sales": 8_887_208.894,
    },
    "rfm": {"sales_customers": 4_338, "sales": 8_911_407.904},
}


@pytest.fixture(scope="module")
def retail(tmp_path_factory, public_data):
    """A clone that ran the pipeline on Online Retail, as the README tells a user to."""
    folder = clone(tmp_path_factory.mktemp("retail") / "project")
    raw = folder / "data/raw/online-retail"
    raw.mkdir(parents=True)
    shutil.copy(public_data / "online-retail/online_retail.parquet", raw)
    for command in (("crm", "check", "online-retail"), ("crm", "use", "online-retail"),
                    ("dvc", "repro")):  # fmt: skip
        done = call(folder, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_published_figures_come_out(retail):
    for stage, expected in PUBLISHED.items():
        found = json.loads((retail / f"reports/metrics/{stage}.json").read_text())
        assert {k: found[k] for k in expected} == expected


def test_every_line_is_kept_in_quarantine_or_removed_and_every_cell_was_read(retail):
    found = json.loads((retail / "reports/metrics/clean.json").read_text())
    assert found["kept"] + found["quarantined"] + found["removed"] == found["lines"] == 541_909
    assert json.loads((retail / "reports/metrics/ingest.json").read_text())["unread"] == 0


def test_without_consents_the_declared_basis_decides_who_may_be_contacted(retail):
    found = json.loads((retail / "reports/metrics/rfm.json").read_text())
    consent = json.loads((retail / "reports/metrics/consent.json").read_text())
    assert consent["statements"] == 0
    assert found["may_contact"] == consent["marketing_permitted"] == found["customers"]
    assert found["called"] == found["lapsing"] > 0
    assert "legal basis" in (retail / "reports/pages/consent.html").read_text()


def test_pages_agree_on_buyers_and_spend(retail):
    sales, rfm = (
        json.loads((retail / f"reports/metrics/{name}.json").read_text())
        for name in ("sales", "rfm")
    )
    assert sales["named_spend"] == pytest.approx(rfm["spend"], abs=0.01)
    assert sales["buyers"] == rfm["sales_customers"]


def test_best_fifth_of_customers_bring_three_quarters_of_sales(retail):
    found = json.loads((retail / "reports/metrics/rfm.json").read_text())
    assert round(found["top20_share"], 3) == 0.746


def test_figures_stand_on_the_pages(retail):
    page = (retail / "reports/pages/clean.html").read_text()
    for figure in ("541,909", "5,268", "397,884", "4,338", "392,692"):
        assert figure in page


def test_anchors_fit_the_money_of_the_shop(retail):
    found = json.loads((retail / "reports/metrics/rfm.json").read_text())
    assert 0.05 < found["high_value_customer_share"] < 0.15


def test_going_back_to_the_demo_restores_params_byte_for_byte(retail, root):
    done = call(retail, "crm", "use", "demo")
    assert done.returncode == 0, done.stderr
    assert (retail / "params.yaml").read_bytes() == (root / "params.yaml").read_bytes()
