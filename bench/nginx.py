"""nginx, started the same way as the plain base and in front of Pages: only the server block differs."""

import os
import shutil
from pathlib import Path

from processes import Failed, Processes

_MAIN = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_not_found off;
    sendfile on;
    tcp_nopush on;
    types {{ text/html html; text/css css; }}
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/server.conf;
}}
"""


def find_program(name: str) -> str | None:
    """A program on PATH, or where Debian keeps servers."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def start_nginx(processes: Processes, folder: Path, port: int, server: str) -> None:
    """Start nginx with ``server`` (one server block on ``port``, and what it needs) inside its http block."""
    program = find_program("nginx")
    if program is None:
        raise Failed("nginx is not installed: it is what everything is measured against")
    folder.mkdir()
    # Its workers would otherwise be a user who may not enter a temporary folder.
    user = "user root;" if os.geteuid() == 0 else ""
    main = _MAIN.format(folder=folder, user=user, workers=os.cpu_count())
    (folder / "nginx.conf").write_text(main)
    (folder / "server.conf").write_text(server)
    command = [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    processes.start(folder.name, command, port)
