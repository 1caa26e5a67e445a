"""The report site: one self-contained HTML file per analysis and an index.

It reads what `dvc repro` left (executed notebooks, metrics, dvc.yaml) and starts no kernel.
Every number in a sentence, tile or title is compared with the metrics of its stage first.
"""

from __future__ import annotations

import os
from pathlib import Path

from crm.site.source import SiteError, read

__all__ = ["SiteError", "build"]


def build(root: Path, *, language: str = "en") -> list[Path]:
    """Write reports/index.html and reports/pages/; the files written, index first.

    All pages are made before the first is written, so that an error leaves the old site whole.

    Raises
    ------
    SiteError
        A notebook or number is missing, or a number differs from its metric.
    """
    from crm.site.pages import render

    root = Path(root)
    texts = render(read(root), language)
    written = [_replace(root / "reports" / name, text) for name, text in texts.items()]
    for page in (root / "reports/pages").glob("*.html"):
        if page not in written:
            page.unlink()
    return written


def _replace(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(text.encode("utf-8"))  # bytes: the same line ends on every system
    os.replace(aside, path)
    return path
