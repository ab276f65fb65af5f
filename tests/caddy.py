"""Real Caddy for tests, with the very file that is shipped."""

import os
import signal
import subprocess
from pathlib import Path

from helpers import PROJECT, program, wait_until
from ports import free_port
from tls_visits import TlsVisits

CADDYFILE = PROJECT / "deploy" / "Caddyfile"
HERE = "default_bind 127.0.0.1"
# Its own CA in place of a public one, which it must not make this machine believe in.
OWN_CA = f"{HERE}\nlocal_certs\nskip_install_trust"


class Caddy:
    """Caddy on free ports in front of a Pages on ``backend``; all it keeps is in ``folder``.

    ``environment`` fills in the placeholders of the Caddyfile.
    """

    def __init__(self, folder: Path, backend: int, **environment: str) -> None:
        self.folder = folder
        self.backend = backend
        self.environment = {"CADDY_OPTIONS": OWN_CA, **environment}
        self.http, self.https = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def visits(self) -> TlsVisits:
        """Visits by who believes its own CA."""
        return TlsVisits(self.https, self.http, self.folder / "caddy/pki/authorities/local/root.crt")

    def names_on_disk(self) -> set[str]:
        """The names that it has got certificates for."""
        return {path.stem for path in (self.folder / "caddy/certificates").glob("*/*/*.crt")}

    def start(self) -> "Caddy":
        command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
        for _ in range(5):  # Somebody may take a port between our finding it free and Caddy's binding it.
            with open(self.folder / "log", "wb") as log:
                self.process = subprocess.Popen(
                    command, env=self._environment(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            wait_until(lambda: self._has_ended() or "serving initial configuration" in self.log, "Caddy starts or ends")
            if not self._has_ended():
                return self
            if "address already in use" not in self.log:
                break
            self.http, self.https = free_port(), free_port()
        raise AssertionError(f"Caddy does not start:\n{self.log}")

    def stop(self) -> None:
        if self.process is not None and not self._has_ended():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def _environment(self) -> dict[str, str]:
        backend = f"127.0.0.1:{self.backend}"
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "CADDY_UPSTREAM": backend,
            "CADDY_ASK": f"http://{backend}/_api/tls/allowed",
            "CADDY_HTTP_PORT": str(self.http),
            "CADDY_HTTPS_PORT": str(self.https),
            **self.environment,
        }

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None
