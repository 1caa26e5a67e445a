"""Pseudonyms, encryption and masks: what stands between personal data and every analysis.

Two keys. The *pseudonym* key turns a source key into a customer id and is never changed, since
all ids hang on it; the *encryption* key protects the personal columns. They come from the
environment (`CRM_PSEUDONYM_KEY`, `CRM_ENCRYPTION_KEY`, hex) or from the git-ignored file
`data/sources/<name>/keys.json`. Public data may use the published keys below (`public: true`
in the mapping), which protect nothing and say so.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LOG = ".crm/access.log"  # of every look into the vault
KEEPER = "keeper"  # the role of a session that names none
COMMANDS = ("gate", "card", "rotate", "forget")  # that open values; every stage is a `run`
ID_LENGTH = 16  # hex digits of a customer id: 64 bits, no clash expected below 10^8 customers
SOUGHT = ".crm/sought"  # of each source, whom `crm forget` has not proved to be gone, encrypted
SETTLED = ".crm/rotated"  # a change of keys that is decided; `settle` puts its files in place
COMPOUND = re.compile(  # surnames of two characters, which are shown whole
    "欧阳|司马|诸葛|上官|司徒|司空|夏侯|东方|皇甫|尉迟|公孙|慕容|令狐|长孙"
    "|宇文|轩辕|端木|独孤|南宫|西门|百里|呼延|闻人|澹台|公冶|濮阳|淳于|单于"
    "|太叔|申屠|钟离|鲜于|闾丘|万俟|赫连|拓跋|东郭|南门|左丘|歐陽|司馬|諸葛"
    "|東方|尉遲|長孫|軒轅|獨孤|南宮|西門|聞人|濮陽|鍾離|鮮于|赫連"
)


class KeyProblem(ValueError):
    """A key is missing, malformed, published but used for private data, or another one."""


@dataclass(frozen=True)
class Keys:
    """The two keys of a source."""

    pseudonym: bytes
    encryption: bytes

    def fingerprints(self) -> dict[str, str]:
        """Public fingerprint of each key, safe to commit: it cannot be turned back."""
        return {
            "pseudonym": hashlib.sha256(b"crm fingerprint" + self.pseudonym).hexdigest()[:16],
            "encryption": hashlib.sha256(b"crm fingerprint" + self.encryption).hexdigest()[:16],
        }


PUBLISHED = Keys(  # in the open on purpose: for the demo and for public data sets only
    hashlib.sha256(b"crm demo pseudonym key, published").digest(),
    hashlib.sha256(b"crm demo encryption key, published").digest()
    + hashlib.sha256(b"crm demo encryption key, published, second half").digest(),
)


def keys(folder: Path, *, public: bool, create: bool = False) -> Keys:
    """The keys of the source in `folder`; `create` makes and stores new ones if there are none.

    Raises
    ------
    KeyProblem
        There are no keys, or private data would be protected by the published ones.
    """
    if public:
        return PUBLISHED
    found = _from_environment() or from_file(folder / "keys.json")
    if found is None and create:
        found = Keys(secrets.token_bytes(32), secrets.token_bytes(64))
        store(found, folder / "keys.json")
    if found is None:
        raise KeyProblem(
            f"no keys for {folder.name!r}: set CRM_PSEUDONYM_KEY and CRM_ENCRYPTION_KEY, or put "
            f"back {folder / 'keys.json'}; `crm use {folder.name}` makes new ones for a new source"
        )
    if {found.pseudonym, found.encryption} & {PUBLISHED.pseudonym, PUBLISHED.encryption}:
        raise KeyProblem(
            f"{folder.name!r} is not marked public: true but uses the published demo keys, which "
            f"anybody can read; remove them and run `crm use {folder.name}`"
        )
    return found


def from_file(path: Path) -> Keys | None:
    """The keys in a file, none if it is not there."""
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text())
        texts = stored["pseudonym"], stored["encryption"]
    except (ValueError, KeyError, TypeError):
        raise KeyProblem(
            f"{path} is not JSON with the texts pseudonym and encryption; put it back"
        ) from None
    return _parse(*texts, where=str(path))


def store(made: Keys, path: Path) -> None:
    """Write the keys to a file for its owner alone."""
    text = json.dumps({"pseudonym": made.pseudonym.hex(), "encryption": made.encryption.hex()})
    write_private(path, text)


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, forced to the disk: there is no other copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def checked_keys(folder: Path, expected: dict[str, str], *, public: bool) -> Keys:
    """The keys of the source in `folder`, if they are those that params.yaml expects."""
    found = keys(folder, public=public)
    check_fingerprints(found, expected)
    return found


def check_fingerprints(found: Keys, expected: dict, *, where: str = "params.yaml") -> None:
    """Raise `KeyProblem` unless the keys are those whose fingerprints a params.yaml names."""
    mend = "put the right key back"
    if where == "params.yaml":
        mend += ", or run `crm use` again if the change is meant"
    for which, fingerprint in found.fingerprints().items():
        if expected.get(which) != fingerprint:
            raise KeyProblem(
                f"the {which} key has fingerprint {fingerprint}, but {where} says "
                f"vault.{which}: {expected.get(which)}; {mend}"
            )


def pseudonyms(source: str, source_keys: list[str], *, key: bytes) -> list[str]:
    """Customer id of each source key: a keyed hash of source and key, the same on every run.

    Examples
    --------
    >>> pseudonyms("demo", ["10001"], key=b"k")
    ['9112be32afab3779']
    """
    prefix = source.encode() + b"\x1f"
    return [
        hmac.digest(key, prefix + text.encode(), "sha256").hex()[:ID_LENGTH]
        for text in source_keys
    ]


def tombstones(source: str, source_keys: list[str], *, key: bytes) -> list[str]:
    """What stays of each source key that was forgotten: a keyed hash, to know it again (PRV-08).

    Made like a customer id, but for another purpose, so that neither can be told from the other.

    Examples
    --------
    >>> tombstones("demo", ["10001"], key=b"k") == pseudonyms("demo", ["10001"], key=b"k")
    False
    """
    return pseudonyms(f"tombstone\x1f{source}", source_keys, key=key)


def encrypt(values: list[str | None], *, key: bytes, context: str) -> list[str | None]:
    """Each value encrypted with AES-SIV (RFC 5297): authenticated, the same text each time.

    `context` binds a value to its column, so that a name cannot be passed off as a phone.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    cipher = AESSIV(key)
    bound = [context.encode()]
    return [None if _is_empty(v) else _seal(cipher, v, bound) for v in values]


def decrypt(values: list[str | None], *, key: bytes, context: str) -> list[str | None]:
    """The values that `encrypt` protected; a wrong key or a changed value raises `KeyProblem`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    cipher = AESSIV(key)
    bound = [context.encode()]
    try:
        return [
            None if _is_empty(v) else cipher.decrypt(bytes.fromhex(v), bound).decode()
            for v in values
        ]
    except (InvalidTag, ValueError):
        raise KeyProblem(
            f"cannot decrypt {context}: wrong key, or the value was changed"
        ) from None


def mask_name(name: str | None) -> str:
    """The surname and one star for each further character; nothing for nothing (PRV-01, Q-23).

    Of a name in another script the first letter stays. A name of one character, and what does
    not begin like a name, is hidden whole: nobody's full name is shown.

    Examples
    --------
    >>> mask_name("张小明"), mask_name("欧阳修"), mask_name("Ann Lee"), mask_name("张")
    ('张**', '欧阳*', 'A******', '*')
    """
    text = _narrow(name)
    if not text.isascii():
        text = "".join(text.split())
    shown = 2 if COMPOUND.match(text) and len(text) > 2 else 1
    if len(text) == 1 or not text[:shown].isalpha():
        shown = 0
    return text[:shown] + "*" * (len(text) - shown)


def mask_phone(phone: str | None) -> str:
    """The first three and last four of eleven digits; any other number is hidden whole (PRV-02).

    Blanks, hyphens and +86 are removed first (Q-18).

    Examples
    --------
    >>> mask_phone("+86 138-1234-5678"), mask_phone("12345678"), mask_phone(None)
    ('138****5678', '****', '')
    """
    text = re.sub(r"[\s-]", "", _narrow(phone))
    digits = re.sub(r"^(\+86|0086|86(?=1\d{10}$))", "", text)
    shown = re.fullmatch(r"([0-9]{3})[0-9]{4}([0-9]{4})", digits)
    return "****".join(shown.groups()) if shown else "****" if text else ""


def mask_email(email: str | None) -> str:
    """The first character and the domain; what is no address is hidden whole (Q-23).

    Examples
    --------
    >>> mask_email("ann@example.org"), mask_email("ann at home"), mask_email(None)
    ('a***@example.org', '***', '')
    """
    text = _narrow(email)
    shown = re.fullmatch(r"([^\s@])[^\s@]*(@[\w-]+(\.[\w-]+)+)", text)
    if shown is None or re.search(r"\d{7}", shown[2]):  # a number may stand where a domain should
        return "***" if text else ""
    return f"{shown[1]}***{shown[2]}"


def log(root: Path, *, by: str, fields: list[str], purpose: str, rows: int) -> None:
    """Add one line to the access log: when, who, by which stage or command, fields, purpose.

    It lies in `.crm/access.log`, apart from all outputs, which carry no clock and no user. A role
    that may not have values opened for this raises `KeyProblem`, and nothing is logged (PRV-10).
    """
    role = _role(root, by)
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "who": _user(),
        "role": role, "by": by, "fields": fields, "rows": rows, "purpose": purpose,
    }  # fmt: skip
    path = root / LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _user() -> str:
    """The user of the system; by number where it has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _role(root: Path, by: str) -> str:
    """The role of the session, if roles.yaml lets it open values for this stage or command."""
    from crm.document import Document, Problem, did_you_mean, load

    path, named = root / "roles.yaml", os.environ.get("CRM_ROLE")
    role = named or KEEPER
    if not path.exists():
        if named:  # nothing says what it may, and it was named to be held back
            found = f"not there, but CRM_ROLE names {named!r}"
            expected = "the file that says what a role may open"
            raise KeyProblem(str(Problem(path.name, found, expected, "put it back")))
        return role
    doc = Document(path.name)
    roles = load(path, doc, typed=True) or {}
    if doc.problems:
        raise KeyProblem("\n".join(map(str, doc.problems)))
    if role not in roles:
        problem = Problem(path.name, f"no role {role!r}, which CRM_ROLE names",
                          f"one of {', '.join(roles)}", did_you_mean(role, roles))  # fmt: skip
        raise KeyProblem(str(problem))
    what = by.removeprefix("crm ") if by.removeprefix("crm ") in COMMANDS else "run"
    allowed = {name: (one or {}).get("opens") or () for name, one in roles.items()}
    if what not in allowed[role]:
        may = " or ".join(name for name, opens in allowed.items() if what in opens) or "nobody"
        raise KeyProblem(
            f"the role {role} may not have personal values opened for {by}; {may} may (roles.yaml)"
        )
    return role


def settle(root: Path) -> None:
    """Put the files of a decided change of keys in place; one cut off in the middle goes on.

    Each is renamed, so that it is whole before and after, and those that are done are gone.
    """
    decided = root / SETTLED
    if not decided.exists():
        return
    for path in sorted(p for p in decided.rglob("*") if p.is_file()):
        target = root / path.relative_to(decided)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(decided)


def _narrow(value) -> str:
    """The text without blanks around it, full-width letters and digits made narrow."""
    return "" if _is_empty(value) else unicodedata.normalize("NFKC", str(value)).strip()


def _seal(cipher, value: str, bound: list[bytes]) -> str:
    return cipher.encrypt(value.encode(), bound).hex()


def _is_empty(value) -> bool:
    return value is None or value != value or value == ""


def _from_environment() -> Keys | None:
    given = {n: os.environ.get(n) for n in ("CRM_PSEUDONYM_KEY", "CRM_ENCRYPTION_KEY")}
    absent = [name for name, text in given.items() if not text]
    if len(absent) == 1:
        raise KeyProblem(f"{absent[0]} is not set, but the other key is: set both or none")
    return None if absent else _parse(*given.values(), where="the environment")


def _parse(pseudonym: str, encryption: str, *, where: str) -> Keys:
    try:
        found = Keys(bytes.fromhex(pseudonym), bytes.fromhex(encryption))
    except ValueError:
        raise KeyProblem(f"the keys in {where} are not hexadecimal text") from None
    if len(found.pseudonym) < 32 or len(found.encryption) != 64:
        raise KeyProblem(
            f"the keys in {where} are too short: 32 bytes for pseudonyms, 64 for encryption"
        )
    return found
