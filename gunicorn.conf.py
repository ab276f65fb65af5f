"""gunicorn's settings, from those of Pages; picked up by name by ``gunicorn wsgi:app``, and named by ``pages serve``.

``pages/gunicorn_conf.py`` is a link to this file: so it is in the package as well. It is run, and never imported: of
``pages`` and its libraries nothing may be imported in the master, because workers are forked from it, and a reload
(HUP) has to give them new code. So all that is needed of Pages is asked of a process apart.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from functools import partial
from types import SimpleNamespace

from gunicorn.glogging import Logger


def _pages(command, **options):
    return subprocess.run([sys.executable, "-m", "pages", command], check=False, **options)


def _checked_settings():
    asked = _pages("settings", stdout=subprocess.PIPE)
    if asked.returncode != 0:  # It has said why.
        sys.exit(asked.returncode)
    return asked.stdout


def _sockets_are_systemds():
    """Has systemd given this master its sockets? gunicorn forgets it after the start, and a reload asks again."""
    us = str(os.getpid())
    if os.environ.get("LISTEN_PID") == us and int(os.environ.get("LISTEN_FDS", 0)):
        os.environ["SOCKETS_OF_SYSTEMD"] = us
    return os.environ.get("SOCKETS_OF_SYSTEMD") == us


# How long the first worker waits for the look through all sites.
_START_UP_SECONDS = 5.0

_ACCESS_LOG_FORMAT = '%(h)s %({host}i)s "%(r)s" %(s)s %({content-length}o)s %(M)sms "%(a)s"'


class _Logger(Logger):
    """For a line, gunicorn's own collects every header and variable of a request: a tenth of what a page costs."""

    def atoms(self, resp, req, environ, request_time):
        if self.cfg.access_log_format != _ACCESS_LOG_FORMAT:  # Somebody asked for another line.
            return super().atoms(resp, req, environ, request_time)
        return {
            "h": environ.get("REMOTE_ADDR", "-"),
            "{host}i": environ.get("HTTP_HOST", "-"),
            "r": f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}",
            "s": str(resp.status).partition(" ")[0],
            "{content-length}o": next((value for name, value in resp.headers if name.lower() == "content-length"), "-"),
            "M": request_time.seconds * 1000 + request_time.microseconds // 1000,
            "a": environ.get("HTTP_USER_AGENT", "-"),
        }


_settings = _checked_settings()
_config = SimpleNamespace(**json.loads(_settings))

# Before the unix socket: a second master on the same port ends here, and leaves the first one's socket alone.
bind = [f"[{_config.host}]:{_config.port}" if ":" in _config.host else f"{_config.host}:{_config.port}"]
if _config.socket:  # For nginx: `pages nginx-config` names it.
    bind.append(f"unix:{_config.socket}")
if _sockets_are_systemds():  # deploy/pages.socket says where it listens, and nothing here may bind or unlink it.
    bind = []
# A thread for each request under way; idle connections cost none.
worker_class = "gthread"
workers = _config.workers
threads = _config.threads
# Idle ones included: with a thousand, a thousand clients that say nothing would keep out everybody else.
worker_connections = 4000
# Longer than nginx keeps its connections to us, so that it is never we who close first.
keepalive = 75
# A worker that is silent this long is replaced: gthread's own heartbeat, not a limit on uploads.
timeout = 120
# What is under way at a stop may take this long: an upload of 500 MB at 8 MB/s. Then it is killed.
graceful_timeout = 60
# At a reload nobody waits for the old workers: theirs is all the time that nginx has for a deploy or a backup.
_RELOAD_SECONDS = max(600, int(_config.backup_timeout) + 60)
# With preload, HUP would not load new code.
preload_app = False
# Percent-encoded Chinese takes nine bytes a character.
limit_request_line = 8190
# One for each installation: the default path is shared by all of a user's gunicorns.
control_socket = os.path.join(_config.data_dir, "gunicorn.ctl")
control_socket_disable = len(control_socket) > 100  # Longer paths are too long for a unix socket.
# Heartbeats are file times: on a busy disk they could come late.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
accesslog = "-"
access_log_format = _ACCESS_LOG_FORMAT
logger_class = _Logger
# Only X-Forwarded-* of proxies named in trusted_proxies count, and those are read by the application.
forwarded_allow_ips = ""


# What ends a worker.
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def _spawn_and_hear(spawn_worker):
    """Fork a worker that misses no order to end: at first it would take one for its master's, and serve on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        return spawn_worker()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)


def post_fork(server, worker):
    """In a new worker: it goes by the settings that were checked, whatever is on disk by now."""
    for number in _ENDS:  # Until gunicorn listens for them itself, there is nothing to finish.
        signal.signal(number, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    from pages.config import pin
    from pages.patience import be_patient

    pin(_settings)
    be_patient(worker)
    # Each connection takes one, and the usual 1,024 are as few as gunicorn's own limit of connections.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
    # In this process only: it is the master that ends a stop after graceful_timeout.
    worker.cfg.set("graceful_timeout", _RELOAD_SECONDS)


def on_starting(server):
    """Once, before the first worker: recover, and put edits made by hand in force.

    With very many sites that takes a while; each worker waits for the recovery itself, and for no more.
    """
    os.environ["PAGES_MASTER_PID"] = str(os.getpid())
    starting = subprocess.Popen([sys.executable, "-m", "pages", "start-up"])
    try:
        if status := starting.wait(_START_UP_SECONDS):
            sys.exit(status)
    except subprocess.TimeoutExpired:
        server.log.info("Serving; looking through all sites goes on in process %d", starting.pid)
    server.reload = partial(_reload_if_sound, server, server.reload)
    server.spawn_worker = partial(_spawn_and_hear, server.spawn_worker)


def when_ready(server):
    """nginx must look where systemd listens."""
    if server.systemd and _config.socket and _config.socket not in [str(at.getsockname()) for at in server.LISTENERS]:
        server.log.warning("systemd listens elsewhere than nginx is told to look (ListenStream): %s", _config.socket)


def _reload_if_sound(server, reload):
    """What HUP does. With settings or code that cannot start, new workers would take the master down."""
    if _pages("check", stdout=subprocess.DEVNULL).returncode == 0:
        reload()
    else:
        server.log.error("Not reloaded: going on with the settings and the code from before")
