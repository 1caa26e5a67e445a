"""The ids of today kept in git: pseudonyms alone, the same bytes, for the source in use."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from crm import engine, freeze, vault
from crm.project import ProjectError
from crm.tables import FROZEN, lookup


@pytest.fixture
def root(tmp_path):
    """A project whose source `shop` has two keys of one customer."""
    (tmp_path / "params.yaml").write_text(
        "run: {source: shop, as_of: auto, seed: 1, currency: EUR, time_zone: Europe/Berlin, "
        "language: en, engine: duckdb, min_cell: 5}\n"
        f"vault: {json.dumps(vault.PUBLISHED.fingerprints())}\n"
    )
    folder = tmp_path / "data/sources/shop"
    folder.mkdir(parents=True)
    (folder / "mapping.yaml").write_text("public: true\n")
    return tmp_path


def mapped(root, source="shop") -> list[str]:
    """Write the identity map; returns the ids that its keys have for themselves."""
    own = vault.pseudonyms("shop", ["2", "1"], key=vault.PUBLISHED.pseudonym)
    rows = pd.DataFrame({"source": source, "customer_key": ["2", "1"], "customer_id": own[1],
                         "rule": "own key", "confidence": 1.0})  # fmt: skip
    place = root / "data/tables/identity_map.parquet"
    place.unlink(missing_ok=True)
    engine.write(engine.connect(), rows, place, lookup("tables/identity_map"))
    return own


def test_the_file_holds_pseudonyms_and_no_key_of_the_source(root):
    two, one = mapped(root)
    assert freeze.freeze(root).startswith("kept 2 ids in data/sources/shop/previous_ids.parquet")
    path = root / "data/sources/shop" / freeze.FILE
    con = engine.connect()
    kept = engine.frame(con, engine.scan(con, path))
    assert sorted(kept.values.tolist()) == sorted([[two, one], [one, one]])
    assert list(kept) == FROZEN.names
    before = path.read_bytes()
    freeze.freeze(root)
    assert path.read_bytes() == before


def test_an_empty_file_is_the_same_everywhere(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        freeze.write(tmp_path / name)
    one, two = ((tmp_path / name / freeze.FILE).read_bytes() for name in ("one", "two"))
    assert one == two


def test_without_ids_or_with_those_of_another_source_nothing_is_kept(root):
    with pytest.raises(ProjectError, match="no ids to keep yet: run `dvc repro identity`"):
        freeze.freeze(root)
    mapped(root, source="app")
    with pytest.raises(ProjectError, match=r"the ids are those of \['app'\], not of shop"):
        freeze.freeze(root)
    assert not (root / "data/sources/shop" / freeze.FILE).exists()


def test_with_another_key_nothing_is_kept(root):
    mapped(root)
    params = root / "params.yaml"
    right = vault.PUBLISHED.fingerprints()["pseudonym"]
    params.write_text(params.read_text().replace(right, "0" * 16))
    with pytest.raises(vault.KeyProblem, match="put the right key back"):
        freeze.freeze(root)
    assert not (root / "data/sources/shop" / freeze.FILE).exists()
