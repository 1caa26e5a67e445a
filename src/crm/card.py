"""The card of one customer: what front-line staff see, from tables that the stages wrote.

Name and phone come out of the vault masked, and each card leaves a line in the access log
(C360-09, PRV-15). All else is what the customer view and the time line hold under the pseudonym.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import ibis

from crm import engine, vault
from crm.project import Spec, load_params, load_specs, read_yaml, settings
from crm.tables import PROFILE

PURPOSE = "customer card"
SHOWN = ("name", "phone")  # what of the vault is on a card, masked
ID = re.compile(rf"[0-9a-f]{{{vault.ID_LENGTH}}}")
RUN_FILE = "data/staged/run.json"


class CardError(ValueError):
    """There is no such customer, or the view is not written yet."""


def read(root: Path, customer_id: str) -> dict:
    """Everything on the card: masked contact, features, permissions, open cases, time line.

    Raises
    ------
    CardError
        No customer has this id, or a stage that writes what is needed has not run.
    """
    specs = load_specs(root, settings(load_params(root))["source"])
    con = engine.connect()

    def rows(stage: str, name: str) -> list[dict]:
        """The rows of one customer in a table that a stage writes."""
        path = root / specs[stage].out(name)
        if not path.exists():
            raise CardError(f"{path.relative_to(root)} is not there yet: run `dvc repro {stage}`")
        table = engine.scan(con, path)
        return _plain(engine.frame(con, table.filter(table.customer_id == customer_id)))

    found = rows("profiles", "profiles") if ID.fullmatch(customer_id) else []
    if not found:
        raise CardError(
            f"no customer {customer_id!r}: give the pseudonym that the pages show, "
            f"{vault.ID_LENGTH} characters of 0-9 and a-f"
        )
    line = sorted(rows("profiles", "timeline"), key=lambda r: (r["at"], r["kind"]), reverse=True)
    cases = [case for case in rows("identity", "tickets") if case["resolved_at"] is None]
    keys = [row["customer_key"] for row in rows("identity", "identity_map")]
    return {
        "id": customer_id,
        "run": json.loads((root / RUN_FILE).read_text(encoding="utf-8")),
        "contact": _contact(root, con, specs["ingest"], keys),
        "features": {
            dimension: {c.name: found[0][c.name] for c in columns if _says(found[0][c.name])}
            for dimension, columns in PROFILE.items()
        },
        "permits": {row["purpose"]: row for row in rows("consent", "permits")},
        "cases": sorted(cases, key=lambda case: case["opened_at"]),
        "timeline": line,
    }


def newest_first(records: ibis.Table, staged: ibis.Table) -> ibis.Table:
    """Records of the vault, the last changed first (ING-25); of one day, the last line first.

    When a record was changed stands in `staged/customers`; one without a day comes last.
    """
    days = staged.select("line", "updated_on")
    dated = records.left_join(days, "line").drop("line_right")
    return dated.order_by(ibis.desc("updated_on"), ibis.desc("line"))


def _contact(root: Path, con, ingest: Spec, keys: list[str]) -> dict[str, str]:
    """Name and phone of the newest record that has them, masked; leaves a line in the log."""
    params = load_params(root)
    folder = root / "data/sources" / settings(params)["source"]
    is_public = read_yaml(folder / "mapping.yaml").get("public") is True
    found = vault.keys(folder, public=is_public)
    vault.check_fingerprints(found, params.get("vault", {}))
    names = ("vault/customers", "staged/customers")
    table, staged = (engine.scan(con, root / ingest.out(name)) for name in names)
    theirs = newest_first(table.filter(table.customer_key.isin(keys)), staged)
    records = engine.frame(con, theirs)
    fields = [f"customers.{name}" for name in SHOWN]
    vault.log(root, by="card", fields=fields, purpose=PURPOSE, rows=len(records))
    masks = {"name": vault.mask_name, "phone": vault.mask_phone}
    shown = {}
    for name in SHOWN:
        values = records[name].dropna().tolist()[:1]
        plain = vault.decrypt(values, key=found.encryption, context=f"vault/customers.{name}")
        shown[name] = masks[name](plain[0] if plain else None)
    return shown


def _plain(frame) -> list[dict]:
    """The rows of a frame as plain values, an empty one as None."""
    values = frame.astype(object)
    return values.where(values.notna(), None).to_dict("records")


def _says(value) -> bool:
    """Whether a feature says something: no count of nothing, no refusal to say."""
    return value is not None and (isinstance(value, (str, bool)) or value != 0)
