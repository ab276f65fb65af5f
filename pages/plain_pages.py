"""The plain pages that a visitor sees when there is no site, no file or no such method."""

_PAGE = """<!doctype html>
<html lang="zh-CN">
<head><meta charset="utf-8"><title>{status} {title}</title></head>
<body><h1>{status} {title}</h1></body>
</html>
"""


def plain_page(status: int, title: str) -> str:
    """The HTML of a page; it names nothing of the request. nginx sends the same (``pages.nginx``)."""
    return _PAGE.format(status=status, title=title)
