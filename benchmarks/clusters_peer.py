"""The contenders of clusters.py; each reads the customers of a folder and writes one file beside.

python benchmarks/clusters_peer.py ours|sklearn FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

FEATURES, GROUPS, SEED = 8, 6, 1
KS = range(2, 9)
SAMPLED, STARTS, THREADS = 20_000, 10, 2


def planted(n: int, folder: Path) -> None:
    """Customers around centres of uneven weight, the same on each run."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(GROUPS, FEATURES)) * 2.5
    labels = rng.choice(GROUPS, size=n, p=np.array([6, 5, 4, 3, 2, 1]) / 21)
    np.save(folder / "customers.npy", centres[labels] + rng.normal(size=(n, FEATURES)))


def rand(ours: list, theirs: list) -> float:
    """How alike two groupings are: the adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    return adjusted_rand_score(ours, theirs)


def ours(folder: Path) -> dict:
    """The scan, as the notebook of the stage calls it."""
    from crm import kmeans

    points = kmeans.scaled(np.load(folder / "customers.npy"))
    scans = kmeans.scan(points, [1, *KS], seed=SEED, starts=STARTS, sampled=SAMPLED,
                        threads=THREADS)  # fmt: skip
    made = {one.k: one for one in scans}
    return {
        "squares": [_left(points, made[k].groups.labels) for k in KS],
        "silhouettes": [made[k].silhouette for k in KS],
        "advised": kmeans.advised(scans).k,
        "labels": made[GROUPS].groups.labels.tolist(),
    }


def sklearn(folder: Path) -> dict:
    """The same with KMeans and silhouette_score, as its user guide does."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    from crm import kmeans

    points = StandardScaler().fit_transform(np.load(folder / "customers.npy"))
    made = [KMeans(k, n_init=STARTS, random_state=SEED).fit(points) for k in KS]
    widths = [silhouette_score(points, one.labels_, sample_size=SAMPLED, random_state=SEED)
              for one in made]  # fmt: skip
    scale = kmeans.UNIT**2  # so that squares are told in our unit
    return {
        "squares": [one.inertia_ * scale for one in made],
        "silhouettes": [float(width) for width in widths],
        "labels": made[KS.index(GROUPS)].labels_.tolist(),
    }


def _left(points: np.ndarray, labels: np.ndarray) -> float:
    """Squares around the means of the groups, unrounded, as scikit-learn tells them."""
    total = 0.0
    for column in points.T.astype(float):
        sums, counts = np.bincount(labels, column), np.bincount(labels)
        total += float(column @ column - (sums * sums / np.maximum(counts, 1)).sum())
    return total


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    made = {"ours": ours, "sklearn": sklearn}[sys.argv[1]](folder)
    (folder / f"{sys.argv[1]}.json").write_text(json.dumps(made))
