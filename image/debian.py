# SPDX-License-Identifier: Apache-2.0
"""A base image of this machine's own Debian packages, for where no registry is: what `python:3-slim` has, and its traps.

The traps are pip, a shell and programs with the set-user-ID bit: what the Containerfile has to remove.
"""

import functools
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pip

from image.layout import build_layout, entry, pack

# Every Debian has the C++ library, by apt, and gRPC's wheel takes it from there. `login` for its set-user-ID programs.
ROOTS = (
    *("python3", "ca-certificates", "base-files", "base-passwd", "libc-bin", "libstdc++6", "netbase", "tzdata"),
    *("dash", "login"),
)
# What only installs packages or asks their administrator, and what comes with that.
LEFT_OUT = frozenset({"debconf", "debianutils", "dpkg", "libpam-modules", "libpam-runtime", "perl-base"})
_UNREAD = re.compile(r"/usr/share/(man|info|locale|lintian|doc(?!/[^/]+/copyright$)/[^/]+/.)|.*/__pycache__|.*\.pyc$")
_MERGED = re.compile(r"^/(bin|sbin|lib|lib32|lib64|libx32)(?=/|$)")  # links into /usr since Debian 12
_LINKS = ("bin", "lib", "lib64", "sbin")
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "run/lock": 0o1777, "root": 0o700}
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Member = tuple[tarfile.TarInfo, bytes]


class NotDebianError(Exception):
    """This machine is no Debian, or lacks a package; the message names it."""


def build_base() -> dict[str, bytes]:
    """Give the layout of the base image. Raises NotDebianError."""
    packages = close(ROOTS)
    architecture = _ask("dpkg", "--print-architecture").strip()
    members = {header.name: (header, content) for header, content in _members(packages)}
    config = {"Env": [f"PATH={_PATH}"], "Cmd": ["python3"]}
    return build_layout(pack([members[name] for name in sorted(members)]), config, architecture)


def versions() -> tuple[str, ...]:
    """Give what decides the base: its packages and pip, each with its version. Raises NotDebianError."""
    said = _ask("dpkg-query", "-W", "-f", "${Package}=${Version}\\n", *close(ROOTS))
    return (*sorted(said.split()), f"pip={pip.__version__}")


def python_version() -> str:
    """Give the version of the base's Python, as 3.11. Raises NotDebianError."""
    return ".".join(_ask("dpkg-query", "-W", "-f", "${Version}", "python3").split(".")[:2])


@functools.cache
def close(roots: Sequence[str]) -> tuple[str, ...]:
    """Give packages with all that they depend on, as far as it is installed, in the order of their names."""
    wanted, found = list(roots), set[str]()
    while wanted:
        name = wanted.pop()
        if name in found or name in LEFT_OUT:
            continue
        found.add(name)
        for alternatives in _ask("dpkg-query", "-W", "-f", "${Pre-Depends},${Depends}", name).split(","):
            names = [re.split(r"[\s(:]", choice.strip())[0] for choice in alternatives.split("|")]
            wanted.extend([choice for choice in names if choice and _is_installed(choice)][:1])
    return tuple(sorted(found))


def _members(packages: Sequence[str]) -> Iterator[Member]:
    for name in _LINKS:
        yield _link(name, f"usr/{name}"), b""
    for package in packages:
        for path in _ask("dpkg-query", "-L", package).splitlines():
            if path.startswith("/") and path != "/." and not _UNREAD.match(path):
                yield from _read(Path(path), _MERGED.sub(r"/usr/\1", path)[1:])
    for name, mode in _FOLDERS.items():
        yield _folder(name, mode), b""
    yield from _settle(packages)
    yield from _pip()


def _settle(packages: Sequence[str]) -> Iterator[Member]:
    """Do what the packages' own scripts do when they are installed; dpkg's status is there for who counts packages."""
    masters = Path("/usr/share/base-passwd")
    for name in ("passwd", "group"):
        yield entry(f"etc/{name}"), (masters / f"{name}.master").read_bytes()
    # Of the package, and not this machine's own bundle, which may have authorities of its own.
    authorities = sorted(Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))
    yield entry(_BUNDLE), b"".join(file.read_bytes() for file in authorities)
    yield entry("var/lib/dpkg/status"), _ask("dpkg-query", "-s", *packages).encode()


def _pip() -> Iterator[Member]:
    """Put pip beside Debian's packages, as `python:3-slim` has it."""
    source = Path(pip.__file__).parent
    target = f"usr/local/lib/python{python_version()}/dist-packages/pip"
    for file in sorted(source.rglob("*")):
        if file.is_file() and not _UNREAD.match(str(file)):
            yield entry(f"{target}/{file.relative_to(source)}"), file.read_bytes()


def _read(path: Path, name: str) -> Iterator[Member]:
    try:
        status = path.lstat()
    except FileNotFoundError:  # left out by the machine's administrator (dpkg's path-exclude)
        return
    if stat.S_ISDIR(status.st_mode):
        if name not in _LINKS:
            yield _folder(name, stat.S_IMODE(status.st_mode)), b""
    elif stat.S_ISLNK(status.st_mode):
        if name.removeprefix("usr/") not in _LINKS:
            yield _link(name, str(path.readlink())), b""
    else:
        yield entry(name, stat.S_IMODE(status.st_mode)), path.read_bytes()


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    made = entry(name, mode)
    made.type = tarfile.DIRTYPE
    return made


def _link(name: str, target: str) -> tarfile.TarInfo:
    made = entry(name, 0o777)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made


@functools.cache
def _is_installed(package: str) -> bool:
    answer = subprocess.run(
        ("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package), capture_output=True, text=True, check=False
    )
    return answer.stdout.startswith("ii")


def _ask(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise NotDebianError(f"{command[0]} is missing: the base is made of this machine's Debian packages")
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if answer.returncode != 0:
        raise NotDebianError(answer.stderr.strip())
    return answer.stdout
