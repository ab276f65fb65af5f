"""What Pages should answer and serve, by the contract: a plain model with no disk and no processes.

Every call gives the ``Answer`` that is expected: its status, its message and the data as far as they can be told
before. What cannot be (times, ids) the test hands back afterwards, when it has judged its form.
"""

from dataclasses import dataclass, field
from typing import Any

Files = dict[str, str]

OK, CREATED = 200, 201


@dataclass(frozen=True)
class Answer:
    """A status and a message; ``data`` as far as it is known (None: of no concern here)."""

    status: int
    message: str | None = None
    data: Any = None

    @property
    def is_success(self) -> bool:
        return self.status < 300


WRONG_PASSWORD = Answer(401, "认证失败")
FORBIDDEN = Answer(403, "权限不足")
NO_SITE = Answer(404, "站点不存在")
NO_CHECKPOINT = Answer(404, "检查点不存在")
EXISTS = Answer(409, "站点已存在")
TAKEN = Answer(409, "域名已被占用")
IN_USE = Answer(409, "不能删除当前激活的检查点")
EMPTY = Answer(409, "站点目录为空，无法创建检查点")
PINNED = Answer(409, "检查点已固定，请先取消固定")
AWAITED = Answer(409, "检查点正等待切换，请先确认或取消")
NO_PLAN = Answer(409, "没有计划中的切换")
NOT_WAITING = Answer(409, "没有等待确认的切换")
NO_WAY_BACK = Answer(409, "没有可恢复的上一个检查点")
NO_FILE = Answer(400, "缺少文件")
WRONG_FORMAT = Answer(400, "不支持的文件格式，仅支持 zip、tar.gz、tgz")


@dataclass
class Site:
    """One site: its record as the API shows it, and its checkpoints, newest first."""

    record: dict[str, Any]
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, Files] = field(default_factory=dict)
    current: str | None = None
    pinned: set[str] = field(default_factory=set)
    plan: str | None = None
    net: tuple[str, str] | None = None  # What waits to be confirmed, and what else comes back.
    keys: dict[str, str] = field(default_factory=dict)
    dropped: Files = field(default_factory=dict)  # Put by hand into the root of a site without checkpoints.

    @property
    def files(self) -> Files:
        """What is served."""
        return self.dropped if self.current is None else self.contents[self.current]

    @property
    def domains(self) -> list[str]:
        return [self.record["domain"], *self.record["aliases"]]

    @property
    def index(self) -> str:
        return str(self.record["index"])


Name = tuple[str, str]


class Model:
    """All sites. ``who`` is a user's name; the admin's is ``admin``."""

    def __init__(self) -> None:
        self.sites: dict[Name, Site] = {}

    # --- Sites ------------------------------------------------------------------------------

    def owner_of(self, domain: str) -> Site | None:
        return next((site for site in self.sites.values() if domain in site.domains), None)

    def create(self, who: str, body: dict[str, Any]) -> Answer:
        record = {"username": "default" if who == "admin" else who, "index": "index.html", "enabled": True, **body}
        if not _may(who, record["username"]):
            return FORBIDDEN
        if (record["username"], record["id"]) in self.sites:
            return EXISTS
        if any(self.owner_of(domain) for domain in (record["domain"], *record.get("aliases", ()))):
            return TAKEN
        return Answer(CREATED, "站点创建成功", record)

    def update(self, who: str, name: Name, changes: dict[str, Any]) -> Answer:
        if refused := self._refused(who, name):
            return refused
        site = self.sites[name]
        after = {**site.record, **changes}
        if after["domain"] in after["aliases"]:
            return Answer(400)
        if any(self.owner_of(domain) not in (None, site) for domain in (after["domain"], *after["aliases"])):
            return TAKEN
        return Answer(OK, "站点更新成功", after)

    def delete(self, who: str, name: Name) -> Answer:
        return self._refused(who, name) or Answer(OK, "站点删除成功")

    def show(self, who: str, name: Name) -> Answer:
        return self._refused(who, name) or Answer(OK, None, self.sites[name].record)

    def list_sites(self, who: str, username: str | None, limit: int | None, offset: int) -> Answer:
        if username is None and who != "admin":
            username = who
        if username is not None and not _may(who, username):
            return FORBIDDEN
        names = sorted(name for name in self.sites if username in (None, name[0]))
        page = names[offset:] if limit is None else names[offset : offset + limit]
        return Answer(OK, None, {"sites": [self.sites[name].record for name in page], "total": len(names)})

    def enabled_count(self, who: str) -> int:
        mine = [site for name, site in self.sites.items() if _may(who, name[0])]
        return sum(site.record["enabled"] for site in mine)

    # --- Checkpoints ------------------------------------------------------------------------

    def deploy(self, who: str, name: Name, file_name: str, *, activate: bool = True) -> Answer:
        if refused := self._refused(who, name):
            return refused
        checkpoint = {"file_name": file_name, "source": "deploy", "description": f"部署: {file_name}"}
        return Answer(OK, "站点已部署" if activate else "检查点已保存，未激活", checkpoint)

    def refuse_upload(self, who: str, name: Name, why: Answer, *, after_site: bool) -> Answer:
        """A deploy whose archive is refused: judged before whose site it is, or (its content) after."""
        return (self._refused(who, name) or why) if after_site else why

    def snapshot(self, who: str, name: Name, description: str | None) -> Answer:
        if refused := self._refused(who, name):
            return refused
        if not self.sites[name].files:
            return EMPTY
        return Answer(CREATED, "检查点已创建", {"source": "manual", "description": description or "手动创建"})

    def added(self, name: Name, checkpoint: dict[str, Any], files: Files, *, is_live: bool = True) -> None:
        """A deploy or snapshot made this checkpoint."""
        site = self.sites[name]
        if is_live:
            site.current, site.net = checkpoint["id"], None
        site.checkpoints.insert(0, checkpoint)
        site.contents[checkpoint["id"]] = files

    def checkpoints(self, who: str, name: Name) -> Answer:
        if refused := self._refused(who, name):
            return refused
        site = self.sites[name]
        listed = [{**checkpoint, "pinned": checkpoint["id"] in site.pinned} for checkpoint in site.checkpoints]
        told: dict[str, Any] = {"current": site.current, "checkpoints": listed, "total": len(listed)}
        told |= {"confirmation": site.net} if site.net else {}
        return Answer(OK, None, told | ({"plan": site.plan} if site.plan else {}))

    def show_checkpoint(self, who: str, name: Name, checkpoint_id: str) -> Answer:
        if refused := self._refused(who, name, checkpoint_id):
            return refused
        return Answer(OK, None, next(c for c in self.sites[name].checkpoints if c["id"] == checkpoint_id))

    def checkout(self, who: str, name: Name, checkpoint_id: str, *, net: bool = False) -> Answer:
        if refused := self._refused(who, name, checkpoint_id):
            return refused
        site = self.sites[name]
        told = {"username": name[0], "id": name[1], "checkpoint_id": checkpoint_id}
        if net and site.current in (None, checkpoint_id):
            return NO_WAY_BACK
        if net:
            told["back_to"] = str(site.current)
        site.net = (checkpoint_id, str(site.current)) if net else None
        site.current = checkpoint_id
        return Answer(OK, "站点已切换到检查点", told)

    def confirm(self, who: str, name: Name, checkpoint_id: str) -> Answer:
        if refused := self._refused(who, name):
            return refused
        site = self.sites[name]
        if site.net is None or site.net[0] != checkpoint_id:
            return NOT_WAITING
        site.net = None
        return Answer(OK, "切换已确认")

    def plan(self, who: str, name: Name, checkpoint_id: str) -> Answer:
        """For a time that does not come while the model is played."""
        if refused := self._refused(who, name, checkpoint_id):
            return refused
        self.sites[name].plan = checkpoint_id
        return Answer(202, "已计划切换")

    def cancel(self, who: str, name: Name) -> Answer:
        if refused := self._refused(who, name):
            return refused
        if self.sites[name].plan is None:
            return NO_PLAN
        self.sites[name].plan = None
        return Answer(OK, "已取消计划中的切换")

    def pin(self, who: str, name: Name, checkpoint_id: str, *, pinned: bool) -> Answer:
        if refused := self._refused(who, name, checkpoint_id):
            return refused
        site = self.sites[name]
        site.pinned = site.pinned | {checkpoint_id} if pinned else site.pinned - {checkpoint_id}
        return Answer(OK, "检查点更新成功", {"checkpoint_id": checkpoint_id, "pinned": pinned})

    def prune(self, who: str, name: Name, count: int) -> Answer:
        """The data of the answer: what has gone, the oldest first."""
        if refused := self._refused(who, name):
            return refused
        site = self.sites[name]
        needed = {site.current, site.plan, *site.pinned, *(site.net or ())}
        gone = [c for place, c in enumerate(site.checkpoints) if place >= count and c["id"] not in needed][::-1]
        for checkpoint in gone:
            site.checkpoints.remove(checkpoint)
            del site.contents[checkpoint["id"]]
        return Answer(OK, "检查点清理完成", gone)

    def remove(self, who: str, name: Name, checkpoint_id: str) -> Answer:
        if refused := self._refused(who, name, checkpoint_id):
            return refused
        site = self.sites[name]
        if site.current == checkpoint_id:
            return IN_USE
        if checkpoint_id in site.pinned:
            return PINNED
        if checkpoint_id in (site.plan, *(site.net or ())):
            return AWAITED
        site.checkpoints = [c for c in site.checkpoints if c["id"] != checkpoint_id]
        del site.contents[checkpoint_id]
        return Answer(OK, "检查点已删除")

    # --- Visitors ---------------------------------------------------------------------------

    def visit(self, domain: str, path: str) -> tuple[int, str | None]:
        """(status, body or redirect) of a visit; no body for the plain 404 page."""
        site = self.owner_of(domain)
        if site is None or not site.record["enabled"]:
            return 404, None
        if domain != site.record["domain"]:
            return 308, f"//{site.record['domain']}{path}"
        wanted = path.removeprefix("/")
        if any(name.startswith(f"{wanted}/") for name in site.files) and wanted:
            return 301, f"{path}/"
        wanted += site.index if path.endswith("/") else ""
        if wanted in site.files:
            return 200, site.files[wanted]
        return 404, site.files.get("404.html")

    # --- Rules ------------------------------------------------------------------------------

    def _refused(self, who: str, name: Name, checkpoint_id: str | None = None) -> Answer | None:
        if not _may(who, name[0]):
            return FORBIDDEN
        if name not in self.sites:
            return NO_SITE
        if checkpoint_id is not None and checkpoint_id not in self.sites[name].contents:
            return NO_CHECKPOINT
        return None


def _may(who: str, username: str) -> bool:
    return who in ("admin", username)
