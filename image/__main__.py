# SPDX-License-Identifier: Apache-2.0
"""`python -m image`: build the image as an OCI archive, with the list of what is in it beside it."""

import argparse
import os
import sys
from pathlib import Path

from image.build import EPOCH, NAME, Request, build, list_of
from image.buildkit import BuildError, MissingError
from image.debian import NotDebianError
from image.wheels import DownloadError
from inferometer import __version__


def main() -> int:
    """Build by the command line; SOURCE_DATE_EPOCH is honoured. Gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m image", description=__doc__)
    parser.add_argument("--archive", type=Path, default=Path("build/image.tar"), help="what to write")
    parser.add_argument("--name", default=f"{NAME}:{__version__}", help="registry, repository and tag")
    parser.add_argument("--base", default="", help="an image of a registry; else this machine's Debian packages")
    parser.add_argument("--source", default="", help="the address of the source, for the label")
    parser.add_argument("--revision", default="", help="the commit, for the label")
    asked = parser.parse_args()
    try:
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH)
        image = build(Request(epoch=epoch, **vars(asked)))
    except (BuildError, DownloadError, MissingError, NotDebianError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # a program for developers: it prints
        return 1
    size = image.size / 1e6
    print(f"{asked.archive}: {asked.name} {image.digest}, {size:.0f} MB unpacked")  # noqa: T201  # as above
    print(f"{list_of(asked.archive)}: what is in it")  # noqa: T201  # as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
