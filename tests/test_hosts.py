"""Host names: the table of what is one, and what must be true of any text at all."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.hosts import canonical_domain, host_of

# What makes trouble in host names, more often than chance would bring it.
_ODD = "aAzZ09-._:@/\\[]*%? \t\n\0\xad\xdfßéİıKſς例子中国。．｡\u200b\u200d\u202e\ud800１𝐚"
ODD_TEXT = st.text(st.sampled_from(_ODD), max_size=30)
LABEL = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\Z").filter(lambda label: not label.startswith("xn--"))
PLAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.rpartition(".")[2].isdigit())
UNICODE = st.lists(st.text(st.sampled_from("abcéüñ例子中国рф"), min_size=1, max_size=6), min_size=1, max_size=3).map(
    ".".join
)


def canonical_or_none(text: str) -> str | None:
    try:
        return canonical_domain(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("localhost", "localhost"),
        ("a", "a"),
        ("0", None),  # A browser takes it for 0.0.0.0.
        ("Blog.Example.COM", "blog.example.com"),
        ("blog.example.com.", "blog.example.com"),
        ("1.2.3.4", "1.2.3.4"),
        ("127.0.0.1.", "127.0.0.1"),
        ("3com.com", "3com.com"),
        ("a--b.com", "a--b.com"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("例子.中国", "xn--fsqu00a.xn--fiqs8s"),
        ("例子。中国。", "xn--fsqu00a.xn--fiqs8s"),
        ("blog.example．", "blog.example"),
        ("blog.example｡", "blog.example"),
        ("XN--FSQU00A.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
        ("ＢＬＯＧ．example", "blog.example"),
        ("１.２.３.４", "1.2.3.4"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("mu\u0308nchen.de", "xn--mnchen-3ya.de"),
        ("faß.de", "xn--fa-hia.de"),
        ("\u212aelvin.com", "kelvin.com"),
        ("a\xadb.com", "ab.com"),
        ("a" * 63 + ".com", "a" * 63 + ".com"),
        ("x." * 126 + "a", "x." * 126 + "a"),
        ("x." * 126 + "a.", "x." * 126 + "a"),
    ],
)
def test_a_domain_is_stored_in_this_form(text: str, stored: str | None) -> None:
    assert canonical_or_none(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a..b", ".a", "a..", "-a.com", "a-.com", "a.-b", "a_b.com", "_dmarc.a.com", "*", "*.a.com",
        "a.com:80", "a.com:", ":80", "http://a.com", "a.com/", "a.com/x", "a@b.com", "a,b", "a b", " a.com", "a.com ",
        "a.com\n", "a\0.com", "a\tb", "a%2eb", "a\\b", "[::1]", "::1", "2001:db8::1", "1.2.3", "1.2.3.4.5", "1.2.3.256",
        "01.2.3.4", "0x7f.1", "123", "a.1", "a" * 64 + ".com", "x." * 127 + "a", "é" * 300, "xn--", "xn--a",
        "xn--fsqu00a-.com", "a\u200bb_c.com", "\xad", "\ud800.com", "a\u202eb.com", "例_子.com", "-例.com",
        "例子..中国", "..例子.中国", "例子.中国/x", "例子.中国:80", "a/../b", "../registry/default/blog.json", "'\"",
        "<b>",
    ],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        canonical_domain(text)
    assert str(refused.value)


@pytest.mark.parametrize(
    ("netloc", "host"),
    [
        ("blog.localhost", "blog.localhost"), ("BLOG.Localhost.:8080", "blog.localhost"),
        ("blog.localhost:0", "blog.localhost"), ("127.0.0.1:1323", "127.0.0.1"),
        ("例子.中国:80".encode().decode("latin-1"), "xn--fsqu00a.xn--fiqs8s"),
        ("xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"), ("", None), (":80", None),
        ("blog.localhost:80:80", None), ("blog.localhost:abc", None), ("blog.localhost:-1", None),
        ("blog.localhost:123456", None), ("blog.localhost:80\n", None), ("user@blog.localhost", None),
        ("blog.localhost, evil.com", None), ("blog.localhost/..", None), ("blog localhost", None),
        ("\xff.localhost", None), ("[::1]:80", None),
    ],
)  # fmt: skip
def test_a_host_header_names_this_host(netloc: str, host: str | None) -> None:
    try:
        found = host_of(netloc)
    except ValueError:
        found = None
    assert found == host


# --- Of any text ----------------------------------------------------------------------------


@given(st.text(max_size=80) | ODD_TEXT)
def test_any_text_is_a_domain_or_a_value_error(text: str) -> None:
    domain = canonical_or_none(text)
    if domain is not None:
        assert re.fullmatch(r"[a-z0-9.-]{1,253}", domain)
        assert all(0 < len(label) <= 63 and label[0] != "-" != label[-1] for label in domain.split("."))


@given(st.text(max_size=80) | ODD_TEXT | UNICODE)
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    domain = canonical_or_none(text)
    assert domain is None or canonical_domain(domain) == domain


@given(PLAIN)
def test_every_plain_host_name_is_kept_as_it_is(name: str) -> None:
    assert canonical_domain(name) == name


@given(PLAIN | UNICODE)
def test_case_and_one_trailing_dot_make_no_other_domain(name: str) -> None:
    domain = canonical_or_none(name)
    assert {canonical_or_none(same) for same in (name.title(), name.upper(), name + ".")} == {domain}


@given(st.text(max_size=40) | ODD_TEXT | UNICODE, st.integers(0, 65535))
def test_a_visitors_host_header_finds_what_a_create_stored(text: str, port: int) -> None:
    domain = canonical_or_none(text)
    if domain is not None:
        sent = [domain, domain.upper(), f"{domain}.", f"{domain}:{port}", f"{domain.title()}.:{port}"]
        if not text.isascii():
            sent.append(f"{text.removesuffix('.')}:{port}".encode().decode("latin-1"))
        assert {host_of(netloc) for netloc in sent} == {domain}


@given(st.binary(max_size=60))
def test_any_bytes_in_a_host_header_are_a_host_or_a_value_error(sent: bytes) -> None:
    with suppress(ValueError):
        assert canonical_domain(host_of(sent.decode("latin-1"))) == host_of(sent.decode("latin-1"))


@given(PLAIN, st.sampled_from("_:@/\\ *%,;'\"\0\n\t[]()<>?#!$&+=~`^{}|"), st.data())
def test_no_other_ascii_character_gets_into_a_domain(name: str, intruder: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name)))
    assert canonical_or_none(name[:at] + intruder + name[at:]) is None
