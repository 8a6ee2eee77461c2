# SPDX-License-Identifier: Apache-2.0
"""What is in an image: the files that its layers make together, read from an OCI archive."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image.layout import pack

_WHITEOUT = ".wh."  # before the name of what a layer takes away (image-spec, "Whiteouts")
_OPAQUE = ".wh..wh..opq"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class File:
    """One entry of the file system; content is a regular file's."""

    header: tarfile.TarInfo
    content: bytes = b""


@dataclass(frozen=True)
class Image:
    """An image: what it is named by, what a container gets, and its files by their names, without a slash before."""

    digest: str
    config: Mapping[str, Any]
    files: Mapping[str, File]

    @property
    def size(self) -> int:
        """The bytes of all regular files, unpacked."""
        return sum(len(file.content) for file in self.files.values())


def read_archive(archive: Path) -> Image:
    """Read an OCI archive with one image."""
    with tarfile.open(archive) as tar:
        (named,) = _json(tar, "index.json")["manifests"]
        manifest = _json(tar, _place(named["digest"]))
        config = _json(tar, _place(manifest["config"]["digest"]))
        files: dict[str, File] = {}
        for layer in manifest["layers"]:
            _apply(files, _read(tar, _place(layer["digest"])))
    return Image(named["digest"], config, files)


def unpack(image: Image, folder: Path) -> None:
    """Write the files below an empty folder, with owners and modes as they are in the image: that needs root."""
    packed = pack([(file.header, file.content) for _, file in sorted(image.files.items())])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="fully_trusted")  # noqa: S202  # an image that we built, whole


def _apply(files: dict[str, File], layer: bytes) -> None:
    """Lay a layer over what is there."""
    raw = gzip.decompress(layer) if layer.startswith(_GZIP) else layer
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for header in tar:
            header.name = header.name.removeprefix("./").rstrip("/")
            folder, _, name = header.name.rpartition("/")
            if name == _OPAQUE:
                _remove(files, f"{folder}/")
            elif name.startswith(_WHITEOUT):
                gone = f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/")
                files.pop(gone, None)
                _remove(files, f"{gone}/")
            elif header.islnk():  # one file by two names: here two files
                header.type = tarfile.REGTYPE
                files[header.name] = File(header, files[header.linkname.removeprefix("./")].content)
            elif header.name:
                content = tar.extractfile(header) if header.isreg() else None
                files[header.name] = File(header, content.read() if content else b"")


def _remove(files: dict[str, File], below: str) -> None:
    for name in [name for name in files if name.startswith(below)]:
        del files[name]


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"  # noqa: S101  # an archive that BuildKit wrote
    return file.read()


def _json(tar: tarfile.TarFile, name: str) -> Any:
    return json.loads(_read(tar, name))
