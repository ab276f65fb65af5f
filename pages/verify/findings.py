"""What can be wrong, and how it is told: in English to the operator, in Chinese by the API."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pages.languages import in_english

# Each kind of problem: what the command says, what the API says. {} is the detail.
TEXTS: dict[str, tuple[str, str]] = {
    "busy": ("looked wrong, and could not be looked at again: {}", "疑似有问题，但无法复查: {}"),
    "unreadable": ("cannot be read: {}", "无法读取: {}"),
    "foreign": ("does not belong here", "不属于此处"),
    "record-damaged": ("the record cannot be read: {}", "站点配置损坏: {}"),
    "second-owner": ("its domain {} belongs to another site", "域名 {} 属于另一个站点"),
    "domain-missing": ("the link that gives the site its domain is missing", "缺少域名链接"),
    "domain-wrong": ("the link leads to no record of this domain", "域名链接没有指向该域名的站点"),
    "public-wrong": ("the link for nginx is missing or wrong", "nginx 使用的链接缺失或错误"),
    "metadata-missing": ("is missing, and there are archives", "缺失，但仍有归档"),
    "metadata-damaged": ("cannot be read: {}", "检查点元数据损坏: {}"),
    "metadata-order": ("its checkpoints are not in order, newest first, each once", "检查点没有按从新到旧排列或有重复"),
    "metadata-current": ("its current checkpoint {} is not in its list", "当前检查点 {} 不在列表中"),
    "archive-missing": ("the archive is missing", "归档缺失"),
    "archive-damaged": ("the archive is damaged: {}", "归档损坏: {}"),
    "archive-other": ("the archive holds something else than was deployed", "归档内容与部署时不同"),
    "archive-size": ("has {} bytes, and the metadata says otherwise", "大小为 {} 字节，与元数据不符"),
    "archive-orphan": ("belongs to no checkpoint", "不属于任何检查点"),
    "manifest-missing": ("the manifest is missing or damaged", "清单缺失或损坏"),
    "manifest-wrong": ("the manifest does not say what the archive holds", "清单与归档内容不符"),
    "root-wrong": ("the site root does not lead to the current version", "站点根没有指向当前版本"),
    "tree-orphan": ("an unpacked version of no checkpoint", "不属于任何检查点的版本目录"),
    "tree-missing": ("holds no unpacked version", "没有已解压的内容"),
    "tree-file-missing": ("is missing", "文件缺失"),
    "tree-file-foreign": ("was not deployed", "不是部署的文件"),
    "tree-file-differs": ("is not what was deployed", "内容与部署时不同"),
    "tree-kind": ("is {}, and was deployed as something else", "类型不符: {}"),
    "tree-mode": ("has the mode {}", "权限不符: {}"),
    "tree-time": ("has another time than it was served with", "修改时间与提供服务时不同"),
    "tree-more": ("{} more names in it are wrong", "其中还有 {} 处问题"),
    "encodings-link": ("the link to the compressed twins is missing or wrong", "压缩副本的链接缺失或错误"),
    "twin-wrong": ("is not the compressed form of its file", "不是对应文件的压缩形式"),
    "twin-orphan": ("compressed twins of no version", "不属于任何版本的压缩副本"),
    "site-orphan": ("belongs to no site", "不属于任何站点"),
    "work-abandoned": ("was left by a process that died", "由已终止的进程遗留"),
    "backup-damaged": ("is not a whole backup: {}", "备份不完整: {}"),
}


class Finding(NamedTuple):
    """One thing that is wrong. ``file`` is relative to the data folder; ``detail`` completes the sentence."""

    site: str | None
    file: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Problem:
    """A finding as it is handed out; ``kind`` is for programs, ``reason`` for people."""

    site: str | None
    file: str
    kind: str
    reason: str
    repaired: bool


@dataclass
class Checked:
    """How much was looked at; ``bytes`` are those read from disk."""

    sites: int = 0
    checkpoints: int = 0
    files: int = 0
    bytes: int = 0


@dataclass
class Report:
    """What a run found. It ``is_sound`` when nothing is wrong, or nothing any more."""

    checked: Checked = field(default_factory=Checked)
    found: list[tuple[Finding, bool]] = field(default_factory=list)
    # Where a repair put what it took out of its place, if anything.
    quarantine: Path | None = None

    @property
    def is_sound(self) -> bool:
        return all(repaired for _, repaired in self.found)

    def problems(self, chinese: bool = False) -> list[Problem]:
        """All that was wrong, in the order it was found."""
        return [
            Problem(finding.site, finding.file, finding.kind, told(finding, chinese), repaired)
            for finding, repaired in self.found
        ]


def told(finding: Finding, chinese: bool = False) -> str:
    """What is wrong, as a sentence without its subject."""
    detail = finding.detail if chinese else in_english(finding.detail)
    return TEXTS[finding.kind][chinese].format(detail)
