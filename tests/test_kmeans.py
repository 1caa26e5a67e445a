"""Tests of `crm.kmeans`: exact groups, and the number of groups that were planted."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples

from crm import kmeans

LINE = np.array([[0], [1], [10], [11], [30]], np.int32)


def planted(k: int, seed: int, *, d: int = 3, n: int = 1_000, apart: float = 5.0):
    """Points around `k` centres that lie at least so many standard deviations apart."""
    rng = np.random.default_rng([k, seed])
    far = np.zeros(1)
    while far.min() < apart:
        centres = rng.uniform(-1, 1, size=(k, d)) * apart * k ** (1 / d)
        far = np.linalg.norm(centres[:, None] - centres[None], axis=2) + np.eye(k) * 99
    sizes = np.maximum(rng.dirichlet(np.full(k, 3.0)), 0.04)
    labels = rng.choice(k, size=n, p=sizes / sizes.sum())
    return kmeans.scaled(centres[labels] + rng.normal(size=(n, d))), labels


def test_a_column_is_centred_and_measured_in_standard_deviations_and_cut_at_four():
    column = np.append(np.zeros(99), 1_000.0)[:, None]
    points = kmeans.scaled(column)
    assert points[-1, 0] == kmeans.CUT * kmeans.UNIT
    assert points[0, 0] == round(-1 / np.sqrt(99) * kmeans.UNIT)


def test_a_constant_column_tells_nothing_apart():
    assert kmeans.scaled(np.full((5, 2), 0.1)).tolist() == [[0, 0]] * 5


def test_no_rows_scale_to_no_rows():
    assert kmeans.scaled(np.empty((0, 3))).shape == (0, 3)


def test_points_join_the_nearest_centre_and_groups_are_numbered_by_theirs():
    found = kmeans.fit(LINE, 3, seed=5)
    assert found.labels.tolist() == [0, 0, 1, 1, 2]
    assert found.centres.ravel().tolist() == [1, 11, 30]  # halves go up
    assert found.inertia == 1 + 1


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_no_group_is_better_by_sklearn_from_as_many_starts(k):
    points, _ = planted(5, k)
    ours = kmeans.fit(points, k, seed=1)
    theirs = KMeans(k, n_init=10, random_state=1).fit(points.astype(float))
    assert ours.inertia <= theirs.inertia_ * 1.001


def test_lloyd_from_the_same_centres_ends_where_sklearn_ends():
    points, _ = planted(4, 3)
    start = points[:4]
    ours = kmeans._lloyd(points, start, 1)
    theirs = KMeans(4, init=start.astype(float), n_init=1, tol=0).fit(points.astype(float))
    assert (ours.labels == theirs.labels_).mean() >= 0.999  # centres are rounded here
    assert np.abs(ours.centres - theirs.cluster_centers_).max() <= 2


def test_neither_threads_nor_the_order_of_rows_nor_the_seed_change_planted_groups():
    points, _ = planted(5, 1)
    one = kmeans.fit(points, 5, seed=1)
    order = np.random.default_rng(0).permutation(len(points))
    assert (kmeans.fit(points, 5, seed=1, threads=3).labels == one.labels).all()
    assert (kmeans.fit(points[order], 5, seed=1).labels == one.labels[order]).all()
    for seed in range(2, 8):
        assert (kmeans.fit(points, 5, seed=seed).labels == one.labels).mean() >= 0.98


def test_starts_are_run_on_a_sample_and_all_points_are_grouped():
    points, labels = planted(3, 2, n=3_000, apart=8)
    found = kmeans.fit(points, 3, seed=1, sampled=200)
    pairs = {*zip(labels.tolist(), found.labels.tolist(), strict=True)}
    assert len(pairs) == 3


@pytest.mark.parametrize("k", [6, 9])
def test_more_groups_than_points_are_refused(k):
    with pytest.raises(kmeans.KMeansError, match=f"{k} groups of 5 points"):
        kmeans.fit(LINE, k, seed=1)


def test_more_groups_than_different_points_are_refused():
    with pytest.raises(kmeans.KMeansError, match="only 1 different points for 2 groups"):
        kmeans.fit(np.zeros((4, 2), np.int32), 2, seed=1)


def test_silhouettes_are_those_of_sklearn():
    points, _ = planted(3, 4, n=200)
    found = [kmeans.fit(points, k, seed=1) for k in (2, 3, 7)]
    ours = kmeans.silhouettes(points, found, seed=1, threads=2)
    theirs = [silhouette_samples(points.astype(float), one.labels).mean() for one in found]
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_a_group_of_one_has_a_silhouette_of_zero():
    found = kmeans.Groups(np.array([0, 0, 0, 0, 1], np.int32), np.zeros((2, 1), np.int32), 0)
    near = silhouette_samples(LINE.astype(float), found.labels)
    assert near[-1] == 0
    assert kmeans.silhouettes(LINE, [found], seed=1) == pytest.approx([near.mean()])


def test_the_number_of_groups_that_was_planted_is_advised_nine_times_in_ten():
    right = {(k, seed): advised(k, seed) == k for k in range(2, 9) for seed in range(10)}
    assert sum(right.values()) >= 0.9 * len(right)


def advised(k: int, seed: int) -> int:
    points, _ = planted(k, seed)
    return kmeans.advised(kmeans.scan(points, range(1, 11), seed=seed, threads=2)).k


@pytest.mark.parametrize("seed", range(3))
def test_one_cloud_is_one_group(seed):
    cloud = kmeans.scaled(np.random.default_rng(seed).normal(size=(800, 3)))
    assert kmeans.advised(kmeans.scan(cloud, range(1, 9), seed=seed)).k == 1


def test_a_scan_leaves_out_more_groups_than_there_are_different_points():
    assert [one.k for one in kmeans.scan(LINE, range(1, 9), seed=1, draws=3)] == [1, 2, 3, 4, 5]
    assert kmeans.scan(np.empty((0, 2), np.int32), range(1, 9), seed=1) == []
    assert kmeans.advised([]) is None


def test_groups_that_do_not_come_back_are_not_advised():
    row = kmeans.Scan(2, None, 0, 0.9, np.array([0.9, 0.74]), -99.0)
    whole = kmeans.Scan(1, None, 0, 0.0, np.array([1.0]), 0.0)
    assert kmeans.advised([whole, row]).k == 1
    firm = kmeans.Scan(2, None, 0, 0.9, np.array([0.9, 0.75]), -99.0)
    assert kmeans.advised([whole, firm]).k == 2


def test_the_bic_is_worked_out_by_hand():
    groups = kmeans.Groups(np.array([0, 0, 1, 1, 1], np.int32), np.array([[1], [17]]), 0)
    squares = 1 + 0 + 49 + 36 + 169
    mixed = 2 * np.log(2 / 5) + 3 * np.log(3 / 5)
    free = 2 * 2 - 1 + 1  # two centres and a share between them, one variance
    by_hand = 5 * np.log(squares / 5) - 2 * mixed + free * np.log(5)
    assert kmeans.bic(LINE, groups) == pytest.approx(by_hand)
