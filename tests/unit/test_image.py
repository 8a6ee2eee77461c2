# SPDX-License-Identifier: Apache-2.0
"""The image's parts that need no root: its base, how its layers are read, and the list of what is in it."""

import gzip
import io
import json
import re
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from image import buildkit, debian
from image.archive import Image, read_archive
from image.build import untagged
from image.debian import NotDebianError
from image.layout import build_layout, digest, entry, pack, write_archive
from image.sbom import write_sbom
from image.wheels import DownloadError, fetch

ROOT = Path(__file__).parents[2]

METADATA = """\
Metadata-Version: 2.4
Name: Some_Thing
Version: 1.2.3
License-Expression: MIT

Its words.
"""
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: GNU C Library
 with a second line

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def image_of(folder: Path, files: Mapping[str, str], **config: object) -> Image:
    """An image of these files, written and read."""
    layer = pack([(entry(name), content.encode()) for name, content in files.items()])
    write_archive(folder / "image.tar", build_layout(layer, config))
    return read_archive(folder / "image.tar")


@pytest.fixture(scope="module")
def base() -> Mapping[str, bytes]:
    try:
        return debian.build_base()
    except NotDebianError as error:
        pytest.skip(str(error))


def test_the_base_is_the_same_each_time(base: Mapping[str, bytes]) -> None:
    """Its digest is decided by the packages alone."""
    assert debian.build_base() == base


def test_the_base_has_what_the_agent_needs_and_what_it_must_not_keep(base: Mapping[str, bytes], tmp_path: Path) -> None:
    """Python and certificates are there, and so are pip and set-user-ID programs, as in common images of Python."""
    write_archive(tmp_path / "base.tar", base)
    files = read_archive(tmp_path / "base.tar").files
    assert {"usr/bin/python3", "etc/ssl/certs/ca-certificates.crt", "etc/passwd", "bin", "tmp"} <= set(files)
    assert [name for name, file in files.items() if file.header.mode & 0o4000]
    assert [name for name in files if name.endswith("/pip/__main__.py")]
    assert {file.header.mtime for file in files.values()} == {0}
    assert {(file.header.uid, file.header.uname) for file in files.values()} == {(0, "")}
    assert [
        name for name in files if name.startswith(("root/", "home/", "lib/", "usr/local/share/ca-certificates/"))
    ] == []


def test_what_packages_need_is_found_once_and_without_installers() -> None:
    """The closure has the libraries of a program, in one order, and nothing that is left out."""
    try:
        found = debian.close(("python3",))
    except NotDebianError as error:
        pytest.skip(str(error))
    assert {"python3", "python3-minimal", "libc6"} <= set(found)
    assert list(found) == sorted(set(found))
    assert not debian.LEFT_OUT & set(found)


def test_a_package_that_is_not_there_is_an_error_that_names_it() -> None:
    """A machine without Debian, or without a package, says which."""
    with pytest.raises(NotDebianError, match=r"no-such-package|dpkg"):
        debian.close(("no-such-package",))


def layer(*members: tuple[str, str], packed: bool = False) -> bytes:
    raw = pack([(entry(name), content.encode()) for name, content in members])
    return gzip.compress(raw) if packed else raw


def archive_of(path: Path, *layers: bytes) -> Path:
    """An image of several layers."""
    manifest = json.dumps({"config": {"digest": digest(b"{}")}, "layers": [{"digest": digest(one)} for one in layers]})
    blobs = (b"{}", manifest.encode(), *layers)
    files = {f"blobs/{digest(blob).replace(':', '/')}": blob for blob in blobs}
    index = json.dumps({"manifests": [{"digest": digest(manifest.encode())}]}).encode()
    write_archive(path, {"index.json": index, **files})
    return path


def test_a_later_layer_replaces_and_takes_away(tmp_path: Path) -> None:
    """Whiteouts take away a file, or a folder with all in it; an opaque folder forgets what was below it."""
    first = layer(
        ("kept", "1"), ("replaced", "1"), ("file", "1"), ("folder/a", "1"), ("opaque/b", "1"), ("folders", "1")
    )
    second = layer(("replaced", "2"), (".wh.file", ""), (".wh.folder", ""), ("opaque/.wh..wh..opq", ""), packed=True)
    third = layer(("opaque/c", "3"))
    image = read_archive(archive_of(tmp_path / "image.tar", first, second, third))
    content = {name: file.content.decode() for name, file in image.files.items()}
    assert content == {"kept": "1", "replaced": "2", "folders": "1", "opaque/c": "3"}
    assert image.size == 4


def test_a_second_name_of_a_file_has_its_content(tmp_path: Path) -> None:
    """A hard link counts and reads as the file it names."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        file = entry("./first")
        file.size = 3
        tar.addfile(file, io.BytesIO(b"abc"))
        link = entry("./second")
        link.type, link.linkname = tarfile.LNKTYPE, "./first"
        tar.addfile(link)
    image = read_archive(archive_of(tmp_path / "image.tar", made.getvalue()))
    assert {name: file.content for name, file in image.files.items()} == {"first": b"abc", "second": b"abc"}


def test_the_list_names_each_kind_of_package_and_is_the_same_each_time(tmp_path: Path) -> None:
    """Python's packages by their metadata, Debian's where they are installed, and a Python that came by itself."""
    image = image_of(
        tmp_path,
        {
            "opt/x/lib/python3.13/site-packages/some_thing-1.2.3.dist-info/METADATA": METADATA,
            "var/lib/dpkg/status": STATUS,
        },
        Env=["PATH=/usr/bin", "PYTHON_VERSION=3.13.9"],
    )
    text = write_sbom(image, "docker.io/inferometer/agent", 1_600_000_000)
    document = json.loads(text)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert sorted(component["purl"] for component in document["components"]) == [
        "pkg:deb/debian/libc6@2.36-9?arch=amd64",
        "pkg:generic/python@3.13.9",
        "pkg:pypi/some-thing@1.2.3",
    ]
    assert document["metadata"]["timestamp"] == "2020-09-13T12:26:40+00:00"
    assert write_sbom(image, "docker.io/inferometer/agent", 1_600_000_000) == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("docker.io/inferometer/agent:0.1.0", "docker.io/inferometer/agent"),
        ("localhost:5000/agent:0.1.0", "localhost:5000/agent"),
        ("localhost:5000/agent", "localhost:5000/agent"),
        ("agent", "agent"),
    ],
)
def test_an_image_is_listed_by_its_name_without_a_tag(name: str, said: str) -> None:
    """Where it has no tag, all of it is the name, and a registry's port is no tag."""
    assert untagged(name) == said


@pytest.mark.parametrize("status", ["", "\n\n", "no stanza"])
def test_an_image_without_packages_has_an_empty_list(tmp_path: Path, status: str) -> None:
    """Nothing is made up where a base keeps no status of packages, or none that can be read."""
    document = json.loads(write_sbom(image_of(tmp_path, {"var/lib/dpkg/status": status}), "x", 0))
    assert document.get("components", []) == []


def test_wheels_that_are_not_to_be_had_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is pip's, and the next build begins anew; a folder that is there is not fetched again."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    lock = tmp_path / "run.txt"
    lock.write_text(f"no-such-thing==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(DownloadError, match="no-such-thing"):
        fetch([lock], "3.11", tmp_path / "cache" / "wheels")
    assert [*(tmp_path / "cache").iterdir()] == []
    (tmp_path / "cache" / "wheels").mkdir()
    fetch([lock], "3.11", tmp_path / "cache" / "wheels")


def test_a_builds_control_groups_are_removed_once_their_processes_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that still ends keeps its group: it is waited for."""
    process = tmp_path / "cpu" / "group" / "step" / "process"
    process.parent.mkdir(parents=True)
    process.touch()
    monkeypatch.setattr(buildkit, "_GROUPS", tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _: process.unlink(missing_ok=True))
    buildkit._remove("group")
    assert [*(tmp_path / "cpu").iterdir()] == []


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """Whatever the Containerfile takes from the checkout is let through by .dockerignore, and names no host."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    mounted = re.findall(r"type=bind,source=(\S+?),", text)
    assert {f"!{name}" for line in copied for name in line.split()} | {f"!{name}" for name in mounted} == {
        line for line in ignored if line.startswith("!")
    }
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+-slim", base)
