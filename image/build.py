# SPDX-License-Identifier: Apache-2.0
"""Build the image: wheels and a base first, then the Containerfile, then the list of what is in it."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from image import debian
from image.archive import Image, read_archive
from image.buildkit import find, require, solve
from image.layout import manifest_digest, write_folder
from image.sbom import write_sbom
from image.wheels import fetch
from inferometer import __version__

ROOT = Path(__file__).parents[1]
NAME = "docker.io/inferometer/agent"
EPOCH = 1577836800  # 2020-01-01: what has no better time is of this one
# Everything that decides an image, beside its base.
SOURCES = (
    *("Containerfile", ".dockerignore", "LICENSE", "NOTICE", "README.md", "pyproject.toml"),
    *("requirements/run.txt", "requirements/build.txt", "exporter", "image"),
)
_LOCKS = ("requirements/run.txt", "requirements/build.txt")
_KEPT = 8  # images in the cache; others go, the oldest first


@dataclass(frozen=True)
class Request:
    """What is to be built.

    Args:
        archive: the OCI archive to write; the list of what is in it stands beside it, as .cdx.json.
        name: registry, repository and tag.
        base: an image of a registry; empty for one of this machine's Debian packages, which needs no network.
        epoch: the time of everything in it, in seconds, as SOURCE_DATE_EPOCH.
        source: where the source is to be had, for its label.
        revision: the commit, for its label.
        context: the checkout.
    """

    archive: Path
    name: str = f"{NAME}:{__version__}"
    base: str = ""
    epoch: int = EPOCH
    source: str = ""
    revision: str = ""
    context: Path = ROOT


def build(request: Request) -> Image:
    """Build, and write the archive and its list, or neither.

    Raises MissingError, NotDebianError, DownloadError and BuildError.
    """
    require()
    archive = request.archive.absolute()
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=archive.parent, prefix=".image-") as made,
        tempfile.TemporaryDirectory(prefix="image-base-") as base,
    ):
        fresh = Path(made) / archive.name
        where = [f"--opt=build-arg:BASE={request.base}"] if request.base else _without_network(request, Path(base))
        solve((*_arguments(request, fresh), *where))
        fresh.chmod(0o644)  # buildctl lets everyone write
        image = read_archive(fresh)
        listed = write_sbom(image, untagged(request.name), request.epoch)
        list_of(archive).write_text(listed, encoding="utf-8")
        fresh.rename(archive)
    return image


def cached(name: str = f"{NAME}:test") -> Path:
    """Give an archive of this checkout's image from the user's cache, built where it is not there.

    Raises MissingError, NotDebianError, DownloadError and BuildError.
    """
    require()
    archive = _cache() / f"agent-{_key(name)}.tar"
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once build once
        if not archive.exists():
            build(Request(archive, name=name))
            for old in sorted(_cache().glob("agent-*.tar"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
                old.unlink()
                list_of(old).unlink(missing_ok=True)
        os.utime(archive)  # used now
    return archive


def list_of(archive: Path) -> Path:
    """Give where the list of what is in an archive stands."""
    return archive.with_suffix(".cdx.json")


def untagged(name: str) -> str:
    """Give an image's name without its tag, if it has one: what follows a colon before a slash is a registry's port."""
    repository, _, tag = name.rpartition(":")
    return repository if repository and "/" not in tag else name


def _arguments(request: Request, archive: Path) -> Iterator[str]:
    """Give what every build is told."""
    yield "--frontend=dockerfile.v0"
    yield f"--local=context={request.context}"
    yield f"--local=dockerfile={request.context}"
    yield "--opt=filename=Containerfile"
    for name, value in (
        ("VERSION", __version__),
        ("SOURCE", request.source),
        ("REVISION", request.revision),
        ("SOURCE_DATE_EPOCH", request.epoch),
        ("BUILDKIT_DOCKERFILE_CHECK", "error=true"),  # what BuildKit would warn of in the Containerfile
    ):
        yield f"--opt=build-arg:{name}={value}"
    yield f"--output=type=oci,dest={archive},name={request.name},rewrite-timestamp=true"


def _without_network(request: Request, scratch: Path) -> list[str]:
    """Make the base and fetch the wheels; gives what a build without any network is told of them."""
    python = debian.python_version()
    locks = [request.context / name for name in _LOCKS]
    wheels = _cache() / f"wheels-{python}-{_hash(file.read_bytes() for file in locks)}"
    fetch(locks, python, wheels)
    write_folder(scratch, debian.build_base())
    return [
        f"--oci-layout=base={scratch}",
        f"--opt=context:base=oci-layout://base@{manifest_digest(scratch)}",
        "--opt=build-arg:BASE=base",
        f"--local=wheels={wheels}",
        "--opt=context:wheels=local:wheels",
        "--opt=build-arg:PIP_NO_INDEX=1",
        "--opt=force-network-mode=none",
    ]


def _key(name: str) -> str:
    """Give what is another where the image may be another."""
    decided = (name, str(find("buildkitd")), *debian.versions())
    return _hash((*(word.encode() for word in decided), *_contents(ROOT)))


def _contents(root: Path) -> Iterator[bytes]:
    for name in SOURCES:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
            if file.is_file() and file.suffix != ".pyc":
                yield str(file.relative_to(root)).encode()
                yield file.read_bytes()


def _hash(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "inferometer" / "image"
