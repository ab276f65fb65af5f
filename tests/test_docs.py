"""The documents tell the truth: every command in them is run, every setting and route is in them."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import toml
from helpers import PROJECT, Server
from sessions import Session, commands, steady

from pages.cli import main
from pages.config import Config, load_config


@pytest.mark.parametrize("name", ["README.md", "docs/api.md", "docs/checkpoints.md", "docs/ci.md", "docs/cli.md"])
def test_every_command_prints_what_the_document_shows(
    name: str, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    session = Session(make_server(), tmp_path)
    shown = list(commands((PROJECT / name).read_text(encoding="utf-8")))
    assert shown
    for command, expected in shown:
        assert steady(session.run(command, expected)) == steady(expected), command


def test_config_toml_holds_every_setting_at_its_default() -> None:
    by_file = load_config({"PAGES_CONFIG": str(PROJECT / "config.toml")})
    assert by_file == Config(data_dir=PROJECT / "data", backup_dir=PROJECT / "backups")
    written = [key for table in toml.load(PROJECT / "config.toml").values() for key in table]
    assert sorted(written) == sorted(set(Config.__dataclass_fields__) - {"users", "user_quotas"})


def test_config_toml_explains_every_setting() -> None:
    lines = (PROJECT / "config.toml").read_text(encoding="utf-8").splitlines()
    unexplained = []
    for number, line in enumerate(lines):
        if re.match(r"[a-z_]+ = ", line) and not re.match(r"#|[a-z_]+ = ", lines[number - 1]):
            unexplained.append(line)
    assert unexplained == []


GUIDES = ["docs/install.md", "docs/upgrade.md", "docs/operations.md", "docs/tls.md", "deploy/README.md"]


# At the beginning of a line, or after what runs it elsewhere; without what its output is put into.
COMMAND = re.compile(r"(?:^|-- |-i pages |exec pages |config\.toml )pages ([a-z].*?)(?: +[>#|].*)?$", re.MULTILINE)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_of_pages_in_a_guide_is_one_that_there_is(name: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / name).read_text(encoding="utf-8"), re.DOTALL)
    lines = COMMAND.findall("\n".join(blocks))
    assert lines
    for line in lines:
        # A file or folder that is named has to be there.
        words = shlex.split(line.replace("backup-….full.tar", "LICENSE").replace(" dist ", " docs "))
        command = main.get_command(click.Context(main), words[0])
        assert command is not None, line
        command.make_context(words[0], words[1:]).close()


@pytest.mark.parametrize("target", ["run", "test", "check", "backup", "clear-cache", "restart", "bench", "help"])
def test_the_makefile_has_the_target(target: str) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/api.md",
        "docs/checkpoints.md",
        "docs/console.md",
        "docs/ci.md",
        "docs/cli.md",
        "docs/compare.md",
        "docs/concepts.md",
        "docs/install.md",
        "docs/monitoring.md",
        "docs/operations.md",
        "docs/serving.md",
        "docs/tls.md",
        "docs/upgrade.md",
        "deploy/README.md",
        "CHANGELOG.md",
    ],
)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    document = (PROJECT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document):
        assert (PROJECT / name).parent.joinpath(target).exists(), target
