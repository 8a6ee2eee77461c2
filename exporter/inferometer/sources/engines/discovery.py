# SPDX-License-Identifier: Apache-2.0
"""Which engines to scrape: those that the configuration names, and those that this node's pods announce. No I/O.

What a pod says about itself is not trusted further than the pod: only its port, path and scheme can be chosen, never the
host. `prometheus.io/*` annotations count only on a pod that something else marks as an engine.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from inferometer import config
from inferometer.model import Pod, Target
from inferometer.sources.engines.dialects import BY_NAME

_OURS, _THEIRS = "inferometer/", "prometheus.io/"
_SCHEMES = {"http": 80, "https": 443}
# Origin-form only: no host, no white space, no fragment. RFC 9112 section 3.2.1.
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,255}(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,255})?")
_MAX_PORTS = 8  # of one pod


class Refusal(NamedTuple):
    """A target that was announced and is not scraped. `place` is `namespace/pod`, or `engines.targets[i]`."""

    place: str
    reason: str


class Discovered(NamedTuple):
    """What to scrape, in a stable order, and what was refused. `dropped` counts what `engines.max_targets` cut off."""

    targets: tuple[Target, ...]
    refused: tuple[Refusal, ...] = ()
    dropped: int = 0


class _Refused(Exception):  # noqa: N818  # control flow, turned into a Refusal
    pass


def discover(settings: config.Engines, pods: Sequence[Pod]) -> Discovered:
    """Find the engines to scrape. The same input gives the same targets, each `instance` and each host and port once.

    Configured targets come first, then the pods' by namespace and name. A configured target at a pod's address gets that
    pod's identity, and the pod's own announcement of it is left out.
    """
    refused: list[Refusal] = []
    announced = list(_announced(settings.discovery, pods, refused)) if settings.discovery.enabled else []
    at_address = {_address(target.url): target for target in announced}
    configured = [_identify(t, at_address.get(_address(t.url)), pods) for t in _configured(settings.targets, refused)]
    taken = {_address(target.url) for target in configured}
    wanted = [*configured, *(t for t in announced if _address(t.url) not in taken)]
    targets: dict[str, Target] = {}
    for target in wanted:
        targets.setdefault(target.instance, target)
    refused += [Refusal(t.instance, "another target has this name") for t in wanted if targets[t.instance] is not t]
    kept = tuple(targets.values())[: settings.max_targets]
    return Discovered(kept, tuple(refused), len(targets) - len(kept))


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _SCHEMES[parts.scheme]


# --- configured ---------------------------------------------------------------------------------------------------


def _configured(entries: Iterable[config.TargetConfig], refused: list[Refusal]) -> Iterator[Target]:
    entries = tuple(entries)
    hosts = Counter(_host(entry.url) for entry in entries)
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        host = _host(entry.url)
        path = urlsplit(entry.url).path if host else ""
        instance = host + path if hosts[host] > 1 and path != "/metrics" else host
        problem = (
            "the URL needs http or https, and a host"
            if not host
            else f"unknown engine {entry.engine!r}"
            if entry.engine and entry.engine not in BY_NAME
            else f"{instance} is named twice"
            if instance in seen
            else ""
        )
        if problem:
            refused.append(Refusal(f"engines.targets[{i}]", problem))
            continue
        seen.add(instance)
        yield Target(instance, entry.url, entry.engine, entry.namespace, entry.pod, headers=entry.headers)


def _host(url: str) -> str:
    """Give `host:port` of a URL without what is secret in it; empty if it is none that can be scraped."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            return ""
        port = parts.port or _SCHEMES[parts.scheme]
    except ValueError:
        return ""
    return f"[{parts.hostname}]:{port}" if ":" in parts.hostname else f"{parts.hostname}:{port}"


def _identify(target: Target, announced: Target | None, pods: Iterable[Pod]) -> Target:
    """Give a configured target the identity of its pod, as far as it is certain."""
    if target.pod:
        pod = next((p for p in pods if (p.namespace, p.name) == (target.namespace, target.pod)), None)
        if pod is None:
            return target
        port = _address(target.url)[1]
        return replace(target, pod_uid=pod.uid, container=_container(pod, port))
    if announced is None:
        return target
    own = announced
    return replace(target, namespace=own.namespace, pod=own.pod, pod_uid=own.pod_uid, container=own.container)


# --- announced by pods --------------------------------------------------------------------------------------------


def _announced(settings: config.Discovery, pods: Iterable[Pod], refused: list[Refusal]) -> Iterator[Target]:
    for pod in sorted(pods, key=lambda p: (p.namespace, p.name, p.uid)):
        try:
            yield from _targets(settings, pod)
        except _Refused as refusal:
            refused.append(Refusal(f"{pod.namespace}/{pod.name}", str(refusal)))


def _targets(settings: config.Discovery, pod: Pod) -> Iterator[Target]:
    """Give the targets of one pod; none for a pod that is no engine or does not run."""
    named = [port.number for port in pod.ports if port.name in settings.port_names]
    labelled = any(_has_label(pod.labels, wanted) for wanted in settings.labels)
    ours = {key.removeprefix(_OURS): value for key, value in pod.annotations.items() if key.startswith(_OURS)}
    asked = ours.get("scrape", "").lower() == "true" or bool(ours.keys() & {"port", "path", "scheme", "engine"})
    theirs = {key.removeprefix(_THEIRS): value for key, value in pod.annotations.items() if key.startswith(_THEIRS)}
    if pod.phase != "Running" or not pod.ip or not (named or labelled or asked):
        return
    if ours.get("scrape", "").lower() == "false" or (theirs.get("scrape", "").lower() == "false" and not asked):
        return
    said = {**theirs, **ours}
    engine = said.get("engine") or pod.labels.get(_OURS + "engine", "")
    if engine and engine not in BY_NAME:
        raise _Refused(f"inferometer/engine names no engine that is known: {engine[:40]!r}")
    hint = engine or next((v for v in _label_values(pod.labels, settings.labels) if v in BY_NAME), "")
    scheme = said.get("scheme", "http").lower()
    if scheme not in _SCHEMES:
        raise _Refused(f"the scheme is not http or https: {scheme[:40]!r}")
    path = said.get("path") or (BY_NAME[hint].path if hint else "/metrics")
    if not _PATH.fullmatch(path):
        raise _Refused(f"the path is no plain path: {path[:80]!r}")
    try:
        ip = ipaddress.ip_address(pod.ip)
    except ValueError:
        raise _Refused(f"the pod's address is none: {pod.ip[:60]!r}") from None
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    for port in _ports(pod, ours.get("port", ""), named, theirs.get("port", ""), hint):
        yield Target(
            instance=f"{pod.namespace}/{pod.name}:{port}",
            url=f"{scheme}://{host}:{port}{path}",
            engine=engine,
            namespace=pod.namespace,
            pod=pod.name,
            pod_uid=pod.uid,
            container=_container(pod, port),
        )


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _label_values(labels: Mapping[str, str], wanted: Iterable[str]) -> Iterator[str]:
    """Give the values of the labels that mark engines: some name the engine, which tells its usual port and path."""
    return (labels[key] for key in (each.partition("=")[0] for each in wanted) if key in labels)


def _ports(pod: Pod, ours: str, named: Sequence[int], theirs: str, hint: str) -> tuple[int, ...]:
    """Choose a pod's ports: what we are told, then by name, then by Prometheus' annotation, then the only sensible one."""
    declared = {port.number for port in pod.ports}
    if ours:
        chosen = [_port(word.strip(), pod) for word in ours.split(",")]
    elif named:
        chosen = list(named)
    elif theirs:
        chosen = [_port(theirs.strip(), pod)]
    elif len(declared) == 1:
        chosen = list(declared)
    elif hint and BY_NAME[hint].port in declared:
        chosen = [BY_NAME[hint].port]
    else:
        raise _Refused("it is marked as an engine and does not say on which port: annotate inferometer/port")
    if len(chosen) > _MAX_PORTS:
        raise _Refused(f"more than {_MAX_PORTS} ports")
    return tuple(dict.fromkeys(chosen))


def _port(word: str, pod: Pod) -> int:
    """Read a port's number, or the name of a declared one."""
    number = next((port.number for port in pod.ports if port.name == word), 0) if word else 0
    if word.isascii() and word.isdigit() and len(word) <= 5:
        number = int(word)
    if not 1 <= number <= 65535:
        raise _Refused(f"the port is none: {word[:40]!r}")
    return number


def _container(pod: Pod, port: int) -> str:
    """Name the container that serves a port, where it is certain."""
    owners = {p.container for p in pod.ports if p.number == port}
    if len(owners) == 1:
        return owners.pop()
    return pod.containers[0] if len(pod.containers) == 1 else ""
