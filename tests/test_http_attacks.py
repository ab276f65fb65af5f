# ruff: noqa: E501 - tables
"""Hostile HTTP, directly and through real nginx: no error of ours, nobody's secrets, the same site whoever chooses.

``COVERED`` says where each attack of the list that was drawn up for this service is tested.
"""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest
from api_document import assert_described
from helpers import PROJECT, Reply, Server, basic, tree_of, wait_until, zip_of
from http_attacks import PRIVATE, SITES, Answer, Attack, ask, attacks, faults, request, start
from nginx import Nginx
from ports import free_port
from postgres import PASSWORD

JSON = {"Content-Type": "application/json"}
AUTH = f"Authorization: {basic()['Authorization']}\r\n".encode()


@dataclass
class Fronts:
    """Pages, nginx before it, and nginx that leaves every site to Pages."""

    server: Server
    nginx: Nginx
    by_pages: Nginx

    @property
    def ports(self) -> tuple[int, int, int]:
        return self.server.port, self.nginx.port, self.by_pages.port

    def api(self, port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """A call of the API, with the admin's credentials and any body; its answer is one that is described."""
        reply = self.server.request(method, path, body, headers={**basic(), **headers}, port=port)
        assert_described(method, path, reply.status, reply.headers, reply.body)
        return reply


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    found = Fronts(*start(tmp_path_factory.mktemp("attacked")))
    yield found
    found.nginx.stop()
    found.by_pages.stop()
    found.server.stop()


@pytest.fixture
def unmoved(fronts: Fronts) -> Iterator[Fronts]:
    """The fronts; the test fails if it changes a record, a site or a history, or leaves something behind."""

    def state() -> object:
        data = fronts.server.data
        return [tree_of(data / name) for name in ("registry", "domains", "sites-checkpoints", "work")], [
            tree_of(data / "sites" / site) for site in SITES
        ]

    before = state()
    yield fronts
    wait_until(lambda: state() == before, "all is as it was")


# --- Thousands of odd requests --------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers(fronts: Fronts) -> list[tuple[Attack, list[Answer]]]:
    """Every attack, and what each front answers."""
    with ThreadPoolExecutor(4) as several:
        return list(several.map(lambda attack: (attack, [ask(port, attack.sent) for port in fronts.ports]), attacks()))


def test_no_attack_gets_an_error_a_secret_or_a_site_that_is_not_its_own(
    answers: list[tuple[Attack, list[Answer]]],
) -> None:
    wrong = {attack.sent[:500]: found for attack, three in answers if (found := list(faults(attack, *three)))}
    assert wrong == {}


def test_most_attacks_are_answered_and_many_by_a_site(answers: list[tuple[Attack, list[Answer]]]) -> None:
    # Without this, all of the above might compare silence with silence.
    assert len(answers) > 3000
    for front in range(3):
        assert sum(bool(three[front].statuses) for _, three in answers) > 0.98 * len(answers)
        assert sum(bool(three[front].marks) for _, three in answers) > 1000
    assert {mark for _, three in answers for mark in three[1].marks} == set(SITES) - {"ann/off"}


@pytest.mark.usefixtures("answers")
def test_after_all_attacks_every_site_is_as_it_was_and_no_log_has_a_secret(fronts: Fronts) -> None:
    for site, domain in SITES.items():
        for port in fronts.ports:
            marks = ask(port, request(b"/", domain.encode())).marks
            assert marks == ({site} if site != "ann/off" else set())
    for log in (fronts.server.log, fronts.nginx.log, fronts.by_pages.log):
        assert PRIVATE.decode() not in log
        assert "Traceback" not in log


# --- Smuggling ------------------------------------------------------------------------------------

_UNCLEAR = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 0\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n", b"Content-Length: +5\r\n", b"Content-Length: -5\r\n", b"Content-Length: 0x5\r\n",
    b"Content-Length: 5_0\r\n", b"Content-Length: 5 0\r\n", b"Content-Length: 5;\r\n", b"Content-Length: \xb2\r\n",
    b"Content-Length : 5\r\n", b"Content-Length: 9223372036854775808\r\n", b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n", b"Transfer-Encoding : chunked\r\n", b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding: chunked;q=1\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"Transfer-Encoding: chun\0ked\r\n",
]  # fmt: skip
_BAD_CHUNKS = [
    b"zz\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n", b"2_0\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}x\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"10000000000000002\r\n{}\r\n0\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("path", [b"/", b"/missing", b"/_api/sites", b"/_api/sites/ann/blog/deploy", b"/_api/none"])
def test_a_request_within_a_body_of_unclear_length_is_never_answered(unmoved: Fronts, path: bytes) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: log.localhost\r\nConnection: close\r\n\r\n"
    head = b"POST " + path + b" HTTP/1.1\r\nHost: blog.localhost\r\n" + AUTH + b"Content-Type: application/json\r\n"
    sent = [head + unclear + b"\r\n0\r\n\r\n" + smuggled for unclear in _UNCLEAR]
    sent += [head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + smuggled for chunks in _BAD_CHUNKS]
    sent += [head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(smuggled) + smuggled]
    calls = [(port, request) for port in unmoved.ports for request in sent]
    with ThreadPoolExecutor(8) as several:
        for (port, request), answer in zip(calls, several.map(lambda call: ask(*call, seconds=3), calls), strict=True):
            what = (port, request[len(head) :][:80], answer.received[:300])
            assert all(400 <= status < 500 or status == 501 for status in answer.statuses), what
            assert len(answer.statuses) <= 1, what
            assert answer.marks <= {"ann/blog"}, what
    # Nor does what is left of it go before the next one's request on a connection from nginx to Pages.
    for _ in range(20):
        assert ask(unmoved.by_pages.port, b"GET / HTTP/1.0\r\nHost: blog.localhost\r\n\r\n").marks == {"ann/blog"}
    assert "/smuggled" not in unmoved.server.log


# --- Bodies ---------------------------------------------------------------------------------------

_CALLS = [("POST", "/_api/sites"), ("PUT", "/_api/sites/ann/blog"), ("POST", "/_api/sites/ann/blog/checkpoints")]
_BOMBS = [
    b"[" * 100_000, b'{"a":' * 100_000, b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"index": ' + b"9" * 5000 + b"}",
    b'{"description": ' + b"9" * 5000 + b"}", b'{"enabled": 1e9999}', b'{"index": NaN}', b'{"enabled": -Infinity}',
    b'{"index": "\\ud800"}', b'{"description": "\\udfff"}', b'{"description": "\xed\xa0\x80"}', b'{"\\ud800": 1}',
    b'{"index": "x.html", "index": "y.html"}', b'{"description": "a", "description": "b"}', b'{"a": {"b": 1, "b": 1}}',
    b'\xef\xbb\xbf{"index": "x.html"}', '{"index": "x.html"}'.encode("utf-16"), '{"index": "x.html"}'.encode("utf-32"),
    b"[]", b"null", b"0", b'"x"', b'{"enabled": "false"}', b'{"id": 1, "x": 2}', b'{"domain": {}}', b'{"description": []}',
    b'{"index": "x.html"', b"\0", b'{"index": "\0"}', b'{"__proto__": {}}', b'{"": ""}', b"{}" * 1000, b"\x1f\x8b\x08\0",
]  # fmt: skip


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("body", _BOMBS, ids=lambda body: ascii(body)[:30])
def test_a_json_bomb_is_a_400_in_the_envelope(unmoved: Fronts, body: bytes, front: int) -> None:
    port = unmoved.ports[front]
    for method, path in _CALLS:
        assert unmoved.api(port, method, path, body, JSON).status == 400
    refused = unmoved.api(port, "POST", "/api/admin/maintenance", body, JSON)
    assert (refused.status, refused.json()) == (400, {"error": "无效的操作类型"})


_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
_ZIP = zip_of({"index.html": "never deployed"})
_FORMS = [
    b"", b"--b", b"--b--", b"--b--\r\n", _PART % (b"a.zip", _ZIP), (_PART % (b"a.zip", _ZIP) + b"--b--")[:-20],
    _PART % (b"a.zip", _ZIP) * 2 + b"--b--\r\n", _PART % (b"", _ZIP) + b"--b--\r\n", _PART % (b"a.zip", b"") + b"--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + _ZIP + b"\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="\xff\xfe"; filename="a.zip"\r\n\r\n' + _ZIP + b"\r\n--b--\r\n",
    b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"--b\r\nno head\r\n--b--\r\n", b"--b\r\n\r\n\r\n--b--\r\n",
    b"--b\r\n" + b"X: a\r\n" * 5000 + b"\r\n\r\n--b--\r\n", b"--b\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="root"\r\n\r\nx\r\n' * 1001 + b"--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="root"\r\n\r\n' + b"x" * 1_000_000 + b"\r\n--b--\r\n",
    _PART % (b"a.zip", b"rubbish") + b"--b--\r\n", b"\r\n" * 100_000, b"--b\r\n" * 50_000, b"\0" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("form", _FORMS, ids=lambda form: ascii(form)[:40])
def test_a_form_that_is_none_is_refused_in_the_envelope(unmoved: Fronts, form: bytes, front: int) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = unmoved.api(unmoved.ports[front], "POST", "/_api/sites/ann/blog/deploy", form, headers)
    assert reply.status in (400, 413)


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize(
    "kind",
    [
        "", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xff", "application/json",
        "multipart/form-data; boundary=" + "b" * 5000, "multipart/mixed; boundary=b", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=c; boundary=b", 'multipart/form-data; boundary="', "multipart/form-data; charset=x;",
    ],
)  # fmt: skip
def test_a_form_of_another_type_is_refused_in_the_envelope(unmoved: Fronts, kind: str, front: int) -> None:
    form = _PART % (b"a.txt", b"rubbish") + b"--b--\r\n"
    reply = unmoved.api(unmoved.ports[front], "POST", "/_api/sites/ann/blog/deploy", form, {"Content-Type": kind})
    assert reply.status == 400


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\0" + b"\0" * 100, b"{}", b'{"action": "clear-cache"}'])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x"])
def test_a_compressed_body_is_not_unpacked(unmoved: Fronts, coding: str, body: bytes, front: int) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "text/plain"}
    for method, path in _CALLS:
        assert unmoved.api(unmoved.ports[front], method, path, body, headers).status == 415


@pytest.mark.parametrize("length", [b"10000000000", b"99999999999999999", b"9223372036854775807"])
def test_a_body_that_claims_to_be_huge_is_413_before_it_is_sent(unmoved: Fronts, length: bytes) -> None:
    for path in (b"/_api/sites", b"/_api/sites/ann/blog/deploy", b"/api/admin/maintenance"):
        sent = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + AUTH
        sent += b"Content-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n"
        for port in unmoved.ports:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(sent)
                reply = HTTPResponse(connection)
                reply.begin()
                assert_described("POST", path.decode(), reply.status, reply.headers, reply.read())
            # The maintenance API knows no 413 of its own.
            assert reply.status == 413 or b"maintenance" in path


def test_what_nginx_says_by_itself_is_described_as_well(tmp_path: Path, fronts: Fronts) -> None:
    assert fronts.api(fronts.nginx.port, "POST", "/api/admin/maintenance", b" " * 2_000_000, JSON).status == 400
    # Where nobody is behind it: there is no server on this port.
    orphan = Nginx(tmp_path, fronts.server.environment(), free_port()).start()
    try:
        for method, path in [("GET", "/_api/sites"), ("GET", "/_api/health"), ("POST", "/api/admin/maintenance")]:
            with ThreadPoolExecutor(150) as many:
                asked = [many.submit(fronts.server.request, method, path, port=orphan.port) for _ in range(150)]
            for reply in (call.result() for call in asked):
                assert reply.status in (429, 503)
                assert_described(method, path, reply.status, reply.headers, reply.body)
            assert {call.result().status for call in asked} == {429, 503}
    finally:
        orphan.stop()


# --- Hosts ----------------------------------------------------------------------------------------


def test_a_host_finds_its_site_among_one_and_among_a_thousand(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    server = make_server()
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", server.environment()).start()
    try:
        there = 1  # The welcome site.
        for count in (1, 99, 100, 101, 1000):
            for number in range(there, count):
                _write_by_hand(server, number)
            there = count
            assert server.api("POST", "/_api/reload").json()["data"]["sites_count"] == count
            for number in {1, 2, 98, 99, 100, 500, count - 1, count}:
                for port in (server.port, nginx.port):
                    reply = server.request("GET", "/", host=f"S{number}.LocalHost", port=port)
                    found = (reply.status, reply.body)
                    assert found == (200, b"%d" % number) if 0 < number < count else reply.status == 404
    finally:
        nginx.stop()


def _write_by_hand(server: Server, number: int) -> None:
    """A record and a root, as an operator would make them."""
    moment = "2026-01-01T00:00:00+00:00"
    record = {"id": f"s{number}", "username": "many", "domain": f"s{number}.localhost", "created_at": moment}
    folder = server.data / "registry" / "many"
    folder.mkdir(exist_ok=True)
    (folder / f"s{number}.json").write_text(json.dumps({**record, "updated_at": moment}))
    root = server.data / "sites" / "many" / f"s{number}"
    root.mkdir(parents=True)
    (root / "index.html").write_text(str(number))


# --- The password of the database -----------------------------------------------------------------


def test_the_password_of_the_database_is_in_no_process_list_log_or_answer(
    database: str, make_server: Callable[..., Server]
) -> None:
    quoted = quote(PASSWORD, safe="")
    wrong = database.replace(quoted, f"{quoted}x")
    for number, url in enumerate((database, wrong, re.sub(r":\d+/", ":1/", database))):
        assert quoted in url
        server = make_server(f"server{number}", DATABASE_URL=url)
        with _ProcessLists() as lists:
            replies = [
                server.api("POST", "/api/admin/maintenance", {"action": action})
                for action in ("backup", "clear-cache", "restart", "none")
            ]
            replies += [server.api("GET", path) for path in ("/_api/health", "/_api/healthz", "/_api/sites", "/_api/x")]
            replies.append(server.api("POST", "/_api/reload"))
        assert replies[0].status == (200 if number == 0 else 500)
        server.stop()
        for text in [*(reply.body.decode() + str(reply.headers) for reply in replies), server.log, *lists.seen]:
            assert PASSWORD not in text
            assert quoted not in text


class _ProcessLists:
    """The command lines of all processes, looked at all the while."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "_ProcessLists":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._enough.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(file.read_text(errors="replace"))
                except OSError:
                    continue


# --- The list -------------------------------------------------------------------------------------

_HERE = "test_http_attacks.py::test_no_attack_gets_an_error_a_secret_or_a_site_that_is_not_its_own"
_BODIES = "test_http_attacks.py::test_a_json_bomb_is_a_400_in_the_envelope"
_FORMS_REFUSED = "test_http_attacks.py::test_a_form_that_is_none_is_refused_in_the_envelope"
_SMUGGLING = "test_http_attacks.py::test_a_request_within_a_body_of_unclear_length_is_never_answered"

# What may be tried, and where it is.
COVERED = {
    "paths that leave the root, each with every encoding": [
        _HERE, "web/test_serving.py::test_no_encoding_of_a_path_leads_out_of_the_root",
        "test_nginx.py::test_a_path_that_leaves_the_root_is_refused",
    ],
    "an index that is a path": ["web/test_sites.py::test_a_bad_index_is_refused_by_create_and_update"],
    "the API's path in disguise": [
        _HERE, "test_gunicorn.py::test_a_disguised_path_to_the_admin_api_needs_credentials",
        "web/test_auth.py::test_another_spelling_gets_no_further_than_api",
    ],
    "NUL, bytes that are no UTF-8, control characters in a path": [
        _HERE, "test_gunicorn.py::test_a_path_that_no_file_can_have_is_404",
        "test_gunicorn.py::test_a_target_that_is_none_is_refused",
    ],
    "X-Accel-Redirect, X-Sendfile, X-Original-URL from a client": [
        _HERE, "test_public.py::test_nobody_can_ask_for_the_path_that_nginx_delivers_from",
        "web/test_serving.py::test_a_header_that_other_servers_take_for_a_path_changes_nothing",
    ],
    "H01 traversal": [_HERE],
    "H02 names that begin alike": [_HERE, "web/test_auth.py::test_only_the_very_name_is_a_tenants_own"],
    "H03 hosts in every spelling": [
        _HERE, "test_hosts.py::test_a_visitors_host_header_finds_what_a_create_stored",
        "test_gunicorn.py::test_a_request_without_one_clear_host_gets_no_site",
        "test_nginx.py::test_a_request_without_one_clear_host_gets_no_site",
    ],
    "H04 1, 99, 100, 101 and 1,000 sites": [
        "test_http_attacks.py::test_a_host_finds_its_site_among_one_and_among_a_thousand"
    ],
    "H05 taking another's domain": [
        "web/test_sites.py::test_a_taken_id_or_domain_is_a_conflict_the_id_before_the_domain",
        "web/test_sites.py::test_the_unicode_and_punycode_forms_are_one_domain",
        "web/test_auth.py::test_a_tenant_cannot_take_anothers_domain",
        "web/test_auth.py::test_a_tenant_cannot_publish_on_an_admin_host",
    ],
    "H06 X-Forwarded-*": [
        _HERE, "web/test_serving.py::test_x_forwarded_host_counts_only_from_a_trusted_proxy",
        "test_nginx.py::test_pages_hears_of_the_client_from_nginx_and_not_from_the_client",
    ],
    "H07 smuggling": [
        _SMUGGLING, "test_gunicorn.py::test_a_body_of_unclear_length_is_refused_with_all_that_follows",
        "test_gunicorn.py::test_malformed_chunks_are_400",
    ],
    "H08 odd credentials": ["web/test_auth.py::test_odd_or_wrong_credentials_are_refused_and_never_an_error", _HERE],
    "H09 guessing": ["web/test_auth.py::test_a_configured_hash_lets_its_password_in_and_not_itself"],
    "H10 the password admin": ["test_config.py::test_production_refuses_the_password_admin_and_says_how_to_set_one"],
    "H11 another page's requests, and tenants' hosts": [
        "web/test_auth.py::test_a_request_that_a_browser_sent_for_another_page_is_refused",
        "web/test_auth.py::test_elsewhere_it_is_the_plain_404_page",
        "web/test_serving.py::test_a_sites_own_folder_cannot_stand_in_for_the_admin_api",
    ],
    "H12 JSON under another type": ["web/test_json.py::test_a_body_that_a_form_could_send_is_not_taken_for_json"],
    "H13 JSON bombs": [_BODIES, "web/test_json.py::test_what_is_no_json_object_is_refused_by_every_call"],
    "H14 ids and usernames": ["web/test_sites.py::test_a_bad_name_is_refused_and_named"],
    "H15 checkpoint ids": ["web/test_checkpoints.py::test_an_unknown_checkpoint_is_a_404"],
    "H16 bodies beyond measure": [
        "test_http_attacks.py::test_a_body_that_claims_to_be_huge_is_413_before_it_is_sent",
        "test_gunicorn.py::test_an_endless_chunked_upload_is_413",
        "test_nginx.py::test_an_upload_of_unknown_length_over_the_limit_of_nginx_is_413_in_the_envelope",
        "test_gunicorn.py::test_a_client_that_waits_for_100_continue_is_answered",
    ],
    "H17 forms, compressed bodies": [
        _FORMS_REFUSED, "test_http_attacks.py::test_a_form_of_another_type_is_refused_in_the_envelope",
        "test_http_attacks.py::test_a_compressed_body_is_not_unpacked",
    ],
    "H18 slow clients": [
        "test_nginx.py::test_slow_uploads_hold_up_nobody",
        "test_nginx.py::test_connections_that_say_nothing_hold_up_nobody",
        "test_gunicorn.py::test_connections_that_are_kept_open_cost_the_others_nothing",
    ],
    "H19 headers through names and queries": [
        _HERE, "web/test_serving.py::test_no_path_redirects_to_another_host",
        "test_gunicorn.py::test_a_redirect_on_the_wire_is_one_header_that_keeps_the_query",
    ],
    "H20 caches": ["test_public.py::test_nginx_serves_what_the_record_says_from_the_answer_on"],
    "H21 validators": ["web/test_serving.py::test_no_order_of_deploys_and_checkouts_deceives_a_browser"],
    "H22 ranges": [
        _HERE, "web/test_serving.py::test_several_ranges_never_cost_more_than_the_file",
        "web/test_serving.py::test_an_answer_under_way_is_of_one_version_whatever_is_deployed_meanwhile",
    ],
    "H23 links and pipes in a root": [_HERE, "web/test_serving.py::test_links_and_special_files_are_404"],
    "H24 dotfiles, and what lies beside the roots": [_HERE],
    "H25 who may read a backup": ["web/test_maintenance.py::test_backups_are_for_their_owner_only"],
    "H26 the password of the database": [
        "test_http_attacks.py::test_the_password_of_the_database_is_in_no_process_list_log_or_answer",
        "test_database.py::test_the_password_is_in_no_process_list_while_pg_dump_runs",
    ],
    "H27 headers that other servers obey": [_HERE],
    "H28 methods": [_HERE, "web/test_auth.py::test_no_header_turns_one_method_into_another"],
    "H29 a reload of what is broken": [
        "test_gunicorn.py::test_a_hup_with_broken_settings_leaves_the_service_running",
        "web/test_status.py::test_reload_names_every_record_that_cannot_be_read",
    ],
    "H30 restarts": ["test_gunicorn.py::test_restarts_asked_for_at_once_are_one"],
}  # fmt: skip


@pytest.mark.parametrize("attack", COVERED)
def test_the_list_names_tests_that_are_there(attack: str) -> None:
    for name in COVERED[attack]:
        file, _, test = name.partition("::")
        assert f"def {test}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8"), name
