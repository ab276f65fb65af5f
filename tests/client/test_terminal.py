"""On a real terminal: a bar that moves, a password that is not shown, a question before what destroys."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from client.people import Done, Person
from helpers import PROJECT, Admin

from pages.publish import Publisher
from pages.uploads import Uploads


def on_a_terminal(
    person: Person, *arguments: object, typed: str = "", interrupt_at: str | None = None, **settings: str
) -> Done:
    """Run a command with a terminal for all three streams; each line of ``typed`` answers one question.

    ``interrupt_at``: Ctrl-C once this is shown.
    """
    ours, theirs = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PAGES_") and k != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pages", *map(str, arguments)],
        cwd=person.folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**inherited, "PYTHONPATH": str(PROJECT), "TERM": "xterm", **person.environment(), **settings},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # What runs the tests may ignore it.
    )  # fmt: skip
    os.close(theirs)
    shown, answers, deadline = b"", typed.splitlines(), time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                shown += (more := os.read(ours, 65536))
            except OSError:  # The last one who had it open has gone.
                break
            if not more:
                break
            if interrupt_at and interrupt_at.encode() in shown:
                interrupt_at = None
                process.send_signal(signal.SIGINT)
            if answers and re.search(rb": $", shown):
                os.write(ours, answers.pop(0).encode() + b"\n")
                shown += b"\n"
    finally:
        os.close(ours)
        if process.poll() is None and time.monotonic() >= deadline:
            process.kill()
    return Done(process.wait(10), shown.decode(errors="replace"), "")


def test_a_deploy_shows_how_far_it_is(operator: Person, admin: Admin) -> None:
    site = operator.made({"index.html": "x", "noise.bin": os.urandom(3_000_000)})
    done = on_a_terminal(operator, "deploy", site, "--full")
    assert done.status == 0, done.out
    assert "━" in done.out
    assert "Sending 2 files" in done.out
    assert re.search(r"[0-9.]+/3\.0 MB", done.out)
    assert "The server unpacks it" in done.out
    assert "Live: default/blog" in done.out
    assert admin.checkpoints()["total"] == 1


def test_a_failure_leaves_the_terminal_as_it_was(operator: Person) -> None:
    done = on_a_terminal(operator, "deploy", operator.made({"index.html": "x"}), "-s", "default/gone")
    assert done.status == 4
    assert done.out.rstrip().endswith("makes it")
    assert done.out.count("\x1b[?25h") >= done.out.count("\x1b[?25l")  # The cursor is shown again.


def test_ctrl_c_after_all_was_sent_tells_that_it_may_go_live(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(Publisher, "deploy", lambda *_, **__: is_over.wait(30))
    done = on_a_terminal(
        operator, "deploy", operator.made({"index.html": "x"}), "--full", interrupt_at="The server unpacks it"
    )
    is_over.set()
    assert done.status == 1
    assert "may finish without us" in done.out
    assert "Traceback" not in done.out


def test_ctrl_c_before_tells_no_such_thing(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(Uploads, "missing", lambda *_, **__: is_over.wait(30))
    done = on_a_terminal(operator, "deploy", operator.made({"index.html": "x"}), interrupt_at="Reading")
    is_over.set()
    assert done.status == 1
    assert "may finish" not in done.out


@pytest.mark.parametrize("settings", [{"TERM": "dumb"}, {}])
def test_plain_lines_where_a_bar_would_do_no_good(operator: Person, settings: dict[str, str]) -> None:
    site = operator.made({"index.html": "x"})
    out = on_a_terminal(operator, "deploy", site, **settings).out if settings else operator.ok("deploy", site).err
    assert "━" not in out
    assert "\x1b" not in out
    assert "Sending 1 file: 1 B" in out


def test_a_password_is_asked_for_and_not_shown(person: Person, service: str) -> None:
    done = on_a_terminal(person, "login", service, typed="admin\nadmin\n")
    assert done.status == 0, done.out
    assert "User at http://127.0.0.1" in done.out
    assert done.out.count("admin") == 3  # Typed as the user, in the question, in the answer.
    assert json.loads(person.credentials.read_bytes())["current"] == service


@pytest.mark.parametrize(("answer", "is_left"), [("y", False), ("n", True), ("", True)])
def test_what_destroys_is_done_only_after_a_yes(operator: Person, admin: Admin, answer: str, is_left: bool) -> None:
    done = on_a_terminal(operator, "sites", "delete", "default/blog", typed=f"{answer}\n")
    assert "with all its checkpoints? [y/N]" in done.out
    assert (admin.get("/_api/sites/default/blog").status_code == 200) == is_left
    assert done.status == (1 if is_left else 0)


def test_colours_are_left_out_where_they_are_not_wanted(operator: Person, tmp_path: Path) -> None:
    done = on_a_terminal(operator, "deploy", operator.made({"index.html": "x"}), NO_COLOR="1")
    assert done.status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", done.out)
