"""Who is who: which source keys belong to one person, and how sure that is.

A *record* is what one system wrote down about one customer; a *key* is the customer's number
there. Keys of one person are found by comparing records (`linkage`), and joined in one of two
ways only: by a decision that somebody signed in `decisions.csv`, or by a probability above a
declared threshold; without one everything is a suggestion (Q-17). A *customer* is one or more
joined keys. Its id is a keyed hash of its oldest key (registration, then key), so it stays the
same on every run and tells nothing to somebody without the key (C360-01).

Personal values are compared in memory and leave nothing behind: what is written says *same phone*
and never which (PRV-01).
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
from ibis import _

from crm import linkage
from crm.document import LONGEST, Problem, did_you_mean
from crm.linkage import Level, Model, rule, trait
from crm.tables import NO_NAME
from crm.vault import pseudonyms

if TYPE_CHECKING:
    import pandas as pd

OWN_KEY = "own key"  # the rules of the map: a source key stands for itself,
DECIDED = "decision"  # somebody decided,
LIKELY = "probability"  # or the records are alike beyond the threshold
SAME = "same name and contact"  # of CLN-04: suggested whatever its probability
IN_COMMON = 2  # traits that two records need in common: one alone is no evidence (E13)
SUMMED = ("points", "assets")  # what a customer holds on each key
FIRST = ("registered_on", "acquisition")  # what the first registration tells, and no later one
NOT_TOLD = ("missing", "unknown")  # texts that any other record knows better
PERSONAL = ("name", "phone", "email", "address")  # unlocked; the number of an ID is not

TITLES = "先生|女士|小姐|太太|老师|经理|师傅"  # after a name; not part of it
SOMEBODY = "某某"  # as forms write for a name that they do not tell
NO_PHONE = ("13800138000", "12345678", "123456789", "1234567890", "12345678901", "13812345678")
NO_MAIL = ("test", "none", "null", "noreply", "no-reply", "admin", "abc", "a", "xxx")  # before @
NO_BIRTH = ("1900-01-01", "1970-01-01")  # what systems write for a day they do not know

# `hamming` takes a hundredth of the time of an edit distance; transposed digits differ in two
_FAMILY = "left(name_l, 1) = left(name_r, 1) AND regexp_matches(name_l, '^\\p{Han}')"
_ALIKE = (
    "CASE WHEN length(name_l) = length(name_r) AND length(name_l) >= 3 "
    "AND hamming(name_l, name_r) <= 1 THEN true "
    "ELSE jaro_winkler_similarity(name_l, name_r) >= 0.9 END"
)
_NUMBER = (
    "CASE WHEN length(phone_l) = length(phone_r) THEN hamming(phone_l, phone_r) <= 2 "
    "ELSE abs(length(phone_l) - length(phone_r)) = 1 AND levenshtein(phone_l, phone_r) <= 1 END"
)
_DAY = "hamming(birth_l, birth_r) <= 1"
_MAILBOX = (
    "split_part(email_l, '@', 1) = split_part(email_r, '@', 1) "
    "AND length(split_part(email_l, '@', 1)) >= 5"
)
_NEARBY = "digits_l = digits_r AND levenshtein(address_l, address_r) <= 3"
PEOPLE = Model(
    traits=(
        trait(
            "name",
            Level("name_l = name_r", "same name", 0.85, 0.002, rare="name"),
            Level(_ALIKE, "similar name", 0.08, 0.003),
            Level(_FAMILY, "same family name only", 0.03, 0.04, agrees=False, parts=True),
            Level("ELSE", "another name", 0.04, 0.955, agrees=False, parts=True),
        ),
        trait(
            "phone",
            Level("phone_l = phone_r", "same phone", 0.75, 0.0005, rare="phone"),
            Level(_NUMBER, "nearly the same phone", 0.05, 0.0001),
            Level("ELSE", "another phone", 0.2, 0.9994, agrees=False),
        ),
        trait(
            "email",
            Level("email_l = email_r", "same e-mail", 0.7, 0.0005, rare="email"),
            Level(_MAILBOX, "same mailbox elsewhere", 0.05, 0.0005),
            Level("ELSE", "another e-mail", 0.25, 0.999, agrees=False),
        ),
        trait(
            "birth",
            Level("birth_l = birth_r", "same birth date", 0.9, 0.0005, rare="birth"),
            Level(_DAY, "birth date but for one digit", 0.06, 0.003),
            Level("ELSE", "another birth date", 0.04, 0.9965, agrees=False, parts=True),
        ),
        linkage.Trait(
            "place",
            "(address_l IS NULL OR address_r IS NULL) AND (city_l IS NULL OR city_r IS NULL)",
            (
                Level("address_l = address_r", "same address", 0.6, 0.001, rare="address"),
                Level(_NEARBY, "similar address", 0.05, 0.0005),
                Level("city_l = city_r", "same city", 0.25, 0.1, rare="city", agrees=False),
                Level("ELSE", "another place", 0.1, 0.8985, agrees=False),
            ),
        ),
    ),
    blocks=(
        rule("phone"),
        rule("email"),
        rule("name", "birth"),
        rule("name", "address"),
        rule("name", also="left(l.phone, 7) = left(r.phone, 7)"),
        rule("name", also="right(l.phone, 4) = right(r.phone, 4)"),
        rule("birth", "city", also="left(l.name, 1) = left(r.name, 1)"),
    ),
    certain=(rule("name", "phone"), rule("name", "birth", "city"), rule("name", "email")),
    rounds=(rule("phone"), rule("name", "birth"), rule("email")),
    always=(rule("name", "phone"), rule("name", "email")),
)

DECISIONS = ("key_a", "key_b", "decision", "author", "decided_on", "note")
MERGE, APART = "merge", "apart"


class IdentityError(ValueError):
    """Keys, decisions or totals that cannot be right: two keys on one id, a fact lost, …"""


# ---- records that can be compared --------------------------------------------------------


_TIDY = (
    "CREATE MACRO matched(x, pattern) AS nullif(regexp_extract(x, pattern), '')",
    "CREATE MACRO as_phone(x) AS matched(regexp_replace(regexp_replace(x, '[\\s-]', '', 'g'), "
    "'^(\\+86|0086)', ''), '^\\+?\\d{7,15}$')",
    "CREATE MACRO as_mail(x) AS matched(lower(trim(x)), '^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$')",
    # 丁丁 and 方方 are names; three times the same sign is nobody's
    "CREATE MACRO one_sign(x) AS replace(x, left(x, 1), '') = '' "
    "AND NOT regexp_matches(x, '^\\p{Han}{2}$')",
    # a formula or markup is nobody's name, nor is what holds a web address
    "CREATE MACRO harmless(x) AS CASE WHEN regexp_matches(x, '^\\s*[=+@-]|[<>{}|]|://') "
    "THEN NULL ELSE lower(x) END",
    "CREATE MACRO han(x) AS regexp_replace(regexp_replace(regexp_replace(x, '[^\\p{L}\\p{N}]', "
    f"'', 'g'), '({TITLES})$', ''), '[0-9]+$', '')",
    "CREATE MACRO latin(x) AS array_to_string(list_sort(string_split(trim(regexp_replace(x, "
    "'[^\\p{L}]+', ' ', 'g')), ' ')), ' ')",
    "CREATE MACRO letters(x) AS CASE WHEN regexp_matches(x, '\\p{Han}') THEN han(x) "
    "ELSE latin(x) END",
    "CREATE MACRO as_name(x) AS letters(harmless(x))",
)
_TIDY_SQL = """
WITH cells AS (
  SELECT line, people.customer_key AS key, name AS n, phone AS p, email AS e, address, city,
    strftime(birth_date, '%Y-%m-%d') AS birth,
    coalesce(as_phone(p), as_phone(n), as_phone(e)) AS phone,
    coalesce(as_mail(e), as_mail(p), as_mail(n)) AS email,
    CASE WHEN as_phone(n) IS NULL AND as_mail(n) IS NULL AND n IS NOT NULL THEN n
      WHEN regexp_matches(p, '\\d|@') THEN NULL ELSE p END AS name
  FROM people JOIN customers USING (customer_key)
), named AS (SELECT *, as_name(name) AS told FROM cells)
SELECT line, key,
  CASE WHEN length(told) < 2 OR one_sign(told) OR list_contains({no_name}, told)
    THEN NULL ELSE told END AS name,
  CASE WHEN one_sign(phone) OR list_contains({no_phone}, phone) THEN NULL ELSE phone END AS phone,
  CASE WHEN list_contains({no_mail}, split_part(email, '@', 1)) THEN NULL ELSE email END AS email,
  CASE WHEN list_contains({no_birth}, birth) THEN NULL ELSE birth END AS birth,
  matched(regexp_replace(lower(address), '[^\\p{{L}}\\p{{N}}]', '', 'g'), '^.{{4,}}$') AS address,
  nullif(trim(lower(city)), '') AS city,
  coalesce((as_phone(n) IS NOT NULL AND as_phone(p) IS NULL)
    OR (as_mail(e) IS NULL AND email IS NOT NULL)
    OR (as_phone(e) IS NOT NULL AND as_phone(p) IS NULL), false) AS moved,
  n IS NOT NULL AND (told IS NULL OR length(told) < 2 OR one_sign(told)
    OR list_contains({no_name}, told)) AS unnamed
FROM named ORDER BY line
"""


def tidy(people: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """One customer record with personal values in a form that can be compared.

    Full-width digits become plain ones, phones lose blanks, hyphens and +86, names lose blanks
    and titles, e-mails case. What stands in another column than its own counts as what it looks
    like (`moved`); a name that stands for nobody, is a formula or markup counts as none
    (`unnamed`). A record whose key is no customer, since a rule keeps it back, is left out.

    Parameters
    ----------
    people
        Records with `line`, `customer_key`, name, phone, email and address, in the clear.
    customers
        One customer by `customer_key` with `birth_date` and `city`.

    Examples
    --------
    >>> import pandas as pd
    >>> row = (1, "K", "１３８ ００００ １１１２", "张 三先生", None, None)
    >>> people = pd.DataFrame([row], columns=["line", "customer_key", *PERSONAL])
    >>> known = pd.DataFrame([("K", None, "Bern")], columns=["customer_key", "birth_date", "city"])
    >>> known = known.astype({"birth_date": "datetime64[us]"})
    >>> tidy(people, known)[["name", "phone", "moved"]].values.tolist()
    [['张三', '13800001112', True]]
    """
    texts = {c: [_narrow(text) for text in people[c].tolist()] for c in PERSONAL}
    known = customers[["customer_key", "birth_date", "city"]].drop_duplicates("customer_key")
    plain = people[["line", "customer_key"]].assign(**texts).astype(dict.fromkeys(texts, "str"))
    lists = {"no_name": (*NO_NAME, SOMEBODY), "no_phone": NO_PHONE, "no_mail": NO_MAIL,
             "no_birth": NO_BIRTH}  # fmt: skip
    sql = _TIDY_SQL.format(**{name: list(words) for name, words in lists.items()})
    return linkage.query(sql, *_TIDY, people=plain, customers=known)


def _narrow(text: str | None) -> str | None:
    """The text with full-width letters and digits as plain ones; most texts have none."""
    is_plain = not isinstance(text, str) or text.isascii()
    return text if is_plain else unicodedata.normalize("NFKC", text)


def hubs(records: pd.DataFrame, *, most_names: int = 6, most_keys: int = 30) -> dict:
    """Phones and e-mails that belong to nobody in particular, as values by column.

    A call centre or a shop's own number stands beside many names. One that a family shares
    stands beside few, and one person with ten keys has one name.

    Parameters
    ----------
    records
        The records of `tidy`.
    most_names
        Different names that may share a phone or an e-mail.
    most_keys
        Keys that may share it, whatever their names.
    """
    sql = (
        "SELECT {0} AS value FROM records WHERE {0} IS NOT NULL GROUP BY {0} "
        f"HAVING count(DISTINCT name) > {int(most_names)} "
        f"OR count(DISTINCT key) > {int(most_keys)}"
    )
    return {
        column: set(linkage.query(sql.format(column), records=records)["value"])
        for column in ("phone", "email")
    }


def comparable(records: pd.DataFrame, hubs: dict) -> pd.DataFrame:
    """Distinct records without the values of hubs, numbered in the order of their keys."""
    without = {c: records[c].mask(records[c].isin(values)) for c, values in hubs.items() if values}
    return linkage.query(
        "SELECT row_number() OVER () - 1 AS record, *, "
        "regexp_replace(address, '[^0-9]', '', 'g') AS digits FROM (SELECT DISTINCT key, name, "
        "phone, email, birth, address, city FROM records ORDER BY ALL NULLS LAST)",
        records=records.assign(**without),
    )


def reused(records: pd.DataFrame) -> set[str]:
    """Keys under which two people stand: records with another name and another phone."""
    twice = records[records["key"].duplicated(keep=False)]
    if twice.empty:
        return set()
    found = linkage.query(
        "SELECT DISTINCT l.key FROM twice l JOIN twice r ON l.key = r.key AND l.phone <> r.phone "
        "AND jaro_winkler_similarity(l.name, r.name) < 0.75",
        twice=twice[["key", "name", "phone"]],
    )
    return set(found["key"])


def facts(records: pd.DataFrame, hubs: dict, reused: set[str]) -> dict:
    """What stands in the records of `tidy`, as metrics."""
    in_hub = sum(records[c].isin(values).astype("int64") for c, values in hubs.items())
    filled = {f"with_{c}": int(records[c].notna().sum()) for c in ("name", "phone", "email")}
    return filled | {
        "records": len(records),
        "recorded_keys": int(records["key"].nunique()),
        "moved": int(records["moved"].sum()),
        "unnamed": int(records["unnamed"].sum()),
        "hubs": sum(map(len, hubs.values())),
        "hub_records": int((in_hub > 0).sum()) if len(records) else 0,
        "reused_keys": len(reused),
    }


def records_note(found: dict) -> str:
    """What there is to compare, and what was put right or set aside before."""
    if not found["records"]:
        return (
            "This source tells no names, phones or e-mails, so there is nothing to compare: each "
            "source key is one customer, and whoever has two keys counts twice."
        )
    return (
        "{records} record[s] tell of {recorded_keys} key[s]: {with_name} with a name, "
        "{with_phone} with a phone, {with_email} with an e-mail. Set aside before comparing: "
        "{unnamed} name[s] that stand for nobody, and {hubs} phone[s] or e-mail[s] that too "
        "many people share, in {hub_records} record[s]. {moved} value[s] stood in another column "
        "than their own and were read as what they are. {reused_keys} key[s] name two people "
        "and are never joined without a decision."
    )


# ---- pairs -------------------------------------------------------------------------------


def train(records: pd.DataFrame, *, seed: int = 1) -> dict:
    """What the records teach about people, without labels: see `linkage.train`."""
    return linkage.train(records, PEOPLE, seed=seed)


def pairs(records: pd.DataFrame, learnt: dict, *, reused: set[str] = frozenset()) -> pd.DataFrame:
    """One pair of keys that may be one person: `key_a`, `key_b`, probability, rule, reason.

    Of several records of a key the most likely pair counts. `may_merge` says whether the
    probability alone may join them: not with another name or birth date, nor with a key under
    which two people stand (`reused`). `is_suggested` needs traits in common, and says yes to the
    same name and contact in any two records, whatever their probability (CLN-04).
    """
    found = linkage.score(records, PEOPLE, learnt)
    keys = records["key"].to_numpy()
    made = found.assign(key_a=keys[found["a"]], key_b=keys[found["b"]])
    swap = made["key_a"] > made["key_b"]
    made.loc[swap, ["key_a", "key_b"]] = made.loc[swap, ["key_b", "key_a"]].to_numpy()
    order = ["probability", "key_a", "key_b", "a", "b"]
    made = made.sort_values(order, ascending=[False, True, True, True, True])
    contact = (made["phone"] == 0) | (made["email"] == 0)
    made["is_same"] = (made["name"] == 0) & contact
    made["is_same"] = made.groupby(["key_a", "key_b"])["is_same"].transform("any")
    made = made.drop_duplicates(["key_a", "key_b"], ignore_index=True)
    is_same = made["is_same"].astype("bool")
    parted = _any_level(made, "parts") | made["key_a"].isin(reused) | made["key_b"].isin(reused)
    made = made.assign(
        rule=is_same.map({True: SAME, False: LIKELY}),
        reason=_reasons(made),
        may_merge=~parted,
        is_suggested=is_same | (_common(made) >= IN_COMMON),
    )
    return made[["key_a", "key_b", "probability", "rule", "reason", "may_merge", "is_suggested"]]


def weights(learnt: dict) -> pd.DataFrame:
    """One level of one trait: how often it occurs among records of one person, and its weight.

    It occurs `times_more` often than among records of two people, which adds so many bits to the
    evidence; a bit doubles the odds that two records are one person.
    """
    import numpy as np
    import pandas as pd

    rows = [
        (t.name, level.words, m, m / u)
        for t in PEOPLE.traits
        for level, (m, u) in zip(t.levels, learnt[t.name], strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["trait", "level", "one_person_share", "times_more"])
    return frame.assign(bits=np.log2(frame["times_more"]))


def weight_facts(weights: pd.DataFrame, found: dict) -> dict:
    """Metrics of the weights: what says most for one person and most against, in words."""
    best, worst = weights["bits"].idxmax(), weights["bits"].idxmin()
    return {
        "strongest": weights.loc[best, "level"],
        "strongest_bits": float(weights.loc[best, "bits"]),
        "weakest": weights.loc[worst, "level"],
        "weakest_bits": float(weights.loc[worst, "bits"]),
    }


def weight_note(found: dict) -> str:
    """Where the weights come from, and how many pairs they were put to."""
    if not found["records"]:
        return (
            "Nothing was compared here: the source tells nothing by which people could be alike."
        )
    return (
        "{pairs} pair[s] of keys were worth a second look. What says most for one person is "
        "*{strongest:text}* ({strongest_bits:num} bits), what says most against it "
        "*{weakest:text}* ({weakest_bits:num} bits). The reasons below use the same words."
    )


def _any_level(pairs: pd.DataFrame, which: str):
    """Whether one of the levels of a pair has the property."""
    flags = [
        pairs[t.name].isin([i for i, level in enumerate(t.levels) if getattr(level, which)])
        for t in PEOPLE.traits
    ]
    return sum(flag.astype("int64") for flag in flags) > 0


def _common(pairs: pd.DataFrame):
    """Traits that a pair has in common."""
    return sum(
        pairs[t.name].isin([i for i, level in enumerate(t.levels) if level.agrees]).astype("int64")
        for t in PEOPLE.traits
    )


def _reasons(pairs: pd.DataFrame):
    """What is the same and what differs, in words, such as `same name, same phone; another …`."""
    import pandas as pd

    names = [t.name for t in PEOPLE.traits]
    kinds = pairs[names].drop_duplicates()
    said = {tuple(row): _reason(row) for row in kinds.itertuples(index=False)}
    found = [said[tuple(row)] for row in pairs[names].itertuples(index=False)]
    return pd.Series(found, index=pairs.index, dtype="str")


def _reason(levels) -> str:
    found = [t.levels[i] for t, i in zip(PEOPLE.traits, levels, strict=True) if i >= 0]
    alike = ", ".join(level.words for level in found if level.agrees)
    other = ", ".join(level.words for level in found if not level.agrees)
    return f"{alike}; {other}" if alike and other else alike or other


# ---- decisions ---------------------------------------------------------------------------


def decisions(path: Path, own: dict[str, str]) -> pd.DataFrame:
    """One decision on two keys: both, what was decided, by whom and when, the line of the file.

    Parameters
    ----------
    path
        `decisions.csv` of the source. A key may be written as it stands in the source, or as the
        customer id that the pages show.
    own
        The customer id that each key has for itself.

    Raises
    ------
    IdentityError
        The file cannot be read, or a line cannot be right; all problems are listed.
    """
    import pandas as pd

    columns = ["key_a", "key_b", "decision", "author", "decided_on", "line"]
    path = Path(path)
    rows, problems = _decided(path) if path.exists() else ([], [])
    keys = own.keys() | set()
    by_id = {customer: key for key, customer in own.items()}
    made = []
    for line, row in rows:
        wrong = _decision_problems(path.name, line, row, keys, by_id)
        problems += wrong
        if not wrong:
            ends = sorted(by_id.get(row[c], row[c]) for c in ("key_a", "key_b"))
            made.append((*ends, row["decision"], row["author"], row["decided_on"], line))
    problems += _contradictions(path.name, made)
    if problems:
        raise IdentityError("\n".join(map(str, problems)))
    return pd.DataFrame(made, columns=columns).astype({"line": "int64"})


def _decided(path: Path) -> tuple[list, list]:
    """The lines of the file as texts by column, and what is wrong with the file as a whole."""
    expected = f"UTF-8 with the columns {','.join(DECISIONS)}"
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = [(name or "").strip() for name in reader.fieldnames or []]
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        found = f"it cannot be read: {error}"[:LONGEST]
        return [], [Problem(path.name, found, expected, "save it as UTF-8 text")]
    missing = [name for name in DECISIONS if name not in names]
    if missing:
        where, found = f"{path.name}, line 1", f"no column {', '.join(missing)}"
        return [], [Problem(where, found, expected, "write the header as expected")]
    plain = [
        (
            line,
            {n: (row.get(c) or "").strip() for n, c in zip(names, reader.fieldnames, strict=True)},
        )
        for line, row in rows
    ]
    return [(line, row) for line, row in plain if any(row.values())], []


def _decision_problems(file: str, line: int, row: dict, keys, by_id: dict) -> list[Problem]:
    """What is wrong with one line: a key that is none, a word that is no decision, no author."""
    found = []

    def wrong(column: str, expected: str, mend: str) -> None:
        where = f"{file}, line {line}, column {column}"
        found.append(Problem(where, repr(row[column]), expected, mend))

    for column in ("key_a", "key_b"):
        if row[column] not in keys and row[column] not in by_id:
            wrong(column, "a key of the source or a customer id", "look it up in the identity map")
    if by_id.get(row["key_a"], row["key_a"]) == by_id.get(row["key_b"], row["key_b"]):
        wrong("key_b", "another key than key_a", "remove the line")
    if row["decision"] not in (MERGE, APART):
        wrong("decision", f"{MERGE} or {APART}", did_you_mean(row["decision"], (MERGE, APART)))
    if not row["author"]:
        wrong("author", "who decided", "nothing merges without a name under it (Q-17)")
    if not _is_day(row["decided_on"]):
        wrong("decided_on", "a day such as 2024-05-31", "write the day of the decision")
    return found


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _contradictions(file: str, made: list[tuple]) -> list[Problem]:
    """Keys that are to be apart although decisions merge them, directly or over others."""
    groups = _Groups()
    merged = [row for row in made if row[2] == MERGE]
    for a, b, *_rest in merged:
        groups.join(a, b)
    found = []
    for a, b, decision, *_who, line in made:
        if decision == APART and groups.of(a) == groups.of(b):
            lines = [str(row[-1]) for row in merged if groups.of(row[0]) == groups.of(a)]
            said = f"two keys are kept apart that line {', '.join(lines)} merge[s] into one"
            said = said.replace("merge[s]", "merge" if len(lines) > 1 else "merges")
            mend = "remove the decision that no longer holds"
            found.append(Problem(f"{file}, line {line}", said, "decisions that agree", mend))
    return found


class _Groups:
    """Disjoint groups of keys: the group of a key is named by one of its members."""

    def __init__(self):
        self._above: dict[str, str] = {}

    def of(self, key: str) -> str:
        while (above := self._above.get(key, key)) != key:
            self._above[key] = self._above.get(above, above)
            key = above
        return key

    def join(self, a: str, b: str) -> None:
        self._above[self.of(b)] = self.of(a)


# ---- customers ---------------------------------------------------------------------------


def own_ids(keys: pd.Series, *, source: str, key: bytes) -> dict[str, str]:
    """The customer id of each source key for itself, whatever it is joined with.

    Raises
    ------
    IdentityError
        Two keys have the same id; at 64 bits this is not expected below 10^8 customers.

    Examples
    --------
    >>> import pandas as pd
    >>> own_ids(pd.Series(["10001"]), source="demo", key=b"k")
    {'10001': '9112be32afab3779'}
    """
    ids = pseudonyms(source, keys.tolist(), key=key)
    own = dict(zip(keys.tolist(), ids, strict=True))
    if len(set(ids)) < len(own):
        raise IdentityError("two source keys have the same customer id: use a longer id")
    return own


def join(
    customers: pd.DataFrame,
    pairs: pd.DataFrame,
    decided: pd.DataFrame,
    own: dict[str, str],
    *,
    source: str,
    merge_above: float | None = None,
) -> pd.DataFrame:
    """One source key and its customer, as in `tables/identity_map` (C360-02, C360-03).

    Decisions come first, then pairs from the most likely down. Two keys that a decision keeps
    apart never become one customer, not over others either: the link that would bring them
    together is not made. No more does a probability bring together, over others, two keys that
    it may not join themselves (`may_merge`); a decision does. `confidence` is the probability of
    the weakest link to the oldest key.

    Parameters
    ----------
    customers
        One customer by `customer_key`, with `registered_on`.
    pairs
        The pairs of `pairs`.
    decided
        The decisions of `decisions`.
    own
        The customer id of each key for itself.
    source
        Name of the source.
    merge_above
        Probability from which a pair is joined without a decision; none: never (Q-17).
    """
    import pandas as pd

    aged = customers.sort_values(["registered_on", "customer_key"], ignore_index=True)
    keys = aged["customer_key"]
    likely = pairs[pairs["may_merge"] & (pairs["probability"] >= (merge_above or 0))]
    likely = _ordered(likely if merge_above is not None else pairs.head(0))
    ends = {key for f in (decided, likely) for c in ("key_a", "key_b") for key in f[c].tolist()}
    groups = _People(keys[keys.isin(ends)], decided[decided["decision"] == APART])
    for row in decided[decided["decision"] == MERGE].itertuples():
        groups.join(row.key_a, row.key_b, DECIDED, 1.0)
    groups.part(pairs[~pairs["may_merge"] & pairs[["key_a", "key_b"]].isin(ends).all(axis=1)])
    for a, b, p, why in likely[["key_a", "key_b", "probability", "rule"]].itertuples(index=False):
        groups.join(a, b, why, p)
    made = pd.DataFrame({"source": source, "customer_key": keys.sort_values(ignore_index=True)})
    ids = groups.leaders(made["customer_key"]).map(own).astype("str")
    made = made.assign(customer_id=ids, **groups.reasons(made["customer_key"]))
    return made.astype({"source": "str", "customer_key": "str"})


def _ordered(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs from the most likely down."""
    order = ["probability", "key_a", "key_b"]
    return pairs.sort_values(order, ascending=[False, True, True])


class _People:
    """Keys joined step by step: the oldest key of each, and what linked it."""

    def __init__(self, keys: pd.Series, apart: pd.DataFrame):
        """`keys` from the oldest to the youngest; `apart`: `key_a`, `key_b` that never meet."""
        self._age = {key: place for place, key in enumerate(keys)}
        self.oldest = {key: key for key in self._age}
        self.why: dict[str, tuple[str, float]] = {}
        self._members: dict[str, list[str]] = {}
        self._foes: dict[str, set[str]] = defaultdict(set)
        self.part(apart)

    def part(self, apart: pd.DataFrame) -> None:
        """Let no later link bring together the keys of these pairs, `key_a` and `key_b`."""
        for a, b in apart[["key_a", "key_b"]].itertuples(index=False):
            self._foes[a].add(b)
            self._foes[b].add(a)

    def leaders(self, keys: pd.Series) -> pd.Series:
        """The oldest key of each; a key that nothing joins leads itself."""
        return keys.map(self.oldest).fillna(keys).astype("str")

    def reasons(self, keys: pd.Series) -> dict[str, pd.Series]:
        """What linked each key to its customer, and how sure that is."""
        rules = {key: rule for key, (rule, _p) in self.why.items()}
        sure = {key: confidence for key, (_rule, confidence) in self.why.items()}
        return {
            "rule": keys.map(rules).fillna(OWN_KEY).astype("str"),
            "confidence": keys.map(sure).astype("float64").fillna(1.0),
        }

    def join(self, a: str, b: str, rule: str, confidence: float) -> None:
        """Join the people of two keys, unless two of their keys are kept apart."""
        old, young = sorted((self.oldest[a], self.oldest[b]), key=self._age.__getitem__)
        if old == young:
            return
        members = self._members.get(young, [young])
        if self._foes and any(
            self.oldest[x] == old for m in members for x in self._foes.get(m, ())
        ):
            return
        for key in members:
            self.oldest[key] = old
            self.why[key] = (rule, confidence)
        self._members.setdefault(old, [old]).extend(members)
        self._members.pop(young, None)


def suggestions(
    pairs: pd.DataFrame,
    linked: pd.DataFrame,
    decided: pd.DataFrame,
    sales: pd.DataFrame,
    customers: pd.DataFrame,
    *,
    suggest_above: float = 0.5,
) -> pd.DataFrame:
    """Two customers who may be one person, as in `tables/duplicate_candidates` (CLN-04).

    The most money at stake comes first: the sales of the customer who would be joined to the
    older one. Only one pair of keys speaks for two customers, the most likely one.

    Parameters
    ----------
    pairs
        The pairs of `pairs`.
    linked
        The identity map.
    decided
        The decisions of `decisions`.
    sales
        One customer by `customer_id`: orders, amount.
    customers
        One customer by `customer_key`, with `registered_on`: who is older.
    suggest_above
        Probability from which a pair is suggested.
    """

    likely = (pairs["probability"] >= suggest_above) | (pairs["rule"] == SAME)
    found = _ordered(pairs[pairs["is_suggested"] & likely])
    ids = dict(zip(linked["customer_key"], linked["customer_id"], strict=True))
    known = sales.set_index("customer_id")
    ends = [found[c].map(ids).astype("str") for c in ("key_a", "key_b")]
    age = _ages(customers, ids)
    is_older = ends[0].map(age) <= ends[1].map(age)
    made = found.assign(
        customer_a=ends[0].where(is_older, ends[1]), customer_b=ends[1].where(is_older, ends[0])
    )
    made = made[made["customer_a"] != made["customer_b"]]
    made = made.drop_duplicates(["customer_a", "customer_b"])
    made["orders"] = made["customer_b"].map(known["orders"]).fillna(0).astype("int64")
    made["amount"] = made["customer_b"].map(known["amount"]).astype("float64").fillna(0.0)
    made["decision"] = _said(made, ids, decided)
    order = ["amount", "probability", "customer_a", "customer_b"]
    made = made.sort_values(order, ascending=[False, False, True, True], ignore_index=True)
    columns = ["rank", "customer_a", "customer_b", "probability", "rule", "reason", "orders",
               "amount", "decision"]  # fmt: skip
    return made.assign(rank=made.index + 1)[columns].astype({"rank": "int64"})


def _ages(customers: pd.DataFrame, ids: dict[str, str]) -> dict[str, int]:
    """The place of each customer from the oldest, as its oldest key has it."""
    aged = customers.sort_values(["registered_on", "customer_key"])["customer_key"]
    youngest_first = aged.map(ids).tolist()[::-1]  # so the oldest key of each has the last word
    return dict(zip(youngest_first, range(len(aged), 0, -1), strict=True))


def _said(made: pd.DataFrame, ids: dict[str, str], decided: pd.DataFrame) -> list[str]:
    """`apart` where a decision keeps two customers apart, else `open`."""
    apart = decided[decided["decision"] == APART]
    ends = {
        frozenset((ids[a], ids[b])) for a, b in apart[["key_a", "key_b"]].itertuples(index=False)
    }
    both = made[["customer_a", "customer_b"]].itertuples(index=False)
    return [APART if frozenset(row) in ends else "open" for row in both]


# ---- facts -------------------------------------------------------------------------------


def attach(rows: ibis.Table, identity_map: ibis.Table) -> ibis.Table:
    """The rows with `customer_id` in place of `customer_key`; rows without a customer stay."""
    known = identity_map.select("customer_key", "customer_id")
    return rows.left_join(known, "customer_key").drop("customer_key", "customer_key_right")


def attach_all(tables: dict[str, ibis.Table], identity_map: ibis.Table) -> dict[str, ibis.Table]:
    """Each table by name with `customer_id` in place of `customer_key`, if it has one.

    Of `customers` one row remains for each customer.
    """
    joined = {
        name: attach(rows, identity_map) if "customer_key" in rows.columns else rows
        for name, rows in tables.items()
    }
    if "customers" in tables:
        joined["customers"] = people(tables["customers"], identity_map)
    return joined


def people(customers: ibis.Table, identity_map: ibis.Table) -> ibis.Table:
    """One customer: each field from the newest of its records that has it (ING-25).

    What a policy filled in, and a text that says *missing* or *unknown*, counts as not there while
    another record knows better. A customer is registered since the first of its registrations,
    and came by the channel of that record. Points and assets of all records add up (C360-03).
    """
    known = identity_map.select("customer_key", "customer_id")
    rows = customers.inner_join(known, "customer_key")
    count = rows.count().over(ibis.window(group_by="customer_id"))
    rows = rows.mutate(keys=count)
    single = rows.filter(rows.keys == 1).drop("keys", "customer_key")
    several = rows.filter(rows.keys > 1)
    newest = ibis.row_number().over(
        order_by=[ibis.desc("updated_on"), ibis.desc("registered_on"), "customer_key"]
    )
    oldest = ibis.row_number().over(
        group_by="customer_id",
        order_by=[several.registered_on.isnull(), several.registered_on, several.customer_key],
    )
    merged = _newest(several.mutate(place=newest, age=oldest), single.columns)
    return single.union(merged.select(*single.columns))


def _newest(rows: ibis.Table, columns) -> ibis.Table:
    """Each customer's fields from the newest row that has them; some add up or are the first."""
    filled = ";" + rows["imputed"].fill_null("") + ";"
    made, still = {}, []
    for name in columns:
        if name in ("customer_id", "imputed"):
            continue
        value, is_filled = rows[name], filled.contains(f";{name};")
        if name in SUMMED:
            made[name] = value.sum().cast(value.type())
            continue
        if name in FIRST:
            made[name] = value.max(where=rows["age"] == 0)
            was_filled = is_filled.max(where=rows["age"] == 0)
        else:
            told = value
            if value.type().is_string():
                told = ibis.ifelse(is_filled | value.isin(NOT_TOLD), None, value)
            best = told.argmin(rows["place"], where=told.notnull())
            left = value.argmin(rows["place"], where=value.notnull())
            made[name] = ibis.coalesce(best, left)
            was_filled = best.isnull() & is_filled.argmin(rows["place"], where=value.notnull())
        still.append(ibis.ifelse(was_filled, ibis.literal(name), None))
    made["imputed"] = ibis.array(still).filter(lambda mark: mark.notnull()).join(";").nullif("")
    return rows.group_by("customer_id").agg(**made)


def coverage(before: ibis.Table, after: ibis.Table) -> ibis.Table:
    """One row: orders, orders with a customer before and after the join, and their share."""
    sums = before.aggregate(
        orders=before.count(),
        free_orders=(before.amount == 0).sum().fill_null(0),
        free_unnamed=((before.amount == 0) & before.customer_key.isnull()).sum().fill_null(0),
        keyed_orders=before.customer_key.notnull().sum().fill_null(0),
    )
    named = after.aggregate(
        joined_orders=after.count(),
        named_orders=after.customer_id.notnull().sum().fill_null(0),
        named_share=after.customer_id.notnull().cast("float64").mean().fill_null(0),
    )
    return sums.cross_join(named)


def totals(
    before: dict[str, ibis.Table], after: dict[str, ibis.Table], identity_map: ibis.Table
) -> ibis.Table:
    """One table of facts: its rows and money before and after, in all and of merged customers.

    Of merged customers, *before* sums over their source keys and *after* over their ids. Customers
    become fewer rows, so of them only what they hold is compared.
    """
    counts = identity_map.group_by("customer_id").agg(keys=_.count())
    ids = counts.filter(counts.keys > 1).select("customer_id")
    keys = identity_map.semi_join(ids, "customer_id").select("customer_key")
    both = {
        name: (rows, after[name])
        for name, rows in before.items()
        if "customer_key" in rows.columns and name != "customers"
    }
    parts = [
        (_total(name, rows, "customer_key", keys), _total(name, then, "customer_id", ids))
        for name, (rows, then) in both.items()
    ]
    if "customers" in before:
        parts += [
            (_held(name, before["customers"], "customer_key", keys),
             _held(name, after["customers"], "customer_id", ids))
            for name in SUMMED
        ]  # fmt: skip
    sides = [
        one.cross_join(then.rename(lambda c: f"{c}_after" if c != "table" else "name"))
        for one, then in parts
    ]
    return ibis.union(*sides).drop("name").order_by("table")


def _held(name: str, customers: ibis.Table, who: str, merged: ibis.Table) -> ibis.Table:
    """One row as of `_total`: what customers hold, as money; their rows are not compared."""
    held = customers.select(who, amount=customers[name])
    none = ibis.literal(0).cast("int64")
    return _total(f"{name} of customers", held, who, merged).mutate(rows=none, merged_rows=none)


def _total(name: str, rows: ibis.Table, who: str, merged: ibis.Table) -> ibis.Table:
    """One row: rows, money, and both of merged customers."""
    column = next((c for c in ("amount", "cost", "value") if c in rows.columns), None)
    is_money = column and rows[column].type().is_decimal()
    money = rows[column] if is_money else ibis.literal(0).cast("decimal(18, 4)")
    some = rows.mutate(money=money.cast("decimal(18, 4)"))
    flags = merged.mutate(is_merged=True)
    some = some.left_join(flags, who)
    return some.aggregate(
        rows=some.count(),
        money=some.money.sum().fill_null(0),
        merged_rows=some.is_merged.count(),
        merged_money=some.money.sum(where=some.is_merged).fill_null(0),
    ).select(table=ibis.literal(name), rows="rows", money="money", merged_rows="merged_rows",
             merged_money="merged_money")  # fmt: skip


def assert_whole(found: dict) -> None:
    """Raise `IdentityError` if the join lost or doubled an order, or left a key without customer.

    Examples
    --------
    >>> assert_whole({"orders": 2, "joined_orders": 2, "keyed_orders": 1, "named_orders": 1})
    """
    if found["orders"] != found["joined_orders"]:
        raise IdentityError(
            f"{found['orders']} orders went into the join, {found['joined_orders']} came out"
        )
    if found["keyed_orders"] != found["named_orders"]:
        raise IdentityError(
            f"{found['keyed_orders']} orders name a source key, {found['named_orders']} a customer"
        )


def assert_same(totals: pd.DataFrame) -> None:
    """Raise `IdentityError` unless merged customers have what their keys had (C360-03)."""
    for row in totals.to_dict("records"):
        for what in ("rows", "money", "merged_rows", "merged_money"):
            if row[what] != row[f"{what}_after"]:
                raise IdentityError(
                    f"{row['table']}: {what.replace('_', ' ')} {row[what]} by source key, "
                    f"{row[f'{what}_after']} by customer"
                )


def merged_totals(totals: pd.DataFrame) -> pd.DataFrame:
    """One table of facts: rows and money of customers with several keys, if there are any."""
    some = totals[totals["merged_rows"] > 0].reset_index(drop=True)
    names = {"merged_rows": "rows", "merged_money": "amount"}
    made = some[["table", *names]].rename(columns=names)
    return made.assign(amount=made["amount"].where(made["amount"] != 0))


def assert_once(linked: pd.DataFrame, keys: pd.Series) -> None:
    """Raise `IdentityError` unless each source key stands in the map once."""
    twice = linked["customer_key"].duplicated().sum()
    absent = len(set(keys) - set(linked["customer_key"]))
    if twice or absent:
        raise IdentityError(f"identity map: {twice} keys stand twice, {absent} are missing")


# ---- what it changes ---------------------------------------------------------------------


def sales(orders: ibis.Table) -> ibis.Table:
    """One customer who ordered, by `customer_id`: orders and their money."""
    bought = orders.filter(orders.customer_id.notnull()).group_by("customer_id")
    return bought.agg(orders=_.count(), amount=_.amount.sum())


def changes(
    linked: pd.DataFrame, own: dict[str, str], previous: pd.DataFrame, sales
) -> pd.DataFrame:
    """One source key whose customer is another than at the last freeze, as `tables/id_changes`.

    It merged if it stood alone or led and follows now, split if it followed and stands for
    itself now, and moved if it went from one customer to another.

    Parameters
    ----------
    linked
        The identity map.
    own
        The customer id of each key for itself.
    previous
        What `crm freeze` kept: `own_id`, `customer_id`.
    sales
        One source key by `customer_key`: orders, amount.
    """
    import numpy as np
    import pandas as pd

    now = linked.assign(own_id=linked["customer_key"].map(own).astype("str"))
    before = previous.rename(columns={"customer_id": "before"})
    both = now.merge(before, on="own_id").rename(columns={"customer_id": "after"})
    both = both[both["before"] != both["after"]]
    kinds = [both["after"] == both["own_id"], both["before"] == both["own_id"]]
    both = both.assign(change=np.select(kinds, ["split", "merged"], "moved"))
    both = both.merge(sales[["customer_key", "orders", "amount"]], on="customer_key", how="left")
    both = both.fillna({"orders": 0, "amount": 0.0}).astype({"orders": "int64"})
    columns = ["own_id", "before", "after", "change", "orders", "amount"]
    made = both[columns].sort_values("own_id", ignore_index=True)
    return (
        made.astype(dict.fromkeys(columns[:4], "str") | {"amount": "float64"})
        if len(made)
        else pd.DataFrame(
            {c: made[c].astype("str") for c in columns[:4]}
            | {"orders": made["orders"], "amount": made["amount"].astype("float64")}
        )
    )


def by_key(orders: ibis.Table) -> ibis.Table:
    """One source key: its orders and their sales."""
    named = orders.filter(orders.customer_key.notnull()).group_by("customer_key")
    return named.agg(orders=_.count(), amount=_.amount.sum())


def keyed(orders: ibis.Table) -> ibis.Table:
    """The orders as if each source key were a customer."""
    return orders.rename(customer_id="customer_key")


def loyalty(orders: ibis.Table) -> ibis.Table:
    """One row: customers who ordered, share of them who came again, and sales for each of them."""
    named = orders.filter(orders.customer_id.notnull(), orders.amount > 0)
    each = named.group_by("customer_id").agg(
        days=_.ordered_at.date().nunique(), amount=_.amount.sum()
    )
    return each.aggregate(
        buyers=each.count(),
        repeat_share=(each.days > 1).cast("float64").mean().fill_null(0),
        spend_each=(each.amount.sum() / each.count().nullif(0)).fill_null(0),
    )


def loyalty_facts(before: dict, after: dict) -> dict:
    """Metrics of `loyalty` with one customer a key, and with keys joined."""
    return {f"{name}_by_key": value for name, value in before.items()} | after


def links(linked: pd.DataFrame) -> pd.DataFrame:
    """One rule: keys that it links to a customer, and the weakest of its links."""
    by = linked.groupby("rule", as_index=False)
    made = by.agg(keys=("customer_key", "size"), weakest_share=("confidence", "min"))
    return made.sort_values(["keys", "rule"], ascending=[False, True], ignore_index=True)


def link_facts(
    linked: pd.DataFrame, decided: pd.DataFrame, *, merge_above: float | None = None
) -> dict:
    """Metrics of the identity map: customers, keys joined by each way, and the threshold."""
    joined = linked[linked["rule"] != OWN_KEY]
    sizes = linked.groupby("customer_id").size()
    return {
        "customers": int(linked["customer_id"].nunique()),
        "keys": len(linked),
        "joined_keys": len(joined),
        "joined_by_decision": int((joined["rule"] == DECIDED).sum()),
        "joined_customers": int((sizes > 1).sum()),
        "most_keys_of_one": int(sizes.max()) if len(sizes) else 0,
        "decisions": len(decided),
        "merge_above": 1.0 if merge_above is None else merge_above,
    }


def joined_note(found: dict, *, merge_above: float | None = None) -> str:
    """How many keys were joined, and by what."""
    if not found["joined_keys"]:
        return (
            "No two keys were joined: each is a customer of its own."
            if merge_above is None
            else "No two records are alike beyond {merge_above:pct}, and no decision joins any: "
            "each key is a customer of its own."
        )
    return (
        "{joined_keys} of {keys} key[s] [was|were] joined to an older one, "
        "{joined_by_decision} of them by a decision and the others because their records are "
        "alike beyond {merge_above:pct}. {joined_customers} customer[s] have several keys; the "
        "most are {most_keys_of_one}."
    )


def shown(suggestions: pd.DataFrame) -> pd.DataFrame:
    """The suggestions as people read them: the money beside the customers, the reason last."""
    columns = ["rank", "customer_a", "customer_b", "amount", "orders", "probability", "reason"]
    return suggestions.loc[suggestions["decision"] == "open", columns]


def suggestion_facts(found: pd.DataFrame) -> dict:
    """Metrics of the suggestions: how many are open, the money at stake, and the share of it."""
    still = found[found["decision"] == "open"]
    return {
        "suggested": len(still),
        "kept_apart": len(found) - len(still),
        "at_stake": float(still["amount"].sum()),
        "orders_at_stake": int(still["orders"].sum()),
    }


def suggestion_note(found: dict) -> str:
    """What waits for a decision."""
    if not found["suggested"]:
        return "No two customers look like one person and wait for a decision."
    return (
        "{suggested} pair[s] of customers may be one person and wait for a decision; "
        "{orders_at_stake} order[s] worth {at_stake:money} would move. {kept_apart} pair[s] "
        "[is|are] kept apart by a decision."
    )


def action_note(found: dict) -> str:
    """What to do with the suggestions."""
    if not found["suggested"]:
        return "Nothing waits for a decision."
    return (
        "Decide the {suggested} suggested pair[s], those with the most money first: look both "
        "customers up in the source, then write a line in the file of decisions of this source, "
        "`merge` or `apart`, with your name and the day."
    )


def change_facts(changed: pd.DataFrame, previous: pd.DataFrame, own: dict[str, str]) -> dict:
    """Metrics of the ledger of ids: how many stayed, moved or are gone, and with how much money.

    Parameters
    ----------
    changed
        The ledger of `changes`.
    previous
        What `crm freeze` kept; an id of it is gone if no key of today has it for itself.
    own
        The customer id of each key for itself.
    """
    kinds = changed["change"].value_counts()
    gone = int((~previous["own_id"].isin(set(own.values()))).sum())
    kept = len(previous) - len(changed) - gone
    return {
        "frozen": len(previous),
        "ids_changed": len(changed),
        "ids_kept_share": kept / len(previous) if len(previous) else 1.0,
        "ids_merged": int(kinds.get("merged", 0)),
        "ids_split": int(kinds.get("split", 0)),
        "ids_moved": int(kinds.get("moved", 0)),
        "ids_gone": gone,
        "orders_moved": int(changed["orders"].sum()),
        "money_moved": float(changed["amount"].sum()),
    }


def change_note(found: dict) -> str:
    """Which ids are others than at the last freeze."""
    if not found["frozen"]:
        return (
            "No earlier ids are kept for this source, so there is nothing to compare with; "
            "`crm freeze` keeps those of today."
        )
    return (
        "Of {frozen} id[s] kept, {ids_kept_share:pct} stayed. {ids_merged} key[s] joined another "
        "customer, {ids_split} left one and {ids_moved} went from one to another; {orders_moved} "
        "order[s] worth {money_moved:money} moved with them. {ids_gone} key[s] [is|are] no longer "
        "there."
    )


def answer_note(found: dict) -> str:
    """The answer of the page."""
    if not found["records"]:
        return (
            "**Each of the {keys} source key[s] counts as one person**: the source tells no names "
            "or contacts, so nobody can say who has two. {named_orders} of {orders} order[s], "
            "free ones among them, ({named_share:pct}) name their customer."
        )
    return (
        "**{keys} source key[s] belong to {customers} customer[s]**, as far as names, phones, "
        "e-mails, birth dates and places tell; {suggested} pair[s] more wait for a decision. "
        "{named_orders} of {orders} order[s], free ones among them, ({named_share:pct}) name "
        "their customer."
    )


def free_note(found: dict) -> str:
    """How many orders cost nothing, if there are any: they count in no sales."""
    if not found["free_orders"]:
        return "No order is free."
    return (
        "Free orders, which count in no sales: {free_orders}, {free_unnamed} of them without a "
        "customer."
    )


def effect_note(found: dict) -> str:
    """What joining keys does to repeat purchases and spend."""
    if not found["joined_keys"]:
        return "As no keys were joined, no figure on later pages changes."
    return (
        "With one customer for each key, {repeat_share_by_key:pct} of {buyers_by_key} buyer[s] "
        "came on a second day and each spent {spend_each_by_key:money}. With keys joined it is "
        "{repeat_share:pct} of {buyers} buyer[s] and {spend_each:money} each."
    )
