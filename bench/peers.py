"""What one would use instead, each serving one folder on a port of its own."""

import os
import runpy
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nginx import find_program, start_nginx
from processes import PROJECT, Processes, free_port

NGINX = "nginx, one root"


class Missing(Exception):
    """This peer is not installed."""


def start_plain_nginx(processes: Processes, folder: Path, root: Path) -> int:
    """nginx over one root: the base of every ratio. ``folder`` is made, for its configuration."""
    port = free_port()
    start_nginx(processes, folder, port, f"server {{ listen 127.0.0.1:{port}; root {root}; }}\n")
    return port


def start_peers(processes: Processes, folder: Path, root: Path) -> tuple[dict[str, int], list[str]]:
    """Start every peer over ``root``: their ports by name, and the names of those that are not installed."""
    starts: dict[str, Callable[[Processes, Path, Path], int]] = {
        NGINX: lambda *given: start_plain_nginx(given[0], given[1] / "plain-nginx", given[2]),
        "Caddy file_server": _start_caddy,
        "lighttpd": _start_lighttpd,
        "WhiteNoise, same gunicorn": _start_whitenoise,
        "naive Flask, same gunicorn": _start_naive,
    }
    ports, missing = {}, []
    for name, start in starts.items():
        try:
            ports[name] = start(processes, folder, root)
        except Missing:
            missing.append(name)
    return ports, missing


def _installed(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise Missing()
    return found


def _start_caddy(processes: Processes, folder: Path, root: Path) -> int:
    program, port, file = _installed("caddy"), free_port(), folder / "Caddyfile"
    file.write_text(
        "{\n\tadmin off\n\tauto_https off\n}\n"
        f"http://:{port} {{\n\tbind 127.0.0.1\n\troot * {root}\n\tfile_server\n}}\n"
    )
    environment = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    processes.start("caddy", [program, "run", "--adapter", "caddyfile", "--config", file], port, environment)
    return port


def _start_lighttpd(processes: Processes, folder: Path, root: Path) -> int:
    program, port, file = _installed("lighttpd"), free_port(), folder / "lighttpd.conf"
    file.write_text(
        f'server.document-root = "{root}"\nserver.bind = "127.0.0.1"\nserver.port = {port}\n'
        f'server.max-worker = {os.cpu_count()}\nserver.network-backend = "sendfile"\n'
        'mimetype.assign = ( ".html" => "text/html", ".css" => "text/css", "" => "application/octet-stream" )\n'
    )
    processes.start("lighttpd", [program, "-D", "-f", file], port)
    return port


def _start_whitenoise(processes: Processes, _folder: Path, root: Path) -> int:
    if find_spec("whitenoise") is None:
        raise Missing()
    return _start_gunicorn(processes, "white", root)


def _start_naive(processes: Processes, _folder: Path, root: Path) -> int:
    return _start_gunicorn(processes, "naive", root)


def _start_gunicorn(processes: Processes, module: str, root: Path) -> int:
    """An application of ``apps/`` under gunicorn with the settings by which Pages runs, access log included."""
    port, ours = free_port(), _settings_of_pages()
    command = [sys.executable, "-m", "gunicorn", "-c", "/dev/null", "-b", f"127.0.0.1:{port}", "--no-control-socket"]
    command += ["--access-logfile", "-", "--access-logformat", ours["access_log_format"]]
    command += ["--worker-tmp-dir", ours["worker_tmp_dir"], "-k", ours["worker_class"]]
    command += ["-w", str(ours["workers"]), "--threads", str(ours["threads"]), "--keep-alive", str(ours["keepalive"])]
    environment = {"BENCH_ROOT": str(root), "PYTHONPATH": str(PROJECT / "bench/apps")}
    processes.start(module, [*command, f"{module}:app"], port, environment)
    return port


def _settings_of_pages() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
