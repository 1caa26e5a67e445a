"""`crm use` changes what it must, says so, and can be taken back to the byte."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm import catalogue, use, vault
from crm.mapping import SourceError
from crm.project import ProjectError, load_params
from crm.run import main

ROOT = Path(__file__).parents[1]
SHOP = """\
title: A private shop
licence: our own
register: {kind: internal, relevance: sales, reliability: high, timeliness: daily}
files:
  - table: order_lines
    path: orders.csv
    duplicates: keep
    columns:
      order_id: Order
      product_id: Item
      quantity: Units
      unit_price: Price
      ordered_at: Date
"""
OVERRIDES = """\
run:
  currency: GBP
  time_zone: Europe/London
rfm:
  flag: {order_value: 200}
  score:
    m_anchors: [[0, 0], [1000, 100]]
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A copy of the project's two files and sources, with a private source `shop`."""
    monkeypatch.delenv("CRM_PSEUDONYM_KEY", raising=False)
    monkeypatch.delenv("CRM_ENCRYPTION_KEY", raising=False)
    base = ROOT / use.KEPT if (ROOT / use.KEPT).exists() else ROOT / "params.yaml"
    shutil.copy(base, tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    for name in ("demo", "online-retail"):
        shutil.copytree(ROOT / "data/sources" / name, tmp_path / "data/sources" / name)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "data/sources/online-retail/params.yaml").write_text(OVERRIDES)
    (tmp_path / "data/sources/shop").mkdir()
    (tmp_path / "data/sources/shop/mapping.yaml").write_text(SHOP)
    return tmp_path


def comments(text: str) -> list[str]:
    return [line.split("#", 1)[1] for line in text.splitlines() if "#" in line]


def test_using_a_source_changes_its_name_and_overrides_only(root):
    before = load_params(root)
    use.use(root, "online-retail")
    now = load_params(root)
    assert now["run"] == before["run"] | {
        "source": "online-retail", "currency": "GBP", "time_zone": "Europe/London",
    }  # fmt: skip
    assert now["rfm"]["flag"] == before["rfm"]["flag"] | {"order_value": 200}
    assert now["rfm"]["score"]["m_anchors"] == [[0, 0], [1000, 100]]
    assert now["rfm"]["score"]["r_anchors"] == before["rfm"]["score"]["r_anchors"]
    assert {k: v for k, v in now.items() if k not in ("run", "rfm")} == {
        k: v for k, v in before.items() if k not in ("run", "rfm")
    }


def test_comments_stay(root):
    before = (root / "params.yaml").read_text()
    use.use(root, "online-retail")
    assert comments((root / "params.yaml").read_text()) == comments(before)


def test_the_difference_is_told_and_names_nothing_else(root):
    told = use.use(root, "online-retail")
    changed = [
        line for line in told.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]
    keys = {line[1:].split(":")[0].strip() for line in changed}
    assert {"source", "currency", "time_zone", "order_value", "m_anchors"} <= keys
    assert not {"r_anchors", "f_anchors", "seed", "window_days", "pseudonym", "customers"} & keys
    assert "+  source: online-retail" in told


def test_using_the_demo_again_restores_every_byte(root):
    before = (root / "params.yaml").read_bytes()
    use.use(root, "online-retail")
    told = use.use(root, "demo")
    assert (root / "params.yaml").read_bytes() == before
    assert "+  source: demo" in told
    assert not list((root / ".crm").iterdir())


def test_line_ends_of_another_system_are_restored_too(root):
    before = (root / "params.yaml").read_bytes().replace(b"\n", b"\r\n")
    (root / "params.yaml").write_bytes(before)
    use.use(root, "online-retail")
    use.use(root, "demo")
    assert (root / "params.yaml").read_bytes() == before


def test_using_the_same_source_twice_changes_nothing(root):
    use.use(root, "online-retail")
    once = (root / "params.yaml").read_bytes()
    assert use.use(root, "online-retail") == "params.yaml already is that of online-retail\n"
    assert (root / "params.yaml").read_bytes() == once
    assert use.use(root, "demo").startswith("---")


def test_the_demo_is_in_use_from_the_start(root):
    before = (root / "params.yaml").read_bytes()
    assert use.use(root, "demo") == "params.yaml already is that of demo\n"
    assert (root / "params.yaml").read_bytes() == before


def test_one_source_after_another_starts_from_the_base(root):
    before = (root / "params.yaml").read_bytes()
    use.use(root, "online-retail")
    use.use(root, "shop")
    assert load_params(root)["run"]["currency"] == "CNY"
    use.use(root, "demo")
    assert (root / "params.yaml").read_bytes() == before


def test_an_edit_of_the_base_is_kept(root):
    text = (root / "params.yaml").read_text().replace("high: 80", "high: 75")
    (root / "params.yaml").write_text(text)
    use.use(root, "online-retail")
    assert load_params(root)["rfm"]["tier"]["high"] == 75
    use.use(root, "demo")
    assert (root / "params.yaml").read_text() == text


@pytest.mark.parametrize("name", ["demo", "shop", "online-retail"])
def test_an_edit_while_another_source_is_in_use_is_not_lost(root, name):
    use.use(root, "online-retail")
    text = (root / "params.yaml").read_text()
    edited = text.replace("high: 80", "high: 75", 1).replace("seed: 20231031", "seed: 7")
    (root / "params.yaml").write_text(edited)
    with pytest.raises(ProjectError, match=r"edited since `crm use`: run.seed, rfm.tier.high\."):
        use.use(root, name)
    assert (root / "params.yaml").read_text() == edited
    (root / "params.yaml").write_text(text)
    use.use(root, "demo")


def test_an_edit_of_comments_only_is_named_as_such(root):
    use.use(root, "online-retail")
    with (root / "params.yaml").open("a") as file:
        file.write("# a note\n")
    with pytest.raises(ProjectError, match="only comments or blanks"):
        use.use(root, "demo")


def test_a_base_text_that_is_gone_is_told(root):
    use.use(root, "online-retail")
    shutil.rmtree(root / ".crm")
    with pytest.raises(ProjectError, match=r"git checkout params\.yaml"):
        use.use(root, "demo")


@pytest.mark.parametrize("name", ["shpo", "../sources/shop", ""])
def test_an_unknown_source_is_named_with_those_there_are(root, name):
    with pytest.raises(ProjectError, match=r"no source .* there are demo, online-retail, shop"):
        use.use(root, name)


def test_overrides_of_unknown_keys_are_refused_before_anything_is_written(root):
    before = (root / "params.yaml").read_bytes()
    (root / "data/sources/shop/params.yaml").write_text("rfm: {tier: {hihg: 75}}\n")
    with pytest.raises(ProjectError, match=r"shop/params.yaml: .* did you mean 'high'\?"):
        use.use(root, "shop")
    assert (root / "params.yaml").read_bytes() == before
    assert not (root / use.KEPT).exists()


def test_a_private_source_has_keys_of_its_own_and_their_fingerprints(root):
    use.use(root, "shop")
    file = root / "data/sources/shop/keys.json"
    own = vault.keys(file.parent, public=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_params(root)["vault"] == own.fingerprints() != vault.PUBLISHED.fingerprints()
    use.use(root, "demo")
    use.use(root, "shop")
    assert vault.keys(file.parent, public=False) == own


def test_a_public_source_has_no_key_file(root):
    use.use(root, "online-retail")
    assert not (root / "data/sources/online-retail/keys.json").exists()
    assert load_params(root)["vault"] == vault.PUBLISHED.fingerprints()


# --- keys are looked at before any work


KEYS = {"pseudonym": "ab" * 32, "encryption": "cd" * 64}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no keys for 'shop': set CRM_PSEUDONYM_KEY and CRM_ENCRYPTION_KEY, or put back"),
        ("{}", "is not JSON with the texts pseudonym and encryption; put it back"),
        (json.dumps(KEYS | {"encryption": "xy"}), "are not hexadecimal text"),
        (json.dumps(KEYS | {"encryption": "cd" * 32}), "are too short"),
        (json.dumps(KEYS), "the pseudonym key has fingerprint"),
    ],
    ids=["missing", "malformed", "no hex", "short", "of another source"],
)
@pytest.mark.parametrize(
    "stage", [[], ["ingest"], ["identity"]], ids=["all", "ingest", "identity"]
)
def test_a_missing_or_wrong_key_ends_a_run_before_any_work(
    root, monkeypatch, capsys, text, said, stage
):
    use.use(root, "shop")
    file = root / "data/sources/shop/keys.json"
    file.write_text(text) if text else file.unlink()
    monkeypatch.chdir(root)
    started = []
    monkeypatch.setattr("crm.run._call", lambda *command, **_: started.append(command))
    monkeypatch.setattr("crm.run.run_notebook", lambda *arguments: started.append(arguments))
    assert main(["run", *stage]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "ab" * 32 not in error
    assert len(error.splitlines()) == 1
    assert not started


def test_a_stage_that_needs_no_key_runs_without(root, monkeypatch):
    use.use(root, "shop")
    (root / "data/sources/shop/keys.json").unlink()
    monkeypatch.chdir(root)
    started = []
    monkeypatch.setattr("crm.run.run_notebook", lambda *arguments: started.append(arguments))
    assert main(["run", "rfm"]) == 0
    assert len(started) == 1


def test_a_source_whose_fingerprints_are_known_gets_no_new_keys(root):
    """Its vault lies under keys that are lost: new ones would only seem to work."""
    prints = vault.Keys(b"p" * 32, b"e" * 64).fingerprints()
    text = json.dumps({"vault": prints})
    (root / "data/sources/shop/params.yaml").write_text(text)
    with pytest.raises(vault.KeyProblem, match="no keys for 'shop'"):
        use.use(root, "shop")
    assert not (root / "data/sources/shop/keys.json").exists()


# --- crm publish


def test_what_is_handed_over_holds_pages_and_nothing_else(root, monkeypatch):
    """A reviewer sees pages only: no table, key, log or executed copy goes along (ROL-07)."""
    use.use(root, "shop")
    made = (
        "reports/index.html", "reports/pages/rfm.html", "reports/notebooks/rfm.ipynb",
        "reports/metrics/rfm.json", "data/tables/a.parquet", ".crm/access.log",
    )  # fmt: skip
    for name in made:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    monkeypatch.chdir(root)
    assert main(["publish", "out"]) == 0
    found = {p.relative_to(root / "out").as_posix() for p in (root / "out").rglob("*.*")}
    assert found == {"index.html", "pages/rfm.html"}


# --- crm check, crm draft


def test_a_source_without_its_file_is_told(root):
    found, summary = use.check(root, "shop")
    assert any("orders.csv" in problem for problem in found)
    assert summary == f"shop: {len(found)} to mend"


def test_a_good_source_has_nothing_wrong(root):
    raw = root / "data/raw/shop"
    raw.mkdir(parents=True)
    (raw / "orders.csv").write_text("Order,Item,Units,Price,Date\nA,mug,1,5.00,2023-01-02\n")
    assert use.check(root, "shop") == ([], "shop: nothing wrong; next: crm use shop")


def write_orders(root, *rows: str, head="Order,Item,Units,Price,Date") -> None:
    raw = root / "data/raw/shop"
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "orders.csv").write_text("\n".join((head, *rows, "")))


def test_what_a_good_source_leaves_out_is_noted_before_the_verdict(root):
    rows = [f"A{i},mug,1,5.00,2023-01-02,x,y" for i in range(40)]
    rows[3] = rows[3].replace(",1,5.00", ",one,5.00")
    rows[5] = rows[5].replace(",1,5.00", ",two,5.00")
    write_orders(root, *rows, head="Order,Item,Units,Price,Date,Note,Till")
    found, summary = use.check(root, "shop")
    assert found == []
    assert summary.splitlines() == [
        "note: 2 cells of order_lines.quantity, such as 'one', cannot be read: left empty, and on "
        "the list of issues",
        "note: orders.csv (order_lines): no field names Note, Till: not read",
        "shop: nothing wrong; next: crm use shop",
    ]


def test_a_source_from_before_gets_an_empty_file_of_tags_and_one_with_tags_keeps_them(root):
    path = root / "data/sources/shop/tags.yaml"
    use.use(root, "shop")
    assert catalogue.read(path) == catalogue.Declared()
    path.write_text("personas: []\n")
    use.use(root, "shop")
    assert path.read_text() == "personas: []\n"


def test_a_mistake_in_the_tags_of_a_source_is_found_too(root):
    write_orders(root, "A,mug,1,5.00,2023-01-02")
    (root / "data/sources/shop/tags.yaml").write_text("persona: []\n")
    (problem,), _summary = use.check(root, "shop")
    assert problem.startswith("data/sources/shop/tags.yaml, line 1: the key")
    assert "did you mean 'personas'?" in problem


EVIL = "\x1b[2J\u202ex"


def test_names_in_notes_cannot_steer_the_terminal_nor_begin_a_line(root):
    raw = root / "data/raw/shop"
    raw.mkdir(parents=True)
    columns = {"Order": ["A"], "Item": ["mug"], "Units": [1], "Price": [5], EVIL: ["x"]}
    columns |= {"Date": [datetime(2023, 1, 2)]}
    pq.write_table(pa.table(columns), raw / "orders.parquet")
    mapping = root / "data/sources/shop/mapping.yaml"
    mapping.write_text(SHOP.replace("orders.csv", "orders.parquet"))
    found, summary = use.check(root, "shop")
    assert found == []
    assert summary.splitlines() == [
        r"note: orders.parquet (order_lines): no field names \x1b[2J\u202ex: not read",
        "shop: nothing wrong; next: crm use shop",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["check", EVIL], ["use", EVIL], ["draft", EVIL, "a.csv"], ["draft", "new", EVIL],
     ["pull", EVIL], ["run", EVIL], ["simulate", "--customers", "3", "--into", EVIL]],
    ids=lambda arguments: " ".join(arguments[:-1]).encode("unicode_escape").decode(),
)  # fmt: skip
def test_no_command_shows_a_name_as_it_is(root, monkeypatch, capsys, arguments):
    monkeypatch.chdir(root)
    assert main([argument.replace(EVIL, EVIL + "\n\u2028x") for argument in arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.split("\n")) == 2
    assert said.err.removesuffix("\n").isprintable()


def test_a_folder_without_rights_is_one_message(root, monkeypatch, capsys):
    """Rights mean nothing to root, who may run the tests: the refusal is that of the system."""

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "params\x1b.yaml")

    monkeypatch.chdir(root)
    monkeypatch.setattr("pathlib.Path.write_text", refused)
    assert main(["use", "shop"]) == 1
    assert capsys.readouterr().err == (
        "params\\x1b.yaml: Permission denied; expected a file or folder that may be read and "
        "written; look at its rights, or whose it is\n"
    )


@pytest.mark.parametrize("name", ["../new", "a/b", "", ".", "..", "a\nb", "-x"])
def test_a_draft_is_written_to_a_folder_of_its_own(root, name):
    (root / "orders.csv").write_text("Order,Item,Units,Price,Date\nA,mug,1,5.00,2023-01-02\n")
    with pytest.raises(ProjectError, match=r"^crm draft: the source .*; give another name$"):
        use.draft(root, name, [root / "orders.csv"])


def test_a_cell_in_a_note_is_masked(root):
    rows = [f"A{i},mug,1,5.00,2023-01-02" for i in range(40)]
    write_orders(root, *rows, "A,mug,call 13800001111,5.00,2023-01-02")
    assert "such as 'call [phone]'" in use.check(root, "shop")[1]


def test_too_many_cells_that_cannot_be_read_are_to_mend_and_no_note(root):
    write_orders(root, "A,mug,one,5.00,2023-01-02", "B,mug,1,5.00,2023-01-02")
    found, summary = use.check(root, "shop")
    assert len(found) == 1
    assert "'one' is not a number" in found[0]
    assert summary == "shop: 1 to mend"


def test_the_share_that_may_be_unread_is_that_of_the_parameters(root):
    write_orders(root, "A,mug,one,5.00,2023-01-02", "B,mug,1,5.00,2023-01-02")
    (root / "data/sources/shop/params.yaml").write_text("ingest: {read: {max_unread: 0.5}}\n")
    found, summary = use.check(root, "shop")
    assert found == []
    assert summary.startswith("note: 1 cell of order_lines.quantity, such as 'one'")


def test_the_parameters_of_the_project_are_checked_too(root):
    text = (root / "params.yaml").read_text().replace("max_unread: 0.05", "max_unread: few")
    (root / "params.yaml").write_text(text)
    write_orders(root, "A,mug,1,5.00,2023-01-02")
    assert use.check(root, "shop")[0] == [
        'params.yaml: ingest.read.max_unread is "few"; expected a number; mend it, as in 0.05'
    ]


def test_a_source_whose_mapping_is_wrong_is_not_used(root):
    before = (root / "params.yaml").read_bytes()
    (root / "data/sources/shop/mapping.yaml").write_text("- a\n")
    with pytest.raises(SourceError, match=r"shop/mapping.yaml: no keys"):
        use.use(root, "shop")
    assert (root / "params.yaml").read_bytes() == before
    assert not (root / "data/sources/shop/keys.json").exists()


def test_overrides_of_a_wrong_type_are_refused_before_anything_is_written(root):
    before = (root / "params.yaml").read_bytes()
    (root / "data/sources/shop/params.yaml").write_text("rfm: {tier: {high: lots}}\n")
    with pytest.raises(ProjectError, match=r"^data/sources/shop/params.yaml: rfm.tier.high is"):
        use.use(root, "shop")
    assert (root / "params.yaml").read_bytes() == before
    assert not (root / "data/sources/shop/keys.json").exists()


def test_overrides_are_checked_with_the_source(root):
    (root / "data/sources/shop/params.yaml").write_text("rfmm: {}\n")
    found, _ = use.check(root, "shop")
    assert any("did you mean 'rfm'?" in problem for problem in found)


def test_a_draft_never_overwrites_a_mapping(root):
    with pytest.raises(ProjectError, match=r"shop/mapping\.yaml is there already"):
        use.draft(root, "shop", [])


def test_a_draft_of_a_file_that_is_not_there_is_refused(root):
    with pytest.raises(ProjectError, match=r"no such file: .*gone\.csv"):
        use.draft(root, "new", [root / "gone.csv"])
    assert not (root / "data/sources/new").exists()


def test_a_draft_brings_the_files_that_every_source_has(root):
    (root / "orders.csv").write_text("Order,Item,Units,Price,Date\nA,mug,1,5.00,2023-01-02\n")
    told = use.draft(root, "new", [root / "orders.csv"])
    assert "crm check new" in told
    made = {path.name for path in (root / "data/sources/new").iterdir()}
    assert made == {
        "mapping.yaml", "params.yaml", "decisions.csv", "corrections.csv", "tombstones.csv",
        "issues.csv", "tags.yaml", "previous_ids.parquet",
    }  # fmt: skip
    assert catalogue.read(root / "data/sources/new/tags.yaml") == catalogue.Declared()


# --- the table of stages


def test_every_stage_has_a_row_with_what_it_writes(root):
    rows = use.stage_table(root).splitlines()
    assert rows[:2] == ["| stage | what it makes | writes |", "|---|---|---|"]
    assert [row.split("`")[1] for row in rows[2:]][:2] == ["simulate", "ingest"]
    assert any("`data/features/rfm.parquet`" in row for row in rows)
    assert "reports/notebooks" not in "".join(r for r in rows if not r.startswith("| `site`"))


def test_the_table_of_stages_is_put_between_its_marks(root):
    readme = root / "README.md"
    readme.write_text("# Title\n<!-- stages -->\nold\n<!-- /stages -->\nrest\n")
    assert use.write_stage_table(root) == use.write_stage_table(root) == 0
    table = use.stage_table(root)
    assert readme.read_text() == f"# Title\n<!-- stages -->\n{table}<!-- /stages -->\nrest\n"
