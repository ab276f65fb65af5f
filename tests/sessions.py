"""Terminal sessions in the documents: run every command, compare or rewrite what it printed.

A session is the ``console`` blocks of one document. A line that begins with ``$ `` is a command (lines
that begin with ``> `` continue it), what follows is its output. Run this file with documents as
arguments to write the outputs anew, against a fresh server of this checkout.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from helpers import Server

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A checkpoint's id, and what follows it in a preview's link: until when, and the signature. A token, and its id.
_MADE = re.compile(
    r"\d{8}-\d{6}-[0-9a-f]{8}(?:\.\d{10}\.[0-9a-f]{32})?|pages_[0-9a-f]{16}_[0-9a-f]{64}|\b[0-9a-f]{16}\b"
)
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d([.-]\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r'"(file_size|size_on_disk|bytes)":\d+'), r'"\1":N'),
    (re.compile(r"Date: .*|ETag: .*|Last-Modified: .*|X-Request-ID: .*"), "HEADER"),
    (re.compile(r"\b[0-9.]+ [kMG]?B\b *"), "SIZE "),
    (re.compile(r"\r"), ""),
)
PORT = "1323"


class Session:
    """One document's commands, run in one folder against one server."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._ids: dict[str, str] = {}

    def current(self, command: str) -> str:
        """The command with the ids and tokens of this run in place of those in the document."""
        unknown = [found for found in _MADE.findall(command) if found not in self._ids]
        assert not unknown, f"no command before printed {unknown}: {command}"
        return _MADE.sub(lambda match: self._ids[match[0]], command)

    def run(self, command: str, expected: str) -> str:
        """The command's output; ``expected`` is the document's, to know its ids by."""
        command = self.current(command).replace(f":{PORT}", f":{self._server.port}")
        done = subprocess.run(
            ["bash", "-c", command], cwd=self._folder, env=self._environment(), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        output = done.stdout.replace(f":{self._server.port}", f":{PORT}")
        self._ids.update(zip(_MADE.findall(expected), _MADE.findall(output), strict=False))
        return output

    def _environment(self) -> dict[str, str]:
        """With this checkout's ``pages``, and nothing of whoever runs it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAGES_")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {f"XDG_{kind}_HOME": str(self._folder / f".{kind.lower()}") for kind in ("CONFIG", "CACHE")}
        return {**inherited, **own, "PATH": path}


def commands(document: str) -> Iterator[tuple[str, str]]:
    """(command, output) of every command in a document's console blocks."""
    for block in _BLOCK.findall(document):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = 1
            while end < len(lines) and lines[end].startswith("> "):
                end += 1
            yield "\n".join([lines[0], *(line[2:] for line in lines[1:end])]), "\n".join(lines[end:])


def steady(output: str) -> str:
    """An output with all that differs from run to run made equal."""
    output = _MADE.sub("MADE", output)
    for pattern, replacement in _VOLATILE:
        output = pattern.sub(replacement, output)
    return output.strip()


def rewritten(document: str, session: Session) -> str:
    """The document with the outputs of this run."""

    def block(match: re.Match[str]) -> str:
        written = []
        for part in re.split(r"^\$ ", match[1], flags=re.MULTILINE)[1:]:
            ((command, expected),) = commands(f"```console\n$ {part}```")
            output = session.run(command, expected).replace("\r", "").strip("\n")
            shown = session.current(command).replace("\n", "\n> ")
            written.append(f"$ {shown}\n" + (output + "\n" if output else ""))
        return "```console\n" + "".join(written) + "```"

    return _BLOCK.sub(block, document)


def main() -> None:
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "server").mkdir()
            (Path(folder) / "here").mkdir()
            server = Server(Path(folder) / "server").start()
            try:
                document = Path(name).read_text(encoding="utf-8")
                Path(name).write_text(rewritten(document, Session(server, Path(folder) / "here")), encoding="utf-8")
            finally:
                server.stop()


if __name__ == "__main__":
    main()
