"""Run the README's section "Your first report on real data" as it stands, in a fresh clone.

The only argument is the file that a user would have downloaded; it takes the place of FILE=.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOWNLOADED = r"FILE=~/Downloads/Online\ Retail.xlsx"
HEADING = "## Your first report on real data"


def main() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split(HEADING, 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    script = "\n".join(blocks).replace(DOWNLOADED, "FILE=" + sys.argv[1])
    if sys.argv[1] not in script:
        sys.exit(f"the README's section has no line {DOWNLOADED}")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "crm"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
        shell = ["bash", "-euxo", "pipefail", "-c", script]
        done = subprocess.run(shell, cwd=clone, env=env)
        if done.returncode:
            sys.exit(f"the README's section failed with exit code {done.returncode}")
        page = (clone / "reports/pages/clean.html").read_text(encoding="utf-8")
        if "541,909" not in page or not (clone / "reports/index.html").exists():
            sys.exit("the section ended well, but its report is not that of Online Retail")


if __name__ == "__main__":
    main()
