# SPDX-License-Identifier: Apache-2.0
"""tools/: every program runs, the Collector's source is its builder's, and a build is whole or not there."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.programs import BUILD, Needs, call

TOOLS = BUILD.parent
FAMILIES = sorted(path.parent.name for path in TOOLS.glob("*/go.mod"))

# A Go that compiles at once: it notes what it was asked for, and writes that to the file it was to make.
_GO = """\
#!/bin/sh
case $1 in
  list) [ "$3" != -f ] || echo "$GO_TEST_MODULES/$5" ;;
  env) echo "go$GO_TEST_VERSION" ;;
  build)
    while [ "$1" != -o ]; do shift; done
    echo "$3" >>"$GO_TEST_NOTES"
    [ "$3" != "$GO_TEST_FAILS" ] || { echo "cannot compile $3" >&2; exit 1; }
    echo "$3" >"$2"
    chmod +x "$2" ;;
esac
"""


_KEPT = re.compile(r"\.yaml=([a-z][^ ']*)//([^ ']+)")  # files of modules that are kept


class Sandbox:
    """A copy of tools/ with a cache and a Go of its own."""

    def __init__(self, directory: Path) -> None:
        self.tools = directory / "tools"
        self.cache = directory / "cache"
        self._notes = directory / "notes"
        shutil.copytree(TOOLS, self.tools)
        modules = directory / "modules"
        for module, path in _KEPT.findall(BUILD.read_text(encoding="utf-8")):
            (file := modules / module / path).parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{module}//{path}\n", encoding="utf-8")
        go = directory / "bin" / "go"
        go.parent.mkdir()
        go.write_text(_GO, encoding="utf-8")
        go.chmod(0o755)
        self.environment = {
            "PATH": f"{go.parent}:{os.defpath}",
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(self.cache),
            "GO_TEST_NOTES": str(self._notes),
            "GO_TEST_MODULES": str(modules),
        }

    def build(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (self.tools / "build.sh", *arguments),
            env={"GO_TEST_VERSION": "1.26.0", "GO_TEST_FAILS": "", **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    @property
    def asked(self) -> list[str]:
        """The packages that were compiled."""
        return self._notes.read_text(encoding="utf-8").split() if self._notes.exists() else []

    @property
    def there(self) -> set[str]:
        """The families whose folders are in the cache, and whatever else lies beside them."""
        return {path.name.rsplit("-", 1)[0] for path in (self.cache / "inferometer" / "tools").iterdir()}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.mark.parametrize(
    ("program", "argument"),
    [
        ("ocb", "version"),
        ("otelcol", "--version"),
        ("alertmanager", "--version"),
        ("amtool", "--version"),
        ("helm", "version"),
        ("helm3", "version"),
        ("prometheus", "--version"),
        ("promtool", "--version"),
        ("llm-d-inference-sim", "--help"),
    ],
)
def test_every_program_runs(needs: Needs, program: str, argument: str) -> None:
    """Each says its version."""
    needs(program)
    assert call(program, argument).returncode == 0


def test_the_collectors_source_is_what_its_builder_makes(
    needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change to manifest.yaml without `make otelcol-source` fails here."""
    needs("ocb")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where it makes a folder that it then does not use
    manifest = tmp_path / "manifest.yaml"
    text = (TOOLS / "collector" / "manifest.yaml").read_text(encoding="utf-8")
    manifest.write_text(text.replace("output_path: .", f"output_path: {tmp_path}"), encoding="utf-8")

    answer = call("ocb", f"--config={manifest}", "--skip-compilation", "--skip-get-modules")

    assert answer.returncode == 0, answer.stderr
    for name in ("main.go", "main_others.go", "components.go"):
        assert (tmp_path / name).read_text() == (TOOLS / "collector" / name).read_text()


def test_the_builder_takes_the_users_list(needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of collector-config/builder.yaml it makes a source with each component."""
    needs("ocb")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    shipped = (TOOLS.parent / "collector-config" / "builder.yaml").read_text(encoding="utf-8")
    manifest = tmp_path / "builder.yaml"
    manifest.write_text(shipped.replace("./otelcol-inferometer", str(tmp_path)), encoding="utf-8")

    answer = call("ocb", f"--config={manifest}", "--skip-compilation", "--skip-get-modules")

    assert answer.returncode == 0, answer.stderr
    components = (tmp_path / "components.go").read_text(encoding="utf-8")
    for module in ("otlpexporter", "k8sattributesprocessor", "filestorage", "bearertokenauthextension"):
        assert f"{module}.NewFactory()," in components


def test_the_collectors_components_are_pinned_as_its_manifest_says() -> None:
    """Each module of manifest.yaml stands in go.mod with the same version."""
    lines = (TOOLS / "collector" / "manifest.yaml").read_text(encoding="utf-8").splitlines()
    wanted = {line.split("gomod: ")[1] for line in lines if "gomod: " in line}
    pinned = {line.strip() for line in (TOOLS / "collector" / "go.mod").read_text(encoding="utf-8").splitlines()}
    assert wanted
    assert wanted - pinned == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_module_takes_the_go_that_is_there(family: str) -> None:
    """No go.mod asks for a Go later than the one that is documented, nor for a toolchain to be downloaded."""
    lines = (TOOLS / family / "go.mod").read_text(encoding="utf-8").splitlines()
    assert "go 1.26.0" in lines
    assert [line for line in lines if line.startswith("toolchain")] == []


def test_what_is_built_is_not_built_again(sandbox: Sandbox) -> None:
    """Every family is built once, and its programs are found where the build says."""
    assert sandbox.build().returncode == 0
    first = sandbox.asked
    assert sandbox.there == set(FAMILIES)
    assert sandbox.build().returncode == 0
    assert sandbox.asked == first
    promtool = sandbox.build("--path", "promtool").stdout.strip()
    assert Path(promtool).read_text() == "github.com/prometheus/prometheus/cmd/promtool\n"
    schema = sandbox.build("--path", "chart-schema.yaml").stdout.strip()
    assert Path(schema).read_text() == "github.com/helm/chart-testing/v3//etc/chart_schema.yaml\n"


def test_what_decides_a_program_decides_its_place(sandbox: Sandbox) -> None:
    """Another go.sum or another Go is another build; the old one stays for other checkouts."""
    sandbox.build("helm")
    places = {sandbox.build("--path", "helm").stdout}
    with (sandbox.tools / "helm" / "go.sum").open("a", encoding="utf-8") as file:
        file.write("example.com/new v1.0.0 h1:0\n")
    missing = sandbox.build("--path", "helm")
    assert (missing.returncode, missing.stderr) == (3, "helm is not built: run make tools\n")
    for version in ("1.26.0", "1.27.0"):
        sandbox.build("helm", GO_TEST_VERSION=version)
        places.add(sandbox.build("--path", "helm", GO_TEST_VERSION=version).stdout)
    assert len(places) == 3
    assert all(Path(place.strip()).exists() for place in places)


def test_a_build_that_fails_leaves_nothing(sandbox: Sandbox) -> None:
    """One program of two compiles, the other does not: the family is not there, and the next build makes both."""
    amtool = "github.com/prometheus/alertmanager/cmd/amtool"
    failed = sandbox.build("alertmanager", GO_TEST_FAILS=amtool)
    assert failed.returncode != 0
    assert f"cannot compile {amtool}" in failed.stderr
    assert sandbox.there == set()
    assert sandbox.build("alertmanager").returncode == 0
    assert sandbox.there == {"alertmanager"}


def test_builds_at_once_take_turns(sandbox: Sandbox) -> None:
    """Four builds started together compile everything once."""
    with ThreadPoolExecutor(4) as pool:
        codes = [answer.returncode for answer in pool.map(lambda _: sandbox.build(), range(4))]
    assert codes == [0, 0, 0, 0]
    assert len(sandbox.asked) == len(set(sandbox.asked))


@pytest.mark.parametrize("arguments", [("nothing",), ("--path", "nothing"), ("--nothing",)])
def test_a_name_that_does_not_exist_is_refused(sandbox: Sandbox, arguments: tuple[str, ...]) -> None:
    """A misspelt family, program or option is an error that repeats it."""
    answer = sandbox.build(*arguments)
    assert answer.returncode == 2
    assert "nothing" in answer.stderr


def test_without_the_programs_every_test_of_theirs_is_skipped_by_name(tmp_path: Path) -> None:
    """A user without them sees what is missing and what to do, and no failure."""
    answer = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "-q", "test_promtool.py"),
        cwd=Path(__file__).parent,
        env=os.environ | {"CI": "", "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stdout
    assert "promtool" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("3 skipped")
