"""What of a folder is not published: ``.pagesignore``, in git's grammar, after what nobody means to publish."""

import re
from pathlib import Path

from pages.archive.names import is_rubbish
from pages.client.exits import USAGE, Failed

NAME = ".pagesignore"
# A line with ! in .pagesignore takes one of these back.
DEFAULTS = (".git", ".DS_Store", f"/{NAME}", "/.pages.toml", "/node_modules")


class Ignored:
    """Judges the paths of one folder; ``Failed`` for a line that is no pattern."""

    def __init__(self, folder: Path) -> None:
        from pathspec import GitIgnoreSpec  # Only a deploy needs it.

        try:
            own = (folder / NAME).read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            own = []
        except UnicodeDecodeError:
            raise Failed(f"{folder / NAME} is not UTF-8", USAGE) from None
        try:
            self._spec = GitIgnoreSpec.from_lines([*DEFAULTS, *own])
        except (ValueError, re.error) as error:
            raise Failed(f"{folder / NAME}: {error}", USAGE) from None

    def __call__(self, path: str, is_folder: bool) -> bool:
        """Is this left out? What macOS and Windows leave behind always is: the server takes none of it."""
        return is_rubbish(path) or self._spec.match_file(f"{path}/" if is_folder else path)
