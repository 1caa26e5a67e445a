"""Messages and Markdown as HTML. Whatever comes from data is escaped, wherever it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import mistune
from markupsafe import Markup, escape

from crm import wording
from crm.site.source import Site, SiteError

_TOKEN = re.compile("\ue000(\\d+)\ue001")  # private characters: no Markdown meaning


@dataclass
class Writer:
    """Writes the messages and the prose of one page, and checks each number it writes."""

    site: Site
    stage: str
    slugs: dict = field(default_factory=dict)  # slug: how often it was given

    @property
    def currency(self) -> str:
        return self.site.run.get("currency", "")

    def html(self, message: str, values: dict, stage: str = "") -> Markup:
        """The filled message, each value in a span that names its metric.

        Values enter after Markdown was read, so that no value is taken for Markdown or HTML.
        """
        marked = wording.agreed(message or "", values)
        places = list(wording.PLACE.finditer(marked))
        spans = [self._span(place, values, stage or self.stage) for place in places]
        for number, place in enumerate(places):
            marked = marked.replace(place[0], f"\ue000{number}\ue001", 1)
        text = self._inline(marked).strip().removeprefix("<p>").removesuffix("</p>")
        return Markup(_TOKEN.sub(lambda m: spans[int(m[1])], text))

    def plain(self, message: str, values: dict, stage: str = "") -> str:
        """The filled message as text, for titles and alternative texts; not yet escaped."""
        for key in wording.keys(message or ""):
            self._check(key, values, stage or self.stage)
        bare = (message or "").replace("**", "").replace("`", "")
        return wording.fill(bare, values, self.currency)

    def value(self, value, form: str = "") -> str:
        """One value of a table as text."""
        if isinstance(value, (int, float)) and form == "text":
            form = ""
        if isinstance(value, (dict, list)):
            return str(value)
        return wording.form(value, form, self.currency)

    def prose(self, markdown: str) -> tuple[Markup, list[dict]]:
        """A Markdown cell as HTML, and its headings for the table of contents."""
        renderer = _Prose(self)
        text = mistune.create_markdown(renderer=renderer, plugins=_PLUGINS)(markdown)
        return Markup(text), renderer.headings

    def slug(self, text: str) -> str:
        """An id for a heading, the same at every build and once on a page."""
        base = re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "part"
        self.slugs[base] = self.slugs.get(base, 0) + 1
        return base if self.slugs[base] == 1 else f"{base}-{self.slugs[base]}"

    def _span(self, place: re.Match, values: dict, stage: str) -> str:
        self._check(place[1], values, stage)
        text = wording.fill(place[0], values, self.currency)
        return f'<span class="num" title="{escape(f"{stage}.{place[1]}")}">{escape(text)}</span>'

    def _check(self, key: str, values: dict, stage: str) -> None:
        if key not in values:
            raise SiteError(
                f"stage {stage!r}: a message names {key!r}, which has no value; "
                f"there are {sorted(values)}"
            )
        self.site.number(stage, key, values[key])

    @cached_property
    def _inline(self):
        return mistune.create_markdown(renderer=_Inline(escape=True), plugins=_PLUGINS)


_PLUGINS = ["table", "strikethrough"]


class _Inline(mistune.HTMLRenderer):
    """Raw HTML is shown as text; an image becomes its description, as a page fetches nothing."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return str(escape(text))


class _Prose(_Inline):
    """Markdown cells: headings get ids, links to notebooks lead to their pages."""

    def __init__(self, writer: Writer):
        super().__init__(escape=True)
        self.writer = writer
        self.headings: list[dict] = []

    def heading(self, text: str, level: int, **attrs) -> str:
        level = max(level, 2)  # the page's title is the only first-level heading
        plain = Markup(re.sub("<[^>]+>", "", text))
        slug = self.writer.slug(plain.unescape())
        self.headings.append({"level": level, "slug": slug, "text": plain})
        return f'<h{level} id="{escape(slug)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        name = url.rsplit("/", 1)[-1].removesuffix(".ipynb")
        if url.endswith(".ipynb") and name in self.writer.site.notebooks:
            url = f"{name}.html"
        return super().link(text, url, title)

    def table(self, text: str) -> str:
        return f'<div class="scroll" tabindex="0"><table>{text}</table></div>\n'
