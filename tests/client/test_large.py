"""A site of 500 MB from the command line, in processes of their own, while the server is reloaded and then killed."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from client.people import Person
from helpers import THOROUGH, Server, tree_of, wait_until

FILES, BYTES = 2_000, 262_144


@pytest.mark.skipif(not THOROUGH, reason="make faults: half a gigabyte, sent more than once")
def test_a_deploy_of_500_mb_outlasts_a_reload_and_a_kill_and_the_next_sends_only_what_is_new(
    server: Server, person: Person
) -> None:
    content = random.Random(1)
    site = person.made({"index.html": "big", **{f"{n % 40}/{n}.bin": content.randbytes(BYTES) for n in range(FILES)}})
    (person.folder / "config.toml").write_text(f"[server]\nport = {server.port}\n")
    deploying = deploy(person, site)
    wait_until(lambda: received(server) > 100e6, "a fifth is there", 120)
    assert server.process
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: received(server) > 300e6, "more than half is there", 120)
    server.kill()
    server.start()
    assert deploying.wait(600) == 0, told(person)
    assert "trying again" in told(person)
    assert tree_of(server.data / "sites/default/blog") == tree_of(site)

    for n in range(0, FILES, 100):
        (site / f"{n % 40}/{n}.bin").write_bytes(content.randbytes(BYTES))
    again = deploy(person, site)
    assert again.wait(600) == 0, told(person)
    assert "Sent 20 of 2,001 files, 5.2 MB of 524.3 MB." in told(person)
    assert tree_of(server.data / "sites/default/blog") == tree_of(site)
    assert server.api("GET", "/_api/sites/default/blog/checkpoints").json()["data"]["total"] == 2


def deploy(person: Person, site: Path) -> subprocess.Popen[bytes]:
    """``pages deploy``, begun."""
    command = [sys.executable, "-m", "pages", "deploy", str(site), "--site", "default/blog"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PAGES_")}
    with open(person.folder / "told", "wb") as file:
        return subprocess.Popen(command, cwd=person.folder, env={**environment, **person.environment()}, stderr=file)


def told(person: Person) -> str:
    """What the last one said on standard error."""
    return (person.folder / "told").read_text()


def received(server: Server) -> int:
    """How much of an upload is on the server's disk, in bytes."""
    sizes = []
    for path in (server.data / "work").glob("*/upload"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return max(sizes, default=0)
