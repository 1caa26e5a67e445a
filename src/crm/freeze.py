"""`crm freeze`: keep today's customer ids beside the mapping, to tell later which of them moved.

A stage never reads its own earlier output, so what an id was before lies in git, in
`data/sources/<name>/previous_ids.parquet`: pseudonyms alone, no keys of the source. The stage
`identity` compares with it; only this command writes it, when somebody means to.
"""

from __future__ import annotations

from pathlib import Path

from crm import vault
from crm.project import ProjectError, load_params, read_yaml, settings
from crm.tables import FROZEN

FILE = "previous_ids.parquet"


def freeze(root: Path) -> str:
    """Write the ids of the source in use; returns what to do next.

    Raises
    ------
    ProjectError
        The identities were not computed yet, or are those of another source.
    KeyProblem
        The keys are not those that params.yaml names.
    """
    from crm import engine

    params = load_params(root)
    name = settings(params)["source"]
    folder = root / "data/sources" / name
    place = root / "data/tables/identity_map.parquet"
    if not place.exists():
        raise ProjectError("there are no ids to keep yet: run `dvc repro identity` first")
    con = engine.connect(spill=root / ".crm/spill")
    linked = engine.frame(con, engine.scan(con, place))
    if others := sorted({*linked["source"]} - {name}):
        raise ProjectError(f"the ids are those of {others}, not of {name}: run `dvc repro` first")
    public = read_yaml(folder / "mapping.yaml").get("public") is True
    key = vault.checked_keys(folder, params.get("vault", {}), public=public).pseudonym
    own = vault.pseudonyms(name, linked["customer_key"].tolist(), key=key)
    write(folder, linked[["customer_id"]].assign(own_id=own)[FROZEN.names])
    shown = (folder / FILE).relative_to(root)
    return f"kept {len(own):,} ids in {shown}; commit it, then `crm run` compares with it\n"


def write(folder: Path, ids=None) -> None:
    """Write the file of a source: sorted, equal bytes for equal ids; without ids an empty one."""
    import pandas as pd

    from crm import engine

    if ids is None:
        ids = pd.DataFrame({name: pd.Series([], dtype="str") for name in FROZEN.names})
    con = engine.connect(threads=1)
    con.con.register("ids", ids)
    aside = folder / f".{FILE}"
    engine.write(con, con.table("ids"), aside, FROZEN)
    engine.replace(aside, folder / FILE)
