"""What is counted: every counter and histogram, with all that its labels can say.

Few series by intention: no address and no site is ever a label. docs/monitoring.md has a line for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

# The name of what is counted, then what its labels say: a place in the counts.
Key = tuple[str, ...]

SUM, INFINITE = "sum", "+Inf"
# A key that begins with it is how much there is of something now, in one process: it ends with that.
NOW = "="


@dataclass(frozen=True)
class Counter:
    """How often something happened; ``labels`` are (name, the values it can have)."""

    name: str
    help: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def places(self) -> Iterator[Key]:
        """Every place that it takes."""
        return ((self.name, *values) for values in product(*(values for _, values in self.labels)))


@dataclass(frozen=True)
class Histogram:
    """How large something was; each value is counted in the first of ``buckets`` that it is not above."""

    name: str
    help: str
    buckets: tuple[float, ...]
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def bounds(self) -> tuple[str, ...]:
        """The buckets as Prometheus writes them."""
        return (*(repr(float(bound)) for bound in self.buckets), INFINITE)

    def places(self) -> Iterator[Key]:
        """Every place that it takes: the buckets, each without those below it, and the sum."""
        for values in product(*(values for _, values in self.labels)):
            yield from ((self.name, *values, last) for last in (*self.bounds, SUM))


FRONTS = ("visitor", "api", "console")
METHODS = ("read", "change")
STATUSES = ("2xx", "3xx", "4xx", "5xx")
_KIB, _MIB = 1024.0, 1024.0 * 1024.0

REQUESTS = Counter(
    "pages_requests",
    "Requests that Pages has answered itself (not those that nginx answers from files).",
    (("front", FRONTS), ("method", METHODS), ("status", STATUSES)),
)
REQUEST_SECONDS = Histogram(
    "pages_request_duration_seconds",
    "Time from a request's head until its answer begins.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600),
    (("front", FRONTS),),
)
DEPLOYS = Counter(
    "pages_deploys",
    "Deploys: gone live, stored without going live, refused (the client's fault), failed (ours).",
    (("result", ("live", "stored", "refused", "failed")),),
)
DEPLOY_SECONDS = Histogram(
    "pages_deploy_duration_seconds",
    "Time of deploys that succeeded, with receiving the upload.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
DEPLOY_BYTES = Histogram(
    "pages_deploy_size_bytes",
    "Size of the request's body of deploys that succeeded.",
    (64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB, 16 * _MIB, 64 * _MIB, 256 * _MIB, 1024 * _MIB),
)
SWITCHES = Counter(
    "pages_switches",
    "Sites switched to another checkpoint: to an older one or a newer one, and why.",
    (("kind", ("rolled_back", "checked_out")), ("by", ("request", "plan", "return"))),
)
FAILED_LOGINS = Counter("pages_failed_logins", "Logins that failed, with a wrong name or password.")
WEBHOOKS = Counter(
    "pages_webhook_attempts",
    "Events for the webhook: delivered, attempts that failed, events given up.",
    (("result", ("delivered", "failed", "dropped")),),
)

FAMILIES: tuple[Counter | Histogram, ...] = (
    REQUESTS, REQUEST_SECONDS, DEPLOYS, DEPLOY_SECONDS, DEPLOY_BYTES, SWITCHES, FAILED_LOGINS, WEBHOOKS,
)  # fmt: skip
BUSY: Key = (f"{NOW}pages_threads_busy",)


def all_keys() -> list[Key]:
    """Every place, in one order."""
    return [*(key for family in FAMILIES for key in family.places()), BUSY]
