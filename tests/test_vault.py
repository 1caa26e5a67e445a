"""Pseudonyms stay the same, encrypted values cannot be changed, published keys guard nothing."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import stat

import pytest
from conftest import ROOT

from crm import vault

KEY = bytes(range(64))


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch):
    monkeypatch.delenv("CRM_PSEUDONYM_KEY", raising=False)
    monkeypatch.delenv("CRM_ENCRYPTION_KEY", raising=False)


def test_a_pseudonym_is_the_same_on_every_run_and_machine():
    assert vault.pseudonyms("demo", ["10001"], key=b"k") == ["9112be32afab3779"]
    assert vault.pseudonyms("demo", [], key=b"k") == []


def test_pseudonyms_differ_by_source_by_key_and_by_where_one_ends():
    ids = [
        *vault.pseudonyms("demo", ["1", "2", "11"], key=b"k"),
        *vault.pseudonyms("shop", ["1"], key=b"k"),
        *vault.pseudonyms("demo1", ["1"], key=b"k"),
        *vault.pseudonyms("demo", ["1"], key=b"other"),
    ]
    assert len(set(ids)) == 6


@pytest.mark.parametrize("value", ["张伟", "13800001111", "z", "x" * 500])
def test_what_was_encrypted_is_read_back(value):
    sealed = vault.encrypt([value], key=KEY, context="vault/customers.name")
    assert value not in sealed[0]
    assert vault.decrypt(sealed, key=KEY, context="vault/customers.name") == [value]


def test_empty_values_stay_empty_and_in_place():
    sealed = vault.encrypt(["a", None, "", float("nan"), "a"], key=KEY, context="c")
    assert sealed[1:4] == [None, None, None]
    assert sealed[0] == sealed[4]  # the same text each time, so that runs can be compared
    assert vault.decrypt(sealed, key=KEY, context="c") == ["a", None, None, None, "a"]


def test_nothing_is_encrypted_to_nothing():
    assert vault.encrypt([], key=KEY, context="c") == vault.decrypt([], key=KEY, context="c") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text[2:],
        lambda text: "z" + text[1:],
        lambda text: text[:-1],
        lambda text: "00",
    ],
    ids=["one digit", "one byte less", "no hex", "half a byte less", "too short"],
)
def test_a_changed_value_is_noticed(change):
    sealed = vault.encrypt(["13800001111"], key=KEY, context="vault/customers.phone")
    with pytest.raises(vault.KeyProblem, match=r"cannot decrypt vault/customers.phone"):
        vault.decrypt([change(sealed[0])], key=KEY, context="vault/customers.phone")


def test_a_value_cannot_be_passed_off_as_one_of_another_column():
    sealed = vault.encrypt(["13800001111"], key=KEY, context="vault/customers.phone")
    with pytest.raises(vault.KeyProblem):
        vault.decrypt(sealed, key=KEY, context="vault/customers.name")


def test_another_key_does_not_decrypt():
    sealed = vault.encrypt(["a"], key=KEY, context="c")
    with pytest.raises(vault.KeyProblem, match="wrong key"):
        vault.decrypt(sealed, key=KEY[::-1], context="c")


# --- where keys come from


def test_public_data_use_the_published_keys(tmp_path):
    assert vault.keys(tmp_path, public=True) == vault.PUBLISHED
    assert not list(tmp_path.iterdir())


def test_private_data_without_keys_stop_the_run(tmp_path):
    with pytest.raises(vault.KeyProblem, match=r"no keys for .*: set CRM_PSEUDONYM_KEY and"):
        vault.keys(tmp_path, public=False)


def test_new_keys_are_random_kept_and_readable_by_their_owner_only(tmp_path):
    one = vault.keys(tmp_path / "one", public=False, create=True)
    other = vault.keys(tmp_path / "other", public=False, create=True)
    assert (len(one.pseudonym), len(one.encryption)) == (32, 64)
    assert one != other
    assert vault.keys(tmp_path / "one", public=False, create=True) == one
    assert stat.S_IMODE((tmp_path / "one/keys.json").stat().st_mode) == 0o600


def test_keys_of_the_environment_come_first(tmp_path, monkeypatch):
    vault.keys(tmp_path, public=False, create=True)
    monkeypatch.setenv("CRM_PSEUDONYM_KEY", "ab" * 32)
    monkeypatch.setenv("CRM_ENCRYPTION_KEY", "cd" * 64)
    assert vault.keys(tmp_path, public=False) == vault.Keys(b"\xab" * 32, b"\xcd" * 64)


def test_published_keys_are_refused_for_private_data(tmp_path, monkeypatch):
    monkeypatch.setenv("CRM_PSEUDONYM_KEY", vault.PUBLISHED.pseudonym.hex())
    monkeypatch.setenv("CRM_ENCRYPTION_KEY", vault.PUBLISHED.encryption.hex())
    with pytest.raises(vault.KeyProblem, match="published demo keys, which anybody can read"):
        vault.keys(tmp_path, public=False)


@pytest.mark.parametrize("which", ["pseudonym", "encryption"])
def test_one_published_key_is_refused_for_private_data_too(tmp_path, which):
    own = {"pseudonym": "ab" * 32, "encryption": "cd" * 64}
    stored = own | {which: getattr(vault.PUBLISHED, which).hex()}
    (tmp_path / "keys.json").write_text(json.dumps(stored))
    with pytest.raises(vault.KeyProblem, match="published demo keys"):
        vault.keys(tmp_path, public=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"pseudonym": "xy", "encryption": "00"}', "not hexadecimal"),
        ('{"pseudonym": "00", "encryption": "00"}', "too short"),
        (json.dumps({"pseudonym": "ab" * 32, "encryption": "ab" * 32}), "too short"),
        (json.dumps({"pseudonym": "ab" * 32}), "keys.json"),
        ("not json", "keys.json"),
        ("[]", "keys.json"),
    ],
    ids=["no hex", "short", "half", "one missing", "no json", "a list"],
)
def test_malformed_keys_are_named(tmp_path, text, message):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(vault.KeyProblem, match=message):
        vault.keys(tmp_path, public=False)


def test_a_key_without_its_partner_in_the_environment_is_named(tmp_path, monkeypatch):
    vault.keys(tmp_path, public=False, create=True)
    monkeypatch.setenv("CRM_PSEUDONYM_KEY", "ab" * 32)
    with pytest.raises(vault.KeyProblem, match="CRM_ENCRYPTION_KEY"):
        vault.keys(tmp_path, public=False)


# --- fingerprints


def test_a_fingerprint_tells_keys_apart_and_is_not_the_key():
    prints = vault.PUBLISHED.fingerprints()
    assert prints == {"pseudonym": "caf7551069afb58a", "encryption": "4fa0989f56a16d31"}
    assert vault.Keys(b"a" * 32, b"b" * 64).fingerprints() != prints


def test_a_wrong_key_stops_the_run_and_is_named():
    prints = vault.PUBLISHED.fingerprints()
    vault.check_fingerprints(vault.PUBLISHED, prints)
    with pytest.raises(vault.KeyProblem, match=r"the encryption key .* vault.encryption: 0000"):
        vault.check_fingerprints(vault.PUBLISHED, prints | {"encryption": "0000"})
    with pytest.raises(vault.KeyProblem, match=r"vault.pseudonym: None"):
        vault.check_fingerprints(vault.PUBLISHED, {})


# --- masks (E16, Q-23)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("张三", "张*"), ("张小明", "张**"), ("欧阳修", "欧阳*"), ("欧阳", "欧*"), ("张", "*"),
        ("Ann Lee", "A******"), ("阿迪力·买买提", "阿******"), ("é", "*"),
    ],
)  # fmt: skip
def test_a_name_shows_its_surname_and_never_the_whole(name, shown):
    assert vault.mask_name(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (" 张 三 ", "张*"), ("Ａｎｎ", "A**"), ("=SUM(A1)", "********"), ("<b>", "***"),
        ("13812345678", "***********"), ("", ""), (None, ""), (float("nan"), ""),
    ],
    ids=["blanks", "full width", "a formula", "markup", "a phone", "empty", "none", "no number"],
)  # fmt: skip
def test_what_does_not_look_like_a_name_is_hidden_whole(name, shown):
    assert vault.mask_name(name) == shown


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("13812345678", "138****5678"), ("+86 138 1234-5678", "138****5678"),
        ("８６１３８１２３４５６７８", "138****5678"), ("01058880000", "010****0000"),
        ("58880000", "****"), ("+44 20 7946 0958", "****"), ("138123456789", "****"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_phone_of_eleven_digits_lacks_its_middle_and_any_other_is_hidden(phone, shown):
    assert vault.mask_phone(phone) == shown


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("ann@example.org", "a***@example.org"), ("李@例子.cn", "李***@例子.cn"),
        ("a@b@example.org", "***"), ("call me @ 138 1234", "***"), ("a@13812345678.com", "***"),
        ("@example.org", "***"), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_an_e_mail_shows_its_first_character_and_its_domain(email, shown):
    assert vault.mask_email(email) == shown


# --- roles (PRV-10, ROL-04, ROL-06, ROL-07)

LOOK = {"fields": ["customers.name"], "purpose": "a test", "rows": 1}


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    shutil.copy(ROOT / "roles.yaml", tmp_path / "roles.yaml")
    monkeypatch.delenv("CRM_ROLE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("", {"rfm", "gate", "card", "rotate", "crm forget"}),  # a session that names none
        ("keeper", {"rfm", "gate", "card", "rotate", "crm forget"}),
        ("data-scientist", {"rfm", "gate"}),
        ("service", {"card"}),
        ("reviewer", set()),
    ],
)
def test_a_role_opens_what_roles_yaml_lets_it_and_a_refusal_is_not_logged(
    guarded, monkeypatch, role, may
):
    monkeypatch.setenv("CRM_ROLE", role)
    opened = set()
    for by in ("rfm", "gate", "card", "rotate", "crm forget"):
        try:
            vault.log(guarded, by=by, **LOOK)
            opened.add(by)
        except vault.KeyProblem as error:
            assert str(error).startswith(f"the role {role} may not")
    assert opened == may
    log = guarded / ".crm/access.log"
    assert {json.loads(x)["by"] for x in log.read_text().splitlines()} == may if may else True
    assert log.exists() == bool(may)


def test_a_role_that_is_not_there_is_named_with_the_nearest(guarded, monkeypatch):
    monkeypatch.setenv("CRM_ROLE", "reviewr")
    with pytest.raises(vault.KeyProblem, match=r"no role 'reviewr'.*did you mean 'reviewer'\?"):
        vault.log(guarded, by="gate", **LOOK)


def test_a_file_of_roles_that_is_not_yaml_opens_nothing(guarded):
    (guarded / "roles.yaml").write_text("keeper: {opens: [run\n")
    with pytest.raises(vault.KeyProblem, match=r"^roles.yaml"):
        vault.log(guarded, by="gate", **LOOK)


def test_without_a_file_of_roles_no_role_that_is_named_opens_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("CRM_ROLE", "reviewer")
    with pytest.raises(vault.KeyProblem, match=r"^roles.yaml: not there, but CRM_ROLE"):
        vault.log(tmp_path, by="gate", **LOOK)
    assert not (tmp_path / ".crm").exists()
    monkeypatch.delenv("CRM_ROLE")
    vault.log(tmp_path, by="gate", **LOOK)


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_whom_the_system_has_no_name_for_is_logged_by_number(guarded, monkeypatch, error):
    def nobody():
        raise error("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(os, "getuid", lambda: 4711, raising=False)
    vault.log(guarded, by="gate", **LOOK)
    assert json.loads((guarded / ".crm/access.log").read_text())["who"] == "uid 4711"
