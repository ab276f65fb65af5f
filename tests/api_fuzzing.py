"""schemathesis against a real server, with the API's document: whatever it sends, the answer is one that is described.

Its checks: no error of ours, statuses, types, headers and bodies as described, bad data refused, what was deleted
gone, what was created there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from api_document import FILE
from helpers import PROJECT, Server, basic, zip_of

_CONFIGURATION = PROJECT / "tests" / "schemathesis.toml"


def fuzz(server: Server, folder: Path, *arguments: str) -> int:
    """Run schemathesis; returns how many requests it made. Fails with its report when an answer is not right.

    Half of the calls are for sites that are put up for it.
    """
    configuration = _CONFIGURATION.read_text(encoding="utf-8")
    checkpoints = '", "'.join(_put_up_sites(server))
    (folder / "schemathesis.toml").write_text(configuration.replace("@CHECKPOINTS@", checkpoints), encoding="utf-8")
    authorization = basic()["Authorization"]
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", FILE,
        "--url", server.url, "--header", f"Authorization:{authorization}", "--no-color", "--continue-on-failure",
        "--generation-with-security-parameters", "false", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "tests")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert found, done.stdout[-2000:]
    return int(found[1].replace(",", ""))


def _put_up_sites(server: Server) -> list[str]:
    """Two sites, each with two checkpoints: whose ids are returned."""
    checkpoints = []
    for site in ("one", "two"):
        record = {"id": site, "username": "fuzz", "domain": f"{site}.fuzz.localhost"}
        assert server.api("POST", "/_api/sites", record).status == 201
        for page in ("first", "second"):
            deployed = server.deploy(zip_of({"index.html": page}), site=f"fuzz/{site}").json()
            checkpoints.append(deployed["data"]["checkpoint"]["id"])
    return checkpoints
