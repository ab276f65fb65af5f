"""For how long a visitor's copy of a file is good (``cache`` in a site's settings).

A page is asked for again each time, so that a deploy is live at once; a name with a hash of the content in it never
means anything else. nginx says the same of public sites.
"""

from pages.hashed_names import is_hashed
from pages.model import Site
from pages.resolve import Resolution

REVALIDATE = "no-cache"
_PAGES = ("text/html", "application/xhtml+xml")


def cache_control(site: Site, resolution: Resolution) -> str:
    """The ``Cache-Control`` of an answer."""
    file = resolution.file
    if file is None or resolution.status != 200:
        return REVALIDATE
    if file.kind in _PAGES:
        return _fresh_for(site.cache.html)
    # Rewritten to it, an address may lead to another file tomorrow.
    if resolution.is_own and site.cache.hashed and is_hashed(f"/{file.path}"):
        return f"public, max-age={site.cache.hashed}, immutable"
    return _fresh_for(site.cache.assets)


def _fresh_for(seconds: int) -> str:
    return f"public, max-age={seconds}" if seconds else REVALIDATE
