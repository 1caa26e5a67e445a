"""The card of one customer as HTML, in the style of the pages and without a script."""

from __future__ import annotations

from markupsafe import Markup

from crm import wording
from crm.site.pages import HERE, _environment
from crm.tables import PROFILE

FACTS = (  # of the view: what stands first
    "lifecycle", "last_order_on", "orders", "spend", "points", "open_tickets", "nps",
    "preferred_contact",
)  # fmt: skip
RECENT = 200  # moments shown; the newest first


def render(card: dict) -> str:
    """The whole file of what `crm.card.read` found; everything from data is escaped."""
    run, features = card["run"], card["features"]
    flat = {name: value for part in features.values() for name, value in part.items()}
    currency = run.get("currency", "")
    context = card | {
        "style": Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "as_of": wording.form(run.get("as_of"), "date"),
        "key_facts": [_fact(n, flat[n], currency) for n in FACTS if n in flat],
        "dimensions": {
            name: [_fact(n, value, currency) for n, value in part.items()]
            for name, part in features.items()
            if part and name != "permission"
        },
        "permits": [
            (purpose, "yes" if row["allowed"] else "no", row["ground"],
             wording.form(_iso(row["said_on"]), "date") if row["said_on"] else "–")
            for purpose, row in card["permits"].items()
        ],
        "cases": [
            (case["ticket_id"], _minute(case["opened_at"]), case["kind"], case["topic"] or "–",
             _minute(case["first_response_at"]) if case["first_response_at"] else "not yet")
            for case in card["cases"]
        ],
        "moments": [_moment(row, currency) for row in card["timeline"][:RECENT]],
        "total": len(card["timeline"]),
    }  # fmt: skip
    return _environment().get_template("card.html.jinja").render(context) + "\n"


def _fact(name: str, value, currency: str) -> tuple[str, str, str]:
    """A feature as people read it: label, value, and what it means."""
    column = next(c for columns in PROFILE.values() for c in columns if c.name == name)
    if hasattr(value, "isoformat"):
        return wording.label(name), wording.form(_iso(value), "date"), column.about
    kind = {"money": "f", "int": "i", "float": "f", "quantity": "f"}.get(column.type, "O")
    form = "money" if column.type == "money" else wording.column_form(name, kind)
    if column.type in ("float", "quantity") and form == "num" and float(value).is_integer():
        form = "int"
    return wording.label(name), wording.form(value, form, currency), column.about


def _moment(row: dict, currency: str) -> tuple[str, ...]:
    amount = (
        "" if row["amount"] is None else wording.form(float(row["amount"]), "money2", currency)
    )
    return _minute(row["at"]), row["kind"], row["channel"] or "", row["what"] or "", amount


def _minute(moment) -> str:
    return moment.isoformat(sep=" ")[:16]


def _iso(day) -> str:
    return day.isoformat()[:10]
