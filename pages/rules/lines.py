"""The lines of a rules file: which are read at all, and how the ones without effect are told."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FILE_BYTES = 512 * 1024
MAX_LINE_CHARACTERS = 2000
# Reading on would only be work: a file may have 2,100 rules.
MAX_IGNORED = 1000
MAX_TOLD = 100
# So much of a rule weighs as much as one more in a cache.
CHARACTERS_OF_WEIGHT = 100
_SHOWN = 60
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_BLANKS = b" \t\r"


class BadLine(ValueError):
    """A line that cannot have an effect; ``str()`` is the reason, in Chinese."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A line that has no effect; ``str()`` is the sentence for the author: short, and printable."""

    file: str
    line: int
    reason: str
    text: str = ""

    def __str__(self) -> str:
        if not self.text:
            return f"{self.file} 第 {self.line} 行已忽略: {self.reason}"
        return f"{self.file} 第 {self.line} 行已忽略: {self.reason}（{shown(self.text)}）"


class Ignoring:
    """Gathers what is ignored of one file: the first hundred lines, and how many more there are."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._told: list[Ignored] = []
        self._more = 0
        self._first_more = 0
        self._end: Ignored | None = None

    @property
    def count(self) -> int:
        """How many lines are ignored so far."""
        return len(self._told) + self._more

    def add(self, line: int, reason: object, text: str = "") -> None:
        """Tell of one line, unless a hundred were told already: then it is only counted."""
        if len(self._told) < MAX_TOLD:
            self._told.append(Ignored(self._file, line, str(reason), text[: _SHOWN + 1]))
            return
        self._more += 1
        self._first_more = self._first_more or line

    def end(self, line: int, reason: str) -> None:
        """Tell that nothing from ``line`` on is read; this is told however many lines are."""
        self._end = Ignored(self._file, line, reason)

    def all(self) -> tuple[Ignored, ...]:
        """Everything told, in the order of the file."""
        told = [*self._told]
        if self._more:
            reason = f"自此行起另有 {self._more} 行被忽略，不再逐一列出"
            told.append(Ignored(self._file, self._first_more, reason))
        return (*told, self._end) if self._end else tuple(told)


def meaningful_lines(data: bytes, ignoring: Ignoring) -> Iterator[tuple[int, str]]:
    """The number and the stripped text of each line that is neither empty nor a comment.

    A line that is too long, not UTF-8 or holds a control character goes to ``ignoring``, and so does
    the end of a file that is over ``MAX_FILE_BYTES``, or has ``MAX_IGNORED`` lines that are ignored.
    """
    data, is_cut = _within_limit(data.removeprefix(codecs.BOM_UTF8))
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        stripped = line.strip(_BLANKS)
        if not stripped or stripped.startswith(b"#"):
            continue
        if ignoring.count >= MAX_IGNORED:
            ignoring.end(number, f"已有 {MAX_IGNORED} 行被忽略，自此行起未读取")
            return
        if text := _text(number, stripped, ignoring):
            yield number, text
    if is_cut:
        ignoring.end(len(lines), f"文件超过 {MAX_FILE_BYTES} 字节，自此行起未读取")


def shown(text: str) -> str:
    """A text as a message may hold it: short, and without what does not print."""
    start = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in start[:_SHOWN])


def _within_limit(data: bytes) -> tuple[bytes, bool]:
    """The whole lines among the first ``MAX_FILE_BYTES``, and whether there is more."""
    if len(data) <= MAX_FILE_BYTES:
        return data, False
    return data[: data.rfind(b"\n", 0, MAX_FILE_BYTES) + 1], True


def _text(number: int, line: bytes, ignoring: Ignoring) -> str:
    """The line as text; empty when it is ignored."""
    text = line.decode("utf-8", "replace")
    if len(text) > MAX_LINE_CHARACTERS:
        ignoring.add(number, f"超过 {MAX_LINE_CHARACTERS} 个字符", text)
    elif "\ufffd" in text and not _is_utf8(line):
        ignoring.add(number, "不是有效的 UTF-8", text)
    elif _CONTROL.search(text):
        ignoring.add(number, "含有控制字符", text)
    else:
        return text
    return ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
