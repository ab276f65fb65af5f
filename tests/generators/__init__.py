"""Sites as generators write them: names, links and what a browser fetched; and stand-ins made from these facts.

``GENERATOR.json`` was taken by ``look.py`` from a site that the real one built from ``sources/GENERATOR``.
"""

import json
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote

FOLDER = Path(__file__).parent
GENERATORS = ("docusaurus", "vitepress", "next", "astro", "hugo")
NOT_FOUND = "404.html"


@dataclass(frozen=True)
class Listing:
    """What is known of one site. Links and fetched paths are quoted as they were there."""

    generator: str
    files: dict[str, int]  # Their sizes.
    links: dict[str, list[str]]  # By page.
    fetched: list[str]
    hashed: list[str]  # What the generator, by its rules, names after its content.

    def stand_in(self) -> dict[str, bytes | str]:
        """A site with the same names and links; each file says its own name."""
        return {name: page(name, self.links[name]) if name in self.links else filler(name) for name in self.files}

    def file_at(self, path: str) -> str | None:
        """The file that a host for these generators answers a path with, redirects followed; None is a miss."""
        name = unquote(path.partition("?")[0]).lstrip("/")
        folder = name.rstrip("/")
        for file in (name, f"{folder}/index.html".lstrip("/"), f"{folder}.html"):
            if file in self.files:
                return file
        return None


def listing(generator: str) -> Listing:
    return Listing(**json.loads((FOLDER / f"{generator}.json").read_text(encoding="utf-8")))


def page(name: str, links: list[str]) -> str:
    """A page that says its name and has these links."""
    anchors = "".join(f'<a href="{escape(link)}">{escape(link)}</a>\n' for link in links)
    return f"<!doctype html>\n<title>{escape(name)}</title>\n{anchors}{marker(name)}\n"


def filler(name: str) -> str:
    """Content of no meaning that says its name, and compresses."""
    return f"{marker(name)}\n" + "/* nothing */\n" * 100


def marker(name: str) -> str:
    return f"<!-- {name} -->"


def links_of(html: str) -> list[str]:
    """What a page leads to or loads from its own site, as it is written there."""
    found = re.findall(r"""\s(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", html)
    links = {"".join(quoted).replace("&amp;", "&") for quoted in found}
    return sorted(link for link in links if not re.match(r"#|//|[a-z][a-z+.-]*:|$", link))
