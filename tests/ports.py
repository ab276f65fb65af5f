"""Ports for the servers that tests start, and stop, and start again."""

import os
import random
import socket
from pathlib import Path

_FIRST = 10_000
_SHARES = 8  # One for each process that runs tests at the same time, so that no two give the same port.
_given: set[int] = set()


def free_port() -> int:
    """A port of the loopback that nobody has, nor gets before its server starts, nor while that is down for a moment.

    Those that the kernel chooses it gives to connections as well, of any process and at any time.
    """
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    each = (end - _FIRST) // _SHARES
    if each < 1000:  # Somebody has set the range lower: then by chance.
        return _bound(0)
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    ports = [port for port in range(_FIRST + share * each, _FIRST + (share + 1) * each) if port not in _given]
    random.SystemRandom().shuffle(ports)  # Other runs, on the same machine, take others.
    port = next(filter(_bound, ports))
    _given.add(port)
    return port


def _bound(port: int) -> int:
    """The port, or for 0 one that the kernel chooses; 0 when somebody has it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
