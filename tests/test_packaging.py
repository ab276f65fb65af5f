"""Installed, Pages runs without the repository: wheel, sdist, ``pages init``, ``pages serve``; parts of a container."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click import Context
from click.testing import CliRunner, Result
from helpers import PROJECT, program, wait_until
from packages import Environment, Installed, build, build_context, unpack
from supervisor import setting
from werkzeug.security import check_password_hash

import pages
from pages.cli import main
from pages.config import load_config
from pages.init import default_settings, with_values


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a container is built from."""
    return build_context(tmp_path_factory.mktemp("source") / "src")


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    return unpack(build("sdist", source, folder / "built"), folder / "unpacked")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from the sdist."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Made as the image is: by the Dockerfile's own step."""
    (step,) = [rest for rest in given("RUN") if rest.endswith("--no-build-isolation .")]
    return Environment.make(tmp_path_factory.mktemp("environment"), step, source)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def ours(folder: str) -> set[str]:
    """The files of a folder of the project, as the wheel calls them."""
    found = (path for path in (PROJECT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(PROJECT)) for path in found}


# --- Wheel and sdist ------------------------------------------------------------------------------


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else_of_the_project(wheel: Path) -> None:
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    beside = f"pages_server-{pages.__version__}.data/data/share/pages/"
    assert names == ours("pages") | {beside + name for folder in ("deploy", "docs") for name in ours(folder)}


def test_an_sdist_builds_the_wheel_that_the_project_does(environment: Environment, wheel: Path) -> None:
    built = {name: data for name, data in contents(wheel).items() if name.startswith("pages/")}
    assert {name: (environment.packages / name).read_bytes() for name in built} == built
    found = (path for path in (environment.packages / "pages").rglob("*") if path.is_file())
    installed = {str(path.relative_to(environment.packages)) for path in found}
    assert {name for name in installed if "__pycache__" not in name} == set(built)


def test_the_sdist_brings_the_versions_that_were_tested_together(sdist: Path) -> None:
    assert (sdist / "requirements.lock").read_text() == (PROJECT / "requirements.lock").read_text()


def test_the_version_stands_in_one_place(environment: Environment, wheel: Path, tmp_path: Path) -> None:
    assert environment.run("--version", cwd=tmp_path).stdout == f"pages {pages.__version__}\n"
    assert wheel.name == f"pages_server-{pages.__version__}-py3-none-any.whl"
    assert f"\n## {pages.__version__} (" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_units_documents_and_the_hook_of_certificates_come_with_the_wheel(environment: Environment) -> None:
    share = environment.folder / "share/pages"
    assert (share / "deploy/pages.service").read_text() == (PROJECT / "deploy/pages.service").read_text()
    assert (share / "docs/operations.md").is_file()
    assert os.access(share / "deploy/certificates", os.X_OK)


# --- pages init -----------------------------------------------------------------------------------


def test_the_settings_in_the_package_are_those_of_the_repository() -> None:
    assert default_settings() == (PROJECT / "config.toml").read_text(encoding="utf-8")


def run_init(folder: Path, *options: str) -> Result:
    os.chdir(folder)
    return CliRunner().invoke(main, ["init", *options])


def password_of(output: str) -> str:
    """The one that ``pages init`` tells."""
    return re.findall(r"^    (\S{24})$", output, re.MULTILINE)[0]


def test_init_writes_all_settings_explained_with_the_password_it_tells_as_a_hash(tmp_path: Path) -> None:
    done = run_init(tmp_path, "--admin-host", "admin.example.com")
    path = tmp_path / "config.toml"
    written, defaults = path.read_text().splitlines(), default_settings().splitlines()
    changed = [new.partition(" =")[0] for new, old in zip(written, defaults, strict=True) if new != old]
    assert changed == ["environment", "admin_pass", "admin_hosts", "trusted_proxies"]
    config = load_config({"PAGES_CONFIG": str(path)})
    assert check_password_hash(config.admin_pass, password_of(done.output))
    assert config.is_production
    assert config.admin_hosts == ("admin.example.com",)
    assert password_of(done.output) not in path.read_text()


def test_what_init_says_to_run_next_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    done = run_init(tmp_path, "a b; c")
    (line,) = re.findall(r"^Look at it: (.*)$", done.output, re.MULTILINE)
    assert shlex.split(line) == [f"PAGES_CONFIG={tmp_path / 'a b; c/config.toml'}", "pages", "doctor"]


def test_what_init_makes_is_not_for_other_users(tmp_path: Path) -> None:
    run_init(tmp_path, "new/here")
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new/here").iterdir()}
    assert made == {"config.toml": 0o640, "data": 0o750, "backups": 0o700}


def test_init_takes_folders_elsewhere_and_gives_them_to_the_user_who_will_serve(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give folders away")
    run_init(tmp_path, "etc", "--data-dir", "lib/data", "--backup-dir", f"{tmp_path}/lib/backups", "--user", "nobody")
    config = load_config({"PAGES_CONFIG": str(tmp_path / "etc/config.toml")})
    assert (config.data_dir, config.backup_dir) == (tmp_path / "lib/data", tmp_path / "lib/backups")
    assert {config.data_dir.owner(), config.backup_dir.owner()} == {"nobody"}
    assert (tmp_path / "etc/config.toml").owner() == "root"
    assert (tmp_path / "etc/config.toml").group() == config.data_dir.group()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--admin-host", "no host"], "admin_hosts"),
        (["--user", "nobody-of-that-name"], "adduser"),
        (["--backup-dir", "data/sites"], "backup_dir"),
    ],
)
def test_init_refuses_what_could_not_be_served_and_leaves_nothing(
    tmp_path: Path, options: list[str], said: str
) -> None:
    done = run_init(tmp_path, *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_overwrites_no_settings(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# mine\n")
    assert run_init(tmp_path).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
    assert (tmp_path / "config.toml").read_text() == "# mine\n"


def test_a_value_with_quotes_and_backslashes_is_read_back_as_it_was(tmp_path: Path) -> None:
    strange = str(tmp_path / 'a "quoted" \\1 path')
    (tmp_path / "config.toml").write_text(with_values({"data_dir": strange}))
    assert str(load_config({"PAGES_CONFIG": str(tmp_path / "config.toml")}).data_dir) == strange


# --- pages serve ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """What a new operator has after ``pages init`` and ``pages serve``."""
    folder = tmp_path_factory.mktemp("installed")
    done = environment.run("init", cwd=folder)
    assert done.returncode == 0, done.stderr
    server = Installed(folder, project=folder, environment_of=environment, password=password_of(done.stdout))
    yield server.start()
    server.stop()


def curl(server: Installed, *arguments: str) -> str:
    command = [program("curl"), "-sS", "-u", f"admin:{server.password}", *arguments]
    return subprocess.run(command, cwd=server.folder, capture_output=True, text=True, check=True, timeout=60).stdout


def test_an_installed_wheel_serves_what_curl_deploys(installed: Installed) -> None:
    (installed.folder / "index.html").write_text("<h1>mine</h1>")
    subprocess.run(["tar", "czf", "site.tar.gz", "index.html"], cwd=installed.folder, check=True)
    curl(installed, f"{installed.url}/_api/sites", "--json", json.dumps({"id": "blog", "domain": "blog.localhost"}))
    deployed = json.loads(curl(installed, f"{installed.url}/_api/sites/default/blog/deploy", "-F", "file=@site.tar.gz"))
    assert deployed["success"] is True
    assert installed.request("GET", "/", host="blog.localhost").body == b"<h1>mine</h1>"


def test_serve_has_become_gunicorn(installed: Installed) -> None:
    assert installed.process is not None
    arguments = Path(f"/proc/{installed.process.pid}/cmdline").read_text().split("\0")
    assert arguments[1:3] == ["-m", "gunicorn"]


def test_a_hangup_gives_it_new_code(installed: Installed) -> None:
    assert installed.process is not None
    code = installed.environment_of.packages / "pages/web/status.py"
    before = code.read_text()
    assert installed.request("GET", "/_api/healthz").json()["data"] == {"status": "healthy"}
    code.write_text(before.replace('success({"status": "healthy"})', 'success({"status": "healthy, and newer"})'))
    installed.process.send_signal(signal.SIGHUP)
    newer = {"status": "healthy, and newer"}
    wait_until(lambda: installed.request("GET", "/_api/healthz").json()["data"] == newer, "the new code answers")
    code.write_text(before)
    assert installed.process.poll() is None


def test_the_master_imports_nothing_of_pages_or_its_libraries(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "runpy.run_path(sys.argv[1])\n"
        "print({'pages', 'flask', 'msgspec', 'werkzeug', 'click'} & {name.partition('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", code, str(PROJECT / "gunicorn.conf.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def serve_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str, **environment: str) -> Result:
    """``pages serve`` up to where it would become gunicorn, with these settings alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAGES_")}
    monkeypatch.setattr(os, "environ", kept | environment)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it would have started"))
    os.chdir(folder)
    return CliRunner().invoke(main, ["serve", *options])


@pytest.mark.parametrize(
    ("options", "environ"), [(["--port", "70000"], {}), ([], {"PAGES_PORT": "70000"}), ([], {"PAGES_CONFIG": "/none"})]
)
def test_settings_that_cannot_be_served_are_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], environ: dict[str, str]
) -> None:
    done = serve_in(tmp_path, monkeypatch, *options, **environ)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert re.search("port|PAGES_CONFIG", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_serve_leaves_a_folder_that_its_user_may_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    started_in = []
    monkeypatch.setattr(os, "execv", lambda *_: started_in.append(os.getcwd()))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with tempfile.TemporaryDirectory() as name:  # Others may not enter pytest's own.
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "config.toml").touch()
        (folder / "own").mkdir()
        os.environ["PAGES_CONFIG"] = str(folder / "config.toml")
        CliRunner().invoke(main, ["serve"])  # All is imported that somebody else might not be able to read.
        for mode, expected in ((0o755, str(folder / "own")), (0o700, "/")):
            os.chdir(folder / "own")
            (folder / "own").chmod(mode)
            os.seteuid(65534)
            try:
                done = CliRunner().invoke(main, ["serve"])
            finally:
                os.seteuid(0)
            assert (done.output, started_in.pop()) == ("", expected)


def test_options_of_serve_are_settings_for_gunicorn_too(installed: Installed) -> None:
    options = ["--port", "1", "--host", "::1"]
    # gunicorn prints what it would go by, and ends.
    done = installed.environment_of.run("serve", *options, cwd=installed.folder, GUNICORN_CMD_ARGS="--print-config")
    assert re.search(r"^bind +=.*\[::1\]:1'", done.stdout, re.MULTILINE), done.stderr


@pytest.mark.parametrize(("database", "status"), [("", 0), ("postgresql://nobody@127.0.0.1:1/none", 1)])
def test_the_nightly_unit_makes_both_backups_and_fails_when_one_does(
    installed: Installed, tmp_path: Path, database: str, status: int
) -> None:
    unit = (PROJECT / "deploy/pages-backup.service").read_text(encoding="utf-8")
    command = setting(unit, "ExecStart").replace("/opt/pages/venv", str(installed.environment_of.folder))
    settings = {"PAGES_BACKUP_DIR": str(tmp_path / "made"), "DATABASE_URL": database}
    # A dollar sign is written twice in a unit.
    shell, option, script = shlex.split(command.replace("$$", "$"))
    done = subprocess.run(
        [shell, option, script], cwd=installed.folder, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    made = sorted("".join(path.suffixes) for path in (tmp_path / "made").iterdir())
    assert made == [".full.tar"] + [".json"] * (not database)


# --- The container --------------------------------------------------------------------------------

DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((PROJECT / "deploy/compose.yaml").read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, with lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def given(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_the_dockerfile_holds_only_instructions_that_there_are() -> None:
    known = [
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "CMD",
    ]
    assert {name for name, _ in instructions()} == set(known)


def test_everything_that_is_copied_into_the_image_is_there_and_not_ignored(source: Path) -> None:
    copied = [shlex.split(rest)[:-1] for rest in given("COPY") if not rest.startswith("--from")]
    assert copied == [["requirements.lock"], ["."]]
    assert (source / "requirements.lock").is_file()


def test_the_image_starts_commands_that_there_are() -> None:
    health = given("HEALTHCHECK")[0].partition(" CMD ")[2]
    for words in (json.loads(given("CMD")[0]), json.loads(health)):
        assert words[0] == "pages"
        command = main.get_command(Context(main), words[1])
        assert command is not None
        command.make_context(words[1], words[2:]).close()


def test_the_image_serves_as_a_user_without_rights_and_keeps_data_in_volumes() -> None:
    names = [name for name, _ in instructions()]
    assert given("USER") == ["pages"]
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("RUN", "COPY"))
    settings = dict(word.split("=", 1) for word in shlex.split(given("ENV")[0]))
    assert json.loads(given("VOLUME")[0]) == [settings["PAGES_DATA_DIR"], settings["PAGES_BACKUP_DIR"]]


def image_settings() -> dict[str, str]:
    """What the command has in its environment, in compose's services of the image."""
    image = dict(word.split("=", 1) for word in shlex.split(given("ENV")[0]))
    asked = COMPOSE["services"]["pages"]["environment"]
    assert all(re.fullmatch(r"\$\{(\w+):\?.+\}", value)[1] == name for name, value in asked.items())
    return {**image, "PAGES_ADMIN_PASS": "secret", "PAGES_ADMIN_HOSTS": "admin.example.com"}


def test_an_image_without_a_password_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {key: value for key, value in image_settings().items() if key not in ("PAGES_ADMIN_PASS", "PATH")}
    done = serve_in(tmp_path, monkeypatch, **settings)
    assert done.exit_code == 1
    assert "admin_pass" in done.stderr


def test_nginx_accepts_what_the_composition_has_it_read(environment: Environment, tmp_path: Path) -> None:
    nginx, service = COMPOSE["services"]["nginx"], COMPOSE["services"]["nginx-config"]
    shell, option, script = service["command"]
    assert (shell, option) == ("sh", "-c")
    settings = image_settings() | {"PATH": f"{environment.folder / 'bin'}:/usr/bin:/bin"}
    script = script.replace("/nginx/", f"{tmp_path}/")
    subprocess.run([shell, option, script], cwd=tmp_path, env=settings, check=True, timeout=60)
    text = (tmp_path / "pages.conf").read_text()
    # Where the data is mounted is where nginx looks.
    assert f"{nginx['volumes'][0].split(':')[1]}/pages-1323.sock" in text
    main_file = tmp_path / "nginx.conf"
    main_file.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{ include /etc/nginx/mime.types; access_log off; include {tmp_path}/pages.conf; }}\n"
    )
    done = subprocess.run(
        [program("nginx"), "-t", "-p", str(tmp_path), "-c", str(main_file), "-e", f"{tmp_path}/error.log"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_service_mounts_only_volumes_that_there_are() -> None:
    for service in COMPOSE["services"].values():
        for mount in service["volumes"]:
            name = mount["source"] if isinstance(mount, dict) else mount.split(":")[0]
            assert name in COMPOSE["volumes"]


def test_docker_waits_longer_at_a_stop_than_uploads_may_take() -> None:
    graceful = re.search(r"^graceful_timeout = (\d+)$", (PROJECT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert graceful is not None
    assert int(COMPOSE["services"]["pages"]["stop_grace_period"].removesuffix("s")) > int(graceful[1])
