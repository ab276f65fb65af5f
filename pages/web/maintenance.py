"""The maintenance API: clear the cache, back up, restart (contract 5, the second seed)."""

from collections.abc import Callable

from flask import Blueprint, Response, g
from werkzeug.exceptions import UnsupportedMediaType

from pages.errors import BadRequest, OperationFailed, TooLarge, UnknownAction
from pages.web.auth import admin_only, token_needs
from pages.web.context import config, services
from pages.web.replies import maintenance_failure, maintenance_success
from pages.web.requests import json_object

blueprint = Blueprint("maintenance", __name__)


@blueprint.post("/api/admin/maintenance", provide_automatic_options=False)
@admin_only
@token_needs("admin")
def maintain() -> Response:
    try:
        action = json_object().get("action")
    except (BadRequest, TooLarge, UnsupportedMediaType):
        action = None
    if not isinstance(action, str) or action not in _ACTIONS:
        return maintenance_failure(UnknownAction.message, UnknownAction.status)
    g.action = action  # For the log: the path alone does not say what was done.
    try:
        return _ACTIONS[action]()
    except OperationFailed as error:
        return maintenance_failure("操作失败", 500, str(error))
    except OSError as error:
        return maintenance_failure("操作失败", 500, error.strerror or "I/O error")


def _clear_cache() -> Response:
    services().upkeep.clear_cache()
    return maintenance_success("缓存清理成功")


def _back_up() -> Response:
    return maintenance_success("数据备份成功", backupFile=services().upkeep.back_up().name)


def _restart() -> Response:
    services().upkeep.restart()
    if config().is_production:
        return maintenance_success("系统重启指令已发送，服务将在3秒后重启")
    return maintenance_success("开发环境：系统重启请求已记录", note="在开发环境中，请手动重启服务器")


_ACTIONS: dict[str, Callable[[], Response]] = {
    "clear-cache": _clear_cache,
    "backup": _back_up,
    "restart": _restart,
}
