# SPDX-License-Identifier: Apache-2.0
"""The engines that the configuration names. No I/O."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from inferometer import config
from inferometer.model import Target
from inferometer.sources.engines.access import refuse_target
from inferometer.sources.engines.dialects import BY_NAME
from inferometer.sources.engines.refusal import Refusal
from inferometer.sources.engines.urls import host_of


def configured_in(settings: config.Engines, refused: list[Refusal]) -> Iterator[Target]:
    """Give the targets of `engines.targets`; what is wrong with one joins `refused`, and the others stay."""
    hosts = Counter(host_of(entry.url) for entry in settings.targets)
    seen: set[str] = set()
    for i, entry in enumerate(settings.targets):
        host = host_of(entry.url)
        path = urlsplit(entry.url).path if host else ""
        instance = host + path if hosts[host] > 1 and path != "/metrics" else host
        place = f"engines.targets[{i}]"
        if problem := _problem(entry, instance, seen) or refuse_target(entry.credentials, settings.credentials):
            refused.append(Refusal(place, problem))
            continue
        seen.add(instance)
        yield Target(
            instance=instance,
            url=entry.url,
            engine=entry.engine,
            namespace=entry.namespace,
            pod=entry.pod,
            headers=entry.headers,
            credentials=entry.credentials,
            period=float(entry.period),
            deadline=float(entry.deadline),
            found=place,
        )


def _problem(entry: config.TargetConfig, instance: str, seen: set[str]) -> str:
    """Say what is wrong with a target; `instance` is empty for a URL that cannot be scraped."""
    if not instance:
        return "the URL needs http or https, and a host"
    if entry.engine and entry.engine not in BY_NAME:
        return f"unknown engine {entry.engine!r}"
    return f"{instance} is named twice" if instance in seen else ""
