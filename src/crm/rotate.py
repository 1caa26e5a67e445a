"""`crm rotate`: another encryption key for the source in use, and its vault written anew.

The pseudonym key stays, since all customer ids hang on it. Everything new is written aside, in
`.crm/rotating`; one rename decides, and only then are tables, key and fingerprints put in place.
Cut off before it, nothing has changed; cut off after it, the next `crm` command ends the work.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from crm import vault
from crm.project import load_params, read_yaml, settings
from crm.use import WRITTEN, with_fingerprints

ASIDE = ".crm/rotating"


def rotate(root: Path) -> str:
    """Give the source of params.yaml another encryption key; returns what was done and is to do.

    Raises
    ------
    KeyProblem
        The source is public, its keys are missing or wrong, or its tables are not under them.
    """
    params = load_params(root)
    folder = root / "data/sources" / settings(params)["source"]
    old = vault.checked_keys(folder, params.get("vault", {}), public=_is_public(folder))
    is_in_environment = _is_in_environment(folder, old)
    new = vault.Keys(old.pseudonym, secrets.token_bytes(64))
    aside = root / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    try:
        told = [_rewrite(root, path, old, new) for path in _tables(root)]
        _rewrite_sought(root, folder.name, old, new)
        _write_texts(root, folder, old, new)
        vault.store(new, aside / (folder / "keys.json").relative_to(root))
        aside.replace(root / vault.SETTLED)  # from here on the new key is the one
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    vault.settle(root)
    return "\n".join([*told, *_next(folder, is_in_environment)])


def _is_public(folder: Path) -> bool:
    if read_yaml(folder / "mapping.yaml").get("public") is True:
        raise vault.KeyProblem(
            f"{folder.name!r} is public: its keys are published and guard nothing, so there is "
            "none to change; `crm use` a private source first"
        )
    return False


def _is_in_environment(folder: Path, old: vault.Keys) -> bool:
    """Whether the keys come from the environment; a file with others is not overwritten."""
    if not os.environ.get("CRM_ENCRYPTION_KEY"):
        return False
    path = folder / "keys.json"
    if path.exists() and vault.from_file(path) != old:
        raise vault.KeyProblem(
            f"{path} holds other keys than the environment, and the new key would overwrite "
            "them: move the file away first"
        )
    return True


def _tables(root: Path) -> list[Path]:
    return sorted((root / "data/vault").glob("*.parquet"))


def _rewrite(root: Path, path: Path, old: vault.Keys, new: vault.Keys) -> str:
    """Write a table of the vault aside under the new key; what one line of the report says."""
    from crm import engine
    from crm.project import table_name
    from crm.tables import lookup

    place = path.relative_to(root)
    schema = lookup(table_name(place.as_posix()))
    con = engine.connect(spill=root / ".crm/spill")
    rows = engine.frame(con, engine.scan(con, path))
    columns = [column.name for column in schema.columns if column.personal]
    rows = _resealed(root, rows, columns, schema.name, old, new)
    rows = rows.astype(dict.fromkeys(columns, "str"))
    engine.write(con, rows, root / ASIDE / place, schema)
    return f"{place}: {len(rows):,} row{'s' * (len(rows) != 1)} encrypted anew"


def _resealed(root: Path, rows, columns: list[str], table: str, old: vault.Keys, new: vault.Keys):
    """The rows with their personal columns under the new key."""
    fields = [f"{table.removeprefix('vault/')}.{name}" for name in columns]
    vault.log(root, by="rotate", fields=fields, purpose="another encryption key", rows=len(rows))
    sealed = {}
    for name in columns:
        context = f"{table}.{name}"
        try:
            plain = vault.decrypt(rows[name].tolist(), key=old.encryption, context=context)
        except vault.KeyProblem as error:
            raise vault.KeyProblem(
                f"{error}; nothing was changed. If data/vault is still that of another source, "
                "run `make run` first"
            ) from None
        sealed[name] = vault.encrypt(plain, key=new.encryption, context=context)
    return rows.assign(**sealed)


def _rewrite_sought(root: Path, source: str, old: vault.Keys, new: vault.Keys) -> None:
    """Write aside under the new key whom `crm forget` still has to look for."""
    path = root / vault.SOUGHT / source
    if not path.exists():
        return
    vault.log(root, by="rotate", fields=["forgotten customers"], rows=1,
              purpose="another encryption key")  # fmt: skip
    plain = vault.decrypt([path.read_text()], key=old.encryption, context=vault.SOUGHT)
    (text,) = vault.encrypt(plain, key=new.encryption, context=vault.SOUGHT)
    vault.write_private(root / ASIDE / path.relative_to(root), text)


def _write_texts(root: Path, folder: Path, old: vault.Keys, new: vault.Keys) -> None:
    """Write aside params.yaml and that of the source, with the new fingerprint in place."""
    then, now = old.fingerprints()["encryption"], new.fingerprints()["encryption"]
    for path in (root / "params.yaml", root / WRITTEN):
        if path.exists():
            text = path.read_bytes().decode("utf-8")
            _put(root, path, text.replace(then, now))  # 64 bits: it stands for nothing else
    own = folder / "params.yaml"
    text = own.read_bytes().decode("utf-8") if own.exists() else ""
    _put(root, own, with_fingerprints(text, new))


def _put(root: Path, path: Path, text: str) -> None:
    target = root / ASIDE / path.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode("utf-8"))


def _next(folder: Path, is_in_environment: bool) -> list[str]:
    """What is left to do by hand; a key itself is never shown."""
    shown = f"data/sources/{folder.name}"
    if is_in_environment:
        move = (
            f"the environment still holds the old key: set CRM_ENCRYPTION_KEY to the text "
            f"`encryption` of {shown}/keys.json, then delete that file"
        )
    else:
        move = f"{shown}/keys.json holds the new key: back it up"
    return [
        move,
        f"commit {shown}/params.yaml, which names the new fingerprint, then `make run`",
        "copies under the old key stay in DVC's cache and remotes until `dvc gc`, and in backups",
    ]
