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
    "ballast",
    "due",
    "webhooks",
    "sessions",
    "tokens",
)
# Of these, what nobody but Pages may look into.
PRIVATE_FOLDERS = ("sessions", "tokens")

# What stands in the folder of an unpacked version; no site can have the second for its id. The last is an empty file
# that tells, by its time, when the version was live for the last time.
TREE, ENCODINGS, REPLACED = "site", ".encodings", ".replaced"


class Paths:
    """Where things are below one data folder; ``username`` and ``site_id`` name a site."""

    def __init__(self, data_dir: Path) -> None:
        self.data = data_dir
        self.registry = data_dir / "registry"
        self.domains = data_dir / "domains"
        self.public = data_dir / "public"
        self.trees = data_dir / "trees"
        self.sites = data_dir / "sites"
        self.histories = data_dir / "sites-checkpoints"
        self.cache = data_dir / "cache"
        self.work = data_dir / "work"
        self.registry_lock = data_dir / "locks" / "registry"
        self.recovery_lock = data_dir / "locks" / "recovery"
        self.first_start = data_dir / "locks" / "first-start"
        # While a full backup is being restored: which one.
        self.restoring = data_dir / "restoring"
        self.restart_lock = data_dir / "locks" / "restart"
        self.encodings = data_dir / "cache" / "encodings"
        self.failed_logins = data_dir / "failed-logins"
        self.due = data_dir / "due"
        self.sessions = data_dir / "sessions"
        self.tokens = data_dir / "tokens"
        self.ballast = data_dir / "ballast"
        self.webhooks = data_dir / "webhooks"
        self.webhooks_lock = data_dir / "locks" / "webhooks"

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

    def public_link(self, domain: str) -> Path:
        """The link through which nginx serves a domain by itself."""
        return self.public / domain

    def public_target(self, username: str, site_id: str) -> str:
        """What a public link holds."""
        return f"../sites/{username}/{site_id}"

    def tree_target(self, username: str, site_id: str, version: str) -> str:
        """What a site root links to: relative, like every link here."""
        return f"../../trees/{username}/{site_id}/{version}/{TREE}"

    def versions(self, username: str, site_id: str) -> Path:
        """The unpacked versions of a site, each in a folder named ``{checkpoint_id}.{random}``.

        Such a folder holds the tree as ``site``, and ``.encodings``: a link to where its compressed twins
        are, so that one switch changes both.
        """
        return self.trees / username / site_id

    def encodings_of(self, username: str, site_id: str, version: str) -> Path:
        """The compressed twins of an unpacked version's files; may vanish at any moment."""
        return self.encodings / username / site_id / version

    def encodings_target(self, username: str, site_id: str, version: str) -> str:
        """What the link beside a tree holds."""
        return f"../../../../cache/encodings/{username}/{site_id}/{version}"

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

    def token(self, token_id: str) -> Path:
        return self.tokens / f"{token_id}.json"

    def site_lock(self, username: str, site_id: str) -> Path:
        return self.data / "locks" / "sites" / username / site_id

    def quota_lock(self, username: str) -> Path:
        return self.data / "locks" / "quotas" / username
