"""gunicorn's settings, from those of Pages; picked up by name by ``gunicorn wsgi:app``, and named by ``pages serve``.

``pages/gunicorn_conf.py`` is a link to this file: so it is in the package as well. It is run, and never imported: of
``pages`` and its libraries nothing may be imported in the master, because workers are forked from it, and a reload
(HUP) has to give them new code. So all that is needed of Pages is asked of a process apart.
"""

import json
import logging
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
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

_ACCESS_LOG_FORMAT = '%(h)s %({host}i)s "%(r)s" %(s)s %({content-length}o)s %(M)sms "%(a)s" %({pages.request_id}e)s'


def _readable(text):
    """What WSGI hands on byte by byte, as the UTF-8 that it mostly is."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


class _Json(logging.Formatter):
    """The master's own lines as JSON; its workers' are made by pages/logs.py, which looks the same."""

    def format(self, record):
        written = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        line = {"time": f"{written[:-2]}:{written[-2:]}", "level": record.levelname, "logger": record.name}
        return json.dumps({**line, "process": record.process, "message": message}, ensure_ascii=False)


def _write_as_configured(log):
    """Have the master write its own lines as ``log_format`` says."""
    for logger, line, date in ((log.error_log, log.error_fmt, log.datefmt), (log.access_log, log.access_fmt, None)):
        for handler in logger.handlers:
            handler.setFormatter(_Json() if _config.log_format == "json" else logging.Formatter(line, date))


class _Logger(Logger):
    """For a line, gunicorn's own collects every header and variable of a request: a tenth of what a page costs."""

    def setup(self, cfg):
        super().setup(cfg)
        _write_as_configured(self)

    def atoms(self, resp, req, environ, request_time):
        if self.cfg.access_log_format != _ACCESS_LOG_FORMAT:  # Somebody asked for another line.
            return super().atoms(resp, req, environ, request_time)
        return {
            "h": environ.get("REMOTE_ADDR", "-"),
            "{host}i": _readable(environ.get("HTTP_HOST", "-")).replace(" ", "%20"),
            "r": _readable(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"),
            "s": str(resp.status).partition(" ")[0],
            "{content-length}o": next((value for name, value in resp.headers if name.lower() == "content-length"), "-"),
            "M": request_time.seconds * 1000 + request_time.microseconds // 1000,
            "a": _readable(environ.get("HTTP_USER_AGENT", "-")),
            "{pages.request_id}e": environ.get("pages.request_id", "-"),
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
    from pages.counters import attach
    from pages.logs import take_over
    from pages.patience import be_patient

    pin(_settings)
    take_over(_config.log_format, worker.log)
    be_patient(worker, attach(memoryview(server.pages_counts), worker.pages_slot).busy)
    _leave_files_to_requests(worker)
    # In this process only: it is the master that ends a stop after graceful_timeout.
    worker.cfg.set("graceful_timeout", _RELOAD_SECONDS)


# What a worker has open by itself, and what a request may open: a selector, an archive, folders down to a file.
_OWN_FILES, _FILES_OF_A_REQUEST = 32, 8


def _leave_files_to_requests(worker):
    """Have connections wait unaccepted, before they take the files that those under way need."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = min(most, 65536) if most > 0 else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))  # The usual 1,024 are few: each connection takes one.
    room = max(allowed - _OWN_FILES - threads * _FILES_OF_A_REQUEST, threads)
    worker.worker_connections = min(worker.worker_connections, room)
    worker.max_keepalived = worker.worker_connections - threads


# --- What workers count -------------------------------------------------------------------------
# Memory that all share and that ends with the master; pages/counters.py tells how it is laid out, and fills it. Here,
# the slot of a worker that has ended is added to the first one.

_COUNTS_HEAD = struct.Struct("=QQQd")
_LENGTHS_AT, _SLOTS_AT, _SLOT_BYTES, _SLOT_COUNT = 64, 4096, 32 * 1024, 256


def pre_fork(server, worker):
    """Give a worker a slot that no living one has."""
    if not hasattr(server, "pages_counts"):
        server.pages_counts = mmap.mmap(-1, _SLOTS_AT + _SLOT_COUNT * _SLOT_BYTES)
        _COUNTS_HEAD.pack_into(server.pages_counts, 0, 0, _SLOT_BYTES, _SLOT_COUNT, time.time())
    taken = {getattr(living, "pages_slot", 0) for living in server.WORKERS.values()}
    _, _, count, _ = _COUNTS_HEAD.unpack_from(server.pages_counts)
    # When there are as many as that, two share one, and what they count is too low.
    worker.pages_slot = next((number for number in range(1, count) if number not in taken), count - 1)
    if worker.pages_slot not in taken:
        _keep_counts(server.pages_counts, worker.pages_slot)


def child_exit(server, worker):
    """A worker has ended, however it did."""
    if getattr(worker, "pages_slot", 0):
        _keep_counts(server.pages_counts, worker.pages_slot)


def _keep_counts(memory, number):
    """Add what a dead worker has counted to the first slot, and empty its own; who reads meanwhile does so again."""
    if not _length(memory, number):
        return
    kept = _slot(memory, 0)
    for name, value in _slot(memory, number).items():
        if not str(name[:1]).startswith("('="):  # That is how much there was of something in that process.
            kept[name] = kept.get(name, 0.0) + value
    names = json.dumps(list(kept)).encode()
    version, slot_bytes, _, _ = _COUNTS_HEAD.unpack_from(memory)
    struct.pack_into("=Q", memory, 0, version + 1)
    if len(names) + 8 * len(kept) + 8 <= slot_bytes:
        memory[_SLOTS_AT : _SLOTS_AT + len(names)] = names
        struct.pack_into(f"={len(kept)}d", memory, _values_at(memory, 0, len(names)), *kept.values())
        struct.pack_into("=Q", memory, _LENGTHS_AT, len(names))
    start = _SLOTS_AT + number * slot_bytes
    struct.pack_into("=Q", memory, _LENGTHS_AT + 8 * number, 0)
    memory[start : start + slot_bytes] = bytes(slot_bytes)
    struct.pack_into("=Q", memory, 0, version + 2)


def _slot(memory, number):
    """What a slot counts, by name. A worker that wrote just anything into its own is no reason to end."""
    length = _length(memory, number)
    start = _SLOTS_AT + number * _COUNTS_HEAD.unpack_from(memory)[1]
    try:
        names = [tuple(name) for name in json.loads(memory[start : start + length] or "[]")]
        values = struct.unpack_from(f"={len(names)}d", memory, _values_at(memory, number, length))
    except (ValueError, TypeError, RecursionError, struct.error):
        return {}
    return dict(zip(names, values, strict=True))


def _length(memory, number):
    return struct.unpack_from("=Q", memory, _LENGTHS_AT + 8 * number)[0]


def _values_at(memory, number, length):
    return _SLOTS_AT + number * _COUNTS_HEAD.unpack_from(memory)[1] + (length + 7) // 8 * 8


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


def on_reload(server):
    """The master's logger was made with the settings before."""
    _write_as_configured(server.log)


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
