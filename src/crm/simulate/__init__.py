"""An invented Chinese retailer, written as its own systems would export it, with the truth aside.

`world` holds what all customers share, `people` who they are, `life` what they do, `traces` what
that leaves behind in other systems, `dirt` and `doubles` what goes wrong, `exports` the rows of
each export, and `files` how they are written. Customers are made in batches, each from a seed of
its own, so any number of them needs the memory of one batch. Nobody in it exists.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from crm.simulate import dirt, doubles, exports
from crm.simulate.exports import Batch, Desk
from crm.simulate.files import Folder, write_json
from crm.simulate.life import Order, live, returns
from crm.simulate.people import NEVER, PERSONAS, Person, person
from crm.simulate.world import (
    CAMPAIGNS,
    CONTROL_SHARE,
    DAY,
    FOLLOW_DAYS,
    FOLLOW_RULES,
    ORDER_RULES,
    PATH_WEIGHTS,
    SEASON,
    World,
    day_text,
)

BATCH = 5_000  # customers held at a time
WORKBOOK = 20_000  # customers above which the CRM exports CSV: a workbook is held in memory
SERIALS = 1_000_000  # numbers of orders, tickets, … that each batch has to itself


def write(
    folder: Path, truth: Path, *, customers: int = 3000, seed: int = 20231031, batch: int = BATCH
) -> None:
    """Write the raw exports below `folder` and what was planted below `truth`.

    Equal arguments give equal bytes on any machine. One customer has about 64 order lines, so
    156,000 customers give 10 million; memory stays that of one batch.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     write(Path(place) / "raw", Path(place) / "truth", customers=20)
    ...     len(list((Path(place) / "raw").iterdir()))
    50
    """
    world, planted, people = World(seed), Counter(), Counter()
    with Folder(folder) as raw, Folder(truth) as known:
        desk = Desk(raw, known, world, workbook=customers <= WORKBOOK)
        exports.write_shared(desk, Random(f"{seed} shared"), customers)
        for number, first in enumerate(range(0, customers, batch)):
            rng = Random(f"{seed} batch {number}")
            members = range(first + 1, min(first + batch, customers) + 1)
            made = _batch(rng, world, members, number * SERIALS)
            exports.write_batch(desk, rng, made)
            planted.update(note.kind for note in made.notes)
            people.update(x.persona for x in made.people.values() if x.number)
        exports.finish(desk)
    write_json(truth / "truth.json", _truth(seed, customers, people, planted))


def _batch(rng: Random, world: World, members: range, serial: int) -> Batch:
    """All that some customers and the nameless did, with the mishaps planted."""
    people = {number: person(rng, number, world) for number in members}
    notes = [
        dirt.Note(
            kind, "crm_customers", other.key, "姓名" if kind == "namesake" else "手机号", one.key
        )
        for kind, one, other in dirt.spoil_people(rng, list(people.values()))
    ]
    nobody = _nobody(rng, world, len(people))
    lives = {x.number: live(rng, x, world) for x in (*people.values(), nobody)}
    orders = [order for life in lives.values() for order in life.orders]
    back = list(returns(rng, orders))
    added, wrong = dirt.spoil_orders(rng, orders, {id(line) for _, line, _ in back}, people)
    orders += [*added, *(order for _, _, order in back)]
    twice = doubles.doubles(
        Random(f"{serial} second accounts"), list(people.values()), orders, back
    )
    notes += [doubles.noted(double) for double in twice]
    _number(orders, serial)
    notes += [_settled(note) for note in wrong]
    taken = [
        (new.number, old.number, old.store, new.lines[0][1] == line[1]) for old, line, new in back
    ]
    return Batch(people | {0: nobody}, lives, orders, notes, taken, serial, twice)


def _nobody(rng: Random, world: World, customers: int) -> Person:
    """All guests of the web shop and walk-ins of the stores as one customer without a key."""
    nobody = person(rng, 0, world)
    nobody.key = nobody.card = ""
    nobody.persona, nobody.purse, nobody.liked, nobody.overtime = "regular", 1.0, "零食", False
    nobody.registered, nobody.decline = -1, NEVER
    nobody.corporate = nobody.linked = False
    nobody.rate, nobody.in_store = 0.002 * customers, 0.8
    return nobody


def _number(orders: list[Order], serial: int) -> None:
    """Numbers such as 23103100000012: day and serial, of each system for itself."""
    orders.sort(key=lambda order: (order.at, order.key))
    counts = {True: serial, False: serial}
    for order in orders:
        if isinstance(order.number, str):
            counts[order.store] += 1
            day = day_text(order.at // DAY)
            order.number = f"{day[2:4]}{day[5:7]}{day[8:]}{counts[order.store]:09d}"
    for order in orders:
        if isinstance(order.number, Order):
            order.number = order.number.number


def _settled(note: dirt.Note) -> dirt.Note:
    """The note with the order's number, as the mapping makes it unique."""
    order = note.key
    return note._replace(key=exports.order_id(order)) if isinstance(order, Order) else note


def _truth(seed: int, customers: int, people: Counter, planted: Counter) -> dict:
    """Everything that holds for all customers; what holds for one stands in the Parquet files."""
    return {
        "seed": seed,
        "customers": customers,
        "personas": {
            name: {"customers": people[name], "rate": kind.rate, "shape": kind.shape}
            for name, kind in PERSONAS.items()
        },
        "order_rules": [list(rule) for rule in ORDER_RULES],
        "follow_rules": [list(rule) for rule in FOLLOW_RULES],
        "follow_days": FOLLOW_DAYS,
        "path_weights": PATH_WEIGHTS,
        "campaigns": {
            c.key: {name: c.added(name) for name in PERSONAS} | {"control": CONTROL_SHARE}
            for c in CAMPAIGNS
        },
        "season": [[str(first), str(last), pace] for first, last, pace in SEASON],
        "planted": dict(sorted(planted.items())),
    }
