"""A real CA for tests, pebble, which speaks ACME as public ones do; and the names that it can resolve."""

import json
import os
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from helpers import program, wait_until
from ports import free_port


class Pebble:
    """A CA on loopback that finds every name on this machine: its http at port ``http``, its https at ``https``."""

    def __init__(self, folder: Path, http: int, https: int) -> None:
        self.folder = folder
        self.root = folder / "root.pem"  # Of the certificates that it issues.
        self.trust = folder / "own.pem"  # Of its own interface.
        self._asks_at = {"httpPort": http, "tlsPort": https}
        self._api, self._management, self._dns, self._names = (free_port() for _ in range(4))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self._api}/dir"

    @property
    def set_txt(self) -> str:
        """A command that certbot calls as a hook for DNS-01: it answers with the record."""
        body = '{\\"host\\": \\"_acme-challenge.$CERTBOT_DOMAIN.\\", \\"value\\": \\"$CERTBOT_VALIDATION\\"}'
        return f'curl -fsS http://127.0.0.1:{self._names}/set-txt -d "{body}"'

    def point(self, domain: str, address: str) -> None:
        """Have this name lead to another address than 127.0.0.1."""
        self._tell("add-a", {"host": domain, "addresses": [address]})

    def start(self) -> "Pebble":
        self._make_own_certificate()
        settings = {
            "listenAddress": f"127.0.0.1:{self._api}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self.trust),
            "privateKey": str(self.folder / "own.key"),
            "ocspResponderURL": "",
            **self._asks_at,
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        dns, names = f"127.0.0.1:{self._dns}", f"127.0.0.1:{self._names}"
        none = ["-http01", "", "-https01", "", "-tlsalpn01", ""]
        self._run("pebble-challtestsrv", "-dns01", dns, "-management", names, "-defaultIPv6", "", *none)
        self._run("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", dns)
        wait_until(self._answers, "pebble answers")
        return self

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(20)

    def _run(self, name: str, *arguments: str) -> None:
        environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        with open(self.folder / f"{name}.log", "wb") as log:
            command = [program(name), *arguments]
            self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def _make_own_certificate(self) -> None:
        command = [
            program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pebble",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "own.key", "-out", self.trust,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)

    def _answers(self) -> bool:
        """Does it? Then its root is in the file."""
        assert all(process.poll() is None for process in self._processes), f"see the logs in {self.folder}"
        trust = ssl.create_default_context(cafile=self.trust)
        try:
            self._tell("clear-a", {"host": "nobody.example.com"})
            url = f"https://127.0.0.1:{self._management}/roots/0"
            with urllib.request.urlopen(url, context=trust, timeout=5) as reply:
                self.root.write_bytes(reply.read())
            with urllib.request.urlopen(self.directory, context=trust, timeout=5):
                return True
        except OSError:
            return False

    def _tell(self, call: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self._names}/{call}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5):
            pass
