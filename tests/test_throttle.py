"""Failed logins are slowed down: the rules by a clock of the test's, the shared file, and all of it under gunicorn."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from helpers import PROJECT, THOROUGH, Admin, Reply, Server, basic, wait_until, zip_of
from nginx import Nginx
from werkzeug.security import generate_password_hash

from pages import passwords
from pages.blocks import SharedBlocks
from pages.config import Config
from pages.errors import ConfigError
from pages.tally import Tally
from pages.throttle import Throttle

NOW = 1_800_000_000.0
HOME, AWAY = "192.0.2.1", "198.51.100.1"
FILE_BYTES = (4096 + 512 + 1024 + 1) * 512


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "failed-logins"


@pytest.fixture
def make_app(make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    """As everywhere, with ten failures in 60 seconds."""
    return lambda **settings: make_app(**{"max_failed_logins": 10} | settings)


@pytest.fixture
def make_server(make_server: Callable[..., Server]) -> Callable[..., Server]:
    return lambda *arguments, **settings: make_server(*arguments, **{"PAGES_MAX_FAILED_LOGINS": "10"} | settings)


@pytest.fixture
def throttle(path: Path) -> Throttle:
    """Ten failures in 60 seconds."""
    return Throttle(path, 10, 60.0)


def wait(throttle: Throttle, address: str, user: str, now: float = NOW) -> int:
    return throttle.attempt(address, user, now).wait


def fail(throttle: Throttle, address: str, user: str, times: int = 1, now: float = NOW) -> list[str]:
    """Fail as often as one may; what was blocked by it."""
    blocked = []
    for _ in range(times):
        attempt = throttle.attempt(address, user, now)
        if not attempt.wait:
            blocked += throttle.failed(attempt, now)
    return blocked


def succeed(throttle: Throttle, address: str, user: str, now: float = NOW) -> None:
    attempt = throttle.attempt(address, user, now)
    assert attempt.wait == 0
    throttle.succeeded(attempt, now)


# --- The rules ------------------------------------------------------------------------------


def test_ten_failures_are_allowed_and_the_next_has_to_wait(throttle: Throttle) -> None:
    assert [fail(throttle, HOME, "admin") for _ in range(10)] == [[]] * 9 + [["pair"]]
    assert 60 <= wait(throttle, HOME, "admin") <= 70


@pytest.mark.parametrize("start", [NOW, NOW + 0.001, NOW + 9.999, NOW + 3.3])
def test_after_the_wait_that_was_told_it_goes_on_and_not_a_second_earlier(throttle: Throttle, start: float) -> None:
    for number in range(10):
        fail(throttle, HOME, "admin", now=start + number)
    seconds = wait(throttle, HOME, "admin", start + 20)
    assert wait(throttle, HOME, "admin", start + 20 + seconds) == 0
    assert wait(throttle, HOME, "admin", start + 20 + seconds - 1) == 1


@pytest.mark.parametrize("seed", range(20 if THOROUGH else 5))
def test_no_window_of_a_minute_ever_holds_more_failures_than_allowed(throttle: Throttle, seed: int) -> None:
    chance = random.Random(seed)
    failures, now = [], NOW
    while len(failures) < 200:
        now += chance.expovariate(chance.choice([10, 1, 0.1]))
        attempt = throttle.attempt(HOME, "admin", now)
        if attempt.wait == 0:
            throttle.failed(attempt, now)
            failures.append(now)
    assert max(sum(start <= at < start + 60 for at in failures) for start in failures) == 10


def test_a_failure_every_seven_seconds_goes_on_for_ever(throttle: Throttle) -> None:
    for number in range(100):
        assert wait(throttle, HOME, "admin", NOW + number * 7) == 0
        fail(throttle, HOME, "admin", now=NOW + number * 7)


def test_another_user_and_another_address_are_not_affected(throttle: Throttle) -> None:
    fail(throttle, HOME, "admin", 10)
    assert wait(throttle, HOME, "alice") == 0
    assert wait(throttle, AWAY, "admin") == 0


def test_a_right_login_clears_the_count_of_its_pair_only(throttle: Throttle) -> None:
    for user in ("admin", "alice"):
        fail(throttle, HOME, user, 9)
    succeed(throttle, HOME, "admin")
    assert fail(throttle, HOME, "admin", 9) == []
    assert fail(throttle, HOME, "alice") == ["pair"]


def test_each_right_login_clears_the_count_anew(throttle: Throttle) -> None:
    for _ in range(3):
        succeed(throttle, HOME, "admin")
        assert fail(throttle, HOME, "admin", 9) == []
    assert "pair" in fail(throttle, HOME, "admin")


def test_a_right_login_that_is_refused_clears_nothing(throttle: Throttle) -> None:
    fail(throttle, HOME, "admin", 10)
    assert wait(throttle, HOME, "admin", NOW + 59) > 0


def test_an_address_that_tries_many_users_is_refused_for_all_of_them(throttle: Throttle) -> None:
    blocked = [fail(throttle, HOME, f"user{number}") for number in range(30)]
    assert blocked == [[]] * 29 + [["address"]]
    assert wait(throttle, HOME, "user99") > 0
    assert wait(throttle, AWAY, "user99") == 0


def test_a_user_who_is_tried_from_many_addresses_is_refused_to_all_strangers(throttle: Throttle) -> None:
    blocked = [fail(throttle, f"203.0.113.{number}", "admin") for number in range(100)]
    assert blocked == [[]] * 99 + [["user"]]
    assert wait(throttle, AWAY, "admin") > 0
    assert wait(throttle, AWAY, "alice") == 0


def test_nobody_elsewhere_can_lock_out_who_has_logged_in_before(throttle: Throttle) -> None:
    succeed(throttle, HOME, "admin", NOW - 29 * 86400)
    for number in range(200):
        fail(throttle, f"203.0.113.{number}", "admin")
    assert wait(throttle, AWAY, "admin") > 0
    assert wait(throttle, HOME, "admin") == 0


def test_nobody_at_the_same_address_can_lock_out_who_has_logged_in_there(throttle: Throttle) -> None:
    succeed(throttle, HOME, "alice")
    fail(throttle, HOME, "admin", 10)
    for number in range(40):
        fail(throttle, HOME, f"user{number}")
    assert wait(throttle, HOME, "bob") > 0
    assert wait(throttle, HOME, "alice") == 0


def test_an_address_that_has_logged_in_before_still_has_but_ten_guesses(throttle: Throttle) -> None:
    succeed(throttle, HOME, "admin")
    assert fail(throttle, HOME, "admin", 10) == ["pair"]
    assert wait(throttle, HOME, "admin") >= 60


def test_a_page_that_sends_its_visitor_to_fail_does_not_lock_it_out(throttle: Throttle) -> None:
    succeed(throttle, HOME, "admin")
    for _ in range(10):
        throttle.failed(throttle.attempt(HOME, "admin", NOW, is_lured=True), NOW)
    assert throttle.attempt(HOME, "admin", NOW, is_lured=True).wait > 0
    assert wait(throttle, HOME, "admin") == 0


def test_a_login_is_forgotten_after_a_month(throttle: Throttle) -> None:
    succeed(throttle, HOME, "admin", NOW - 31 * 86400)
    for number in range(100):
        fail(throttle, f"203.0.113.{number}", "admin")
    assert wait(throttle, HOME, "admin") > 0


def test_one_user_who_comes_from_everywhere_displaces_no_others_addresses(throttle: Throttle) -> None:
    succeed(throttle, HOME, "admin")
    for number in range(2000):
        succeed(throttle, f"203.0.{number // 250}.{number % 250}", "mallory")
    for number in range(100):
        fail(throttle, f"198.51.100.{number}", "admin")
    assert wait(throttle, HOME, "admin") == 0


def test_a_users_latest_addresses_are_those_remembered(throttle: Throttle, path: Path) -> None:
    for number in range(40):
        succeed(throttle, f"203.0.113.{number}", "admin", NOW + number)
    friends = [throttle.attempt(f"203.0.113.{number}", "admin", NOW + 40).is_friend for number in range(40)]
    assert friends == [False] * 8 + [True] * 32


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:0::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:DB8::1", "2001:db8::2", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "unknown", True),
        ("unknown", "hidden", False),
        ("\udcff\0", "\udcff", False),
    ],
)
def test_an_ipv4_address_and_an_ipv6_network_of_64_bits_are_one_client(
    throttle: Throttle, one: str, other: str, is_same: bool
) -> None:
    fail(throttle, one, "admin", 10)
    assert (wait(throttle, other, "admin") > 0) is is_same


def test_from_an_unknown_address_only_the_users_wide_limit_counts(throttle: Throttle) -> None:
    assert fail(throttle, "", "admin", 100) == ["user"]
    assert wait(throttle, "", "admin") > 0
    assert wait(throttle, "", "alice") == 0
    succeed(throttle, "", "alice")
    assert not throttle.attempt("", "alice", NOW).is_friend


def test_zero_allows_any_number_and_keeps_no_file(path: Path) -> None:
    throttle = Throttle(path, 0, 60.0)
    assert fail(throttle, HOME, "admin", 200) == []
    succeed(throttle, HOME, "admin")
    assert not path.exists()


@pytest.mark.parametrize("back", [0.5, 5.0, 30.0])
def test_a_clock_that_is_set_back_a_little_forgets_nothing(throttle: Throttle, back: float) -> None:
    fail(throttle, HOME, "admin", 10)
    assert wait(throttle, HOME, "admin", NOW - back) > 0


def test_a_clock_that_was_years_ahead_blocks_nobody(throttle: Throttle) -> None:
    fail(throttle, HOME, "admin", 10, now=NOW + 1e8)
    assert wait(throttle, HOME, "admin") == 0


# --- The file -------------------------------------------------------------------------------


def test_the_file_never_grows_and_only_its_owner_can_read_it(throttle: Throttle, path: Path) -> None:
    fail(throttle, HOME, "admin")
    before = path.stat()
    for number in range(3000):
        fail(throttle, f"10.0.{number % 256}.{number // 256}", f"user{number}")
    assert (before.st_size, path.stat().st_size) == (FILE_BYTES, FILE_BYTES)
    assert path.stat().st_blocks == before.st_blocks  # All of it was there from the beginning.
    assert path.stat().st_mode & 0o777 == 0o600
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_the_file_holds_no_name_and_no_address(throttle: Throttle, path: Path) -> None:
    succeed(throttle, HOME, "administrator")
    fail(throttle, HOME, "administrator", 3)
    content = path.read_bytes()
    for secret in (b"administrator", HOME.encode(), bytes([192, 0, 2, 1])):
        assert secret not in content
    other = Throttle(path.with_name("other"), 10, 60.0)
    fail(other, HOME, "administrator", 3)
    taken = {content[at : at + 8] for at in range(512, FILE_BYTES, 32)} - {bytes(8)}
    again = path.with_name("other").read_bytes()
    assert taken
    assert taken & {again[at : at + 8] for at in range(512, FILE_BYTES, 32)} == set()


@pytest.mark.parametrize("seed", range(10 if THOROUGH else 3))
def test_a_count_in_a_crowd_may_be_too_high_and_is_never_too_low(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    blocks, tally = SharedBlocks(path, 2), Tally(0, 2, 60.0)
    added: list[tuple[float, bytes]] = []
    now = NOW
    for _ in range(1500):
        now += chance.expovariate(chance.choice([20, 2]))
        key = b"%d" % chance.randrange(100)
        if chance.random() < 0.8:
            blocks.use(lambda b, key=key, now=now: tally.add(b, key, now))
            added.append((now, key))
        true = sum(1 for at, k in added if k == key and at > now - 60)
        assert blocks.use(lambda b, key=key, now=now: tally.count(b, key, now)).total >= true


def test_keys_that_share_a_block_have_counts_of_their_own(path: Path) -> None:
    blocks, tally = SharedBlocks(path, 1), Tally(0, 1, 60.0)
    for number in range(15):
        for _ in range(number + 1):
            blocks.use(lambda b, number=number: tally.add(b, b"%d" % number, NOW))
    totals = [blocks.use(lambda b, number=number: tally.count(b, b"%d" % number, NOW)).total for number in range(15)]
    assert totals == list(range(1, 16))


def truncated(path: Path) -> None:
    os.truncate(path, 1000)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def garbled(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(FILE_BYTES))


def garbled_inside(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:512] + random.Random(2).randbytes(FILE_BYTES - 512))


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(FILE_BYTES))


def grown(path: Path) -> None:
    os.truncate(path, FILE_BYTES * 2)


def foreign(path: Path) -> None:
    path.write_text("[limits]\nsomebody else's file\n" * 100)


def gone(path: Path) -> None:
    path.unlink()


def linked(path: Path) -> None:
    path.unlink()
    path.with_name("passwd").write_text("precious")
    path.symlink_to(path.with_name("passwd"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def readable(path: Path) -> None:
    path.chmod(0o666)


DAMAGE = [truncated, emptied, garbled, garbled_inside, zeroed, grown, foreign, gone, linked, pipe, readable]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_file_that_is_not_as_it_should_be_is_made_anew(
    throttle: Throttle, path: Path, damage: Callable[[Path], None]
) -> None:
    fail(throttle, HOME, "admin", 5)
    damage(path)
    assert wait(throttle, HOME, "alice") == 0
    fail(throttle, HOME, "alice", 10)
    other_process = Throttle(path, 10, 60.0)
    assert wait(other_process, HOME, "alice") > 0
    assert path.is_file()
    assert not path.is_symlink()
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (FILE_BYTES, 0o600)
    if damage is linked:
        assert path.with_name("passwd").read_text() == "precious"


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "pread", "open", "ftruncate"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_where_the_disk_fails_a_process_counts_by_itself_and_says_so_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str, number: int
) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise OSError(number, os.strerror(number))

    throttle = Throttle(path, 10, 60.0)
    with monkeypatch.context() as broken:
        broken.setattr(os, call, refuse)
        fail(throttle, HOME, "admin", 10)
        assert wait(throttle, HOME, "admin") > 0
        assert [os.strerror(number) in record.message for record in caplog.records] == [True]
    fail(throttle, HOME, "alice", 10)
    assert wait(Throttle(path, 10, 60.0), HOME, "alice") > 0


def test_a_full_disk_stops_no_count_once_the_file_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(path, 10, 60.0)
    fail(throttle, HOME, "admin")
    monkeypatch.setattr(os, "posix_fallocate", None)
    monkeypatch.setattr(os, "ftruncate", None)
    fail(throttle, HOME, "admin", 9)
    assert wait(Throttle(path, 10, 60.0), HOME, "admin") > 0


def test_a_folder_in_the_files_place_stops_no_login(path: Path, throttle: Throttle) -> None:
    path.mkdir()
    fail(throttle, HOME, "admin", 10)
    assert wait(throttle, HOME, "admin") > 0
    assert path.is_dir()


# --- Many processes -------------------------------------------------------------------------


HAMMER = f"""
import os, sys
from pathlib import Path
from pages.blocks import SharedBlocks
from pages.tally import Tally
blocks, tally = SharedBlocks(Path(sys.argv[1]), 3), Tally(0, 3, 86400.0)
for _ in range(int(sys.argv[2])):
    blocks.use(lambda b: tally.add(b, b"key", {NOW}))
    os.write(1, b".")
"""


def hammer(path: Path, times: int, done: Path) -> subprocess.Popen[bytes]:
    """A process that counts so often, and writes a byte to ``done`` after each time."""
    with open(done, "wb") as file:
        return subprocess.Popen([sys.executable, "-c", HAMMER, path, str(times)], cwd=PROJECT, stdout=file)


def total(path: Path) -> int:
    tally = Tally(0, 3, 86400.0)
    return SharedBlocks(path, 3).use(lambda b: tally.count(b, b"key", NOW)).total


def test_eight_processes_at_once_lose_not_one_failure(path: Path, tmp_path: Path) -> None:
    times = 5000 if THOROUGH else 500
    processes = [hammer(path, times, tmp_path / f"done{number}") for number in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    assert total(path) == 8 * times


def test_processes_that_are_killed_lose_nothing_that_was_counted_and_hold_up_nobody(path: Path, tmp_path: Path) -> None:
    chance = random.Random(3)
    files = [tmp_path / f"done{number}" for number in range(24 if THOROUGH else 8)]
    for first in range(0, len(files), 4):
        group = files[first : first + 4]
        processes = [hammer(path, 10**9, done) for done in group]
        for process, done in zip(processes, group, strict=True):
            enough = chance.randrange(20, 60)
            wait_until(lambda done=done, enough=enough: done.stat().st_size >= enough, "it counts")
            process.kill()
            process.wait()
    counted = sum(done.stat().st_size for done in files)
    assert counted <= total(path) <= counted + len(files)
    assert hammer(path, 1, tmp_path / "after").wait(30) == 0


# --- Through the API ------------------------------------------------------------------------

WRONG = basic("admin", "wrong")
BLOCKED = "登录失败次数过多，请 {} 秒后重试"


def guess(admin: Admin, password: str = "wrong", user: str = "admin", address: str = "127.0.0.1") -> Any:
    return admin.client.get("/_api/health", headers=basic(user, password), environ_overrides={"REMOTE_ADDR": address})


def test_after_ten_failures_even_the_right_password_is_refused(admin: Admin) -> None:
    assert [guess(admin, address=AWAY).status_code for _ in range(10)] == [401] * 10
    for password in ("wrong", "admin"):
        reply = guess(admin, password, address=AWAY)
        seconds = reply.headers["Retry-After"]
        assert reply.status_code == 429
        assert seconds.isdigit()
        assert 60 <= int(seconds) <= 70
        assert reply.json == {"success": False, "message": BLOCKED.format(seconds)}
        assert "WWW-Authenticate" not in reply.headers
    assert guess(admin, "admin", address=HOME).status_code == 200


def test_after_the_wait_the_right_password_works(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        guess(admin, address=AWAY)
    seconds = int(guess(admin, address=AWAY).headers["Retry-After"])
    now = time.time()
    monkeypatch.setattr("pages.web.logins.time.time", lambda: now + seconds)
    assert guess(admin, "admin", address=AWAY).status_code == 200


@pytest.mark.parametrize("user", ["admin", "nobody", "", "管理员", "x" * 5000])
def test_a_name_that_is_nobodys_is_refused_just_like_one_that_is_somebodys(admin: Admin, user: str) -> None:
    replies = [guess(admin, user=user, address=AWAY) for _ in range(11)]
    assert [reply.status_code for reply in replies] == [401] * 10 + [429]


@pytest.mark.parametrize(
    "value", [None, "", "Basic", "Basic !!!", "Bearer YWRtaW46YWRtaW4=", "Basic YWRtaW4=", 'Digest username="admin"']
)
def test_requests_without_credentials_do_not_count(admin: Admin, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value}
    for _ in range(40):
        assert admin.client.get("/_api/sites", headers=headers).status_code == 401
    assert guess(admin, "admin").status_code == 200


def test_visitors_and_healthz_are_never_slowed_down(admin: Admin) -> None:
    admin.deployed({"index.html": "x"})
    for _ in range(11):
        guess(admin)
    assert guess(admin).status_code == 429
    assert admin.client.get("/_api/healthz", headers=WRONG).status_code == 200
    assert admin.client.get("/", base_url="http://blog.localhost", headers=WRONG).status_code == 200


def test_maintenance_says_it_in_a_body_of_its_own(admin: Admin) -> None:
    body = {"action": "clear-cache"}
    replies = [admin.client.post("/api/admin/maintenance", json=body, headers=WRONG) for _ in range(11)]
    assert [reply.status_code for reply in replies] == [401] * 10 + [429]
    assert replies[-1].json == {"error": BLOCKED.format(replies[-1].headers["Retry-After"])}


def test_it_is_judged_before_the_route_and_roles_but_not_before_there_being_credentials(admin: Admin) -> None:
    for _ in range(10):
        guess(admin)
    for path in ("/_api/nothing", "/_api/sites/nobody/nothing"):
        assert admin.get(path).status_code == 429
    assert admin.delete("/_api/reload").status_code == 429
    assert admin.client.get("/_api/sites").status_code == 401


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_what_another_sites_page_makes_a_browser_send_does_not_lock_its_user_out(
    admin: Admin, headers: dict[str, str]
) -> None:
    assert guess(admin, "admin").status_code == 200
    statuses = [admin.client.get("/_api/sites", headers=WRONG | headers).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert guess(admin, "admin").status_code == 200


def test_a_guess_that_is_refused_costs_no_hash(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = generate_password_hash("secret", method="scrypt:1024:8:1")
    admin = Admin(make_app(admin_pass=hashed, max_failed_logins=3).test_client(), password="secret")
    hashes: list[str] = []
    check = passwords.check_password_hash
    monkeypatch.setattr(passwords, "check_password_hash", lambda *a: hashes.append(a[1]) or check(*a))
    assert [guess(admin, f"wrong{n}").status_code for n in range(6)] == [401] * 3 + [429] * 3
    assert guess(admin, "secret").status_code == 429
    assert hashes == ["wrong0", "wrong1", "wrong2"]


def test_guesses_at_the_same_moment_are_not_more_than_allowed(make_app: Callable[..., Flask]) -> None:
    hashed = generate_password_hash("secret", method="scrypt:1024:8:1")
    app = make_app(admin_pass=hashed)
    statuses: list[int] = []

    def guess_once() -> None:
        statuses.append(guess(Admin(app.test_client())).status_code)

    threads = [threading.Thread(target=guess_once) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 10 + [429] * 30


def test_many_right_logins_at_the_same_moment_are_all_let_in(make_app: Callable[..., Flask]) -> None:
    hashed = generate_password_hash("secret", method="scrypt:1024:8:1")
    app = make_app(admin_pass=hashed, max_failed_logins=1)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(guess(Admin(app.test_client()), "secret").status_code))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40


def test_zero_turns_it_off(make_app: Callable[..., Flask], data: Path) -> None:
    admin = Admin(make_app(max_failed_logins=0).test_client())
    assert [guess(admin).status_code for _ in range(200)] == [401] * 200
    assert not (data / "failed-logins").exists()


def test_the_log_tells_once_who_is_blocked_and_no_name_that_is_nobodys(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        guess(admin, address=AWAY)
        guess(admin, user="hunter2", address=HOME)
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [f"from={AWAY}" in line for line in told] == [True, False]
    assert 'who="admin"' in told[0]
    assert "hunter2" not in caplog.text
    assert f"from={HOME}" in told[1]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("max_failed_logins", "-1"), ("max_failed_logins", "1001"), ("max_failed_logins", "1.5"),
        ("max_failed_logins", "ten"), ("failed_login_window", "0"), ("failed_login_window", "-60"),
        ("failed_login_window", "nan"), ("failed_login_window", "86401"), ("failed_login_window", "1m"),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_work_stops_the_start(make_config: Callable[..., Config], key: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i){key}"):
        make_config(**{key: text})


def test_ten_failures_a_minute_are_the_default(make_config: Callable[..., Config]) -> None:
    config = make_config()
    assert (config.max_failed_logins, config.failed_login_window) == (20, 60.0)


# --- Under gunicorn -------------------------------------------------------------------------


def ask(server: Server, user: str, password: str, address: str, path: str = "/_api/health", port: int = 0) -> Reply:
    headers = {**basic(user, password), "X-Forwarded-For": address}
    return server.request("GET", path, headers=headers, port=port)


@pytest.fixture
def proxied(make_server: Callable[..., Server]) -> Server:
    """Three workers behind a proxy that is believed."""
    return make_server(PAGES_TRUSTED_PROXIES="127.0.0.1,unix", PAGES_WORKERS="3")


def test_all_workers_count_together_and_new_ones_go_on_where_those_killed_stopped(proxied: Server) -> None:
    assert ask(proxied, "admin", "admin", HOME).status == 200
    for _ in range(2):
        assert [ask(proxied, "admin", "wrong", AWAY).status for _ in range(5)] == [401] * 5
        before = proxied.workers()
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda before=before: len(proxied.workers() - before) == 3 and proxied.answers(), "new workers")
    for password in ("wrong", "admin"):
        reply = ask(proxied, "admin", password, AWAY)
        assert (reply.status, reply.json()["success"]) == (429, False)
        assert 1 <= int(reply.headers["Retry-After"]) <= 70
    assert ask(proxied, "admin", "admin", HOME).status == 200
    assert ask(proxied, "admin", "admin", "203.0.113.9").status == 200
    assert proxied.log.count("Too many failed logins") == 1
    file = proxied.data / "failed-logins"
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (FILE_BYTES, 0o600)


def test_guesses_at_all_workers_at_once_are_at_most_one_a_worker_more_than_allowed(proxied: Server) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(ask(proxied, "admin", "wrong", AWAY).status)) for _ in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {401, 429}
    assert 10 <= statuses.count(401) <= 12


def test_in_a_short_window_the_right_password_works_again_when_it_is_over(make_server: Callable[..., Server]) -> None:
    server = make_server(PAGES_MAX_FAILED_LOGINS="2", PAGES_FAILED_LOGIN_WINDOW="1")
    headers = {"headers": basic("admin", "wrong")}
    statuses = [server.request("GET", "/_api/health", **headers).status for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert server.api("GET", "/_api/health").headers["Retry-After"] in ("1", "2")
    wait_until(lambda: server.api("GET", "/_api/health").status == 200, "the block is over")


@pytest.mark.parametrize("is_trusted", [True, False])
def test_behind_nginx_each_visitor_is_counted_apart_where_nginx_is_believed(
    make_server: Callable[..., Server], tmp_path: Path, is_trusted: bool
) -> None:
    settings = {"PAGES_TRUSTED_PROXIES": "unix"} if is_trusted else {}
    server = make_server(PAGES_MAX_FAILED_LOGINS="2", **settings)
    (tmp_path / "nginx").mkdir()
    nginx = Nginx(tmp_path / "nginx", server.environment()).start()
    try:
        replies = [ask(server, "admin", "wrong", f"203.0.113.{n}", port=nginx.port) for n in range(21)]
        # What a client claims to be its address is not passed on: all of these are from 127.0.0.1.
        allowed = 2 if is_trusted else 20
        assert [reply.status for reply in replies] == [401] * allowed + [429] * (21 - allowed)
        assert replies[-1].json()["message"] == BLOCKED.format(replies[-1].headers["Retry-After"])
        assert ("name the proxy in front of Pages in trusted_proxies" in server.log) is not is_trusted
    finally:
        nginx.stop()


def test_the_counts_outlive_a_restart_and_a_cleared_cache(proxied: Server) -> None:
    assert proxied.deploy(zip_of({"index.html": "x"}), site="default/default").status == 200
    for _ in range(10):
        ask(proxied, "admin", "wrong", AWAY)
    assert proxied.api("POST", "/api/admin/maintenance", {"action": "clear-cache"}).status == 200
    proxied.kill()
    proxied.start()
    assert ask(proxied, "admin", "admin", AWAY).status == 429
