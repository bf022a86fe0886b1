"""The pages of the user guide that come with Verglas, and the places in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

FIRST = "guide"
_HEADING = re.compile(r"^(#{1,3}) +(.+?)\s*$")


@dataclass(frozen=True)
class Place:
    """A heading of a page.

    Attributes
    ----------
    file : name of the page without ``.md``.
    slug : as in a link, e.g. ``how-far-to-trust-it``.
    title : the heading itself.
    level : 1 for the page's own.
    page : the page's own heading.
    """

    file: str
    slug: str
    title: str
    level: int
    page: str

    @property
    def key(self) -> str:
        """Page and place, as in a link between pages."""
        return f"{self.file}.md#{self.slug}"


def page_text(name: str) -> str:
    """A page, Markdown; FileNotFoundError if there is none of that name."""
    return (resources.files("resources") / "help" / f"{name}.md").read_text(encoding="utf-8")


def slug_of(title: str) -> str:
    """The name of a heading in links."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@cache
def pages() -> tuple[str, ...]:
    """Names of all pages, the guide first."""
    folder = resources.files("resources") / "help"
    names = sorted(f.name[:-3] for f in folder.iterdir() if f.name.endswith(".md"))
    return tuple(sorted(names, key=lambda name: name != FIRST))


@cache
def places() -> tuple[Place, ...]:
    """The headings of all pages, in their order."""
    found: list[Place] = []
    for name in pages():
        page, coded = name, False
        for line in page_text(name).splitlines():
            if line.startswith("```"):
                coded = not coded
            match = None if coded else _HEADING.match(line)
            if match is not None:
                level, title = len(match[1]), re.sub(r"[*_`]", "", match[2])
                page = title if level == 1 else page
                found.append(Place(name, slug_of(title), title, level, page))
    return tuple(found)


def find(link: str, *, here: str = FIRST) -> Place | None:
    """The place that a link names: ``page.md``, ``page.md#slug`` or, on the page ``here``, ``#slug``."""
    file, _, slug = link.partition("#")
    name = file.removesuffix(".md") or here
    for place in places():
        if place.file == name and (not slug or place.slug == slug):
            return place
    return None
