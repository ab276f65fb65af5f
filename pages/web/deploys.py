"""Admin API, call 8: an archive in, a live site out; and which files a next one need not hold."""

from typing import Any

import msgspec
from flask import Blueprint, Response, g, request

from pages.archive import archive_kind
from pages.archive.names import judged_path
from pages.errors import BadArchive, FilesMissing, Forbidden, InvalidField, TooLarge
from pages.model import now, refuse_unknown
from pages.publish import Terms, Trial
from pages.uploads import Sent
from pages.wanted import Digest, read_wanted
from pages.web.auth import token_needs
from pages.web.context import config, services, user
from pages.web.replies import success, with_warnings
from pages.web.requests import FORM_OVERHEAD_BYTES, MAX_JSON_BYTES, Form, json_object, receive_upload
from pages.web.sites import own_site
from pages.web.terms import flag, idempotency_key, only_if

_MOST_PATHS = 1000  # More are counted and not named.
_DIGEST_BYTES = 80  # With what is around it in JSON.

blueprint = Blueprint("deploys", __name__, url_prefix="/_api/sites/<username>/<site_id>/deploy")


@blueprint.post("", provide_automatic_options=False)
@token_needs("deploy")
def deploy(username: str, site_id: str) -> Response:
    dry_run = flag("dry_run", False)
    if dry_run and not user().may("read"):  # It tells what there is.
        raise Forbidden()
    terms = Terms(only_if(), idempotency_key(), flag("activate", True))
    if user().may_act_for(username, site_id):  # Else nothing is told of its quota, and the refusal comes below.
        if not dry_run and services().registry.has(username, site_id):
            g.deploying_to = username, site_id  # From here on its end is counted and told.
        _check_room(username, site_id, request.content_length or 0, terms.key)
    with services().workshop.work() as work:
        sent = _judged(receive_upload(work, config().max_upload_bytes, services().space.watch()))
        site = own_site(username, site_id)
        if dry_run:
            trial = services().publisher.rehearse(site, sent, now(), terms.only_if)
            return _rehearsed(username, site_id, trial)
        try:
            published = services().publisher.deploy(site, sent, now(), terms)
        except FilesMissing:
            g.pop("deploying_to", None)  # It has not failed yet: its client sends what is missing.
            raise
    services().pruner.prune_later(site)
    g.is_live = published.is_live
    if not published.is_new:  # Sent again, and counted when it was made.
        g.pop("deploying_to")
    data: dict[str, Any] = {"username": username, "id": site_id, "checkpoint": published.checkpoint}
    if not published.is_live:
        data["activated"] = False
    message = "站点已部署" if published.is_live else "检查点已保存，未激活"
    return success(with_warnings(data, published.warnings), message)


@blueprint.post("/missing", provide_automatic_options=False)
@token_needs("deploy")
def missing(username: str, site_id: str) -> Response:
    body = json_object(most=MAX_JSON_BYTES + _DIGEST_BYTES * config().max_files, judge=_judge_digests_unparsed)
    digests = _judged_digests(body)
    return success({"missing": services().uploads.missing(own_site(username, site_id), digests)})


def _judge_digests_unparsed(data: bytes) -> None:
    if data.count(b",") > config().max_files:
        raise _too_many_digests()
    if data.count(b"[") > 1 or data.count(b"{") > 1:  # No digest holds one.
        raise _not_digests()


def _judged_digests(body: dict[str, Any]) -> list[str]:
    """Up to ``max_files`` digests, of which the server may have files."""
    refuse_unknown(body, ("digests",))
    try:
        digests = msgspec.convert(body.get("digests"), list[Digest])
    except msgspec.ValidationError:
        raise _not_digests() from None
    if len(digests) > config().max_files:
        raise _too_many_digests()
    return digests


def _not_digests() -> InvalidField:
    return InvalidField("digests", "必须是 SHA-256 的数组（各为 64 位小写十六进制）")


def _too_many_digests() -> TooLarge:
    return TooLarge(f"摘要数超过上限 max_files = {config().max_files}")


def _judged(form: Form) -> Sent:
    """A deploy's form, as far as it can be judged without its site."""
    if form.archive:
        archive_kind(form.file_name)
    root = _judged_root(form.root)
    if form.manifest and root:
        raise InvalidField("root", "不能与 manifest 同时使用")
    wanted = read_wanted(form.manifest, services().uploads.limits) if form.manifest else None
    return Sent(form.archive, form.file_name, root, wanted, form.description)


def _rehearsed(username: str, site_id: str, trial: Trial) -> Response:
    differences = {
        name: {"total": len(paths), "paths": paths[:_MOST_PATHS]}
        for name, paths in (("added", trial.added), ("removed", trial.removed), ("changed", trial.changed))
    }
    data = {"username": username, "id": site_id, "digest": trial.digest, "files": trial.files, "bytes": trial.bytes}
    return success(with_warnings({**data, **differences}, trial.warnings), "试运行通过，未做任何更改")


def _check_room(username: str, site_id: str, size: int, key: str) -> None:
    """Refuse what cannot fit before any of it is received: ``StorageFull``, ``QuotaExceeded``.

    What is sent again under the ``key`` of a checkpoint takes no room of the quota.
    """
    if size > config().max_upload_bytes + FORM_OVERHEAD_BYTES:
        return  # Told as what it is.
    services().space.require(2 * size)  # It lies there packed, and then unpacked as well.
    if not services().publisher.has_uploaded(username, site_id, key):
        services().quotas.check_upload(username, site_id, max(0, size - FORM_OVERHEAD_BYTES))


def _judged_root(untrusted_root: str) -> str:
    if not untrusted_root.strip("/"):
        return ""
    try:
        return judged_path(untrusted_root)
    except BadArchive as error:
        raise InvalidField("root", error.reason) from None
