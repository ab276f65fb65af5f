"""The services of one installation, built from its settings; shared by the web and the command line."""

import logging
from dataclasses import dataclass

from pages import files
from pages.archive import Limits
from pages.backups import Backups
from pages.config import Config
from pages.errors import ConfigError, PagesError
from pages.history import Histories
from pages.model import now
from pages.paths import Paths
from pages.precompress import Precompressor
from pages.publish import Publisher
from pages.recovery import recover
from pages.registry import Problem, Registry
from pages.trees import Trees
from pages.upkeep import Upkeep
from pages.versions import Versions
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
    publisher: Publisher
    upkeep: Upkeep

    def recover(self) -> None:
        """Finish or clear what a crash left; creates an empty data folder."""
        try:
            files.make_folders(self.paths.data)
        except OSError as error:
            raise ConfigError(f"data_dir: {self.paths.data} cannot be used: {error.strerror}.") from None
        recover(self.paths, self.workshop, self.publisher, now())

    def reload(self) -> list[Problem]:
        """Put what was changed by hand in force: domains, and the roots of new or restored records."""
        with self.workshop.work() as work:
            problems = self.registry.sync(work)
        for site in self.registry.sites(self.registry.names()):
            try:
                self.publisher.ensure_settled(site)
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
        return None


def build_services(config: Config, afterwards: Afterwards = run_now) -> Services:
    """Wire the services together; touches no file. ``afterwards`` runs what no answer has to wait for."""
    paths = Paths(config.data_dir)
    workshop = Workshop(paths.work, afterwards)
    registry = Registry(paths, config.lock_timeout)
    histories = Histories(paths)
    trees = Trees(paths, config.warm_checkpoints)
    limits = Limits(config.max_files, config.max_unpacked_bytes)
    versions = Versions(paths, workshop, registry, histories, trees, Precompressor(config.precompress))
    publisher = Publisher(paths, workshop, registry, histories, trees, versions, limits)
    upkeep = Upkeep(config, paths, workshop, publisher, Backups(config, paths, registry))
    return Services(config, paths, workshop, registry, histories, trees, publisher, upkeep)
