"""What can go wrong, as nouns: each error knows its HTTP status and its message.

The messages are part of the contract (section 3), so each is spelled once, here.
"""


class PagesError(Exception):
    """A refusal with a reason the caller can act on; ``str()`` is the sentence shown, ``data`` more for a program."""

    status = 500
    message = "服务器内部错误"
    data: dict[str, list[str]] | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


# --- Starting and running -------------------------------------------------------------------


class ConfigError(PagesError):
    """A setting that stops the start; the sentence names the key."""

    message = "configuration error"


class DataUnusable(ConfigError):
    """The data folder cannot be written now; what is in it may still be served."""


class OperationFailed(PagesError):
    """A maintenance action that did not succeed; the sentence holds no secret."""

    message = "操作失败"


# --- Requests -------------------------------------------------------------------------------


class BadRequest(PagesError):
    status = 400
    message = "请求参数错误"


class InvalidField(BadRequest):
    """A field of a request or of a record that is missing or has a bad value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"字段 {field} {reason}")
        self.field, self.reason = field, reason


class TooManyFailures(PagesError):
    """Logins that failed too often; the next one may be tried after ``seconds``."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"登录失败次数过多，请 {seconds} 秒后重试")
        self.seconds = seconds


class TooManyRequests(PagesError):
    """More calls from one address than nginx lets through; what nginx says (``pages.nginx_words``)."""

    status = 429
    message = "请求过于频繁，请稍后重试"


class OutOfReach(PagesError):
    """Pages is down or breaks off; what nginx says."""

    status = 503
    message = "服务暂时不可用，请稍后重试"


class UnknownAction(BadRequest):
    """A maintenance action that there is not."""

    message = "无效的操作类型"


class Forbidden(PagesError):
    status = 403
    message = "权限不足"


class TooSlow(PagesError):
    """A body that comes in more slowly than ``min_upload_rate``."""

    status = 408
    message = "请求体接收过慢，已中止"


class CrossSiteRequest(PagesError):
    status = 403
    message = "拒绝跨站请求"


# --- Tokens ---------------------------------------------------------------------------------


class TokenNotFound(PagesError):
    status = 404
    message = "令牌不存在"


class TooManyTokens(PagesError):
    status = 409

    def __init__(self, limit: int) -> None:
        super().__init__(f"令牌数量已达上限 {limit}，请先撤销不用的令牌")


# --- Sites ----------------------------------------------------------------------------------


class SiteNotFound(PagesError):
    status = 404
    message = "站点不存在"


class SiteExists(PagesError):
    status = 409
    message = "站点已存在"


class DomainTaken(PagesError):
    status = 409
    message = "域名已被占用"


class Broken(PagesError):
    """A file on disk that cannot be used as it is; ``reason`` names it in the log, for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class SiteBroken(Broken):
    """The site's record is there but cannot be read."""

    message = "站点配置损坏"


class SiteBusy(PagesError):
    status = 409
    message = "站点正忙，请稍后重试"


# --- Deploys and checkpoints ----------------------------------------------------------------


class FileMissing(BadRequest):
    message = "缺少文件"


class UnsupportedFormat(BadRequest):
    message = "不支持的文件格式，仅支持 zip、tar.gz、tgz"


class BadArchive(BadRequest):
    """An archive that is refused whole; ``reason`` says which entry and why."""

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(f"解压 {kind} 失败: {reason}" if kind else reason)
        self.reason = reason


class TooLarge(PagesError):
    """An upload over a limit; the sentence says which limit and how much."""

    status = 413
    message = "上传内容过大"


class UploadTooLarge(TooLarge):
    def __init__(self, limit: int) -> None:
        super().__init__(f"上传文件超过上限 max_upload_bytes = {limit} 字节")


class StorageFull(PagesError):
    status = 507
    message = "存储空间不足，请清理后重试"


class StorageReadOnly(PagesError):
    """The disk takes no writes at all; what is there goes on being served."""

    status = 503
    message = "存储当前为只读，暂时无法修改"


class Overloaded(PagesError):
    """The process has as many files open as it may."""

    status = 503
    message = "服务繁忙，请稍后重试"


class QuotaExceeded(PagesError):
    """More than a tenant may keep; ``detail`` names the quota, its limit, and the use."""

    status = 403

    def __init__(self, detail: str) -> None:
        super().__init__(f"超出配额: {detail}")


class CheckpointNotFound(PagesError):
    status = 404
    message = "检查点不存在"


class BackupNotFound(PagesError):
    """There is no such backup; what only looks like one, a link or a folder, is none."""

    status = 404
    message = "备份不存在"


class CheckpointInUse(PagesError):
    status = 409
    message = "不能删除当前激活的检查点"


class CheckpointPinned(PagesError):
    status = 409
    message = "检查点已固定，请先取消固定"


class CheckpointAwaited(PagesError):
    """A switch that is waiting for its time, or for no confirmation, needs it."""

    status = 409
    message = "检查点正等待切换，请先确认或取消"


class SiteMovedOn(PagesError):
    """``If-Match`` names another checkpoint than the current one."""

    status = 412

    def __init__(self, current: str | None) -> None:
        super().__init__(f"站点已变化，当前检查点为 {current or '无'}")


class SettingsChanged(PagesError):
    """A form with settings that somebody else has saved others in place of since."""

    status = 412
    message = "设置在此期间已被更改，您的更改没有保存"


class KeyReused(PagesError):
    """An ``Idempotency-Key`` that came with another content before."""

    status = 422
    message = "幂等键已用于其他内容，请更换 Idempotency-Key"


class SiteLocked(PagesError):
    status = 409
    message = "站点已锁定发布，请先解除锁定"


class NothingToConfirm(PagesError):
    status = 409
    message = "没有等待确认的切换"


class NothingPlanned(PagesError):
    status = 409
    message = "没有计划中的切换"


class NothingToReturnTo(PagesError):
    """A checkout with a net needs a checkpoint that was live before."""

    status = 409
    message = "没有可恢复的上一个检查点"


class HistoryBroken(Broken):
    """The site's ``metadata.json`` cannot be read: nothing is changed until it can."""

    message = "检查点元数据损坏，站点未改变"


class CheckpointBroken(Broken):
    """A checkpoint whose archive is missing or damaged: nothing is switched."""

    message = "检查点归档损坏或缺失，站点未改变"


class FilesMissing(PagesError):
    """Files that a manifest names by digests that are neither in the upload nor on the server: ``data.missing``."""

    status = 409
    message = "服务器缺少部分文件，请补充上传"

    def __init__(self, digests: list[str]) -> None:
        super().__init__()
        self.digests = digests
        self.data = {"missing": digests}


class EmptySite(PagesError):
    status = 409
    message = "站点目录为空，无法创建检查点"
