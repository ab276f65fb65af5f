"""The rules that come with a site: its ``_redirects`` and its ``_headers``."""

REDIRECTS, HEADERS = "_redirects", "_headers"
