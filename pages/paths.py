"""The one place where names become paths: the layout of the data folder (contract, section 2).

Every name that comes in here was judged before: usernames and site ids by ``model``, domains by
``hosts``, checkpoint ids by ``history``, entry paths by ``archive``.
"""

from pathlib import Path

FOLDERS = (
    "registry",
    "domains",
    "sites",
    "sites-checkpoints",
    "trees",
    "public",
    "cache",
    "work",
    "locks",
)


class Paths:
    """Where things are below one data folder; ``username`` and ``site_id`` name a site."""

    def __init__(self, data_dir: Path) -> None:
        self.data = data_dir
        self.registry = data_dir / "registry"
        self.domains = data_dir / "domains"
        self.sites = data_dir / "sites"
        self.histories = data_dir / "sites-checkpoints"
        self.cache = data_dir / "cache"
        self.work = data_dir / "work"
        self.registry_lock = data_dir / "locks" / "registry"
        self.recovery_lock = data_dir / "locks" / "recovery"
        self.first_start = data_dir / "locks" / "first-start"
        self.restart_lock = data_dir / "locks" / "restart"

    def record(self, username: str, site_id: str) -> Path:
        """The site's record: the registry is one such file a site."""
        return self.registry / username / f"{site_id}.json"

    def domain(self, domain: str) -> Path:
        """The link that says which record owns ``domain``."""
        return self.domains / domain

    def domain_target(self, username: str, site_id: str) -> str:
        """What a domain link holds: relative, so that the data folder can be moved."""
        return f"../registry/{username}/{site_id}.json"

    def site_root(self, username: str, site_id: str) -> Path:
        """What is served: a link to a tree, or a folder an operator put there."""
        return self.sites / username / site_id

    def tree_target(self, username: str, site_id: str, tree: str) -> str:
        """What a site root links to: relative, like every link here."""
        return f"../../trees/{username}/{site_id}/{tree}"

    def trees(self, username: str, site_id: str) -> Path:
        """The live tree and the one before it, each in a folder named ``{checkpoint_id}.{random}``."""
        return self.data / "trees" / username / site_id

    def warm_trees(self, username: str, site_id: str) -> Path:
        """Older trees, kept unpacked for a fast checkout; may vanish at any moment."""
        return self.cache / "trees" / username / site_id

    def history(self, username: str, site_id: str) -> Path:
        """All there is of a site's checkpoints."""
        return self.histories / username / site_id

    def metadata(self, username: str, site_id: str) -> Path:
        return self.history(username, site_id) / "metadata.json"

    def archives(self, username: str, site_id: str) -> Path:
        return self.history(username, site_id) / "checkpoints"

    def archive(self, username: str, site_id: str, checkpoint_id: str) -> Path:
        return self.archives(username, site_id) / f"{checkpoint_id}.tar.gz"

    def manifests(self, username: str, site_id: str) -> Path:
        return self.history(username, site_id) / "manifests"

    def manifest(self, username: str, site_id: str, checkpoint_id: str) -> Path:
        return self.manifests(username, site_id) / f"{checkpoint_id}.json"

    def lost(self, username: str, site_id: str, unique: str) -> Path:
        """Where checkpoints go that belong to no site any more, instead of being deleted."""
        return self.data / "lost" / username / f"{site_id}.{unique}"

    def site_lock(self, username: str, site_id: str) -> Path:
        return self.data / "locks" / "sites" / username / site_id
