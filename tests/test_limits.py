"""Limits of uploads are exact, the same with and without nginx; a worker that is stopped or starved costs one."""

import io
import json
import os
import resource
import signal
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import THOROUGH, Server, basic, wait_until, zip_of
from nginx import Nginx, pages_command

LIMIT = 3_000_000
REFUSAL = {"success": False, "message": f"上传文件超过上限 max_upload_bytes = {LIMIT} 字节"}


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of one server, by itself and behind nginx."""
    folder = tmp_path_factory.mktemp("limits")
    server = Server(folder, {"PAGES_MAX_UPLOAD_BYTES": str(LIMIT), "PAGES_WORKERS": "1"}).start()
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    (folder / "nginx").mkdir()
    nginx = Nginx(folder / "nginx", server.environment()).start()
    yield {"direct": server.port, "nginx": nginx.port}
    nginx.stop()
    server.stop()


def archive_of(size: int) -> bytes:
    """A zip of exactly so many bytes."""
    buffer = io.BytesIO()
    for noise in (size, 2 * size - len(packed(size))):
        buffer = io.BytesIO(packed(noise))
    assert len(buffer.getvalue()) == size
    return buffer.getvalue()


def packed(noise: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("noise.bin", os.urandom(noise))
    return buffer.getvalue()


def form_of(archive: bytes, root: str = "") -> bytes:
    field = f'--x\r\nContent-Disposition: form-data; name="root"\r\n\r\n{root}\r\n' if root else ""
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    return (field + head).encode() + archive + b"\r\n--x--\r\n"


def talk(port: int, headers: str, body: bytes) -> tuple[int, dict[str, object]]:
    """Send a deploy as it stands; (status, JSON) of the answer. That the rest is not taken is no error."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = "POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: {basic()['Authorization']}\r\n"
        with suppress(OSError):
            connection.sendall(f"{head}{headers}\r\n\r\n".encode() + body)
        received = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    answer, _, content = received.partition(b"\r\n\r\n")
    return int(answer.split()[1]), json.loads(content[content.index(b"{") : content.rindex(b"}") + 1])


def framed(body: bytes, chunked: bool) -> tuple[str, bytes]:
    if not chunked:
        return f"Content-Length: {len(body)}", body
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return "Transfer-Encoding: chunked", b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("front", ["direct", "nginx"])
def test_the_largest_upload_fits_and_one_byte_more_does_not(fronts: dict[str, int], front: str, chunked: bool) -> None:
    assert talk(fronts[front], *framed(form_of(archive_of(LIMIT)), chunked))[0] == 200
    assert talk(fronts[front], *framed(form_of(archive_of(LIMIT + 1)), chunked)) == (413, REFUSAL)


@pytest.mark.parametrize("front", ["direct", "nginx"])
def test_the_form_around_the_largest_upload_takes_nothing_from_it(fronts: dict[str, int], front: str) -> None:
    status, answer = talk(fronts[front], *framed(form_of(archive_of(LIMIT), root="x" * 1000), chunked=False))
    assert (status, "root" in str(answer["message"])) == (400, True)  # Judged, so it was taken.


@pytest.mark.parametrize("front", ["direct", "nginx"])
def test_ten_gigabytes_are_refused_by_their_length_in_the_same_words(fronts: dict[str, int], front: str) -> None:
    assert talk(fronts[front], f"Content-Length: {10 << 30}", b"--x\r\n") == (413, REFUSAL)


def test_an_endless_upload_is_refused_by_both_fronts_in_the_same_words(fronts: dict[str, int]) -> None:
    endless = framed(form_of(bytes(3 * LIMIT)), chunked=True)
    assert talk(fronts["direct"], *endless) == talk(fronts["nginx"], *endless) == (413, REFUSAL)


def test_maintenance_refuses_a_large_body_in_its_own_shape_through_both_fronts(fronts: dict[str, int]) -> None:
    server = Server(Path())
    for port in fronts.values():
        reply = server.request(
            "POST",
            "/api/admin/maintenance",
            bytes(2_000_000),
            headers={**basic(), "Content-Type": "application/json"},
            port=port,
        )
        assert (reply.status, reply.json()) == (400, {"error": "无效的操作类型"})


def test_another_limit_reaches_nginx(make_server: Callable[..., Server]) -> None:
    server = make_server(start=False, PAGES_MAX_UPLOAD_BYTES="10485761")
    server.port = 1323
    printed = pages_command("nginx-config", environment=server.environment())
    assert "client_max_body_size 12m;" in printed  # Whole megabytes, and one for the form.
    assert "max_upload_bytes = 10485761 字节" in printed


# --- Workers ------------------------------------------------------------------------------------


def one_worker(make_server: Callable[..., Server], **settings: str) -> Server:
    server = make_server(PAGES_WORKERS="1", **settings)
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    assert server.deploy(zip_of({"index.html": "old"})).status == 200
    return server


def half_an_upload(server: Server) -> socket.socket:
    """A deploy of which half has been received."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = "POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    head += f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: {basic()['Authorization']}\r\n\r\n"
    connection.sendall(head.encode() + form_of(bytes(500_000))[:-9])
    wait_until(lambda: list((server.data / "work").glob("*/upload")), "the upload is received")
    return connection


def test_a_worker_that_stands_still_is_replaced_and_leaves_no_litter(make_server: Callable[..., Server]) -> None:
    server = one_worker(make_server, GUNICORN_CMD_ARGS="--timeout 2")
    (stopped,) = server.workers()
    with half_an_upload(server):
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: server.workers() not in (set(), {stopped}), "the master replaces it")
        wait_until(lambda: not os.listdir(server.data / "work"), "what it had under way is cleared")
    assert server.request("GET", "/", host="blog.localhost").body == b"old"
    assert server.deploy(zip_of({"index.html": "new"})).status == 200
    assert server.request("GET", "/", host="blog.localhost").body == b"new"


def test_an_upload_that_takes_longer_than_the_workers_timeout_is_not_cut(make_server: Callable[..., Server]) -> None:
    server = one_worker(make_server, GUNICORN_CMD_ARGS="--timeout 1")
    before = server.workers()
    body = form_of(zip_of({"index.html": "slow", "noise": os.urandom(20_000)}))
    pause = threading.Event()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = f"POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: {basic()['Authorization']}\r\n\r\n"
        connection.sendall(head.encode())
        for at in range(0, len(body), 2000):
            connection.sendall(body[at : at + 2000])
            pause.wait(0.25)  # Three timeouts in all.
        assert b" 200 OK" in connection.recv(1000)
    assert server.workers() == before


def test_a_bomb_in_a_worker_with_little_memory_costs_its_own_request_only(make_server: Callable[..., Server]) -> None:
    server = one_worker(make_server, PAGES_MAX_UNPACKED_BYTES=str(200 << 20))
    (worker,) = server.workers()
    size = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(worker, resource.RLIMIT_AS, (size + (96 << 20),) * 2)
    bomb = zip_of({f"{n}.txt": bytes(50 << 20) for n in range(5)})
    assert server.deploy(bomb).status == 413
    assert server.workers() == {worker}
    assert os.listdir(server.data / "work") == []
    assert server.deploy(zip_of({"index.html": "new"})).status == 200
    assert server.request("GET", "/", host="blog.localhost").body == b"new"


@pytest.mark.parametrize("form", ['{"digests": [%s]}', '{"digests": [[%s]]}', "[%s]"])
def test_refusing_what_is_no_list_of_digests_takes_no_memory(make_server: Callable[..., Server], form: str) -> None:
    server = one_worker(make_server)
    before = server.peak_memory()
    headers = {**basic(), "Content-Type": "application/json"}
    for piece in ("[]", "{}", "1", '""'):
        body = form % ",".join([piece] * (8_900_000 // (len(piece) + 1)))
        refused = server.request("POST", "/_api/sites/default/blog/deploy/missing", body.encode(), headers=headers)
        assert refused.status in (400, 413)
    assert server.peak_memory() - before < 60 << 20  # It is read, and that is all: parsed, it would take 400 MB.


@pytest.mark.skipif(not THOROUGH, reason="Python may lose a thread that it has no memory to start: make faults")
def test_a_worker_without_any_memory_left_answers_500_and_lives(make_server: Callable[..., Server]) -> None:
    server = one_worker(make_server)
    (worker,) = server.workers()
    size = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(worker, resource.RLIMIT_AS, (size, size * 10))
    with suppress(OSError):
        assert server.deploy(zip_of({"large": os.urandom(5 << 20)})).status in (200, 500, 503)
    resource.prlimit(worker, resource.RLIMIT_AS, (size * 10, size * 10))
    wait_until(server.answers, "it answers again")
    assert server.deploy(zip_of({"index.html": "new"})).status == 200
