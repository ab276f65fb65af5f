"""What is built of the project: an sdist, wheels, and an environment into which a wheel was installed."""

import fnmatch
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import setuptools
from helpers import PROJECT, Server, unpacked


def build_context(folder: Path) -> Path:
    """A copy of what .dockerignore lets through: all that a wheel is made of."""
    lines = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    folder.mkdir()
    for name in (line[1:] for line in lines if line.startswith("!")):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, folder / name, symlinks=True, ignore=_ignored(lines))
        else:
            shutil.copy2(PROJECT / name, folder / name)
    return folder


def _ignored(lines: list[str]):
    patterns = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    return lambda _, names: [name for name in names if any(fnmatch.fnmatch(name, form) for form in patterns)]


def build(what: str, source: Path, target: Path) -> Path:
    """``what`` is wheel or sdist; nothing is fetched. Returns the file."""
    code = f"import sys; from setuptools.build_meta import build_{what} as build; print(build(sys.argv[1]))"
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "error", "-c", code, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


def unpack(sdist: Path, target: Path) -> Path:
    """The one folder that is in an sdist."""
    (folder,) = unpacked(sdist, target).iterdir()
    return folder


@dataclass
class Environment:
    """A venv into which Pages was installed, and that finds the dependencies of the tests themselves."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, step: str, source: Path) -> "Environment":
        """``step`` is a shell command that installs what is in ``source`` into /opt/pages/venv, with its pip."""
        made = cls(folder / "venv")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made.folder)], check=True)
        command = step.replace("/opt/pages/venv/bin/pip", f"{sys.executable} -m pip --python {made.python}")
        assert command != step
        # To build with; the project itself, which stands beside it, must not be found installed.
        (folder / "tools").mkdir()
        for form in ("setuptools*", "_distutils_hack"):
            for part in Path(setuptools.__file__).parent.parent.glob(form):
                (folder / "tools" / part.name).symlink_to(part)
        environment = {**os.environ, "PYTHONPATH": str(folder / "tools"), "PIP_NO_INDEX": "1"}
        subprocess.run(["sh", "-ec", command], cwd=source, env=environment, check=True, timeout=120)
        (made.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return made

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def pages(self) -> Path:
        return self.folder / "bin/pages"

    @property
    def packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The ``pages`` command, with nothing of this process's environment but PATH."""
        command = [str(self.pages), *arguments]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60)


@dataclass
class Installed(Server):
    """``pages serve`` of an environment, in a folder that ``pages init`` made."""

    environment_of: Environment = field(kw_only=True)
    password: str = field(kw_only=True)

    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PAGES_PORT": str(self.port), **self.settings}

    def command(self) -> list[str]:
        return [str(self.environment_of.pages), "serve"]
