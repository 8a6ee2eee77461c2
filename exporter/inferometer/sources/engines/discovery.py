# SPDX-License-Identifier: Apache-2.0
"""Which engines to scrape: those that the configuration names, and those that this node's pods announce. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from inferometer import config
from inferometer.model import Pod, Target
from inferometer.sources.engines.access import problems_of
from inferometer.sources.engines.announced import announced_by, container_of
from inferometer.sources.engines.configured import configured_in
from inferometer.sources.engines.refusal import Refusal, Refused
from inferometer.sources.engines.urls import address_of

__all__ = ["Discovered", "Refusal", "discover"]


class Discovered(NamedTuple):
    """What to scrape, in a stable order, and what was refused. `dropped` counts what `engines.max_targets` cut off."""

    targets: tuple[Target, ...]
    refused: tuple[Refusal, ...] = ()
    dropped: int = 0


def discover(settings: config.Engines, pods: Sequence[Pod]) -> Discovered:
    """Find the engines to scrape. The same input gives the same targets, each `instance` and each host and port once.

    Configured targets come first, then the pods' by namespace and name. A configured target at a pod's address gets that
    pod's identity, and the pod's own announcement of it is left out.
    """
    refused = [
        Refusal(f"engines.credentials[{i}]", problem, "Correct the entry; no engine is asked with it.")
        for i, problem in problems_of(settings.credentials).items()
    ]
    announced = _announced(settings, pods, refused)
    at_address = {address_of(target.url): target for target in reversed(announced)}
    named = [_identify(t, at_address.get(address_of(t.url)), pods) for t in configured_in(settings, refused)]
    targets = _once(named, announced, refused)
    return Discovered(targets[: settings.max_targets], tuple(refused), max(0, len(targets) - settings.max_targets))


def _once(named: Iterable[Target], announced: Iterable[Target], refused: list[Refusal]) -> tuple[Target, ...]:
    """Give every name once, and every page of a pod: two pods at one, on the host's network, would count twice."""
    targets = {target.instance: target for target in named}
    configured = {address_of(target.url) for target in targets.values()}
    asked: dict[str, str] = {}
    for target in announced:
        if address_of(target.url) in configured:
            continue
        if target.instance in targets:
            refused.append(Refusal(target.instance, "another target has this name", "Wait for the older pod's end."))
        elif target.url in asked:
            refused.append(Refusal(target.instance, f"{asked[target.url]} is asked at the same URL"))
        else:
            targets[target.instance], asked[target.url] = target, target.instance
    return tuple(targets.values())


def _announced(settings: config.Engines, pods: Iterable[Pod], refused: list[Refusal]) -> list[Target]:
    found: list[Target] = []
    for pod in sorted(pods, key=lambda p: (p.namespace, p.name, p.uid)) if settings.discovery.enabled else ():
        try:
            found += announced_by(pod, settings)
        except Refused as refusal:
            refused.append(refusal.at(f"{pod.namespace}/{pod.name}"))
    return found


def _identify(target: Target, announced: Target | None, pods: Iterable[Pod]) -> Target:
    """Give a configured target the identity of its pod, as far as it is certain."""
    if target.pod:
        pod = next((p for p in pods if (p.namespace, p.name) == (target.namespace, target.pod)), None)
        if pod is None:
            return target
        return replace(target, pod_uid=pod.uid, container=container_of(pod, address_of(target.url)[1]))
    if announced is None:
        return target
    own = announced
    return replace(target, namespace=own.namespace, pod=own.pod, pod_uid=own.pod_uid, container=own.container)
