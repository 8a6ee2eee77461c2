# SPDX-License-Identifier: Apache-2.0
"""What an image is made of, as a CycloneDX 1.6 document: Python's packages, Debian's, and the Python itself."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from image.archive import Image

_METADATA = re.compile(r".*\.(dist-info/METADATA|egg-info/PKG-INFO)")
_STATUS = "var/lib/dpkg/status"
_PREFIX = "org.opencontainers.image."


def write_sbom(image: Image, name: str, epoch: int) -> str:
    """Give the document: the same for the same image.

    Args:
        image: what it is about.
        name: the image's, without a tag.
        epoch: when it was made, in seconds, as SOURCE_DATE_EPOCH.
    """
    components = sorted((*_python_packages(image), *_debian_packages(image), *_interpreter(image)), key=str)
    labels = image.config["config"].get("Labels", {})
    about = Component(
        name=name,
        version=labels.get(f"{_PREFIX}version") or None,
        type=ComponentType.CONTAINER,
        bom_ref=image.digest,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=image.digest.removeprefix("sha256:"))],
    )
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=about, timestamp=datetime.fromtimestamp(epoch, UTC)),
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, image.digest),
    )
    bom.register_dependency(about, components)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _python_packages(image: Image) -> Iterator[Component]:
    licences = LicenseFactory()
    for path, file in image.files.items():
        if _METADATA.fullmatch(path):
            metadata = BytesParser().parsebytes(file.content, headersonly=True)
            name, version = metadata["Name"], metadata["Version"]
            said = _licence(metadata)
            yield Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=f"{name}=={version}",
                purl=PackageURL("pypi", None, name.lower().replace("_", "-"), version),
                licenses=[licences.make_from_string(said)] if said else (),
            )


def _licence(metadata: Message) -> str:
    """Give what a package says of its licence in one line; some put the whole text there."""
    said = metadata["License-Expression"] or metadata["License"] or ""
    return "" if "\n" in said.strip() else said.strip()


def _debian_packages(image: Image) -> Iterator[Component]:
    """Read what is installed as dpkg has it, which is where scanners look too."""
    status = image.files.get(_STATUS)
    for stanza in re.split(rb"\n\n+", status.content.strip()) if status and status.content.strip() else ():
        package = BytesParser().parsebytes(stanza, headersonly=True)
        if package["Status"] == "install ok installed":
            name, version, architecture = package["Package"], package["Version"], package["Architecture"]
            yield Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=f"{name}_{version}_{architecture}",
                purl=PackageURL("deb", "debian", name, version, {"arch": architecture}),
            )


def _interpreter(image: Image) -> Iterator[Component]:
    """Give the Python of an image that compiled its own: no package manager knows it, but the environment says it."""
    for variable in image.config["config"].get("Env", ()):
        name, _, version = variable.partition("=")
        if name == "PYTHON_VERSION":
            yield Component(
                name="python",
                version=version,
                type=ComponentType.PLATFORM,
                bom_ref=f"python@{version}",
                purl=PackageURL("generic", None, "python", version),
            )
