"""Who may be analysed, profiled and addressed: one permission for each customer and purpose.

A *statement* is what a customer said about one purpose on one day; the last one up to `as_of`
counts, and of two at one time the refusal. One that waits in quarantine counts as a refusal
unless it can be read to agree: a refusal is never lost over a cell. Who said nothing is permitted
only where the mapping of the source declares a legal *basis* for the purpose (PRV-08), such as a
contract; a refusal beats any basis. Every analysis and every list of customers joins these
permissions: whoever is not permitted is not in it (PRV-07).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from crm import disclosure
from crm.rules import OUTSIDE
from crm.tables import GROUNDS, PURPOSES

if TYPE_CHECKING:
    import ibis
    import pandas as pd

AGREED, REFUSED, BASIS, NOTHING = GROUNDS


def waiting(quarantine: ibis.Table, identity_map: ibis.Table) -> ibis.Table:
    """One statement in quarantine that does not agree, as a refusal of each purpose it may mean.

    An agreement that waits permits nothing, and refuses nothing either. `at` is empty where the
    statement tells no day, or one after the period of the source, which is not to be believed.
    Columns are customer_id, purpose, granted and `at`.

    Parameters
    ----------
    quarantine
        `clean/quarantine`: `row` is the statement as it arrived.
    identity_map
        `tables/identity_map`, to know the customer; statements of nobody in it are left out.
    """
    import ibis
    from ibis import _

    held = quarantine.filter(_.table == "consents").mutate(row=_.row.cast("json"))
    names = ("customer_key", "purpose", "granted", "at")
    told = held.select("reason", **{name: held.row[name].str for name in names})
    refused = told.filter((_.granted != "yes").fill_null(True))
    purposes = ibis.memtable({"meant": list(PURPOSES)})
    meant = refused.inner_join(
        purposes, refused.purpose.isnull() | (refused.purpose == purposes.meant)
    )
    ids = identity_map.select("customer_key", "customer_id")
    at = ibis.ifelse(_.reason == OUTSIDE, None, _["at"].try_cast("timestamp(6)"))
    return meant.inner_join(ids, "customer_key").select(
        "customer_id", purpose=_.meant, granted=ibis.literal("no"), at=at
    )


def last_statements(consents: ibis.Table, waiting: ibis.Table, *, as_of: date) -> ibis.Table:
    """One customer and purpose: the last statement up to `as_of`; of two at one time the refusal.

    Columns are customer_id, purpose, granted and `at`.

    Parameters
    ----------
    consents
        `tables/consents`.
    waiting
        What `waiting` found; without a day it counts as the last, since nobody can say that the
        customer agreed after it.
    as_of
        The last day that counts.
    """
    import ibis
    from ibis import _

    columns = ("customer_id", "purpose", "granted", "at")
    every = consents.select(*columns).union(waiting.select(*columns))
    is_past = (_["at"].date() <= as_of).fill_null(True)
    said = every.filter(is_past, _.customer_id.notnull())
    last = ibis.row_number().over(
        group_by=["customer_id", "purpose"],
        order_by=[said["at"].notnull(), ibis.desc("at"), "granted"],
    )
    latest = said.mutate(place=last).filter(_.place == 0)
    return latest.select("customer_id", "purpose", "granted", "at")


def permits(
    customers: ibis.Table, said: ibis.Table, basis: tuple[tuple[str, str], ...]
) -> ibis.Table:
    """One customer and one purpose, as in `features/permits` (PRV-07).

    Parameters
    ----------
    customers
        `tables/customers`.
    said
        What `last_statements` found; statements of nobody in `customers` are left out.
    basis
        Pairs of a purpose and the legal basis that permits it for who said nothing.
    """
    import ibis
    from ibis import _

    declared = [purpose for purpose, _why in basis]
    purposes = ibis.memtable({"purpose": list(PURPOSES)})
    every = customers.select("customer_id").cross_join(purposes)
    joined = every.left_join(said, ["customer_id", "purpose"])
    ground = ibis.cases(
        (joined.granted == "yes", AGREED),
        (joined.granted == "no", REFUSED),
        (joined.purpose.isin(declared) if declared else ibis.literal(False), BASIS),
        else_=NOTHING,
    )
    return joined.select(
        "customer_id", "purpose", allowed=ground.isin([AGREED, BASIS]), ground=ground,
        said_on=_["at"].date(),
    )  # fmt: skip


def stand(permits: pd.DataFrame) -> pd.DataFrame:
    """One purpose: customers by ground, those permitted, and their share.

    Examples
    --------
    >>> import pandas as pd
    >>> one = {"customer_id": ["a"], "purpose": ["marketing"], "allowed": [True],
    ...        "ground": ["agreed"]}
    >>> stand(pd.DataFrame(one)).set_index("purpose").loc["marketing", "agreed"]
    np.int64(1)
    """
    import pandas as pd

    counts = pd.crosstab(permits["purpose"], permits["ground"])
    counts = counts.reindex(index=list(PURPOSES), columns=list(GROUNDS), fill_value=0)
    permitted = counts[AGREED] + counts[BASIS]
    share = permitted / counts.sum(axis=1).clip(lower=1)
    counts = counts.rename(columns={BASIS: "by_basis", NOTHING: "said_nothing"})
    whole = counts.assign(permitted=permitted, permitted_share=share)
    return whole.rename_axis(columns=None).rename_axis("purpose").reset_index()


def shown(stand: pd.DataFrame, by_ground: pd.DataFrame) -> pd.DataFrame:
    """`stand` with the counts that `by_ground` left; a sum with a hidden part is hidden, too."""
    import pandas as pd

    left = {
        ground.replace(" ", "_"): rows.set_index("purpose")["customers"]
        for ground, rows in by_ground.groupby("ground")
    }
    kept = {name: stand["purpose"].map(of).astype("Int64") for name, of in left.items()}
    permitted = (kept[AGREED] + kept["by_basis"]).astype("Int64")
    share = stand["permitted_share"].mask(permitted.isna())
    made = stand.assign(**kept, permitted=permitted, permitted_share=pd.Series(share))
    return disclosure.again(made, by_ground)


def facts(permits: pd.DataFrame, stand: pd.DataFrame) -> dict:
    """Metrics: customers, and for each purpose how many are permitted, refused and silent.

    None where `stand` hides it.
    """
    import pandas as pd

    found = {
        "customers": int(permits["customer_id"].nunique()),
        "statements": int(permits["ground"].isin([AGREED, REFUSED]).sum()),
    }
    silent = stand["said_nothing"] + stand["by_basis"]
    for row in stand.assign(silent=silent).to_dict("records"):
        numbers = {
            "permitted": row["permitted"],
            "share": row["permitted_share"],
            "refused": row["refused"],
            "silent": row["silent"],
        }
        for name, number in numbers.items():
            kind = float if name == "share" else int
            found[f"{row['purpose']}_{name}"] = None if pd.isna(number) else kind(number)
    return found


def grounds(basis: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """One purpose and what permits it for a customer who said nothing about it."""
    import pandas as pd

    declared = dict(basis)
    rows = [(p, declared.get(p, "nothing: left out until they agree")) for p in PURPOSES]
    return pd.DataFrame(rows, columns=["purpose", "who_said_nothing"], dtype="str")


def by_ground(stand: pd.DataFrame, *, least: int = 5) -> pd.DataFrame:
    """One purpose and one ground: customers, none shown that are under `least`."""
    grounds = ["agreed", "by_basis", "said_nothing", "refused"]
    long = stand.melt(["purpose"], grounds, "ground", "customers").replace(
        {"ground": {name: name.replace("_", " ") for name in grounds}}
    )
    by = ["purpose", "ground"]
    return disclosure.suppress(long, by=by, least=least, along=["ground"])


def changes(consents: ibis.Table, *, as_of: date, recent_days: int = 90) -> ibis.Table:
    """One purpose: customers who said no after a yes, and yes after a no, in the last days.

    Of two statements at one time the refusal counts, and neither changes the other.
    """
    import ibis
    from ibis import _

    said = consents.filter(_.at.date() <= as_of, _.customer_id.notnull())
    said = said.group_by("customer_id", "purpose", "at").agg(granted=_.granted.min())  # no < yes
    before = ibis.window(group_by=["customer_id", "purpose"], order_by="at")
    first = as_of - timedelta(days=recent_days - 1)
    recent = said.mutate(earlier=_.granted.lag().over(before)).filter(_.at.date() >= first)
    moves = {"withdrawn": ("yes", "no"), "given_again": ("no", "yes")}
    return recent.group_by("purpose").agg(
        **{
            name: _.customer_id.nunique(where=(_.earlier == then) & (_.granted == now))
            for name, (then, now) in moves.items()
        }
    )


def change_facts(changes: pd.DataFrame, *, least: int = 5) -> dict:
    """Metrics of `changes` for marketing, the purpose that most lists hang on."""
    by = changes.set_index("purpose").reindex(list(PURPOSES), fill_value=0)
    return {
        name: disclosure.few(int(by.loc["marketing", name]), least)
        for name in ("withdrawn", "given_again")
    }


def answer(found: dict) -> str:
    """The sentence that opens the page; a number that is None is of few customers, not of none."""
    permitted = found["marketing_permitted"]
    if not found["statements"] and permitted is None:
        return (
            "**No file brings statements of customers, and these are too few customers to "
            "count.** Who of them may be addressed hangs on the legal basis that the mapping "
            "declares."
        )
    if not found["statements"] and permitted == 0:
        return (
            "**Nobody may be addressed yet.** No file brings statements of customers, and the "
            "mapping declares no legal basis for marketing. Every list stays empty."
        )
    if not found["statements"]:
        return (
            "**No file brings statements of customers.** What permits an analysis or a list here "
            "is the legal basis that the mapping of the source declares: "
            "{marketing_permitted} of {customers} customer[s] may be addressed on that ground, "
            "until one of them refuses."
        )
    if permitted is None:
        return (
            "**How many of {customers} customer[s] may be addressed is not told**: the answers of "
            "a few could be worked out from it. Lists hold those who may be, nobody else."
        )
    if None in (found["analysis_share"], found["marketing_refused"], found["marketing_silent"]):
        return (
            "**{marketing_permitted} of {customers} customer[s] ({marketing_share:pct}) may be "
            "addressed.** Of the other answers some are those of a few customers."
        )
    return (
        "**{marketing_permitted} of {customers} customer[s] ({marketing_share:pct}) may be "
        "addressed**, and {analysis_share:pct} may be analysed. {marketing_refused} refused "
        "marketing; {marketing_silent} said nothing about it."
    )


def tile_note(found: dict) -> str:
    """What stands below the share of customers who may be addressed."""
    if not found["statements"]:
        return "by declared basis alone; no refusals on record"
    return "{marketing_permitted} customer[s]"


def stand_title(found: dict) -> str:
    """The finding of the chart of grounds."""
    if found["marketing_permitted"] is None:
        return "Who may be addressed, and on what ground; too few to say how many"
    return "{marketing_permitted} of {customers} customer[s] may be addressed"


def action(found: dict) -> str:
    """What to do about permissions; a number that is None is of few customers, not of none."""
    if not found["statements"]:
        return (
            "**Bring the record of consents** (table `consents` in the mapping), so that refusals "
            "are known before anybody is written to; a legal basis covers only who did not refuse."
        )
    if found["marketing_silent"] == 0:
        return "Everybody was asked. Keep the record up to date: the last statement counts."
    if None in (found["marketing_silent"], found["marketing_refused"]):
        return (
            "**Ask those who never answered** about marketing, at the next service contact or "
            "purchase; until then no list holds those of them without a legal basis. Take those "
            "who refused out of every tool that sends messages. Some of these groups are of a few "
            "customers, so no number is given."
        )
    return (
        "**Ask the {marketing_silent} customer[s] who never answered** about marketing, at "
        "the next service contact or purchase; until then no list holds those of them without "
        "a legal basis. Take the {marketing_refused} who refused out of every tool that sends "
        "messages."
    )


def waiting_facts(waiting: pd.DataFrame, *, least: int = 5) -> dict:
    """Metric: customers of whom a statement in quarantine counts as a refusal."""
    return {"waiting": disclosure.few(int(waiting["customer_id"].nunique()), least)}


def waiting_note(found: dict) -> str:
    """Whose statements wait in quarantine, and what they count as until they are mended."""
    if found["waiting"] == 0:
        return "No statement that could be a refusal waits in quarantine."
    return (
        "Of {waiting} customer[s] a statement waits in quarantine that could be a refusal. It "
        "counts as one until somebody mends it in the source, or until a later statement agrees."
    )


def change_note(found: dict) -> str:
    """How many changed their minds, if statements are recorded at all."""
    if not found["statements"]:
        return "Without statements nobody can have changed their mind."
    withdrawn, given_again = found["withdrawn"], found["given_again"]
    if withdrawn is None and given_again is None:
        return (
            "In the last {recent_days:days} a few customers withdrew consent to marketing, and a "
            "few gave it again."
        )
    if withdrawn is None:
        return (
            "In the last {recent_days:days} a few customers withdrew consent to marketing; "
            "{given_again} gave it again."
        )
    if given_again is None:
        return (
            "In the last {recent_days:days} {withdrawn} customer[s] withdrew consent to "
            "marketing, and a few gave it again."
        )
    return (
        "In the last {recent_days:days} {withdrawn} customer[s] withdrew consent to marketing and "
        "{given_again} gave it again."
    )
