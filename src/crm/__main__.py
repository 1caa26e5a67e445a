"""`python3 src/crm setup` makes the environment; `python -m crm …` is the `crm` command.

Standard library only: this file runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "crm-setup.sha256"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def setup() -> None:
    """Make .venv from the lock, exact versions checked by hash; does nothing if it is current."""
    # the place counts: a folder that was moved or copied needs its own editable install
    parts = (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode())
    wanted = hashlib.sha256(b"".join(parts)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs on whatever python3 is there
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    print("Setting up .venv from requirements.lock (once; about a minute) …", flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    _install_uv(env)
    uv = [str(BIN / "uv"), "pip"]
    here = ["--quiet", "--python", str(PYTHON)]
    _call([*uv, "sync", *here, "--require-hashes", str(LOCK)], env)
    _call([*uv, "install", *here, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], env)
    _call(
        [str(PYTHON), "-m", "compileall", "-q", str(VENV / "lib"), str(ROOT / "src")], env, False
    )
    # what Numba compiles is kept beside the module, so that no first run waits for it
    _call(
        [str(PYTHON), "-c", "from crm import itemsets, kmeans; itemsets.warm(); kmeans.warm()"],
        env,
    )
    STAMP.write_text(wanted)


def _install_uv(env: dict) -> None:
    """Install the locked uv, by hash, with the pip of the new environment."""
    block = re.search(r"^uv==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    only_uv = VENV / "uv.lock.txt"
    only_uv.write_text(block[0])
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*pip, "--require-hashes", "-r", str(only_uv)], env)


def _call(command: list[str], env: dict, must_succeed: bool = True) -> None:
    code = subprocess.run(command, env=env, cwd=ROOT).returncode
    if code and must_succeed:
        sys.exit(f"set-up failed (exit {code}): {' '.join(command)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["setup"]:
        setup()
        print(f"ready: {PYTHON.relative_to(ROOT)}")
    elif __package__:
        from crm.run import main

        sys.exit(main())
    else:
        sys.exit("usage: python3 src/crm setup, then .venv/bin/python -m crm --help")
