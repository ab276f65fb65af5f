"""Every Chinese message has its English, and none that looks like another is taken for it."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import pages
from pages.languages import in_english, translated
from pages.languages.english_answers import ANSWERS
from pages.languages.english_archives import ARCHIVES
from pages.languages.english_fields import FIELDS
from pages.languages.english_rules import RULES
from pages.languages.template import Catalogue

PACKAGE = Path(pages.__file__).parent
TABLES = {"answers": ANSWERS, "archives": ARCHIVES, "fields": FIELDS, "rules": RULES}
ENTRIES = {chinese: english for table in TABLES.values() for chinese, english in table.items()}
# What is stored with a checkpoint is data, as the seed says it, in whatever language it is read.
STORED = {"部署: {}", "手动创建", "由归档重建"}
# Sources whose Chinese stands beside its English.
BILINGUAL = {"verify/findings.py", "web/console/language.py", "web/console/texts.py"}
_CHINESE = re.compile("[\u4e00-\u9fff]")

Nodes = list[ast.AST]


def texts(source: Path) -> Iterator[tuple[ast.expr, str]]:
    """Every string of a source that is no docstring, with ``{}`` for each part that varies."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(node.value)
        if isinstance(node, ast.JoinedStr):
            passed.update(part for part in node.values if isinstance(part, ast.Constant))
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in passed:
            yield node, node.value


def sources() -> Iterator[Path]:
    """The sources whose messages need an entry."""
    for source in sorted(PACKAGE.rglob("*.py")):
        name = source.relative_to(PACKAGE).as_posix()
        if not name.startswith("languages/") and name not in BILINGUAL:
            yield source


def shape(chinese: str) -> str:
    """An entry's message with ``{}`` for each part that varies."""
    return "".join(literal + ("{}" if name is not None else "") for literal, name, _, _ in Formatter().parse(chinese))


def suggested(node: ast.expr) -> str:
    """The line to add for a message."""
    chinese = ""
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        if isinstance(part, ast.Constant):
            chinese += str(part.value).replace("{", "{{").replace("}", "}}")
        elif isinstance(part, ast.FormattedValue):
            chinese += "{" + (re.findall(r"[a-z][a-z_]*", ast.unparse(part.value).lower()) or ["part"])[-1] + "}"
    return f'"{chinese}": "…",'


def table_for(source: Path) -> str:
    """Where the English of a source's messages stands."""
    top = source.relative_to(PACKAGE).parts[0]
    known = {"archive": "archives", "rules": "rules", "model.py": "fields", "site_fields.py": "fields"}
    return f"pages/languages/english_{known.get(top, 'answers')}.py"


def test_every_chinese_message_has_its_english() -> None:
    known = {shape(chinese) for chinese in ENTRIES} | STORED
    missing = [
        f"{table_for(source)}: {suggested(node)}   # {source.relative_to(PACKAGE.parent)}:{node.lineno}"
        for source in sources()
        for node, text in texts(source)
        if _CHINESE.search(text) and text not in known
    ]
    how = (
        "These messages have no English. Add each line to its table, with the English for the dots; say what a part is"
        " as pages/languages/template.py tells ({count:number}, {reason:message}). A source whose Chinese"
        " stands beside its English goes into BILINGUAL, here:"
    )
    assert missing == [], "\n".join([how, *missing])


def test_no_chinese_message_is_put_together_by_hand() -> None:
    """Only a constant or one f-string can be found again: no ``+``, ``%`` or ``format``."""
    found = []
    for source in sources():
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            hand: Nodes = []
            if isinstance(node, ast.BinOp):
                hand = [node.left, node.right]
            elif isinstance(node, ast.Attribute) and node.attr == "format":
                hand = [node.value]
            if any(isinstance(part, ast.Constant) and _CHINESE.search(str(part.value)) for part in hand):
                found.append(f"{source.relative_to(PACKAGE.parent)}:{node.lineno}")
    assert found == [], "write each of these messages as one f-string"


def test_every_entry_is_a_message_that_something_says() -> None:
    said = {text for source in sources() for _, text in texts(source)}
    unused = [chinese for chinese in ENTRIES if shape(chinese) not in said]
    assert unused == [], f"nothing in pages/ says these: take them out of pages/languages/english_*.py: {unused}"


def test_no_entry_stands_in_two_tables() -> None:
    shapes = [shape(chinese) for table in TABLES.values() for chinese in table]
    assert sorted(shapes) == sorted(set(shapes))


@pytest.mark.parametrize("chinese", ENTRIES)
def test_the_english_keeps_every_part_that_varies_and_nothing_chinese(chinese: str) -> None:
    there = {name for _, name, _, _ in Formatter().parse(chinese) if name}
    assert {name for _, name, _, _ in Formatter().parse(ENTRIES[chinese]) if name} == there
    assert ENTRIES[chinese].isascii()


# --- Finished messages ----------------------------------------------------------------------

SAMPLES = {
    "number": "17",
    "word": "zip",
    "ascii": "I/O error",
    "list": "a、b",
    "message": "缺失",
    "": "x.html",
    "first": "x.html",
}


def finished(chinese: str, texts: dict[str, str]) -> tuple[str, str]:
    """A message as the code makes it, its parts of each kind being these texts; and its English."""
    message, parts = "", {}
    for literal, name, kind, _ in Formatter().parse(chinese):
        message += literal
        if name is not None:
            message += texts[kind or ""]
            parts[name] = {"message": "missing", "list": "a, b"}.get(kind or "", texts[kind or ""])
    return message, ENTRIES[chinese].format(**parts)


@pytest.mark.parametrize("chinese", ENTRIES)
def test_a_finished_message_is_told_in_english_and_left_alone_in_chinese(chinese: str) -> None:
    message, english = finished(chinese, SAMPLES)
    assert translated(message, "en") == english
    assert translated(message, "zh") == message


def hostile_names() -> list[str]:
    """Names that are other messages, finished or begun, or that would confuse a reader of templates."""
    whole = [finished(chinese, SAMPLES)[0] for chinese in ENTRIES]
    literals = [literal for chinese in ENTRIES for literal, _, _, _ in Formatter().parse(chinese) if literal]
    return [*whole, *literals, "{0}", "{name}", "{", "}", "%s", "\\", "", ": ", "（", "）", "\ud800"]


# What begins with a part of its own is said of names that its maker has checked.
NAMING = [chinese for chinese in ENTRIES if re.search(r"[^{]*\{\w+\}", chinese) and not chinese.startswith("{")]


@pytest.mark.parametrize("chinese", NAMING)
def test_a_name_that_looks_like_a_message_changes_nothing_but_itself(chinese: str) -> None:
    for name in hostile_names():
        message, english = finished(chinese, {**SAMPLES, "": name})
        assert translated(message, "en") == english


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("字段 domain 缺失", "Field domain: missing"),
        ("字段 cache.pages 必须是 0 到 9 的整数", "Field cache.pages: must be a whole number from 0 to 9"),
        ("字段 alias_mode 必须是 redirect、serve 之一", "Field alias_mode: must be one of redirect, serve"),
        (
            "字段 aliases a: 不是有效的 IPv4 地址: 不是有效的国际化域名",
            "Field aliases: a: 不是有效的 IPv4 地址: not a valid internationalized domain name",
        ),
        ("解压 zip 失败: CRC 校验失败: 站点不存在", "Unpacking the zip failed: the CRC is wrong: 站点不存在"),
        ("解压 tar.gz 失败: 不允许硬链接: a: b", "Unpacking the tar.gz failed: hard links are not allowed: a: b"),
        ("解压 tar.gz 失败: a reason of the system", "Unpacking the tar.gz failed: a reason of the system"),
        ("解压 tar.gz 失败: 从未写过的原因", "Unpacking the tar.gz failed: 从未写过的原因"),
        ("站点已变化，当前检查点为 无", "The site has changed; its current checkpoint is none"),
        (
            "站点已变化，当前检查点为 20261121-074420-8f966b4a",
            "The site has changed; its current checkpoint is 20261121-074420-8f966b4a",
        ),
        (
            "_redirects 第 3 行已忽略: 主机名过长（/a（b） /c）",
            "_redirects, line 3 is ignored: the host name is too long (/a（b） /c)",
        ),
        (
            "_redirects 第 3 行已忽略: 会无限重定向到自身（匹配时不看末尾的斜杠和 http/https）（/a（ /a（b））",
            "_redirects, line 3 is ignored: it redirects to itself without end (the slash at the end and http/https"
            " make no difference to a match) (/a（ /a（b）)",
        ),
        (
            "_headers 第 9 行已忽略: 主机名无效: 不是有效的域名（不含端口、下划线、空格或通配符）",
            "_headers, line 9 is ignored: the host name is not valid: not a valid domain name (which holds no port,"
            " underscore, blank or wildcard)",
        ),
        (
            "_headers 第 9 行已忽略: X-A 没有值；要去掉一个头部请写 ! X-A（X-A:）",
            "_headers, line 9 is ignored: X-A has no value; to remove a header write ! X-A (X-A:)",
        ),
        (
            "首页 首页.html 不在根目录，而在文件夹 a 中；部署时加上表单字段 root=b 中；部署时加上表单字段 root="
            "a 中；部署时加上表单字段 root=b 可将其作为站点根目录",
            "The index 首页.html is not at the root but in the folder a 中；部署时加上表单字段 root=b; deploy with the"
            " form field root=a 中；部署时加上表单字段 root=b to publish that folder",
        ),
        (
            "已略过无法读取的文件: a（b）（Permission denied）",
            "A file that cannot be read was left out: a（b） (Permission denied)",
        ),
        (
            "超出配额: quota_sites = 1，已有 1 个站点，请先删除不用的站点",
            "Over the quota: quota_sites = 1, sites there are: 1; delete some that are not needed first",
        ),
        ("从未写过的句子", "从未写过的句子"),
        ("重载成功，当前 很多 个站点已生效", "重载成功，当前 很多 个站点已生效"),
        ("", ""),
        ("No message of ours", "No message of ours"),
    ],
)
def test_messages_within_messages_are_told_and_names_stay(message: str, told: str) -> None:
    assert in_english(message) == told


def test_a_brace_may_stand_in_a_message() -> None:
    catalogue = Catalogue({'必须是 {{"a": {what}}}': 'must be {{"a": {what}}}', "必须是 {{}}": "must be {{}}"})
    assert catalogue.translated('必须是 {"a": {{b}}') == 'must be {"a": {{b}}'
    assert catalogue.translated("必须是 {}") == "must be {}"


@pytest.mark.parametrize(
    "piece",
    [
        "_redirects 第 1 行已忽略: ",
        "解压 zip 失败: ",
        "（",
        ": ",
        "字段 a ",
        " 中；部署时加上表单字段 root=",
        "无",
        "首页 ",
    ],
)
def test_the_longest_hostile_message_takes_no_time(piece: str) -> None:
    """About a megabyte: what grew with the square of that would take minutes."""
    message = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    for said in (message, f"字段 aliases {message}", f"_headers 第 1 行已忽略: {message}）"):
        in_english(said)
    assert time.perf_counter() - began < 20
