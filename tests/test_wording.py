"""Values as people read them: one place for pages and notebooks."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from crm import wording


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (541909, "", "541,909"),
        (541909.0, "int", "541,909"),
        (12.25, "", "12.2"),
        (2.345, "num2", "2.35"),
        (0.0625, "num3", "0.062"),
        (0.746, "pct", "74.6%"),
        (0.746, "pct0", "75%"),
        (8911407.904, "money", "£8,911,408"),
        (4.995, "money2", "£5.00"),
        (90, "days", "90 days"),
        (1, "days", "1 day"),
        ("2011-12-09", "date", "9 Dec 2011"),
        (date(2011, 12, 9), "date", "9 Dec 2011"),
        (datetime(2011, 12, 9, 12, 50), "date", "9 Dec 2011"),
        ("2011-12", "month", "Dec 2011"),
        ("2011-12-09", "month", "Dec 2011"),
        ("{mug}", "text", "{mug}"),
        (22423, "text", "22423"),
        (True, "", "yes"),
        (False, "int", "no"),
    ],
)
def test_each_form_has_its_text(value, form, text):
    assert wording.form(value, form, "GBP") == text


@pytest.mark.parametrize(
    ("share", "tenths", "whole"),
    [
        (0.99983, ">99.9%", ">99%"),
        (0.0002, "<0.1%", "<1%"),
        (-0.0002, ">−0.1%", ">−1%"),
        (-0.99983, "<−99.9%", "<−99%"),
        (0.9994, "99.9%", ">99%"),
        (1.0, "100.0%", "100%"),
        (0.0, "0.0%", "0%"),
        (0.1 + 0.2 + 0.7, "100.0%", "100%"),  # a sum of floats that is not quite one
    ],
)
def test_a_share_that_is_not_whole_is_never_all_or_nothing(share, tenths, whole):
    assert (wording.form(share, "pct"), wording.form(share, "pct0")) == (tenths, whole)


@pytest.mark.parametrize("form", ["", "money", "pct", "date", "text"])
@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_empty_value_is_a_dash(value, form):
    assert wording.form(value, form) == "–"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(-0.5, "pct", "−50.0%"), (-1234, "money", "−£1,234"), (-0.2, "int", "0"), (0, "num", "0.0")],
)
def test_a_negative_value_has_a_true_minus_and_zero_has_none(value, form, text):
    assert wording.form(value, form, "GBP") == text


@pytest.mark.parametrize(
    ("currency", "text"),
    [("CNY", "¥5"), ("USD", "$5"), ("EUR", "€5"), ("SEK", "SEK 5"), ("", "5")],
)
def test_a_currency_has_its_sign_or_its_code(currency, text):
    assert wording.form(5, "money", currency) == text


def test_an_unknown_form_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown form 'euro'; there are .*'money'"):
        wording.form(5, "euro")


def test_a_message_is_filled_with_its_values():
    message = "{top20:pct} of {sales:money} come from {who} in {n} orders."
    values = {"top20": 0.746, "sales": 8911407.904, "who": "a few", "n": 3}
    assert wording.keys(message) == ["top20", "sales", "who", "n"]
    assert (
        wording.fill(message, values, "GBP") == "74.6% of £8,911,408 come from a few in 3 orders."
    )


@pytest.mark.parametrize(
    ("n", "form", "text"),
    [
        (1, "", "1 line is late, 1 box"),
        (0, "", "0 lines are late, 0 boxes"),
        (2, "", "2 lines are late, 2 boxes"),
        (1.4, "int", "1 line is late, 1 box"),  # as it is shown
        (1.4, "num", "1.4 lines are late, 1.4 boxes"),
        (-1, "", "−1 lines are late, −1 boxes"),
        (True, "", "yes lines are late, yes boxes"),
    ],
)
def test_words_agree_with_the_number_before_them(n, form, text):
    place = f"{{n:{form}}}" if form else "{n}"
    message = f"{place} line[s] [is|are] late, {place} box[es]"
    assert wording.fill(message, {"n": n}) == text


def test_a_text_between_number_and_word_changes_nothing_and_links_stay():
    message = "{n} {shop} order[s], see [why](a.html)"
    assert wording.fill(message, {"n": 1, "shop": "web"}) == "1 web order, see [why](a.html)"
    assert wording.agreed(message, {"n": 5}) == "{n} {shop} orders, see [why](a.html)"


def test_a_value_with_braces_is_not_filled_again():
    assert wording.fill("{a} {b}", {"a": "{b}", "b": 1}) == "{b} 1"


def test_a_message_without_places_stays():
    assert (wording.fill("Nothing.", {}), wording.keys("Nothing.")) == ("Nothing.", [])


def test_a_key_without_a_value_is_an_error():
    with pytest.raises(KeyError, match="customers"):
        wording.fill("{customers}", {})


@pytest.mark.parametrize(
    ("column", "kind", "form"),
    [
        ("spend", "f", "money"),
        ("customer_share", "f", "pct"),
        ("last_order_on", "M", "date"),
        ("month", "M", "month"),
        ("r_score", "f", "num"),
        ("orders", "i", "int"),
        ("hours", "f", "num"),
        ("tier", "O", "text"),
    ],
)
def test_a_column_has_its_form_by_name_else_by_type(column, kind, form):
    assert wording.column_form(column, kind) == form


def test_every_form_that_columns_have_is_known():
    for form in {*wording.FORMS.values(), "int", "num", "pct"}:
        assert wording.form(1.5, form)


def test_a_label_is_given_or_made_of_the_name():
    assert wording.label("rfm") == "R,F,M"
    assert wording.label("best_full_month") == "Best full month"
