# SPDX-License-Identifier: Apache-2.0
"""What users install: the wheel and the source distribution, built and tried outside the checkout."""

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import inferometer

ROOT = Path(__file__).parents[2]
VERSION = inferometer.__version__


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, with nothing of this test run's own Python environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE", "PYTEST"))
    }
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | {"UV_SYSTEM_CERTS": "true"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def build(into: Path) -> tuple[Path, Path]:
    """`make build`, elsewhere: the source distribution, and from it the wheel."""
    done = run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        into,
        ROOT,
        cwd=into,
        SOURCE_DATE_EPOCH="1767225600",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,), (source,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and its locked run-time dependencies, and nothing else; its bin folder."""
    wheel, _ = built
    directory = tmp_path_factory.mktemp("elsewhere")
    uv = Path(sys.executable).with_name("uv")
    python = directory / "venv" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", "--without-pip", directory / "venv", cwd=directory).returncode == 0
    lock = ROOT / "requirements" / "run.txt"
    dependencies = run(
        uv, "pip", "install", "--python", python, "--require-hashes", "--requirement", lock, cwd=directory
    )
    if re.search(r"dns error|error sending request|failed to fetch", dependencies.stderr, re.IGNORECASE):
        pytest.skip("the run-time dependencies are not in the cache and cannot be downloaded")
    assert dependencies.returncode == 0, dependencies.stderr
    package = run(uv, "pip", "install", "--python", python, "--offline", "--no-deps", wheel, cwd=directory)
    assert package.returncode == 0, package.stderr
    return python.parent


def metadata(wheel: Path) -> Message:
    """The wheel's core metadata (PEP 566 fields)."""
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"inferometer-{VERSION}.dist-info/METADATA"))


def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(built: tuple[Path, Path]) -> None:
    """Everything is below `inferometer/` or in the metadata; types, the vendored protocol and both licence files are there."""
    with zipfile.ZipFile(built[0]) as archive:
        names = set(archive.namelist())
    information = f"inferometer-{VERSION}.dist-info"
    assert {name.split("/")[0] for name in names} == {"inferometer", information}
    assert {"inferometer/py.typed", f"{information}/licenses/LICENSE", f"{information}/licenses/NOTICE"} <= names
    assert not [name for name in names if "__pycache__" in name or "/test" in name]
    package = ROOT / "exporter" / "inferometer"
    modules = {f"inferometer/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    assert modules <= names


def test_the_metadata_asks_for_the_run_time_dependencies_only(built: tuple[Path, Path]) -> None:
    """Version, licence, interpreter and dependencies are what `pyproject.toml` says, with no development tool among them."""
    fields = metadata(built[0])
    assert fields["Version"] == VERSION
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    required = {
        re.split(r"[^\w-]", text, maxsplit=1)[0].lower()
        for text in fields.get_all("Requires-Dist") or ()
        if "extra ==" not in text
    }
    assert required == {"grpcio", "isal", "nvidia-ml-py", "protobuf", "pyyaml"}


def test_the_source_distribution_is_a_whole_project(built: tuple[Path, Path]) -> None:
    """It has what it takes to build and to test again: licence, locks, tests, Makefile; and none of a checkout's leavings."""
    with tarfile.open(built[1]) as archive:
        names = {name.removeprefix(f"inferometer-{VERSION}/") for name in archive.getnames()}
    needed = {
        "LICENSE",
        "NOTICE",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "requirements/run.txt",
        "tests/conftest.py",
    }
    assert needed <= names
    assert not [
        name
        for name in names
        if name.startswith((".venv", ".git/", "dist/")) or "_cache/" in name or "__pycache__" in name
    ]


def test_building_twice_gives_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    """With SOURCE_DATE_EPOCH set, a build depends on the sources alone."""
    again = build(tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    """`inferometer --version` works outside the checkout and prints the one version."""
    done = run(installed / "inferometer", "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-1] == VERSION


def test_the_installed_command_shows_a_simulated_node(installed: Path, tmp_path: Path) -> None:
    """`inferometer snapshot --simulate` shows owners, and every series says that it is simulated."""
    table = run(installed / "inferometer", "snapshot", "--simulate", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert len(table.stdout.splitlines()) > 3
    page = run(installed / "inferometer", "snapshot", "--simulate", "--format", "prometheus", cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    held = [line for line in page.stdout.splitlines() if line.startswith("gpu_owner_info{")]
    assert held
    assert all('inferometer_simulated="true"' in line for line in held)
    assert list(tmp_path.iterdir()) == []
