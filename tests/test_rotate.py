"""`crm rotate`: everything under the new key or nothing, and customers stay who they are."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pandas as pd
import pytest
from conftest import call, clone

from crm import engine, rotate, use, vault
from crm.project import load_params
from crm.run import main
from crm.tables import lookup

ROOT = Path(__file__).resolve().parents[1]
MAPPING = """\
title: A private shop
licence: our own
register: {kind: internal, relevance: sales, reliability: high, timeliness: daily}
files:
  - table: customers
    path: customers.csv
    columns: {customer_key: No, name: Name, phone: Phone, email: Mail, registered_on: Since}
  - table: order_lines
    path: orders.csv
    duplicates: keep
    columns:
      order_id: Order
      product_id: Item
      quantity: Units
      unit_price: Price
      ordered_at: Date
      customer_key: Who
"""
PEOPLE = {"name": ["张三", "Ann Lee", None], "phone": ["13812345678", None, None]}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project whose source in use is the private `shop`, with a table in its vault."""
    for name in ("CRM_PSEUDONYM_KEY", "CRM_ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    base = ROOT / use.KEPT if (ROOT / use.KEPT).exists() else ROOT / "params.yaml"
    shutil.copy(base, tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copytree(ROOT / "data/sources/demo", tmp_path / "data/sources/demo")
    (tmp_path / "src").symlink_to(ROOT / "src")
    folder = tmp_path / "data/sources/shop"
    folder.mkdir()
    (folder / "mapping.yaml").write_text(MAPPING)
    (folder / "params.yaml").write_text("# ours\nrun:\n  currency: EUR  # since 2002\n")
    use.use(tmp_path, "shop")
    lock_away(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lock_away(root) -> None:
    """Write the three people into the vault as `Stage.write` does."""
    key = vault.keys(root / "data/sources/shop", public=False).encryption
    rows = pd.DataFrame({"line": [1, 2, 3], "customer_key": ["1", "2", "3"], **PEOPLE})
    names = ("name", "phone", "email", "address", "id_number")
    for name in names:
        values = PEOPLE.get(name, [None] * 3)
        rows[name] = vault.encrypt(values, key=key, context=f"vault/customers.{name}")
    rows = rows.astype(dict.fromkeys(names, "str"))
    con = engine.connect(threads=1)
    engine.write(con, rows, root / "data/vault/customers.parquet", lookup("vault/customers"))


def opened(root) -> dict:
    """Names and phones in the vault, read with the keys that params.yaml expects."""
    folder = root / "data/sources/shop"
    found = vault.checked_keys(folder, load_params(root)["vault"], public=False)
    con = engine.connect(threads=1)
    rows = engine.frame(con, engine.scan(con, root / "data/vault/customers.parquet"))
    return {
        name: vault.decrypt(
            rows[name].tolist(), key=found.encryption, context=f"vault/customers.{name}"
        )
        for name in PEOPLE
    }


def files(root) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("data", ".crm")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.name != "access.log"
    } | {"params.yaml": (root / "params.yaml").read_bytes()}


def keys(root) -> vault.Keys:
    return vault.from_file(root / "data/sources/shop/keys.json")


def test_the_key_is_another_and_opens_the_same_values(root):
    old, before = keys(root), files(root)
    rotate.rotate(root)
    assert opened(root) == PEOPLE
    assert keys(root).pseudonym == old.pseudonym
    assert keys(root).encryption != old.encryption
    changed = {path for path, text in files(root).items() if before[path] != text}
    assert changed == {
        "data/sources/shop/keys.json", "data/sources/shop/params.yaml", "params.yaml",
        "data/vault/customers.parquet", use.WRITTEN,
    }  # fmt: skip
    mode = (root / "data/sources/shop/keys.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_stray_file_in_the_vault_does_not_stop_it(root):
    for name in (".DS_Store", "notes.txt"):
        (root / "data/vault" / name).write_text("stray")
    rotate.rotate(root)
    assert opened(root) == PEOPLE
    assert (root / "data/vault/.DS_Store").read_text() == "stray"


def test_the_old_key_opens_nothing_afterwards(root):
    old = keys(root)
    rotate.rotate(root)
    (root / "data/sources/shop/keys.json").write_text(
        json.dumps({"pseudonym": old.pseudonym.hex(), "encryption": old.encryption.hex()})
    )
    with pytest.raises(vault.KeyProblem, match=r"the encryption key has fingerprint"):
        opened(root)
    with pytest.raises(vault.KeyProblem, match=r"shop/params.yaml says vault.encryption"):
        use.use(root, "shop")


def test_comments_and_all_other_parameters_stay(root):
    then, now = keys(root).fingerprints()["encryption"], (root / "params.yaml").read_text()
    rotate.rotate(root)
    new = keys(root).fingerprints()
    assert (root / "params.yaml").read_text() == now.replace(then, new["encryption"])
    assert (root / "data/sources/shop/params.yaml").read_text() == (
        "# ours\nrun:\n  currency: EUR  # since 2002\n"
        f'vault:\n  pseudonym: "{new["pseudonym"]}"\n  encryption: "{new["encryption"]}"\n'
    )


@pytest.mark.parametrize("text", ["", "# nothing differs\n", "run: {currency: EUR}\n"])
def test_the_overrides_of_a_source_may_be_empty_or_in_one_line(root, text):
    use.use(root, "demo")
    (root / "data/sources/shop/params.yaml").write_text(text)
    use.use(root, "shop")
    rotate.rotate(root)
    own = root / "data/sources/shop/params.yaml"
    assert own.read_text().startswith(text)
    rotate.rotate(root)
    assert own.read_text().count("vault:") == 1
    assert use.use(root, "shop") == "params.yaml already is that of shop\n"
    use.use(root, "demo")


def test_no_key_is_printed(root, capsys):
    old = keys(root)
    assert main(["rotate"]) == 0
    said = capsys.readouterr().out
    assert "data/vault/customers.parquet: 3 rows encrypted anew" in said
    assert "keys.json holds the new key: back it up" in said
    for key in (old, keys(root)):
        assert key.encryption.hex() not in said
        assert key.pseudonym.hex() not in said


def test_one_line_in_the_log_says_who_opened_what_for_what(root):
    rotate.rotate(root)
    (line,) = (root / ".crm/access.log").read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert (entry["by"], entry["rows"], entry["purpose"]) == (
        "rotate", 3, "another encryption key",
    )  # fmt: skip
    assert entry["fields"][:2] == ["customers.name", "customers.phone"]
    assert "张三" not in line


def test_a_vault_without_tables_gets_a_new_key_too(root):
    shutil.rmtree(root / "data/vault")
    old = keys(root)
    rotate.rotate(root)
    assert keys(root).encryption != old.encryption


# --- what is refused


def test_a_public_source_has_nothing_to_change(root, capsys):
    use.use(root, "demo")
    before = files(root)
    assert main(["rotate"]) == 1
    assert capsys.readouterr().err == (
        "'demo' is public: its keys are published and guard nothing, so there is none to change; "
        "`crm use` a private source first\n"
    )
    assert files(root) == before


def test_tables_under_another_key_are_left_as_they_are(root):
    rows = (root / "data/vault/customers.parquet").read_bytes()
    rotate.rotate(root)
    (root / "data/vault/customers.parquet").write_bytes(rows)
    before = files(root)
    with pytest.raises(vault.KeyProblem, match=r"cannot decrypt .* nothing was changed"):
        rotate.rotate(root)
    assert files(root) == before


def in_environment(monkeypatch, key: vault.Keys) -> None:
    monkeypatch.setenv("CRM_PSEUDONYM_KEY", key.pseudonym.hex())
    monkeypatch.setenv("CRM_ENCRYPTION_KEY", key.encryption.hex())


def test_a_key_of_the_environment_has_to_be_moved_there_and_until_then_nothing_runs(
    root, monkeypatch, capsys
):
    in_environment(monkeypatch, keys(root))
    (root / "data/sources/shop/keys.json").unlink()
    assert main(["rotate"]) == 0
    said = capsys.readouterr().out
    assert "set CRM_ENCRYPTION_KEY to the text `encryption` of data/sources/shop/keys.json" in said
    assert main(["run"]) == 1
    assert "the encryption key has fingerprint" in capsys.readouterr().err
    in_environment(monkeypatch, keys(root))
    assert opened(root) == PEOPLE


def test_a_file_with_other_keys_than_the_environment_is_not_overwritten(root, monkeypatch):
    in_environment(monkeypatch, keys(root))
    vault.store(vault.Keys(b"p" * 32, b"e" * 64), root / "data/sources/shop/keys.json")
    before = files(root)
    with pytest.raises(vault.KeyProblem, match="holds other keys than the environment"):
        rotate.rotate(root)
    assert files(root) == before


# --- cut off in the middle


class CutOff(BaseException):
    """Stands for a power cut: nothing catches it."""


@pytest.mark.parametrize("step", range(6))
def test_cut_off_at_any_renaming_all_is_old_or_the_next_command_makes_all_new(
    root, monkeypatch, step
):
    """The first renaming decides; the five after it put one file each in place."""
    old, before, done = keys(root), files(root), []
    right = Path.replace

    def cut(path, target):
        if len(done) == step:
            raise CutOff
        done.append(path)
        return right(path, target)

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(CutOff):
        rotate.rotate(root)
    monkeypatch.setattr(Path, "replace", right)
    if step == 0:
        assert files(root) == before
    assert main(["stages"]) == 0  # any command
    assert opened(root) == PEOPLE
    assert (keys(root) == old) == (step == 0)
    assert set(files(root)) == set(before)
    use.use(root, "demo")  # nothing looks edited


@pytest.mark.parametrize("failing", ["crm.engine.write", "crm.vault.encrypt", "crm.vault.store"])
def test_a_failure_while_writing_aside_changes_nothing(root, monkeypatch, failing):
    before = files(root)

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(failing, fail)
    with pytest.raises(OSError, match="no space left"):
        rotate.rotate(root)
    assert files(root) == before


def test_what_a_killed_run_left_aside_is_thrown_away(root):
    left = root / rotate.ASIDE / "data/vault/customers.parquet"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    rotate.rotate(root)
    assert opened(root) == PEOPLE
    assert not (root / rotate.ASIDE).exists()


# --- the whole way


def test_after_it_the_pipeline_makes_the_same_tables_and_ids(tmp_path):
    folder = clone(tmp_path / "project")
    raw, source = folder / "data/raw/shop", folder / "data/sources/shop"
    raw.mkdir(parents=True)
    shutil.copytree(folder / "data/sources/demo", source)
    (source / "mapping.yaml").write_text(MAPPING)
    (source / "params.yaml").write_text("run: {currency: EUR}\n")
    people = "".join(f"{n},张{n}三,1381234{n:04},p{n}@example.org,2023-01-01\n" for n in range(40))
    (raw / "customers.csv").write_text("No,Name,Phone,Mail,Since\n" + people, encoding="utf-8")
    bought = "".join(f"A{n},mug,1,5.00,2023-0{n % 9 + 1}-02,{n % 40}\n" for n in range(90))
    (raw / "orders.csv").write_text("Order,Item,Units,Price,Date,Who\n" + bought)
    done = call(folder, "crm", "use", "shop")
    assert done.returncode == 0, done.stderr
    stages = ("dvc", "repro", "identity")
    assert call(folder, *stages).returncode == 0
    then = {p: engine.digest(folder / p) for p in ("data/tables", "data/vault")}
    done = call(folder, "crm", "rotate")
    assert done.returncode == 0, done.stderr
    assert "40 rows encrypted anew" in done.stdout
    between = engine.digest(folder / "data/vault")
    done = call(folder, *stages)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'ingest'" in done.stdout
    now = {p: engine.digest(folder / p) for p in then}
    assert now["data/tables"] == then["data/tables"]
    assert now["data/vault"] == between != then["data/vault"]
    assert keys(folder).fingerprints()["encryption"] in (folder / "params.yaml").read_text()
    assert os.path.exists(folder / ".crm/access.log")
