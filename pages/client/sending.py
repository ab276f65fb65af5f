"""A deploy on its way: an archive, a whole folder, or what of it the server does not have."""

import json
import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pages.client.api import DEPLOY_SECONDS, LASTING, Api, Refused, Reply
from pages.client.digests import digests_of
from pages.client.exits import Failed
from pages.client.folder import File, Folder, identity_of
from pages.client.multipart import Form, Upload, form_of
from pages.client.output import Steps
from pages.client.packing import packed
from pages.client.text import many, size

_DIGESTS_AT_ONCE = 10_000  # A body of JSON has room for 15,000.
_MOST_ROUNDS = 4  # What the server has may become less while we send.


@dataclass(frozen=True)
class Terms:
    """A deploy's terms: its site, and what it asks for beside the content.

    ``key`` stays the same however often it is sent, so that it is published once.
    """

    site: str
    params: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    only_if: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def path(self) -> str:
        return f"/_api/sites/{self.site}/deploy"

    def headers(self) -> dict[str, str]:
        """Key and condition, as headers."""
        condition = {"If-Match": self.only_if if self.only_if == "*" else f'"{self.only_if}"'} if self.only_if else {}
        return {"Idempotency-Key": self.key, **condition}


class Sender:
    """Sends one deploy and shows how far it is. All raise ``Refused``, ``Unreached``, and ``Failed`` for bad files."""

    def __init__(self, api: Api, terms: Terms, steps: Steps) -> None:
        self._api = api
        self._terms = terms
        self._steps = steps
        self._is_sent = False

    def archive(self, path: Path) -> Reply:
        """Send an archive as it is."""
        status = path.stat()
        file = File(path.name, str(path.resolve()), status.st_size, identity_of(status))

        def form() -> Form:
            chunks = self._told(f"Sending {file.path}", file.size, self._counted(file.chunks()))
            return form_of(self._terms.fields, [Upload("file", file.path, chunks, file.size)])

        return self._deploy(form)

    def folder(self, folder: Folder) -> Reply:
        """Send all of a folder."""

        def form() -> Form:
            what = f"Sending {many(len(folder.files), 'file')}"
            return form_of(self._terms.fields, [self._packed(what, folder, folder.files, folder.folders)])

        return self._deploy(form)

    def changes(self, folder: Folder) -> Reply:
        """Send what of a folder the server does not have, all of it to a server that cannot tell."""
        self._steps.step(f"Reading {many(len(folder.files), 'file')}", folder.size)
        digests = digests_of(folder, os.environ, self._steps.advance)
        missing = self._missing(sorted(set(digests.values())))
        if missing is None:
            return self.folder(folder)
        for _ in range(_MOST_ROUNDS):
            by_digest = {digests[file.path]: file for file in folder.files}  # Of files that are equal, one is enough.
            if len(missing) >= len(by_digest):
                return self.folder(folder)
            wanted = [file for digest, file in by_digest.items() if digest in missing]
            try:
                return self._send_some(folder, digests, wanted)
            except Refused as error:
                more = error.data.get("missing", ()) if error.status == 409 else ()
                if not set(more) - missing:
                    raise
                missing |= set(more)
        return self.folder(folder)

    def _send_some(self, folder: Folder, digests: Mapping[str, str], wanted: list[File]) -> Reply:
        manifest = json.dumps({"files": digests, "folders": folder.empty_folders}, ensure_ascii=False).encode()
        what = f"Sending {len(wanted):,} of {many(len(folder.files), 'file')}"
        # Without an archive, the server would name what it did by nothing that a person knows.
        fields = {} if wanted else {"description": f"部署: {_archive_name(folder)}"}

        def form() -> Form:
            uploads = [Upload("manifest", "manifest.json", [manifest], len(manifest))]
            if wanted:
                uploads.append(self._packed(what, folder, wanted, ()))
            else:
                self._is_sent = True
                self._steps.step("The server puts it together")
            return form_of({**fields, **self._terms.fields}, uploads)

        reply = self._deploy(form)
        sent = f"{len(wanted):,} of {many(len(folder.files), 'file')}"
        self._steps.note(f"Sent {sent}, {size(sum(file.size for file in wanted))} of {size(folder.size)}.")
        return reply

    def _missing(self, digests: list[str]) -> set[str] | None:
        """Which of these the server does not have; None when it cannot say."""
        missing: set[str] = set()
        for start in range(0, len(digests), _DIGESTS_AT_ONCE):
            asked = {"digests": digests[start : start + _DIGESTS_AT_ONCE]}
            try:
                missing |= set(self._ask_missing(asked)["missing"])
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                self._check_site()
                return None
        return missing

    def _ask_missing(self, asked: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
        reply = self._api.call(
            "POST",
            f"{self._terms.path}/missing",
            form=lambda: _json_form(asked),
            pauses=LASTING,
            seconds=DEPLOY_SECONDS,
        )
        found: Mapping[str, list[str]] = reply.data
        return found

    def _check_site(self) -> None:
        """Is it the site that is not there, or the call? A token for deploys may not know: then the deploy tells."""
        try:
            self._api.get(f"/_api/sites/{self._terms.site}")
        except Refused as error:
            if error.status != 403:
                raise

    def _packed(self, what: str, folder: Folder, files: Collection[File], folders: Iterable[str]) -> Upload:
        chunks = packed(list(files), list(folders), self._steps.advance)
        total = sum(file.size for file in files)
        return Upload("file", _archive_name(folder), self._told(what, total, chunks))

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._steps.advance(len(chunk))

    def _told(self, what: str, total: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
        self._is_sent = False
        self._steps.step(what, total)  # From here on somebody takes it.
        yield from chunks
        self._is_sent = True
        self._steps.step("The server unpacks it")

    def _deploy(self, form: Callable[[], Form]) -> Reply:
        try:
            return self._api.call(
                "POST", self._terms.path, params=self._terms.params, headers=self._terms.headers(), form=form,
                pauses=LASTING, seconds=DEPLOY_SECONDS,
            )  # fmt: skip
        except KeyboardInterrupt:
            if self._is_sent:
                self._steps.note("The server has all of it and may finish without us: `pages checkpoints` tells.")
            raise


def _archive_name(folder: Folder) -> str:
    return f"{folder.path.name or 'site'}.tar.gz"


def _json_form(body: Mapping[str, object]) -> Form:
    content = json.dumps(body).encode()
    return Form("application/json", [content], len(content))


def no_such_site(error: Failed, site: str) -> Failed:
    """A refusal of a deploy to a site that is not there, with what to do about it."""
    return Failed(f"{error.message} ({site}): pages deploy --create --domain NAME makes it", error.exit_code)
