"""Public records of people with the truth beside them, and what of them is compared.

The linkage is the product's own; only the columns differ, as they would from source to source.
All three sets are grouped at one threshold, `ABOVE`: from there on a pair is more likely one
person than two. It was fixed before any figure was computed, and neither it nor a model's levels
were chosen by looking at the truth. FEBRL's number of a social-security card is not used: it
would find nearly every pair alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from crm import linkage
from crm.linkage import Level, Model, Trait, rule, trait

ABOVE = 0.5
YEAR = "left(l.dob, 4) = left(r.dob, 4)"


def number(name: str) -> Trait:
    """A number or day, compared as text: impossible days are as good as others."""
    return trait(
        name,
        Level(f"{name}_l = {name}_r", f"same {name}", 0.9, 0.01, rare=name),
        Level(f"damerau_levenshtein({name}_l, {name}_r) <= 1", f"similar {name}", 0.05, 0.01),
        Level("ELSE", f"another {name}", 0.05, 0.98, agrees=False),
    )


def text(name: str) -> Trait:
    """A text that typists change a little."""
    return trait(
        name,
        Level(f"{name}_l = {name}_r", f"same {name}", 0.85, 0.01, rare=name),
        Level(f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.9", f"similar {name}", 0.1, 0.01),
        Level("ELSE", f"another {name}", 0.05, 0.98, agrees=False),
    )


def name(one: str, other: str) -> Trait:
    """One part of a name, which may stand in the column of the other part."""
    alike = f"jaro_winkler_similarity({one}_l, {one}_r)"
    return trait(
        one,
        Level(f"{one}_l = {one}_r", f"same {one}", 0.8, 0.01, rare=one),
        Level(f"{one}_l = {other}_r", f"{one} as {other}", 0.02, 0.001, rare=one),
        Level(f"{alike} >= 0.9", f"similar {one}", 0.08, 0.01),
        Level(f"{alike} >= 0.75", f"somewhat similar {one}", 0.05, 0.05),
        Level("ELSE", f"another {one}", 0.05, 0.93, agrees=False),
    )


FEBRL = Model(
    traits=(
        name("given_name", "surname"),
        name("surname", "given_name"),
        number("date_of_birth"),
        text("address_1"),
        text("address_2"),
        number("street_number"),
        text("suburb"),
        number("postcode"),
    ),
    blocks=(
        rule("given_name", "surname"),
        rule("date_of_birth"),
        rule("surname", "postcode"),
        rule("given_name", "postcode"),
        rule("address_1", "street_number"),
        rule("suburb", "surname"),
        rule("suburb", "given_name"),
        rule("address_2"),
        rule("given_name", "address_1"),
        rule("postcode", "street_number"),
        rule("address_1", "suburb"),
    ),
    certain=(
        rule("given_name", "surname", "date_of_birth"),
        rule("date_of_birth", "postcode"),
        rule("surname", "postcode", "address_1"),
    ),
    rounds=(
        rule("date_of_birth"),
        rule("given_name", "surname"),
        rule("postcode", "street_number"),
    ),
)
FAKE = Model(
    traits=(
        name("first_name", "surname"),
        name("surname", "first_name"),
        number("dob"),
        text("city"),
        text("email"),
    ),
    blocks=(
        rule("first_name", "surname"),
        rule("dob"),
        rule("email"),
        rule("surname", "city"),
        rule("first_name", "city"),
        rule("first_name", also=YEAR),
        rule("surname", also=YEAR),
    ),
    certain=(rule("first_name", "surname", "dob"), rule("email")),
    rounds=(rule("dob"), rule("first_name", "surname"), rule("email")),
)


def febrl(path: Path) -> tuple[pd.DataFrame, Model, pd.Series]:
    """Records, model and truth; a blank follows each comma of the file."""
    rows = pd.read_csv(path, skipinitialspace=True, dtype="str")
    rows = rows.drop(columns="soc_sec_id").sort_values("rec_id", ignore_index=True)
    person = rows["rec_id"].str.extract(r"rec-(\d+)-", expand=False)
    return _numbered(rows.drop(columns="rec_id")), FEBRL, person


def fake(path: Path) -> tuple[pd.DataFrame, Model, pd.Series]:
    """Records, model and truth."""
    rows = pd.read_csv(path, dtype="str")
    return _numbered(rows.drop(columns=["unique_id", "cluster"])), FAKE, rows["cluster"]


def curve(records: pd.DataFrame, model: Model, truth: pd.Series) -> pd.DataFrame:
    """One threshold: how good the groups are that it makes; the first row is `ABOVE`."""
    pairs = linkage.score(records, model, linkage.train(records, model))
    return linkage.curve(pairs, truth, thresholds=(ABOVE, 0.8, 0.9, 0.95, 0.99))


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(record=range(len(rows)), key=[str(n) for n in range(len(rows))])
