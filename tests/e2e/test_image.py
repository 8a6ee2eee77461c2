# SPDX-License-Identifier: Apache-2.0
"""The image: small, nobody's, with nothing that installs, the same from the same source; and the agent in it runs."""

import contextlib
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import inferometer
from e2e.containers import Container, started
from e2e.images import agent_archive
from fakenvml.build import build as build_library
from fakenvml.fakenvml import Gpu, Node
from image.archive import Image, read_archive, unpack
from image.build import ROOT, SOURCES, Request, build, list_of
from image.buildkit import BuildError
from whole.pages import Page, get, scrape

MOST = 200_000_000  # bytes, unpacked
PYTHON = "/opt/inferometer/bin/python3"
TEMPORARY = {"tmp", "var/tmp", "run/lock"}  # every Debian's: with the sticky bit, and read-only in a pod as all else
INSTALLERS = re.compile(
    r"(pip|ensurepip|setuptools|wheel|uv|apt(-get)?|dpkg|gcc|g\+\+|cc|ld|as|make|perl|curl|wget)(-?[\d.]+)?"
)
UNCHECKED = 1  # flags of a .pyc that is never compared with its source (PEP 552)
CONFIG = {
    "period": "500ms",
    "server": {"listen": "127.0.0.1:0"},
    "node": {"name": "n1"},
    "identity": {"podresources": {"enabled": False}, "pods": {"source": "off"}, "processes": {"enabled": False}},
}


@pytest.fixture(scope="module")
def archive() -> Path:
    return agent_archive()


@pytest.fixture(scope="module")
def image(archive: Path) -> Image:
    return read_archive(archive)


@pytest.fixture(scope="module")
def root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image's files, unpacked."""
    folder = tmp_path_factory.mktemp("root")
    folder.chmod(0o755)
    for parent in folder.parents[:2]:  # pytest's own, which user 65532 has to pass
        parent.chmod(0o755)
    unpack(image, folder)
    yield folder
    shutil.rmtree(folder)


def test_it_is_small(image: Image) -> None:
    """All layers together are under 200 MB unpacked."""
    assert 20_000_000 < image.size < MOST


def test_it_says_what_it_is(image: Image) -> None:
    """The labels are the project's facts; it starts the agent, as nobody in particular, and ends by SIGTERM."""
    config = image.config["config"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert said == {
        "title": "Inferometer",
        "description": project["description"],
        "authors": project["authors"][0]["name"],
        "licenses": project["license"],
        "version": inferometer.__version__,
        "source": "",
        "revision": "",
    }
    assert (config["Entrypoint"], config["Cmd"]) == (["inferometer"], ["run"])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert config["StopSignal"] == "SIGTERM"


def test_nothing_in_it_makes_root_and_nobody_may_write(image: Image) -> None:
    """No file has the set-user-ID or set-group-ID bit, all is root's, and others write to temporary folders only."""
    headers = {name: file.header for name, file in image.files.items() if not file.header.issym()}
    assert [name for name, header in headers.items() if header.mode & 0o6000 and header.isreg()] == []
    assert [name for name, header in headers.items() if (header.uid, header.gid) != (0, 0)] == []
    assert {name for name, header in headers.items() if header.mode & 0o002} <= TEMPORARY
    assert [name for name, header in headers.items() if header.isdev()] == []


def test_nothing_in_it_installs_or_compiles(image: Image) -> None:
    """There is no installer and no compiler, as a program or as a package of Python."""
    kept = [name for name in image.files if not name.startswith(("usr/share/", "etc/", "var/lib/"))]
    assert [name for name in kept if INSTALLERS.fullmatch(name.rpartition("/")[2])] == []


def test_it_has_no_tests_and_no_build_left(image: Image) -> None:
    """What the agent was built from stays in the stage that built it."""
    assert [name for name in image.files if name.startswith(("build", "wheels", "trim.py", "root/."))] == []
    package = re.compile(r"opt/inferometer/lib/python3\.\d+/site-packages/inferometer/")
    ours = {name for name in image.files if package.match(name)}
    assert ours
    assert [name for name in ours if "/tests/" in name] == []


def test_everything_is_compiled_once_for_all(image: Image) -> None:
    """Each module of ours and of what we depend on has its bytecode, which no start compares with its source."""
    sources = {name for name in image.files if name.startswith("opt/inferometer/lib/") and name.endswith(".py")}
    compiled = {name: file.content for name, file in image.files.items() if name.endswith(".pyc")}
    modules = {re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", name) for name in compiled}
    assert sources - modules == set()
    assert any(name.endswith("/json/decoder.py") for name in modules)  # of Python itself
    assert [name for name, code in compiled.items() if int.from_bytes(code[4:8], "little") != UNCHECKED] == []


def test_the_list_of_what_is_in_it_is_whole_and_valid(archive: Path, image: Image) -> None:
    """CycloneDX's own schema accepts it; it names what the lock names, with its versions, and every Debian package."""
    text = list_of(archive).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None

    document = json.loads(text)
    listed = {unquote(component["purl"].partition("?")[0]) for component in document["components"]}
    locked = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / "run.txt").read_text(), re.MULTILINE)
    python = {f"pkg:pypi/{name}@{version}" for name, version in [*locked, ("inferometer", inferometer.__version__)]}
    status = image.files["var/lib/dpkg/status"].content
    debian = {BytesParser().parsebytes(stanza)["Package"] for stanza in re.split(rb"\n\n+", status.strip())}
    assert {purl for purl in listed if purl.startswith("pkg:pypi/")} == python
    assert {purl.split("/")[2].split("@")[0] for purl in listed if purl.startswith("pkg:deb/")} == debian
    assert document["metadata"]["component"]["bom-ref"] == image.digest


def copied(folder: Path) -> Path:
    """Copy what an image is built from, as a checkout of another time and place."""
    for name in SOURCES:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy
            )
        else:
            shutil.copy(ROOT / name, target)
    return folder


def test_the_same_source_is_the_same_image_and_another_is_another(archive: Path, image: Image, tmp_path: Path) -> None:
    """Another checkout gives the digest that the first gave; one more line of source gives another."""
    name = "docker.io/inferometer/agent:test"
    context = copied(tmp_path / "checkout")
    again = build(Request(tmp_path / "again.tar", name=name, context=context))
    assert again.digest == image.digest
    assert list_of(tmp_path / "again.tar").read_text() == list_of(archive).read_text()

    with (context / "exporter" / "inferometer" / "__main__.py").open("a") as file:
        file.write("# another\n")
    other = build(Request(tmp_path / "other.tar", name=name, context=context))
    assert other.digest != image.digest
    changed = {n for n, file in other.files.items() if n not in image.files or file.content != image.files[n].content}
    names = {re.sub(r"\.cpython-\d+", "", path.rpartition("/")[2]) for path in changed}
    assert names == {"__main__.py", "__main__.pyc", "RECORD"}


def test_a_build_that_fails_says_why_and_leaves_nothing(image: Image, tmp_path: Path) -> None:
    """A Containerfile that fails is an error with its words; the archive before it stays, and no control group."""
    context = copied(tmp_path / "checkout")
    fails = 'ARG BASE=base\nFROM ${BASE}\nRUN ["python3", "-c", "raise SystemExit(\'it was me\')"]\n'
    (context / "Containerfile").write_text(fails)
    (tmp_path / "failed.tar").write_text("the one before")
    with pytest.raises(BuildError, match="it was me"):
        build(Request(tmp_path / "failed.tar", context=context))
    assert {path.name: path.is_dir() for path in tmp_path.iterdir()} == {"checkout": True, "failed.tar": False}
    assert (tmp_path / "failed.tar").read_text() == "the one before"
    groups = Path("/sys/fs/cgroup")
    assert [*groups.glob(f"inferometer-image-{os.getpid()}"), *groups.glob(f"*/inferometer-image-{os.getpid()}")] == []


def finished(container: Container) -> str:
    assert container.process.wait(120) == 0, container.said
    return container.said


def test_it_says_its_version(root: Path, image: Image, tmp_path: Path) -> None:
    """The entrypoint is on the image's own PATH."""
    with started(root, tmp_path / "version", image.config["config"], ["--version"]) as container:
        assert finished(container).split()[-1] == inferometer.__version__


def test_the_demo_runs_without_a_place_to_write(root: Path, image: Image, tmp_path: Path) -> None:
    """With a temporary folder that is memory, as the demo's simulated node needs one, its page has the simulated GPUs."""
    config = image.config["config"]
    with started(root, tmp_path / "demo", config, ["demo", "--port", "0"], scratch=True) as container:
        url = container.await_said(r"(http://127\.0\.0\.1:\d+)")
        page = settled(url, "hw_gpu_utilization_ratio")
    devices = [dict(labels) for name, labels in page if name.startswith(("hw_", "gpu_"))]
    assert {labels.get("inferometer_simulated") for labels in devices} == {"true"}


def settled(url: str, *names: str) -> Page:
    """Scrape until metrics are there."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):  # before the first snapshot
            page = scrape(url)
            if {*names} <= {series for series, _ in page}:
                return page
        assert time.monotonic() < end, f"not all of {names}"
        time.sleep(0.2)


def test_the_agent_runs_as_nobody_on_a_read_only_root(root: Path, image: Image, tmp_path: Path) -> None:
    """With a driver and a configuration mounted it serves the GPU's series; it has no capability, and ends when told."""
    driver = tmp_path / "driver"
    driver.mkdir()
    build_library(driver)
    Node((Gpu("GPU-00000000-0000-4000-8000-00000000e2e0"),)).write(driver / "gpus.txt")
    (driver / "inferometer.yaml").write_text(yaml.safe_dump(CONFIG))
    with started(
        root,
        tmp_path / "agent",
        image.config["config"],
        ["run", "--config", "/mounted/inferometer.yaml"],
        environment={"LD_LIBRARY_PATH": "/mounted", "FAKENVML": "/mounted/gpus.txt"},
        mounts={driver: "/mounted"},
    ) as container:
        url = container.await_said(r"listening on (http://127\.0\.0\.1:\d+)")
        page = settled(url, "hw_gpu_utilization_ratio", "gpu_info")
        assert [value for (name, _), value in page.items() if name == "gpu_info"] == [1.0]
        assert get(f"{url}/healthz", accept="*/*")
        assert container.stop() == 0, container.said
    assert "Traceback" not in container.said


def test_what_runs_in_it_can_write_nowhere(root: Path, image: Image, tmp_path: Path) -> None:
    """From inside: user 65532, no capability, no new privileges, and not one folder that takes a file."""
    look = (
        "import os, json\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
        "folders = [d for d, _, _ in os.walk('/') if not d.startswith(('/proc', '/sys')) and os.access(d, os.W_OK)]\n"
        "print(json.dumps([os.getuid(), os.getgid(), status['CapEff'].strip(), status['NoNewPrivs'].strip(), folders]))\n"
    )
    config = {**image.config["config"], "Entrypoint": [PYTHON]}
    with started(root, tmp_path / "look", config, ["-c", look]) as container:
        assert json.loads(finished(container)) == [65532, 65532, "0" * 16, "1", []]


def test_it_trusts_the_public_authorities(root: Path, image: Image, tmp_path: Path) -> None:
    """A receiver of pushes with a public certificate is believed without further settings."""
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    config = {**image.config["config"], "Entrypoint": [PYTHON]}
    with started(root, tmp_path / "trust", config, ["-c", count]) as container:
        assert int(finished(container)) > 50
