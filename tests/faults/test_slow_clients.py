"""Clients that are slow on purpose hold up nobody for long, with and without nginx; honest slow ones are let be."""

import io
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from helpers import THOROUGH, Admin, Server, assert_failure, basic, wait_until, zip_of
from nginx import Nginx

from pages.patience import HEAD_SECONDS, SEND_SECONDS, WINDOW_SECONDS, ClientTooSlow, PatientSocket

IDLE = 1000 if THOROUGH else 300
DEPLOY = (
    "POST /_api/sites/default/blog/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x"
)
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """Connections that the test forgets about."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    with ExitStack() as opened:

        def make(port: int, first: bytes = b"") -> socket.socket:
            # Not from the address of those who are to be answered: nginx counts calls of the API by it.
            source = ("127.0.0.2", 0)
            made = opened.enter_context(socket.create_connection(("127.0.0.1", port), 120, source))
            made.sendall(first)
            return made

        yield make


@pytest.fixture
def small(make_server: Callable[..., Server]) -> Server:
    """A server of two threads."""
    server = make_server(PAGES_WORKERS="1", PAGES_THREADS="2")
    assert server.api("POST", "/_api/sites", {"id": "blog", "domain": "blog.localhost"}).status == 201
    assert server.deploy(zip_of({"index.html": "page", "large.bin": bytes(64 << 20)})).status == 200
    return server


def answers(server: Server, port: int = 0) -> None:
    """Visitors and the API are answered."""
    assert server.request("GET", "/", host="blog.localhost", port=port).body == b"page"
    assert server.api("GET", "/_api/sites", port=port).status == 200


def is_answered(server: Server) -> bool:
    with suppress(OSError, AssertionError):
        answers(server)
        return True
    return False


def deploy_head(length: int) -> bytes:
    lines = f"{DEPLOY}\r\nAuthorization: {basic()['Authorization']}\r\nContent-Length: {length}\r\n\r\n"
    return lines.encode() + PART


def is_closed(connection: socket.socket) -> bool:
    """Waits for the end of a connection."""
    with suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


def test_connections_that_say_nothing_hold_no_thread(small: Server, connect: Callable[..., socket.socket]) -> None:
    silent = [connect(small.port) for _ in range(IDLE)]
    answers(small)
    silent[0].sendall(b"GET / HTTP/1.0\r\nHost: blog.localhost\r\n\r\n")
    assert b"200 OK" in silent[0].recv(1000)


def test_idle_connections_after_an_answer_hold_no_thread(small: Server, connect: Callable[..., socket.socket]) -> None:
    for _ in range(IDLE // 10):
        kept = connect(small.port, b"GET / HTTP/1.1\r\nHost: blog.localhost\r\n\r\n")
        assert b"200 OK" in kept.recv(1000)
    answers(small)


def test_a_head_that_trickles_in_is_cut_off(small: Server, connect: Callable[..., socket.socket]) -> None:
    slow = [connect(small.port, b"GET / HTTP/1.1\r\nHost: blog.local") for _ in range(2)]
    enough = threading.Event()

    def trickle() -> None:
        while not enough.wait(0.5):
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b"x")

    trickling = threading.Thread(target=trickle)
    trickling.start()
    try:
        answers(small)
        assert all(map(is_closed, slow))
    finally:
        enough.set()
        trickling.join()
    assert "Traceback" not in small.log


def test_a_body_that_nobody_wants_is_not_waited_for_byte_by_byte(
    small: Server, connect: Callable[..., socket.socket]
) -> None:
    slow = connect(small.port, b"POST /_api/sites HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    slow.settimeout(0.2)
    reply = b""
    for _ in range(75):  # 15 seconds: it is answered in one and a half.
        slow.sendall(b"x")
        with suppress(TimeoutError):
            reply = slow.recv(1000)
            break
    assert b"401" in reply


def test_a_client_that_has_gone_is_no_traceback(small: Server, connect: Callable[..., socket.socket]) -> None:
    connect(small.port, deploy_head(100_000)).close()
    wait_until(lambda: "/deploy" in small.log.rpartition("GET /_api/healthz")[2], "its end is logged")
    answers(small)
    assert "Traceback" not in small.log
    wait_until(lambda: os.listdir(small.data / "work") == [], "nothing is left of it")


@pytest.mark.parametrize("slow_by", ["rate", "silence"])
def test_patience_ends_when_less_comes_than_has_to(slow_by: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs, PatientSocket(fileno=ours.detach()) as patient:
        patient.expect(0.2, 1_000_000)
        theirs.sendall(b"x" * 50)
        assert len(patient.recv(100)) == 50
        if slow_by == "rate":
            theirs.sendall(b"x")
            patient.recv(1)
        with pytest.raises(ClientTooSlow):
            patient.recv(1)
        theirs.sendall(b"x")
        with pytest.raises(ClientTooSlow):  # And does not come back.
            patient.recv(1)


class Stalled(io.RawIOBase):
    """A body of which nothing comes in time."""

    def readinto(self, buffer: object) -> int:
        raise ClientTooSlow()

    def read(self, size: int = -1) -> bytes:
        raise ClientTooSlow()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/_api/sites/default/blog/deploy", "multipart/form-data; boundary=x"), ("/_api/sites", "application/json")],
)
def test_a_body_that_is_too_slow_is_a_408_in_the_envelope_and_leaves_nothing(
    admin: Admin, data: Path, path: str, kind: str, chunked: bool
) -> None:
    framing = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": "1000"}
    environ = {"wsgi.input": Stalled(), "HTTP_TRANSFER_ENCODING": "chunked"} if chunked else {"wsgi.input": Stalled()}
    reply = admin.post(path, content_type=kind, environ_overrides={**environ, **framing})
    assert_failure(reply, 408, "请求体接收过慢，已中止")
    assert os.listdir(data / "work") == []


def test_patience_is_renewed_by_what_comes_but_not_saved_up() -> None:
    ours, theirs = socket.socketpair()
    with theirs, PatientSocket(fileno=ours.detach()) as patient:
        patient.expect(5, 1000)
        theirs.sendall(b"x" * 100_000)  # Worth 100 seconds.
        received = 0
        while received < 100_000:
            received += len(patient.recv(65536))
        assert 4 < patient._left <= 5


def test_with_few_files_for_a_process_each_client_is_answered(
    small: Server, connect: Callable[..., socket.socket]
) -> None:
    assert small.process is not None
    resource.prlimit(small.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    (old,) = small.workers()
    small.process.send_signal(signal.SIGHUP)
    wait_until(lambda: small.workers() and old not in small.workers(), "another worker, which may have as few")
    (worker,) = small.workers()
    os.kill(worker, signal.SIGSTOP)  # So that all of them are there at once.
    request = b"GET / HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n"
    many = [connect(small.port, request) for _ in range(300)]
    os.kill(worker, signal.SIGCONT)
    assert [connection.recv(100).partition(b"\r\n")[0] for connection in many] == [b"HTTP/1.1 200 OK"] * len(many)


def test_a_process_without_files_left_takes_its_clients_later(
    small: Server, connect: Callable[..., socket.socket]
) -> None:
    (worker,) = small.workers()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{worker}/fd")) + 6, 8192))
    many = [connect(small.port) for _ in range(40)]
    wait_until(lambda: "New connections have to wait" in small.log, "it has no files left")
    for connection in many:
        connection.close()
    wait_until(lambda: is_answered(small), "it has files again")  # Who comes before that may be refused.
    assert Path(f"/proc/{worker}").exists()
    assert "have to wait" in small.log


def test_through_nginx_slow_clients_are_nginxs_alone(
    small: Server, connect: Callable[..., socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", small.environment()).start()
    try:
        for _ in range(120):  # Of as many as two threads could never hold.
            connect(nginx.port, deploy_head(1_000_000))
            connect(nginx.port, b"GET / HTTP/1.1\r\nHost: blog.")
        for _ in range(IDLE):  # More than nginx has connections: it gives up the oldest of these.
            connect(nginx.port)
        answers(small, nginx.port)
        assert small.deploy(zip_of({"index.html": "page"}), port=nginx.port).status == 200
    finally:
        nginx.stop()


@pytest.mark.skipif(not THOROUGH, reason="it lasts as long as the patience of a server: make faults")
def test_slow_bodies_and_slow_readers_are_cut_off_and_an_honest_slow_upload_is_not(
    small: Server, connect: Callable[..., socket.socket]
) -> None:
    bodies = [connect(small.port, deploy_head(1_000_000)) for _ in range(2)]
    for body in bodies:
        assert b" 408 " in body.recv(1000)
    answers(small)
    readers = [connect(small.port, b"GET /large.bin HTTP/1.1\r\nHost: blog.localhost\r\n\r\n") for _ in range(2)]
    wait_until(lambda: is_answered(small), "the slow readers are given up", 150)
    assert len(readers) == 2
    archive = zip_of({"index.html": "page", "random": os.urandom(200_000)})
    end = b"\r\n--x--\r\n"
    honest = connect(small.port, deploy_head(len(PART) + len(archive) + len(end)))
    began = time.monotonic()
    for offset in range(0, len(archive), 1000):  # 2,500 bytes a second, for longer than the window.
        honest.sendall(archive[offset : offset + 1000])
        time.sleep(0.4)
    honest.sendall(end)
    assert b" 200 OK" in honest.recv(1000)
    assert time.monotonic() - began > WINDOW_SECONDS
    assert (HEAD_SECONDS, SEND_SECONDS) == (10, 60)
