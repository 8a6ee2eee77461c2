# SPDX-License-Identifier: Apache-2.0
"""An image as files: a layer, a configuration and what names them, as an OCI image layout (image-spec 1.1)."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def build_layout(
    layer: bytes, config: Mapping[str, object], architecture: str = "amd64", name: str = ""
) -> dict[str, bytes]:
    """Give the files of a layout with one image of one layer.

    Args:
        layer: an uncompressed tar.
        config: what a container gets: `Entrypoint`, `Env` and so on.
        architecture: of the programs in it, as Go names it.
        name: registry, repository and tag; empty for an image that is known by its digest only.
    """
    description = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, description),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    entry = _descriptor(_MANIFEST, manifest)
    if name:
        entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    blobs = {f"blobs/{digest(blob).replace(':', '/')}": blob for blob in (layer, description, manifest)}
    index = _json({"schemaVersion": 2, "manifests": [entry]})
    return {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a layout below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def write_archive(archive: Path, files: Mapping[str, bytes]) -> None:
    """Write a layout as one tar."""
    archive.write_bytes(pack([(entry(name), content) for name, content in files.items()]))


def entry(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    """Give the header of a regular file that is root's and as old as time."""
    made = tarfile.TarInfo(name)
    made.mode = mode
    return made


def pack(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Give the tar of these members, in this order; content is for regular files only."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for header, content in members:
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return made.getvalue()


def digest(blob: bytes) -> str:
    """Give the name of a blob: its hash, with the algorithm's name before it."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def manifest_digest(folder: Path) -> str:
    """Give the digest of the one image of a layout."""
    (only,) = json.loads((folder / "index.json").read_text(encoding="utf-8"))["manifests"]
    found: str = only["digest"]
    return found


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(blob), "size": len(blob)}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
