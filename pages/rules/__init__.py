"""A site's own rules: `_redirects` and `_headers`, as hostile authors write them, and what they say of a request.

Nothing here reads a disk or knows a web framework: bytes come in, decisions go out. No file raises an error: a
line that cannot be used is told of in ``ignored``. docs/rules.md is the authors' guide.
"""

from pages.rules.headers import HEADERS, HeaderRule, Headers, parse_headers
from pages.rules.lines import MAX_FILE_BYTES, Ignored
from pages.rules.redirect_line import Redirect
from pages.rules.redirects import REDIRECTS, Match, Redirects, parse_redirects

__all__ = [
    "HEADERS",
    "MAX_FILE_BYTES",
    "REDIRECTS",
    "HeaderRule",
    "Headers",
    "Ignored",
    "Match",
    "Redirect",
    "Redirects",
    "parse_headers",
    "parse_redirects",
]
