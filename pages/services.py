"""The services of one installation, built from its settings; shared by the web and the command line."""

import logging
from dataclasses import dataclass
from functools import partial

from pages import files
from pages.archive import Limits
from pages.backups import Backups
from pages.compare import Comparer
from pages.config import Config
from pages.counters import Counts, counts_in_force
from pages.due import Due
from pages.errors import ConfigError, DataUnusable, PagesError
from pages.events import Events
from pages.full_backup import FullBackups
from pages.full_restore import FullRestore
from pages.history import Histories
from pages.metrics import Metrics
from pages.model import Retention, now
from pages.outbox import Outbox
from pages.paths import Paths
from pages.plans import Plans
from pages.precompress import Precompressor
from pages.previews import Previews
from pages.publish import Publisher
from pages.quotas import KINDS, Quotas
from pages.recovery import finish_abandoned, recover
from pages.registry import Problem, Registry
from pages.resolve import Resolver
from pages.retention import Pruner
from pages.sessions import Sessions
from pages.settling import Settler
from pages.site_rules import RuleFiles
from pages.space import Space
from pages.throttle import Throttle
from pages.tokens import Tokens
from pages.trees import Trees
from pages.upkeep import Upkeep
from pages.uploads import Uploads
from pages.verify import Verifier
from pages.versions import Versions
from pages.webhooks import Webhooks
from pages.work import Afterwards, Workshop, run_now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Everything that acts on one data folder. None of them keeps a truth of its own in memory."""

    config: Config
    paths: Paths
    workshop: Workshop
    registry: Registry
    histories: Histories
    trees: Trees
    versions: Versions
    rule_files: RuleFiles
    resolver: Resolver
    settler: Settler
    uploads: Uploads
    publisher: Publisher
    plans: Plans
    previews: Previews
    pruner: Pruner
    comparer: Comparer
    upkeep: Upkeep
    throttle: Throttle
    sessions: Sessions
    tokens: Tokens
    quotas: Quotas
    space: Space
    verifier: Verifier
    full_backups: FullBackups
    full_restore: FullRestore
    counts: Counts
    events: Events
    webhooks: Webhooks
    metrics: Metrics

    def recover(self) -> None:
        """Finish or clear what a crash left; creates an empty data folder. ``ConfigError``, ``DataUnusable``."""
        try:
            files.make_folders(self.paths.data)
        except OSError as error:
            raise ConfigError(f"data_dir: {self.paths.data} cannot be used: {error.strerror}.") from None
        try:
            # What a crash left may be what the disk is full of.
            self.space.for_deleting(self._recover)
        except OSError as error:
            raise DataUnusable(f"data_dir: {error.filename} cannot be written: {error.strerror}.") from error

    def _recover(self) -> None:
        recover(self.paths, self.workshop, self.settler, self.publisher, now())
        if any(map(self.registry.is_public, self.config.admin_hosts)):  # They may be new.
            with self.workshop.work() as work:
                self.registry.hide_wrong(work, self.config.admin_hosts)

    def reload(self) -> list[Problem]:
        """Put what was changed by hand in force: domains, and the roots of new or restored records."""
        return self.space.for_deleting(self._reload)

    def _reload(self) -> list[Problem]:
        with self.workshop.work() as work:
            problems = self.registry.sync(work)
        for site in self.registry.sites(self.registry.names()):
            try:
                self.settler.ensure_settled(site)
                self.plans.note(site)
            except (PagesError, OSError) as error:
                log.error("Site %s/%s: %s (%s)", site.username, site.id, error, getattr(error, "reason", ""))
        return problems

    def why_unhealthy(self) -> str | None:
        """Why nothing can be published right now; None when the data folder can be written."""
        try:
            with self.workshop.work() as work:
                work.new_path().write_bytes(b"ok")
        except OSError as error:
            return f"数据目录不可写: {error.strerror}"
        self.space.refill()
        return None


def build_services(config: Config, afterwards: Afterwards = run_now) -> Services:
    """Wire the services together; touches no file. ``afterwards`` runs what no answer has to wait for."""
    paths = Paths(config.data_dir)
    workshop = Workshop(paths.work, afterwards)
    registry = Registry(paths, config.lock_timeout, config.may_serve)
    histories = Histories(paths)
    trees = Trees(paths, config.warm_checkpoints)
    rule_files = RuleFiles()
    due = Due(paths)
    resolver = Resolver(trees, rule_files, config.asset_grace)
    kept = Retention(config.keep_checkpoints, config.keep_days, config.keep_bytes)
    limits = Limits(config.max_files, config.max_unpacked_bytes)
    versions = Versions(paths, workshop, registry, histories, trees, Precompressor(config.precompress))
    space = Space(paths, config.min_free_bytes)
    defaults = {kind: getattr(config, kind) for kind in KINDS}
    quotas = Quotas(paths, registry, histories, defaults, config.user_quotas, config.lock_timeout)
    settler = Settler(paths, workshop, registry, histories, trees, versions)
    uploads = Uploads(workshop, histories, trees, limits, quotas, space)
    counts = counts_in_force()
    outbox = Outbox(paths, config.webhook_url)
    events = Events(counts, outbox if config.webhook_url else None)
    publisher = Publisher(
        paths, workshop, registry, histories, trees, versions, settler, uploads, quotas, space, due, events
    )
    backups = Backups(config, paths, registry)
    finish = partial(finish_abandoned, paths, workshop, settler)
    return Services(
        config=config,
        paths=paths,
        workshop=workshop,
        registry=registry,
        histories=histories,
        trees=trees,
        versions=versions,
        rule_files=rule_files,
        resolver=resolver,
        settler=settler,
        uploads=uploads,
        publisher=publisher,
        plans=Plans(registry, histories, settler, publisher, due, space),
        previews=Previews(registry, histories, settler, trees, versions, space, config.preview_domain),
        pruner=Pruner(workshop, registry, histories, publisher, kept),
        comparer=Comparer(histories, settler, versions, Resolver(trees, rule_files, 0), rule_files),
        upkeep=Upkeep(config, paths, workshop, publisher, backups, space),
        throttle=Throttle(paths.failed_logins, config.max_failed_logins, config.failed_login_window),
        sessions=Sessions(paths.sessions),
        tokens=Tokens(paths, workshop),
        quotas=quotas,
        space=space,
        verifier=Verifier(paths, workshop, registry, histories, trees, versions, backups, finish),
        full_backups=FullBackups(config, paths, workshop, registry, histories, trees),
        full_restore=FullRestore(paths, workshop, registry, trees, finish),
        counts=counts,
        events=events,
        webhooks=Webhooks(paths, outbox, counts, config.webhook_url, config.webhook_secret),
        metrics=Metrics(config, registry, histories, due, backups, outbox, counts, afterwards),
    )
