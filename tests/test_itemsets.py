"""Frequent itemsets: the same as mlxtend finds, whatever the baskets and the threads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import apriori, fpgrowth
from scipy.stats import hypergeom

from crm import itemsets
from crm.itemsets import Baskets, ItemsetError

SETTINGS = settings(max_examples=60, deadline=None)  # mlxtend takes most of the time
BASKETS = st.lists(st.frozensets(st.integers(0, 7)), min_size=1, max_size=30)


def baskets(rows, kinds: int = 8) -> Baskets:
    """Baskets of some sets of item numbers."""
    items = [item for row in rows for item in sorted(row)]
    owner = [number for number, row in enumerate(rows) for _ in row]
    owner, items = np.array(owner, np.int64), np.array(items, np.int64)
    return Baskets.of(owner, items, baskets=len(rows), kinds=kinds)


def as_dict(found) -> dict[tuple, int]:
    pairs = zip(found.sets, found.counts, strict=True)
    return {tuple(row): n for rows, counts in pairs
            for row, n in zip(rows.tolist(), counts.tolist(), strict=True)}  # fmt: skip


def by_mlxtend(miner, rows, least: int, longest: int, kinds: int = 8) -> dict[tuple, int]:
    """What mlxtend finds, as counts; half a basket below the least, as it compares shares."""
    table = pd.DataFrame([[item in row for item in range(kinds)] for row in rows])
    found = miner(table, min_support=min((least - 0.5) / len(rows), 1.0), max_len=longest)
    pairs = zip(found["itemsets"], found["support"], strict=True)
    counts = {tuple(sorted(items)): round(support * len(rows)) for items, support in pairs}
    return {items: n for items, n in counts.items() if n >= least}


@pytest.mark.parametrize("miner", [fpgrowth, apriori])
@SETTINGS
@given(rows=BASKETS, least=st.integers(1, 6), longest=st.integers(1, 6))
def test_the_sets_and_counts_are_those_of_mlxtend(miner, rows, least, longest):
    found = itemsets.mine(baskets(rows), least=least, longest=longest)
    assert as_dict(found) == by_mlxtend(miner, rows, least, longest)


@SETTINGS
@given(rows=BASKETS, least=st.integers(1, 4), cells=st.integers(1, 40))
def test_many_passes_and_small_parts_find_what_one_pass_finds(rows, least, cells):
    one = itemsets.mine(baskets(rows), least=least, longest=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(itemsets, "CELLS", cells)
        patch.setattr(itemsets, "WORTH", 4)  # so that a few items have several threads
        many = itemsets.mine(baskets(rows), least=least, longest=4, threads=3)
    assert as_dict(one) == as_dict(many)


@SETTINGS
@given(rows=BASKETS, least=st.integers(1, 4), seed=st.integers(0, 99))
def test_neither_threads_nor_the_order_of_baskets_change_anything(rows, least, seed):
    one = itemsets.mine(baskets(rows), least=least, longest=4)
    mixed = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    two = itemsets.mine(baskets(mixed), least=least, longest=4, threads=2)
    assert as_dict(one) == as_dict(two)
    for rows_, others in zip(one.sets, two.sets, strict=True):
        assert rows_.tolist() == others.tolist()


@SETTINGS
@given(rows=BASKETS, least=st.integers(1, 4))
def test_counting_given_sets_agrees_with_finding_them(rows, least):
    held = baskets(rows)
    found = itemsets.mine(held, least=least, longest=5)
    for sets, counts in zip(found.sets, found.counts, strict=True):
        assert itemsets.count(held, sets).tolist() == counts.tolist()


def test_many_baskets_are_counted_across_blocks_and_threads():
    held = np.random.default_rng(5).random((200_000, 4)) < [0.1, 0.2, 0.5, 0.9]
    owner, item = np.nonzero(held)
    whole = Baskets.of(owner, item, baskets=len(held), kinds=4)
    found = itemsets.mine(whole, least=1, longest=4, threads=2)
    assert len(found) == 15
    for sets, counts in zip(found.sets, found.counts, strict=True):
        assert counts.tolist() == [int(held[:, row].all(axis=1).sum()) for row in sets]
        assert itemsets.count(whole, sets).tolist() == counts.tolist()


def test_a_shorter_set_among_longer_ones_ends_in_minus_one():
    held = baskets([{0, 1}, {1, 2}, {0, 1, 2}])
    asked = np.array([[1, -1, -1], [0, 1, -1], [0, 1, 2], [-1, -1, -1]])
    assert itemsets.count(held, asked).tolist() == [3, 2, 1, 0]


def test_no_basket_and_baskets_of_one_item_hold_no_pair():
    for rows in ([], [set()], [{0}, {1}, {1}]):
        found = itemsets.mine(baskets(rows), least=1, longest=3)
        assert [len(counts) for counts in found.counts[1:]] == [0, 0]
    assert found.counts[0].tolist() == [1, 2]


def test_one_product_in_every_basket_is_one_set():
    found = itemsets.mine(baskets([{3}] * 9), least=9)
    assert as_dict(found) == {(3,): 9}


def test_a_basket_of_5000_items_is_found_with_all_its_pairs():
    found = itemsets.mine(
        baskets([range(5000), {0, 1}, {0, 1}], 5000), least=1, longest=2, most=20_000_000
    )
    assert len(found.sets[1]) == 5000 * 4999 // 2
    assert found.counts[1].max() == 3


@pytest.mark.parametrize(("most", "what"), [(200, "435 itemsets of two alone"),
                                           (600, "4,495 itemsets of two or three")])  # fmt: skip
def test_a_support_that_would_not_fit_is_refused_with_the_one_that_would(most, what):
    rows = [range(30)] * 4 + [range(10)] * 3
    with pytest.raises(ItemsetError, match=f"{what} .* at least 4 basket") as e:
        itemsets.mine(baskets(rows, 30), least=4, most=most)
    assert str(e.value).endswith("ask for at least 5")
    assert e.value.fits == 5
    assert len(itemsets.mine(baskets(rows, 30), least=5, most=most)) == 175


@pytest.mark.parametrize("longest", [2, 3, 4, 5])
@SETTINGS
@given(rows=BASKETS, most=st.integers(8, 60))
def test_what_would_fit_is_the_least_count_that_does(longest, rows, most):
    try:
        found = itemsets.mine(baskets(rows), least=1, longest=longest, most=most)
    except ItemsetError as error:
        found = itemsets.mine(baskets(rows), least=error.fits, longest=longest, most=most)
        if longest < 4:
            with pytest.raises(ItemsetError):
                itemsets.mine(baskets(rows), least=error.fits - 1, longest=longest, most=most)
    assert len(found) - len(found.sets[0]) <= most


def test_two_giants_of_5000_items_are_refused_before_their_triples_are_counted():
    rows = [range(5000), range(5000), {0, 1}, {0, 1}]
    with pytest.raises(ItemsetError, match="12,497,500 itemsets of two alone") as e:
        itemsets.mine(baskets(rows, 5000), least=2)
    assert e.value.fits == 3


@pytest.mark.parametrize("wrong", [{"least": 0}, {"least": 1, "longest": 0}])
def test_a_limit_below_one_is_refused(wrong):
    with pytest.raises(ItemsetError, match="must be at least 1"):
        itemsets.mine(baskets([{1}]), **wrong)


@SETTINGS
@given(st.integers(1, 400), st.data())
def test_the_chance_of_a_meeting_is_that_of_scipy(whole, data):
    a, b = (data.draw(st.integers(0, whole)) for _ in range(2))
    n = data.draw(st.integers(0, min(a, b)))
    ours = itemsets.tails(np.array([n]), np.array([a]), np.array([b]), whole)[0]
    assert ours == pytest.approx(hypergeom.sf(n - 1, whole, b, a), rel=1e-8, abs=1e-12)
