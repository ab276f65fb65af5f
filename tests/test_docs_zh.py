"""Every document has its Chinese one in ``docs/zh/``: the same code, headings and tables, links that lead somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import PROJECT

CHINESE = PROJECT / "docs" / "zh"
OUTSIDE_DOCS = ("README.md", "SECURITY.md")
# A document stands here until it has a link to its other language.
NO_LINK_YET: set[str] = set()
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def english(name: str) -> Path:
    return PROJECT / name if name in OUTSIDE_DOCS else PROJECT / "docs" / name


def names() -> list[str]:
    """Every document by its name, which is the same in both languages."""
    return [*OUTSIDE_DOCS, *sorted(path.name for path in (PROJECT / "docs").glob("*.md"))]


def parts(document: Path) -> tuple[list[str], list[str]]:
    """The blocks of code of a document, and the lines outside of them."""
    pieces = re.split(r"^(```.*?^```$)", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return pieces[1::2], "".join(pieces[::2]).splitlines()


def shape(document: Path) -> Counter[str]:
    """How many headings of each level a document has, and how many rows of tables."""
    _, lines = parts(document)
    found = Counter("rows of tables" for line in lines if line.startswith("|"))
    return found + Counter(f"headings {line.split()[0]}" for line in lines if re.match(r"#+ ", line))


def differences(name: str) -> Iterator[str]:
    """What a translator has to do for one document."""
    theirs, ours = english(name), CHINESE / name
    if not ours.exists():
        yield f"docs/zh/{name} is missing: translate {theirs.relative_to(PROJECT)}"
        return
    code, translated = parts(theirs)[0], parts(ours)[0]
    if len(code) != len(translated):
        yield f"docs/zh/{name} has {len(translated)} blocks of code and not {len(code)}"
    for before, after in zip(code, translated, strict=False):
        if before != after:
            yield f"docs/zh/{name}: this block of code is not the English document's:\n{after[:300]}"
            break
    wanted, there = shape(theirs), shape(ours)
    yield from (
        f"docs/zh/{name} has {there[what]} {what} and not {wanted[what]}"
        for what in sorted(wanted | there)
        if wanted[what] != there[what]
    )


def anchors(document: Path) -> set[str]:
    """What a link may name after ``#``, as GitHub makes it of headings."""
    headings = [line.lstrip("#").strip() for line in parts(document)[1] if re.match(r"#+ ", line)]
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


def broken_links(document: Path) -> Iterator[str]:
    for target in _LINK.findall("\n".join(parts(document)[1])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = document.parent / path if path else document
        if not there.exists():
            yield f"{document.relative_to(PROJECT)}: {target} leads nowhere"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            yield f"{document.relative_to(PROJECT)}: {target} names no heading"


def test_every_document_has_its_chinese_one_that_says_as_much() -> None:
    """Text, headings and tables are translated; ``scripts/copy-code`` copies the blocks of code."""
    missing = [difference for name in names() for difference in differences(name)]
    assert missing == [], "\n".join(["", *missing])


def test_there_is_no_chinese_document_of_none() -> None:
    assert [path.name for path in CHINESE.iterdir() if path.name not in names()] == []


@pytest.mark.parametrize("language", ["English", "Chinese"])
def test_links_lead_to_documents_and_headings(language: str) -> None:
    documents = [english(name) if language == "English" else CHINESE / name for name in names()]
    broken = [link for document in documents if document.exists() for link in broken_links(document)]
    assert broken == [], "\n".join(["", *broken])


def test_each_document_links_to_its_other_language_in_its_first_lines() -> None:
    missing = []
    for name in sorted({*names()} - NO_LINK_YET):
        up = "../../" if name in OUTSIDE_DOCS else "../"
        down = "docs/zh/" if name in OUTSIDE_DOCS else "zh/"
        for document, link in ((english(name), f"[中文]({down}{name})"), (CHINESE / name, f"[English]({up}{name})")):
            if document.exists() and link not in document.read_text(encoding="utf-8").splitlines()[:4]:
                missing.append(f"{document.relative_to(PROJECT)}: write {link} below the title")
    assert missing == [], "\n".join(["", *missing])
