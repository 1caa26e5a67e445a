"""Pseudonyms and encryption: what stands between personal data and every analysis.

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
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ID_LENGTH = 16  # hex digits of a customer id: 64 bits, no clash expected below 10^8 customers


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
    found = _from_environment() or _from_file(folder / "keys.json")
    if found is None and create:
        found = Keys(secrets.token_bytes(32), secrets.token_bytes(64))
        _store(found, folder / "keys.json")
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


def check_fingerprints(found: Keys, expected: dict[str, str]) -> None:
    """Raise `KeyProblem` unless the keys are those whose fingerprints params.yaml names."""
    for which, fingerprint in found.fingerprints().items():
        if expected.get(which) != fingerprint:
            raise KeyProblem(
                f"the {which} key has fingerprint {fingerprint}, but params.yaml says "
                f"vault.{which}: {expected.get(which)}; put the right key back, or run `crm use` "
                "again if the change is meant"
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


def log(root: Path, *, by: str, fields: list[str], purpose: str, rows: int) -> None:
    """Add one line to the access log: when, who, by which stage or command, fields, purpose.

    It lies in `.crm/access.log`, apart from all outputs, which carry no clock and no user.
    """
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "who": getpass.getuser(),
        "by": by, "fields": fields, "rows": rows, "purpose": purpose,
    }  # fmt: skip
    path = root / ".crm/access.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


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


def _from_file(path: Path) -> Keys | None:
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


def _store(made: Keys, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        json.dumps({"pseudonym": made.pseudonym.hex(), "encryption": made.encryption.hex()})
    )
