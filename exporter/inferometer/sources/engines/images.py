# SPDX-License-Identifier: Apache-2.0
"""Which engine an image is of, by the end of its name: mirrors change what precedes it. No I/O."""

from fnmatch import fnmatchcase

from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.dialects import DIALECTS


def engine_of(image: str) -> Dialect | None:
    """Give the engine of an image reference (`registry:5000/mirror/vllm/vllm-openai:v0.11@sha256:...`), if it is known."""
    parts = repository(image).split("/")
    return next((d for d in DIALECTS if any(_ends(parts, pattern.split("/")) for pattern in d.images)), None)


def repository(image: str) -> str:
    """Give an image's name without its tag and digest; a colon before a slash is a registry's port."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def usual_ports(engine: Dialect) -> tuple[int, ...]:
    """Give the ports that an engine is known to listen on, the likeliest first."""
    return (engine.port, *engine.other_ports)


def _ends(parts: list[str], patterns: list[str]) -> bool:
    last = parts[-len(patterns) :]
    return len(last) == len(patterns) and all(map(fnmatchcase, last, patterns))
