"""How commands end: a status for scripts, a sentence for people, the API's data for programs."""

import gzip
import importlib
import json
import re
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner
from client.people import Answer, Person, Script, told
from helpers import PROJECT, Admin

from pages import cli
from pages.client.exits import MEANINGS

NO_API = (404, {"Content-Type": "text/html"}, b"<h1>Not found</h1>")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (told(200, "", {"id": "b"}), 0),
        (told(400, "bad"), 1),
        (told(401, "who?"), 3),
        (told(403, "no"), 3),
        (told(404, "not there"), 4),
        (told(405, "not so"), 1),
        (told(409, "busy"), 5),
        (told(409, "busy", 5), 5),
        (told(412, "moved on", ["x"]), 5),
        (told(413, "too large"), 1),
        (told(422, "another"), 5),
        (told(429, "later"), 1),
        (told(429, "tomorrow", Retry_After="86400"), 1),
        (told(500, "oh"), 1),
        (told(502, "gone"), 6),
        (told(503, "read-only"), 1),
        (told(503, "down", Retry_After="0"), 6),
        (told(504, "slow"), 6),
        (told(507, "full"), 1),
        ((502, {}, b"<h1>Bad gateway</h1>"), 6),
        ((200, {}, b"<h1>Another server</h1>"), 6),
        ((200, {}, b'{"hello": "world"}'), 6),
        ((200, {}, b"[" * 100_000), 6),
        ((200, {"Content-Encoding": "gzip"}, b"no gzip"), 6),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(100_000_000))), 6),
        (NO_API, 6),
        ((302, {"Location": "https://login.example/"}, b""), 6),
        (None, 6),
    ],
)
def test_the_exit_status_says_what_happened(person: Person, answer: Answer, status: int) -> None:
    with Script([answer] * 5) as script:
        done = person.run("sites", "show", "a/b", "--url", script.url, PAGES_TOKEN="t")
    assert done.status == status
    assert (done.err == "") == (status == 0)
    assert done.err.count("Error: ") == (status != 0)
    assert "Traceback" not in done.err


def test_nobody_there_is_another_status_than_a_refusal(person: Person) -> None:
    done = person.run("sites", "list", "--url", "http://127.0.0.1:1", PAGES_TOKEN="t")
    assert done.status == 6
    assert "no answer from http://127.0.0.1:1" in done.err


def test_a_name_that_nobody_has_is_not_asked_for_again(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked = []

    def nobody(*arguments: Any, **more: Any) -> Any:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    assert person.run("sites", "list", "--url", "https://nobody.invalid", PAGES_TOKEN="t").status == 6
    assert len(asked) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["sites", "update", "a/b", "--index", "\udcff"],
        ["sites", "list", "--tenant", "\udcff"],
        ["checkout", "\udcff", "-s", "a/b"],
        ["checkout", "x\n", "-s", "a/b"],
        ["checkout", "x", "-s", "a/b", "--if-match", "\u00e9"],
        ["checkout", "x", "-s", "a/b", "--if-match", "x\nX-Other: 1"],
        ["explain", "http://[x"],
        ["tokens", "list", "--user", "\udcff", "--password-stdin"],
    ],
)
def test_what_cannot_be_sent_is_the_users_to_mend(person: Person, arguments: list[str]) -> None:
    with Script([]) as script:
        done = person.run(*arguments, "--url", script.url, stdin="secret\n", PAGES_TOKEN="t")
    assert (done.status, done.err.count("Error: "), script.asked) == (2, 1, [])
    assert "secret" not in done.err


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "127.0.0.1:port"])
def test_a_proxy_that_cannot_be_used_is_told(person: Person, proxy: str) -> None:
    done = person.run("whoami", "--url", "https://pages.invalid", PAGES_TOKEN="t", HTTPS_PROXY=proxy)
    assert done.status == 2
    assert "proxy" in done.err


ASKING = [
    ["login", "--user", "a", "--password-stdin"],
    ["whoami"],
    ["sites", "list"],
    ["sites", "show", "a/b"],
    ["sites", "create", "a/b", "--domain", "b.localhost"],
    ["checkpoints", "-s", "a/b"],
    ["rollback", "-s", "a/b"],
    ["checkout", "x", "-s", "a/b"],
    ["confirm", "-s", "a/b"],
    ["diff", "x", "y", "-s", "a/b"],
    ["preview", "x", "-s", "a/b"],
    ["explain", "http://b.localhost/"],
    ["deploy", "site", "-s", "a/b"],
    ["deploy", "site", "-s", "a/b", "--full"],
    ["deploy", "site", "-s", "a/b", "--dry-run"],
    ["tokens", "list", "--user", "a", "--password-stdin"],
    ["reload"],
    ["health"],
    ["backup"],
    ["restart", "--yes"],
    ["verify"],
]


@pytest.mark.parametrize("data", [None, {}, [], "x", 1, [{}], {"sites": [{}]}, {"checkpoints": [{}], "current": "x"}])
@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_success_of_another_shape_ends_without_a_trace(person: Person, command: list[str], data: Any) -> None:
    person.made({"index.html": "x"})
    with Script([told(200, "", data)] * 5) as script:
        done = person.run(*command, stdin="secret\n", PAGES_URL=script.url, PAGES_TOKEN="t")
    assert script.asked
    assert done.status in (0, 1, 5, 6)
    assert (done.status == 0) == ("Error: " not in done.err)


# --- Questions ------------------------------------------------------------------------------

DESTRUCTIVE = [["sites", "delete", "default/blog"], ["clear-cache"], ["restart"], ["tokens", "revoke", "0" * 16]]


@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_what_destroys_asks_and_without_a_terminal_refuses(operator: Person, admin: Admin, command: list[str]) -> None:
    done = operator.run(*command)
    assert (done.status, done.out) == (2, "")
    assert "--yes" in done.err
    assert admin.get("/_api/sites/default/blog").status_code == 200


@pytest.mark.parametrize("command", DESTRUCTIVE[:3])
def test_who_says_yes_is_not_asked(operator: Person, command: list[str]) -> None:
    operator.ok(*command, "--yes")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_one_that_nobody_reads(person: Person, closed: str) -> None:
    person.made({"site.zip": "zip"}, ".")
    fine = told(200, "", {"username": "a", "id": "b", "checkpoint": {"id": "x"}})
    with Script([fine, told(403)]) as script:
        for arguments, status in (("deploy site.zip -s", 0), ("sites delete", 2)):
            done = subprocess.run(
                ["/bin/sh", "-c", f"{sys.executable} -m pages {arguments} a/b --url {script.url} {closed}"],
                cwd=person.folder, check=False, timeout=30,
                env={**person.environment(), "PYTHONPATH": str(PROJECT), "PAGES_TOKEN": "t"},
            )  # fmt: skip
            assert done.returncode == status


# --- JSON, and quiet ------------------------------------------------------------------------


@pytest.fixture
def two(operator: Person) -> tuple[str, str]:
    """Two checkpoints; the second is live."""
    first, second = (
        operator.ok("deploy", operator.made({"index.html": text}), "--json").json()["checkpoint"]["id"]
        for text in ("one", "two")
    )
    return first, second


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["sites", "list"], "/_api/sites"),
        (["sites", "show", "default/blog"], "/_api/sites/default/blog"),
        (["checkpoints"], "/_api/sites/default/blog/checkpoints"),
        (["explain", "/x"], "/_api/sites/default/blog/explain?url=/x"),
        (["whoami"], "/_api/whoami"),
    ],
)
def test_json_is_the_apis_data_and_nothing_else(
    operator: Person, admin: Admin, two: tuple[str, str], command: list[str], path: str
) -> None:
    del two
    done = operator.ok(*command, "--json")
    assert done.json() == json.loads(admin.get(path).data)["data"]
    assert done.out.count("\n") == 1
    assert done.err == ""


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (["sites", "create", "a/b", "--domain", "b.localhost"], {"id", "domain"}),
        (["sites", "update", "default/blog", "--spa", "--cache", "assets=6", "--alias", "x.localhost"], {"cache"}),
        (["rollback"], {"checkpoint_id"}),
        (["checkout", "{first}", "--confirm-within", "10m"], {"back_to"}),
        (["diff"], {"added", "urls"}),
        (["preview"], {"url"}),
        (["health"], {"status", "sites_count"}),
        (["reload"], {"sites_count"}),
        (["clear-cache", "--yes"], {"message", "timestamp"}),
        (["restart", "--yes"], {"message", "note"}),
        (["tokens", "create", "x"], {"token"}),
        (["tokens", "list"], {"tokens"}),
        (["deploy", "site", "--dry-run"], {"digest"}),
    ],
)  # fmt: skip
def test_every_command_has_json(operator: Person, two: tuple[str, str], command: list[str], keys: set[str]) -> None:
    done = operator.ok(*(part.format(first=two[0]) for part in command), "--json")
    assert keys <= set(done.json())
    plain = operator.run(*(part.format(first=two[1]) for part in command))
    if plain.status == 0:  # Not everything can be done twice.
        assert plain.out.strip()
        assert not plain.out.startswith("{")


def test_a_deletion_has_no_data(operator: Person) -> None:
    assert operator.ok("sites", "delete", "default/blog", "--yes", "--json").json() is None


def test_quiet_is_silent_about_what_went_well(operator: Person) -> None:
    done = operator.ok("deploy", operator.made({"index.html": "x"}), "-q")
    assert (done.out, done.err) == ("", "")
    assert "default/blog" in operator.ok("sites", "list", "-q").out


def test_a_name_from_elsewhere_neither_begins_a_line_nor_steers_the_terminal(person: Person) -> None:
    site = {"id": "b", "username": "a", "domain": "x\n\x1b[31mEVIL", "enabled": True, "locked": False, "updated_at": ""}
    with Script([told(200, "", {"sites": [site], "total": 1})]) as script:
        done = person.ok("sites", "list", "--url", script.url, PAGES_TOKEN="t")
    assert "\x1b" not in done.out
    assert len(done.out.splitlines()) == 2


def test_an_error_neither_begins_a_line_nor_steers_the_terminal(person: Person) -> None:
    (person.folder / ".pages.toml").write_text('"\\u001b[31m\\n" = 1')
    odd = person.made({"x": "x", "\x1bc/empty/": ""}) / "\x1bc"
    for arguments in (["health"], ["deploy", odd], ["deploy", odd / "gone"], ["verify", "--site", "\x1bc"]):
        done = person.run(*arguments, PAGES_URL="http://127.0.0.1:1", PAGES_TOKEN="t", PAGES_SITE="a/b")
        assert done.status != 0
        assert "\x1b" not in done.err


def test_what_the_terminal_has_no_letters_for_is_shown_all_the_same(person: Person) -> None:
    site = {"id": "b", "username": "a", "domain": "例子", "enabled": True, "locked": False, "updated_at": ""}
    with Script([told(200, "", {"sites": [site], "total": 1})] * 2) as script:
        for options in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "pages", "sites", "list", "--url", script.url, *options],
                cwd=person.folder, capture_output=True, text=True, check=False, timeout=30,
                env={
                    **person.environment(), "PYTHONPATH": str(PROJECT), "PAGES_TOKEN": "t",
                    "PYTHONIOENCODING": "latin-1",
                },
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            assert "\\u4f8b" in done.stdout


# --- Versions -------------------------------------------------------------------------------


def test_a_rollback_goes_to_the_version_before_and_a_checkout_anywhere(
    operator: Person, admin: Admin, two: tuple[str, str]
) -> None:
    operator.ok("rollback")
    assert admin.checkpoints()["current"] == two[0]
    nothing = operator.run("rollback")
    assert nothing.status == 4
    operator.ok("checkout", two[1])
    assert admin.checkpoints()["current"] == two[1]
    operator.ok("rollback", two[0])
    assert admin.visit().data == b"one"


def test_a_rollback_is_refused_when_somebody_deployed_meanwhile(person: Person) -> None:
    ids = ["20260102-000000-00000000", "20260101-000000-00000000"]
    listed = {"current": ids[0], "checkpoints": [{"id": each} for each in ids], "total": 2}
    with Script([told(200, "", listed), told(412, "moved on")]) as script:
        done = person.run("rollback", "-s", "a/b", "--url", script.url, PAGES_TOKEN="t")
    assert done.status == 5
    assert script.asked[1].headers["If-Match"] == f'"{ids[0]}"'
    assert script.asked[1].path == f"/_api/sites/a/b/checkpoints/{ids[1]}/checkout"


def test_what_was_checked_out_with_a_net_can_be_confirmed(operator: Person, admin: Admin, two: tuple[str, str]) -> None:
    assert operator.run("confirm").status == 5
    assert "unless confirmed" in operator.ok("checkout", two[0], "--confirm-within", "10m").out
    assert "pages confirm" in operator.ok("checkpoints").out
    operator.ok("confirm")
    assert "confirmation" not in admin.checkpoints()


def test_an_address_finds_its_site(operator: Person, two: tuple[str, str]) -> None:
    del operator.settings["PAGES_SITE"]
    done = operator.ok("explain", "http://blog.localhost/")
    assert done.out.startswith("200 for blog.localhost/")
    assert two[1] in done.out
    assert operator.run("explain", "http://elsewhere.localhost/").status == 4


@pytest.mark.parametrize(
    "options", [[], ["--cache", "html"], ["--alias", "a.b", "--no-aliases"], ["--trailing-slash", "x"]]
)
def test_an_update_that_says_nothing_or_nonsense_is_a_usage_error(operator: Person, options: list[str]) -> None:
    assert operator.run("sites", "update", "default/blog", *options).status == 2


# --- Backup and verify of a server ----------------------------------------------------------


def test_a_server_that_is_named_is_asked_for_backup_and_verify(member: Person, service: str, tmp_path: Any) -> None:
    name = member.ok("backup", PAGES_URL=service).out.strip()
    assert (tmp_path / "backups" / name).is_file()
    assert member.ok("backup", "--url", service, "--json").json()["backupFile"]
    assert "sound" in member.ok("verify", "--url", service).out
    assert member.ok("verify", "--site", "default/blog", "--json", PAGES_URL=service).json()["checked"]["sites"] == 1
    assert member.run("backup", "--full", PAGES_URL=service).status == 2


def test_problems_that_are_left_on_a_server_are_a_failure(person: Person) -> None:
    problem = {"site": None, "file": "x", "kind": "k", "reason": "r", "repaired": False}
    found = {"problems": [problem], "checked": {"sites": 1, "checkpoints": 1, "files": 1, "bytes": 1}}
    with Script([told(200, "", found)]) as script:
        done = person.run("verify", "--url", script.url, PAGES_TOKEN="t")
    assert (done.status, done.out.splitlines()[0]) == (1, "x: r")


# --- Help -----------------------------------------------------------------------------------


def test_help_says_of_each_command_what_the_command_says() -> None:
    with click.Context(cli.main) as context:
        for section in cli._COMMANDS.values():
            for name, (_, told_there) in section.items():
                command = cli.main.get_command(context, name)
                assert command is not None
                assert command.name == name
                if told_there:
                    assert command.get_short_help_str(200).startswith(told_there.rstrip(".")), name


def test_help_and_the_document_say_what_each_exit_status_means() -> None:
    shown = CliRunner().invoke(cli.main, ["--help"]).stdout
    document = (PROJECT / "docs/cli.md").read_text(encoding="utf-8")
    for status, meaning in MEANINGS.items():
        assert re.search(rf"^ +{status}  {meaning}$", shown, re.MULTILINE), meaning
        assert f"| {status} | {meaning} |" in document


@pytest.mark.parametrize("module", ["flask", "werkzeug", "httpx2", "rich", "msgspec", "psycopg2", "toml"])
def test_help_loads_none_of_the_libraries(module: str) -> None:
    code = f"import sys, pages.cli\nsys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False, timeout=30).returncode == 0


def test_the_client_loads_nothing_of_the_service() -> None:
    modules = sorted(f"pages.client.{path.stem}" for path in (PROJECT / "pages/client").glob("[a-z]*.py"))
    assert all(importlib.import_module(name) for name in modules)
    code = f"import sys\nfor name in {modules}: __import__(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=30
    )
    loaded = set(done.stdout.split())
    assert not {"flask", "werkzeug", "rich", "httpx2", "pages.services", "pages.registry", "pages.config"} & loaded


@pytest.mark.parametrize(("shell", "said"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_shell_gets_its_completion(person: Person, shell: str, said: str) -> None:
    done = person.ok("completion", shell)
    assert said in done.out
    assert "_PAGES_COMPLETE" in done.out


def test_commands_are_completed() -> None:
    done = CliRunner().invoke(
        cli.main, prog_name="pages",
        env={"_PAGES_COMPLETE": "bash_complete", "COMP_WORDS": "pages ch", "COMP_CWORD": "1"},
    )  # fmt: skip
    assert [line.partition(",")[2] for line in done.stdout.split()] == ["checkpoints", "checkout", "check"]


@pytest.mark.parametrize("command", [["rollback", "--confirm-within", "0"], ["preview", "--expires-in", "0s"]])
def test_no_time_at_all_is_not_taken_for_no_limit(operator: Person, admin: Admin, command: list[str]) -> None:
    for text in ("one", "two"):
        operator.ok("deploy", operator.made({"index.html": text}))
    assert operator.run(*command).status == 2
    assert admin.visit().data == b"two"
