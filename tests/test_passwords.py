"""``pages hash-password``: whatever is typed or piped in is the password, and nothing else."""

import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner
from helpers import PROJECT
from werkzeug.security import check_password_hash

from pages import passwords
from pages.cli import main

COMMAND = [sys.executable, "-m", "pages", "hash-password"]


def piped(data: bytes, **settings: str) -> subprocess.CompletedProcess[bytes]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PAGES_", "LC_", "LANG", "PYTHONUTF8"))}
    return subprocess.run(COMMAND, cwd=PROJECT, env=inherited | settings, input=data, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"pass", "pass"), (b"pass\n", "pass"), (b"pass\r\n", "pass"), ("密码é\n".encode(), "密码é"),
        (b" a b \n", " a b "), (b"  ", "  "), (b"a\tb\n", "a\tb"), (b"-x", "-x"), (b"a:b$c", "a:b$c"),
        (b"x" * 100_000, "x" * 100_000), (b"pass\nmore\n", "pass"),
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_the_first_line_of_a_pipe_is_the_password(data: bytes, password: str) -> None:
    done = CliRunner().invoke(main, ["hash-password"], input=data)
    made = done.stdout.removesuffix("\n")
    assert (done.exit_code, done.stderr) == (0, "")
    assert check_password_hash(made, password)
    assert passwords.is_usable(made)


def test_the_locale_makes_no_difference() -> None:
    done = piped("密码é".encode(), LC_ALL="POSIX", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert check_password_hash(done.stdout.decode().strip(), "密码é"), done.stderr


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"\xff\n", "é".encode("latin-1")])
def test_what_is_no_password_is_refused_with_a_sentence(data: bytes) -> None:
    done = CliRunner().invoke(main, ["hash-password"], input=data)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def at_a_terminal(*lines: str) -> str:
    """What is shown to somebody who types these lines."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(PROJECT)
        os.execve(sys.executable, COMMAND, os.environ | {"PYTHONUTF8": "1"})
    shown = b""
    answers = list(lines)
    try:
        while piece := os.read(terminal, 1024):
            shown += piece
            if shown.endswith(b": ") and answers:
                os.write(terminal, answers.pop(0).encode() + b"\n")
    except OSError:
        pass  # The other side has ended.
    os.waitpid(child, 0)
    os.close(terminal)
    return shown.decode()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_at_a_terminal_it_is_asked_for_twice_and_never_shown() -> None:
    shown = at_a_terminal("密码 word", "密码 word")
    assert "密码" not in shown
    assert check_password_hash(shown.split()[-1], "密码 word")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_at_a_terminal_a_mistyped_repetition_is_asked_for_again() -> None:
    shown = at_a_terminal("first", "fisrt", "second", "second")
    assert check_password_hash(shown.split()[-1], "second")
