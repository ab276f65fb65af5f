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


def put_up_sites(server: Server) -> list[str]:
    """Sites for the calls that need one, each with two checkpoints: whose ids are returned."""
    checkpoints = []
    for number, site in enumerate(["default/one", "default/two", "fuzz/one", "fuzz/two"]):
        username, _, site_id = site.partition("/")
        record = {"id": site_id, "username": username, "domain": f"fuzz{number}.localhost"}
        assert server.api("POST", "/_api/sites", record).status == 201
        for page in ("first", "second"):
            deployed = server.deploy(zip_of({"index.html": page}), site=site).json()
            checkpoints.append(deployed["data"]["checkpoint"]["id"])
    return checkpoints


def fuzz(server: Server, folder: Path, *arguments: str) -> int:
    """Run schemathesis; returns how many requests it made. Fails with its report when an answer is not right."""
    configuration = _CONFIGURATION.read_text(encoding="utf-8").replace(
        "@CHECKPOINTS@", '", "'.join(put_up_sites(server))
    )
    (folder / "schemathesis.toml").write_text(configuration, encoding="utf-8")
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
