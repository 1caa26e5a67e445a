"""Tests of `crm.clusters`: behaviour, names, groups that stay."""

import numpy as np
import pandas as pd
import pytest

from crm import clusters

FEATURES = [*clusters.FEATURES]


def built(noise: float, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The fixture of E6: 30 customers around each of three centres, and the true names."""
    rng = np.random.default_rng(seed)
    middle = np.repeat([(3_000, 1, 3), (120, 9, 4), (0, 0, 25)], 30, axis=0)
    drawn = middle + rng.normal(size=middle.shape) * np.array([50, 0.5, 1.5]) * noise
    return pd.DataFrame(np.maximum(drawn, 0), columns=FEATURES), np.repeat(clusters.GROUPS, 30)


@pytest.mark.parametrize("seed", range(20))
def test_the_three_groups_of_e6_are_found_whole(seed):
    behaviour, true = built(1, seed)
    groups = clusters.group(clusters.points(behaviour), k=3, seed=seed)
    names = clusters.named(clusters.centres(behaviour, groups), behaviour)
    assert (np.array(names)[groups.labels] == true).all()
