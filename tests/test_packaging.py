"""The repository root is the package: that must hold however it is installed.

Each kind of install goes into an environment of its own that borrows everything else (pip,
setuptools, the dependencies) from the one that runs the tests, so that no network is needed.
"""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

ROOT = Path(__file__).parent.parent
LIMIT_S = 120.0
NOT_SHIPPED = ("tests/", "bench/", "docs/", "examples/")


class Install(NamedTuple):
    """An environment with the package in it."""

    kind: str
    """plain, editable or wheel."""
    root: Path
    """The copy of the repository that it was installed from."""
    bin: Path
    """Where its programs are."""

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a program of the environment, by default in the root; returns what it printed."""
        return _run(str(self.bin / command[0]), *command[1:], cwd=cwd or self.root)


def _run(*command: str, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ORCHESTRATOR_"))}
    done = subprocess.run(
        command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _copied_root(target: Path) -> Path:
    """What git knows of, as a clone would have it."""
    listed = _run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _new_environment(folder: Path) -> Path:
    """An environment that finds the modules of this one behind its own; returns its bin."""
    venv.create(folder, symlinks=True, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # A .pth file within a borrowed folder is not read: no editable install of ours comes along.
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")
    return folder / "bin"


def _wheel_of(root: Path, bin_: Path) -> Path:
    out = root.parent / "wheels"
    pip = [str(bin_ / "python"), "-m", "pip", "wheel", "--quiet", "--no-deps"]
    # Not from the root: pip itself must not be what is under test here.
    _run(*pip, "--no-build-isolation", "--wheel-dir", str(out), str(root), cwd=root.parent)
    return next(out.glob("*.whl"))


def _install(kind: str, folder: Path) -> Install:
    root = _copied_root(folder / "root")
    bin_ = _new_environment(folder / "venv")
    what = {
        "plain": lambda: [str(root)],
        "editable": lambda: ["--editable", str(root)],
        "wheel": lambda: [str(_wheel_of(root, bin_))],
    }[kind]()
    pip = [str(bin_ / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    _run(*pip, "--no-build-isolation", "--ignore-installed", *what, cwd=folder)
    return Install(kind, root, bin_)


@pytest.fixture(scope="module", params=["plain", "editable", "wheel"])
def install(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Install:
    kind: str = request.param
    return _install(kind, tmp_path_factory.mktemp(kind))


def test_pip_works_in_the_root(install: Install) -> None:
    assert install.run("python", "-m", "pip", "--version").startswith("pip ")


def test_the_package_runs_as_a_module_in_the_root(install: Install) -> None:
    assert "0." in install.run("python", "-m", "orchestrator", "--version")


@pytest.mark.parametrize("command", ["orchestrator", "orc"])
def test_both_commands_are_installed(install: Install, command: str) -> None:
    by_module = install.run("python", "-m", "orchestrator", "--version").split()[-1]

    assert install.run(command, "--version", cwd=Path("/")).split()[-1] == by_module


def test_every_install_writes_a_project_for_an_agent(install: Install, tmp_path: Path) -> None:
    for language, test in (("python", "test_new_one.py"), ("node", "gate.js")):
        folder = tmp_path / language
        words = ("agent", "new", "new-one", "--lang", language, "--into", str(folder))
        install.run("orc", *words, cwd=tmp_path)

        assert (folder / test).exists()


def test_the_standard_librarys_http_is_not_shadowed(install: Install) -> None:
    code = "import http, http.client, http.server; print(http.__file__)"

    found = Path(install.run("python", "-c", code).strip())

    assert found.parent.name == "http"
    assert not found.is_relative_to(install.root)


def test_our_http_can_be_imported_all_the_same(install: Install) -> None:
    code = (
        "import http.client, orchestrator.http, pathlib\n"
        "beside = pathlib.Path(orchestrator.__file__).with_name('http')\n"
        "print(all(pathlib.Path(p) == beside for p in orchestrator.http.__path__))"
    )

    assert install.run("python", "-c", code).strip() == "True"


def test_the_installed_copy_is_the_one_that_runs(install: Install) -> None:
    code = "import orchestrator; print(orchestrator.__file__)"

    found = Path(install.run("python", "-c", code, cwd=Path("/")).strip())

    assert found.is_relative_to(install.root) == (install.kind == "editable")


def test_the_files_that_are_not_code_come_along(install: Install) -> None:
    code = (
        "from pathlib import Path; import orchestrator; root = Path(orchestrator.__file__).parent\n"
        "for found in sorted(root.rglob('*')):\n"
        "    if found.is_file(): print(found.relative_to(root))"
    )
    there = set(install.run("python", "-c", code, cwd=Path("/")).splitlines())
    wanted = {
        str(path.relative_to(ROOT))
        for pattern in ("sql/migrations/*.sql", "sql/queries/*.sql", "http/dashboard/**/*")
        for path in ROOT.glob(pattern)
        if path.is_file() and path.suffix != ".pyc"
    }

    assert {"supervisor.toml", "py.typed"} | wanted <= there


def test_the_kit_and_the_client_commands_load_nothing_of_the_daemons(install: Install) -> None:
    code = (
        "import sys, orchestrator.__main__, orchestrator.cli, orchestrator.agents\n"
        "print(sorted({'gevent', 'pykka', 'pydantic', 'psycopg', 'bottle'} & set(sys.modules)))"
    )

    assert install.run("python", "-c", code).strip() == "[]"


def test_the_wheel_has_every_module_and_nothing_else(tmp_path: Path) -> None:
    root = _copied_root(tmp_path / "root")
    wheel = _wheel_of(root, _new_environment(tmp_path / "venv"))
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.endswith(".py")}

    listed = _run("git", "ls-files", "-co", "--exclude-standard", "*.py", cwd=ROOT).splitlines()
    ours = {name for name in listed if not name.startswith(NOT_SHIPPED) and (ROOT / name).exists()}

    assert shipped == {f"orchestrator/{name}" for name in ours}


def test_every_folder_of_code_or_data_is_a_listed_package() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    data = {name for name in config["options.package_data"] if name in listed}

    tracked = _run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    code = [Path(name) for name in tracked if name.endswith((".py", ".sql"))]
    folders = {path.parent for path in code if (ROOT / path).exists()}
    ours = {path for path in folders if not f"{path}/".startswith(NOT_SHIPPED)}
    found = {".".join(("orchestrator", *folder.parts)) for folder in ours}

    assert sorted(found | data) == listed


def test_this_python_is_one_of_those_declared() -> None:
    declared = [
        line.rsplit("::", 1)[-1].strip()
        for line in (ROOT / "setup.cfg").read_text().splitlines()
        if "Programming Language :: Python :: 3." in line
    ]

    assert f"{sys.version_info.major}.{sys.version_info.minor}" in declared


def test_make_run_says_what_is_missing_without_a_fitting_python(tmp_path: Path) -> None:
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)

    done = subprocess.run(
        ["make", "run", "CANDIDATES=false"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode != 0
    assert "orchestrator needs Python 3.11 or newer" in done.stderr
    assert "found: no Python at all" in done.stderr
    assert not (tmp_path / ".venv").exists()
