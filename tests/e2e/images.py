# SPDX-License-Identifier: Apache-2.0
"""A container image without a registry: one layer with one static program, as an OCI archive (image-spec 1.0)."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

IMAGE = "docker.io/inferometer/pause:1"
SOURCE = Path(__file__).with_name("pause.c")


def compile_pause(folder: Path) -> Path:
    """Compile the static program that waits."""
    made = folder / "pause"
    subprocess.run(("gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", made, SOURCE), check=True)
    return made


def write(archive: Path, name: str, program: Path) -> None:
    """Write an image whose one process is the program."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    named = {
        **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
    }
    blobs = {f"blobs/sha256/{_digest(blob)}": blob for blob in (layer, config, manifest)}
    index = _json({"schemaVersion": 2, "manifests": [named]})
    archive.write_bytes(_tar({"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs}))


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{_digest(blob)}", "size": len(blob)}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _digest(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()
