"""Admin API: tokens for programs, and who one is. A token manages no tokens, but may revoke itself."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from flask import Blueprint, Response, g

from pages.errors import BadRequest, Forbidden, InvalidField, SiteNotFound, TokenNotFound
from pages.model import is_name, now, refuse_unknown, string
from pages.tokens import ACTIONS, Action, NewToken, Token
from pages.web.auth import token_needs
from pages.web.context import config, services, user
from pages.web.replies import success
from pages.web.requests import json_object
from pages.web.sites import require_own

blueprint = Blueprint("tokens", __name__, url_prefix="/_api")

_FIELDS = ("name", "actions", "username", "site", "expires_in", "expires_at")
_MAX_NAME = 100
_DAYS, _MOST_DAYS = 90, 366
_MOST_SECONDS = _MOST_DAYS * 86400


@blueprint.get("/whoami", provide_automatic_options=False)
@token_needs("any")
def whoami() -> Response:
    role = "admin" if user().name == config().admin_user else "tenant"
    return success({"name": user().name, "role": role, "token": user().token})


@blueprint.get("/tokens", provide_automatic_options=False)
@token_needs("none")
def list_tokens() -> Response:
    found = own_tokens()
    return success({"tokens": found, "total": len(found)})


def own_tokens() -> list[Token]:
    """The tokens that this user may see: its own, and the admin all."""
    return services().tokens.alive(now(), user().tenant)


@blueprint.post("/tokens", provide_automatic_options=False)
@token_needs("none")
def create_token() -> Response:
    token, text = made(json_object())
    return success({**msgspec.structs.asdict(token), "token": text}, "令牌创建成功", 201)


def made(body: dict[str, Any]) -> tuple[Token, str]:
    """Make the token that a body asks for: (what is told of it, the token itself). ``InvalidField``, ``Forbidden``."""
    time = now()
    new = _new_token(body, time)
    if new.username is not None:
        require_own(new.username)
    if new.site is not None and not services().registry.has(str(new.username), new.site):
        raise SiteNotFound()
    token, text = services().tokens.create(new, time)
    g.action = f"{token.id} {token.name}"  # For the log.
    return token, text


@blueprint.delete("/tokens/<token_id>", provide_automatic_options=False)
@token_needs("any")
def revoke_token(token_id: str) -> Response:
    own = user().token
    if own is not None and own.id != token_id:
        raise Forbidden()
    revoke(token_id)
    return success(message="令牌已撤销")


def revoke(token_id: str) -> None:
    """Make a token void: ``TokenNotFound``, also for another user's."""
    if not user().is_admin and services().tokens.get(token_id, now()).owner != user().name:
        raise TokenNotFound()
    services().tokens.revoke(token_id)


def _new_token(body: dict[str, Any], time: datetime) -> NewToken:
    refuse_unknown(body, _FIELDS)
    username, site = (_name(body, field) for field in ("username", "site"))
    username = username or user().tenant
    if site is not None and username is None:
        raise InvalidField("username", "缺失：给出 site 时必须同时给出")
    return NewToken(_label(body), user().name, username, site, _actions(body), _until(body, time))


def _label(body: dict[str, Any]) -> str:
    name = string("name", _required(body, "name"))
    if not (1 <= len(name) <= _MAX_NAME and name.isprintable() and name.strip()):
        raise InvalidField("name", f"必须是 1 到 {_MAX_NAME} 个可打印字符")
    return name


def _name(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and not (isinstance(value, str) and is_name(value)):
        raise InvalidField(field, "必须是 1 到 64 个字符，仅限 A-Z a-z 0-9 . _ -，并以字母或数字开头")
    return value


def _actions(body: dict[str, Any]) -> tuple[Action, ...]:
    value = _required(body, "actions")
    if not (isinstance(value, list) and value and all(action in ACTIONS for action in value)):
        raise InvalidField("actions", f"必须是非空列表，只能包含 {'、'.join(ACTIONS)}")
    return tuple(action for action in ACTIONS if action in value)


def _until(body: dict[str, Any], time: datetime) -> datetime:
    if "expires_in" in body and "expires_at" in body:
        raise BadRequest("expires_in 与 expires_at 只能给出一个")
    if "expires_at" in body:
        return _checked_end(body["expires_at"], time)
    seconds = body.get("expires_in", _DAYS * 86400)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= _MOST_SECONDS:
        raise InvalidField("expires_in", f"必须是 1 到 {_MOST_SECONDS} 的整数（秒）")
    return time + timedelta(seconds=seconds)


def _checked_end(value: Any, time: datetime) -> datetime:
    try:
        end = datetime.fromisoformat(string("expires_at", value)).astimezone()
    except (ValueError, OverflowError):
        raise InvalidField("expires_at", "必须是 ISO 8601 时间，例如 2026-12-01T08:00:00+08:00") from None
    if not time < end <= time + timedelta(days=_MOST_DAYS):
        raise InvalidField("expires_at", f"必须是 {_MOST_DAYS} 天之内的将来时间")
    return end


def _required(body: dict[str, Any], field: str) -> Any:
    if field not in body:
        raise InvalidField(field, "缺失")
    return body[field]
