"""Settings: where each comes from, and the one sentence that stops a start which could not work."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Server
from werkzeug.security import generate_password_hash

from pages.config import Config, env_name, load_config
from pages.errors import ConfigError

Make = Callable[..., Config]
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a ``config.toml`` where ``make_config`` reads one."""

    def write_file(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def refusal(make: Callable[[], object]) -> str:
    """The sentence that stops the start: exactly one, on one line."""
    with pytest.raises(ConfigError) as stopped:
        make()
    sentence = str(stopped.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# --- Where a setting comes from -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("PAGES_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PAGES_HOST", "::1", "host", "::1"),
        ("PAGES_PORT", "8080", "port", 8080),
        ("PAGES_ENVIRONMENT", "development", "environment", "development"),
        ("PAGES_ADMIN_USER", "管理员", "admin_user", "管理员"),
        ("PAGES_ADMIN_PASS", "a:b c,#\"'", "admin_pass", "a:b c,#\"'"),
        ("PAGES_ADMIN_PASS", "123", "admin_pass", "123"),
        ("PAGES_ADMIN_HOSTS", "a.com, B.com.,,例子.中国", "admin_hosts", ("a.com", "b.com", "xn--fsqu00a.xn--fiqs8s")),
        ("PAGES_ADMIN_HOSTS", "", "admin_hosts", ()),
        ("PAGES_TRUSTED_PROXIES", "unix,10.0.0.0/8,::1", "trusted_proxies", ("unix", "10.0.0.0/8", "::1")),
        ("PAGES_TLS_ASK_FROM", "10.0.0.0/8,::1", "tls_ask_from", ("10.0.0.0/8", "::1")),
        ("PAGES_WORKERS", "1", "workers", 1),
        ("PAGES_THREADS", "64", "threads", 64),
        ("PAGES_WARM_CHECKPOINTS", "0", "warm_checkpoints", 0),
        ("PAGES_MAX_UPLOAD_BYTES", "1", "max_upload_bytes", 1),
        ("PAGES_MAX_UNPACKED_BYTES", str(1 << 40), "max_unpacked_bytes", 1 << 40),
        ("PAGES_MAX_FILES", "7", "max_files", 7),
        ("PAGES_LOCK_TIMEOUT", "0.5", "lock_timeout", 0.5),
        ("PAGES_LOCK_TIMEOUT", "0", "lock_timeout", 0.0),
        ("PAGES_BACKUP_KEEP", "1", "backup_keep", 1),
        ("PAGES_BACKUP_TIMEOUT", "60", "backup_timeout", 60.0),
        ("PAGES_PG_DUMP_PATH", "/opt/pg/bin/pg_dump", "pg_dump_path", "/opt/pg/bin/pg_dump"),
        ("DATABASE_URL", "postgresql://u:p%40@h/d", "database_url", "postgresql://u:p%40@h/d"),
    ],
)
def test_the_environment_sets_it(make_config: Make, name: str, text: str, key: str, value: object) -> None:
    assert getattr(make_config(**{name: text}), key) == value


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(make_config: Make, write: Write) -> None:
    write("[server]\nport = 2000\nworkers = 5")
    config = make_config(port=3000)
    assert (config.port, config.workers, config.threads) == (3000, 5, Config().threads)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("port", 1323), ("admin_user", "admin"), ("admin_pass", "admin"), ("environment", "development"),
        ("max_upload_bytes", 512 << 20), ("max_unpacked_bytes", 2 << 30), ("max_files", 100_000), ("admin_hosts", ()),
        ("trusted_proxies", ()), ("tls_ask_from", ()), ("lock_timeout", 30), ("backup_keep", 10), ("database_url", ""),
    ],
)  # fmt: skip
def test_the_contract_names_this_default(make_config: Make, key: str, default: object) -> None:
    assert getattr(make_config(), key) == default


def test_no_two_settings_share_an_environment_variable() -> None:
    keys = [field.name for field in dataclasses.fields(Config) if field.name not in ("users", "user_quotas")]
    assert len({env_name(key) for key in keys}) == len(keys)


def test_the_database_has_its_usual_variable_and_no_other(make_config: Make) -> None:
    assert make_config(PAGES_DATABASE_URL="postgresql://h/d").database_url == ""


def test_a_variable_that_is_no_setting_is_logged_by_name(make_config: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_config(PAGES_SERVICE_HOST="10.0.0.1")
    assert "PAGES_SERVICE_HOST" in caplog.text


def test_settings_cannot_be_changed_afterwards(make_config: Make) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_config().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("key", ["data_dir", "backup_dir"])
@pytest.mark.parametrize("source", ["file", "environment", "default"])
def test_a_relative_path_starts_at_the_config_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, source: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    section = {"data_dir": "storage", "backup_dir": "backup"}[key]
    named = "../srv/./x" if source != "default" else key.removesuffix("_dir").replace("backup", "backups")
    (tmp_path / "etc" / "pages.toml").write_text(f'[{section}]\n{key} = "{named}"' if source == "file" else "")
    environ = {"PAGES_CONFIG": "../etc/pages.toml"} | ({env_name(key): named} if source == "environment" else {})
    expected = tmp_path / "srv" / "x" if source != "default" else tmp_path / "etc" / named
    assert getattr(load_config(environ), key) == expected


def test_a_file_that_pages_config_names_and_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    assert "PAGES_CONFIG" in refusal(lambda: load_config({"PAGES_CONFIG": str(tmp_path / "absent.toml")}))


def test_without_any_file_the_defaults_hold(make_config: Make, tmp_path: Path) -> None:
    assert make_config() == Config(data_dir=tmp_path / "data", backup_dir=tmp_path / "backups")


def test_a_file_from_windows_is_read(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes("\ufeff# 配置\r\n[server]\r\nport = 81\r\n".encode())
    assert make_config().port == 81


def test_tenants_are_tables_with_a_plain_or_hashed_pass(make_config: Make, write: Write) -> None:
    hashed = generate_password_hash("x", method="pbkdf2:sha256:1000")
    write(f'[users.alice]\npass = "wonder"\n[users."b.o-b_1"]\npass = "{hashed}"')
    assert make_config().users == {"alice": "wonder", "b.o-b_1": hashed}


# --- What stops the start -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("port", ""), ("port", "0"), ("port", "-1"), ("port", "65536"), ("port", "x"), ("port", "80.0"),
        ("port", "0x50"), ("port", "true"), ("host", ""), ("environment", ""), ("environment", "Production"),
        ("environment", "prod"), ("language", "fr"), ("language", ""),
        ("admin_user", ""), ("admin_user", "a:b"), ("admin_pass", ""),
        ("admin_hosts", "a.com:80"), ("admin_hosts", "http://a.com"), ("admin_hosts", "*.a.com"),
        ("admin_hosts", "a.com b.com"), ("trusted_proxies", "nginx"), ("trusted_proxies", "10.0.0.1/8"),
        ("tls_ask_from", "caddy"), ("tls_ask_from", "unix"), ("tls_ask_from", "10.0.0.1/8"),
        ("trusted_proxies", "10.0.0.1:80"), ("trusted_proxies", "*"), ("workers", "0"), ("workers", "-2"),
        ("workers", "two"), ("threads", "0"), ("warm_checkpoints", "-1"), ("max_upload_bytes", "0"),
        ("max_upload_bytes", "512M"), ("max_upload_bytes", "1e9"), ("max_unpacked_bytes", "0"), ("max_files", "0"),
        ("lock_timeout", "-1"), ("lock_timeout", "nan"), ("lock_timeout", "inf"), ("lock_timeout", "30s"),
        ("backup_keep", "0"), ("backup_timeout", "0"), ("backup_timeout", "nan"), ("data_dir", ""),
        ("backup_dir", ""), ("backup_dir", "data/sites"), ("backup_dir", "data/cache/backups"),
        ("backup_dir", "data"), ("host", "not a host"), ("host", "localhost:1323"), ("data_dir", "a\0b"),
        ("admin_pass", "scrypt:32768:8$salt$00"), ("admin_pass", "scrypt:3:8:1$salt$00"),
        ("admin_pass", "pbkdf2:md77:1000$salt$00"), ("admin_pass", "\udcff"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_stops_the_start(make_config: Make, key: str, text: str) -> None:
    assert key in refusal(lambda: make_config(**{key: text})).lower()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[server]\nprot = 1", "prot"), ("[storage]\nport = 1", "port"), ("[sevrer]\nport = 1", "sevrer"),
        ("port = 1", "port"), ("[server.tls]\ncert = 1", "tls"), ("[[server]]\nport = 1", "server"),
        ("server = 1", "server"), ('[server]\nport = "1"', "port"), ("[server]\nport = 1.0", "port"),
        ("[server]\nport = true", "port"), ("[server]\nport = [1]", "port"),
        ("[server]\nadmin_pass = 123", "admin_pass"), ("[server]\nadmin_user = true", "admin_user"),
        ('[server]\nadmin_hosts = "a.com"', "admin_hosts"), ("[server]\nadmin_hosts = [1]", "admin_hosts"),
        ("[server]\nhost = []", "host"), ("[storage]\ndata_dir = 1", "data_dir"),
        ('[limits]\nlock_timeout = "30"', "lock_timeout"), ("[limits]\nlock_timeout = true", "lock_timeout"),
        ("[limits]\nmax_files = 1e5", "max_files"), ("[backup]\ndatabase_url = 1", "database_url"),
        ('users = "alice"', "users"), ('[users]\nalice = "secret"', "alice"), ("[users.alice]", "alice"),
        ('[users.alice]\npassword = "x"', "alice"), ('[users.alice]\npass = "x"\nrole = "admin"', "alice"),
        ("[users.alice]\npass = 1", "alice"), ('[users.alice]\npass = ""', "alice"),
        ('[users."../x"]\npass = "x"', "../x"), ('[users."a b"]\npass = "x"', "a b"),
        ('[users._a]\npass = "x"', "_a"), ('[users.admin]\npass = "x"', "admin_user"),
        ('[users.alice]\npass = "scrypt:1$a$b"', "alice"), ("[server\nport = 1", "config.toml"),
        ("[server]\nport = ", "config.toml"), ("[server]\nport = 1\nport = 2", "config.toml"),
        ("[server]\nport", "config.toml"), ("[server]\nhost = 'x", "config.toml"),
        ("[server]\nadmin_hosts = [", "config.toml"), ('[server]\nadmin_hosts = ["a.com"', "config.toml"),
        ("[server]\n[[server]]", "config.toml"), ('users = 3\n[users.alice]\npass = "x"', "config.toml"),
    ],
)  # fmt: skip
def test_a_file_with_a_mistake_stops_the_start(make_config: Make, write: Write, text: str, names: str) -> None:
    write(text)
    assert names in refusal(make_config)


def test_a_file_that_is_not_utf_8_stops_the_start(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes("# 配置".encode("gbk"))
    assert "config.toml" in refusal(make_config)


@pytest.mark.parametrize("hashed", [False, True])
def test_production_refuses_the_password_admin_and_says_how_to_set_one(make_config: Make, hashed: bool) -> None:
    admin_pass = generate_password_hash("admin", method="pbkdf2:sha256:1000") if hashed else "admin"
    sentence = refusal(lambda: make_config(environment="production", admin_pass=admin_pass))
    assert "admin_pass" in sentence
    assert "PAGES_ADMIN_PASS" in sentence


def test_production_starts_with_another_password(make_config: Make) -> None:
    assert make_config(environment="production", admin_pass="Admin").is_production


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("PAGES_PORT", "x", "PAGES_PORT"),
        ("PAGES_ENVIRONMENT", "production", "admin_pass"),
        ("PAGES_DATA_DIR", "/dev/null", "data_dir"),
    ],
)
def test_a_server_that_cannot_work_stops_with_a_sentence_and_no_traceback(
    make_server: Callable[..., Server], name: str, value: str, names: str
) -> None:
    server = make_server(start=False, **{name: value})
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(3) != 0
    assert names in server.log.splitlines()[-1]
    assert "Traceback" not in server.log
