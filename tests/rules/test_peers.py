"""The test cases of Netlify's and Cloudflare's rule parsers run against ours, and the differences are documented."""

from pathlib import Path

import cloudflare_cases
import netlify_cases
import pytest
from peer_case import HeaderCase, RedirectCase

from pages.rules import parse_headers, parse_redirects

REDIRECTS = [*netlify_cases.REDIRECTS, *cloudflare_cases.REDIRECTS]
HEADERS = [*netlify_cases.HEADERS, *cloudflare_cases.HEADERS]
GUIDE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()


def titles(cases: list) -> list[str]:
    return [case.title for case in cases]


@pytest.mark.parametrize("case", REDIRECTS, ids=titles(REDIRECTS))
def test_redirects_are_read_as_the_case_says(case: RedirectCase) -> None:
    redirects = parse_redirects(case.text.encode())
    taken = tuple((rule.line, f"{rule.status}!" if rule.forced else rule.status) for rule in redirects.rules)
    assert (taken, tuple(ignored.line for ignored in redirects.ignored)) == (case.rules, case.ignored)


@pytest.mark.parametrize("case", REDIRECTS, ids=titles(REDIRECTS))
def test_redirects_answer_as_the_case_says(case: RedirectCase) -> None:
    redirects = parse_redirects(case.text.encode())
    for url, expected in case.asked.items():
        address, _, query = url.partition("?")
        host, slash, path = address.partition("/")
        found = redirects.match(host, slash + path, query)
        assert (found and (found.rule.status, found.target)) == expected, url


@pytest.mark.parametrize("case", HEADERS, ids=titles(HEADERS))
def test_headers_are_read_as_the_case_says(case: HeaderCase) -> None:
    headers = parse_headers(case.text.encode())
    taken = tuple(rule.line for rule in headers.rules)
    assert (taken, tuple(sorted(ignored.line for ignored in headers.ignored))) == (case.blocks, case.ignored)


@pytest.mark.parametrize("case", HEADERS, ids=titles(HEADERS))
def test_headers_are_added_as_the_case_says(case: HeaderCase) -> None:
    headers = parse_headers(case.text.encode())
    for url, expected in case.asked.items():
        host, slash, path = url.partition("/")
        assert dict(headers.apply(host, slash + path, [])) == expected, url


@pytest.mark.parametrize("peer", [netlify_cases, cloudflare_cases], ids=["Netlify", "Cloudflare"])
def test_the_guide_names_every_difference(peer) -> None:
    differences = {case.differs for case in [*peer.REDIRECTS, *peer.HEADERS] if case.differs}
    assert [difference for difference in differences if difference not in GUIDE] == []


@pytest.mark.parametrize(("name", "peer"), [("Netlify", netlify_cases), ("Cloudflare", cloudflare_cases)])
def test_the_guide_counts_the_cases(name: str, peer) -> None:
    cases = [*peer.REDIRECTS, *peer.HEADERS]
    agreeing = sum(not case.differs for case in cases)
    assert f"{name}: {len(cases)} cases, {agreeing} agree, {len(cases) - agreeing} differ" in GUIDE
