"""Makes measure.ttf: the widths of Liberation Sans and of wide characters, all shapes boxes.

Charts are laid out with it, so that no installed font changes a byte. To make it anew:
`python src/crm/site/measure/make.py LiberationSans-Regular.ttf` (needs fonttools).
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

NAME = "CRM Measure"
PLAIN = [  # blocks whose widths are taken over: Latin, Greek, Cyrillic, signs
    (0x20, 0x24F), (0x2B0, 0x2FF), (0x370, 0x52F), (0x1E00, 0x1EFF), (0x2000, 0x22FF),
    (0x2500, 0x26FF), (0xFB00, 0xFB06),
]  # fmt: skip
WIDE = (0x2E80, 0x3FFFD)  # from here on, a character is as wide as it is high if Unicode says so


def widths(source: Path) -> tuple[dict[int, int], dict]:
    """Code point: width in units, and the heights of the font."""
    from fontTools.ttLib import TTFont

    font = TTFont(source)
    units, chosen = font["head"].unitsPerEm, font.getBestCmap()
    found = {
        point: font["hmtx"][chosen[point]][0]
        for first, last in PLAIN
        for point in range(first, last + 1)
        if point in chosen
    }
    wide = {
        point: units
        for point in range(WIDE[0], WIDE[1] + 1)
        if unicodedata.east_asian_width(chr(point)) in "WF" and point not in found
    }
    heights = {"ascent": font["hhea"].ascent, "descent": font["hhea"].descent}
    return dict(sorted((found | wide).items())), heights | {"units": units}


def make(source: Path, target: Path) -> None:
    """Write the font: one box for each width, many characters to one box."""
    from fontTools.fontBuilder import FontBuilder

    by_point, heights = widths(source)
    glyphs = {".notdef": heights["units"]}
    glyphs |= {f"w{width}": width for width in sorted(set(by_point.values()))}
    up, down = heights["ascent"], heights["descent"]
    builder = FontBuilder(heights["units"], isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({0x20: f"w{by_point[0x20]}"})
    builder.font["cmap"].tables = [_many_to_one(by_point)]
    builder.setupGlyf({name: _box(width) for name, width in glyphs.items()})
    builder.setupHorizontalMetrics({name: (width, 0) for name, width in glyphs.items()})
    builder.setupHorizontalHeader(ascent=up, descent=down)
    builder.setupNameTable({"familyName": NAME, "styleName": "Regular", "psName": "CRMMeasure"})
    builder.setupOS2(sTypoAscender=up, sTypoDescender=down, usWinAscent=up, usWinDescent=-down)
    builder.setupPost(keepGlyphNames=False)
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    builder.save(target)


def _many_to_one(by_point: dict[int, int]):
    """The table from characters to boxes, in the one format that keeps it small."""
    from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

    table = CmapSubtable.newSubtable(13)
    table.platformID, table.platEncID, table.language = 3, 10, 0
    table.cmap = {point: f"w{width}" for point, width in by_point.items()}
    return table


def _box(width: int):
    """A shape as wide as its character: text without any shape is not measured at all."""
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (width, 1000), (width, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(__file__).with_name("measure.ttf"))
