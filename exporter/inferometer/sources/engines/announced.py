# SPDX-License-Identifier: Apache-2.0
"""The engines that a pod announces: by annotation, label, port name or image. No I/O.

What a pod says about itself is not trusted further than the pod: only its port, path and scheme can be chosen, never the
host. `prometheus.io/*` annotations count only on a pod that something else marks as an engine. Opting out always wins.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from inferometer import config
from inferometer.config.quantities import UnfitError, parse_seconds
from inferometer.model import Pod, Target
from inferometer.sources.engines.access import has_label, refuse_pod
from inferometer.sources.engines.dialect import Dialect
from inferometer.sources.engines.dialects import BY_NAME
from inferometer.sources.engines.images import engine_of, repository, usual_ports
from inferometer.sources.engines.refusal import Refused
from inferometer.sources.engines.urls import PATH, SCHEMES

_OURS, _THEIRS = "inferometer/", "prometheus.io/"
_ASKING = ("port", "path", "scheme", "engine", "credentials", "period")  # annotations of ours that ask to be scraped
_MAX_PORTS = 8  # of one pod
LONGEST_PERIOD = 300.0  # seconds that a pod may choose
_SAY = 'Annotate the pod with inferometer/port, or with inferometer/scrape: "false" if it is no engine.'


class _Signs(NamedTuple):
    """What a pod says of itself. `images` maps containers to the engines whose image they have."""

    ours: Mapping[str, str]
    theirs: Mapping[str, str]
    labels: tuple[str, ...]
    named: tuple[int, ...]
    images: Mapping[str, Dialect]

    @property
    def asked(self) -> bool:
        """Whether annotations of ours ask for it."""
        return self.ours.get("scrape", "").lower() == "true" or any(key in self.ours for key in _ASKING)

    @property
    def declined(self) -> bool:
        """Whether it is not to be scraped, whatever else it says."""
        if self.ours.get("scrape", "").lower() == "false":
            return True
        return self.theirs.get("scrape", "").lower() == "false" and not self.asked


def announced_by(pod: Pod, settings: config.Engines) -> Iterator[Target]:
    """Give the targets of one pod; none for a pod that is no engine or does not run.

    Raises:
        Refused: it is marked as an engine, and cannot be scraped as it says.
    """
    signs = _signs_of(pod, settings.discovery)
    found = _found(pod, signs)
    if pod.phase != "Running" or not pod.ip or not found or signs.declined:
        return
    said = {**signs.theirs, **signs.ours}
    engine = signs.ours.get("engine") or pod.labels.get(_OURS + "engine", "")
    if engine and engine not in BY_NAME:
        raise Refused(f"inferometer/engine names no engine that is known: {engine[:40]!r}")
    if engine:  # who insists on one knows better than the images' names
        signs = signs._replace(images={name: each for name, each in signs.images.items() if each.name == engine})
    credentials = signs.ours.get("credentials", "")
    if problem := refuse_pod(credentials, pod, settings.credentials):
        raise Refused(problem, "Let engines.credentials allow it, or choose others.")
    likely = _likely(pod, signs, engine)
    scheme = said.get("scheme", "http").lower()
    if scheme not in SCHEMES:
        raise Refused(f"the scheme is not http or https: {scheme[:40]!r}")
    path = said.get("path", "")
    if path and not PATH.fullmatch(path):
        raise Refused(f"the path is no plain path: {path[:80]!r}")
    host, period = _host(pod), _period(signs.ours.get("period", ""))
    for port, usual in _ports(pod, signs, likely):
        yield Target(
            instance=f"{pod.namespace}/{pod.name}:{port}",
            url=f"{scheme}://{host}:{port}{path or (usual.path if usual else '/metrics')}",
            engine=engine,
            namespace=pod.namespace,
            pod=pod.name,
            pod_uid=pod.uid,
            container=container_of(pod, port),
            credentials=credentials,
            period=period,
            found=found,
        )


def _signs_of(pod: Pod, settings: config.Discovery) -> _Signs:
    images = {name: engine for name, image in pod.images.items() if (engine := engine_of(image))}
    return _Signs(
        _below(_OURS, pod.annotations),
        _below(_THEIRS, pod.annotations),
        tuple(wanted for wanted in settings.labels if has_label(pod.labels, wanted)),
        tuple(port.number for port in pod.ports if port.name in settings.port_names),
        images if settings.images else {},
    )


def _below(prefix: str, annotations: Mapping[str, str]) -> Mapping[str, str]:
    return {key.removeprefix(prefix): value for key, value in annotations.items() if key.startswith(prefix)}


def _found(pod: Pod, signs: _Signs) -> str:
    """Say what marks a pod as an engine, the plainest sign of several; empty if nothing does."""
    if signs.asked:
        return f"annotation {_OURS}{next((key for key in _ASKING if key in signs.ours), 'scrape')}"
    if signs.labels:
        return f"label {signs.labels[0]}"
    if signs.named:
        return f"port name {next(port.name for port in pod.ports if port.number == signs.named[0] and port.name)}"
    return f"image {repository(pod.images[next(iter(signs.images))])}" if signs.images else ""


def _likely(pod: Pod, signs: _Signs, engine: str) -> Dialect | None:
    """Tell which engine it most likely is: only for its usual port and path, the page says what it is."""
    if engine:
        return BY_NAME[engine]
    keys = (wanted.partition("=")[0] for wanted in signs.labels)
    named = next((BY_NAME[value] for key in keys if (value := pod.labels[key]) in BY_NAME), None)
    return named or (next(iter(signs.images.values())) if len(set(signs.images.values())) == 1 else None)


def _host(pod: Pod) -> str:
    try:
        ip = ipaddress.ip_address(pod.ip)
    except ValueError:
        raise Refused(f"the pod's address is none: {pod.ip[:60]!r}") from None
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _period(text: str) -> float:
    """Read how often a pod wants to be asked, in the form of the configuration's durations."""
    if not text:
        return 0.0
    try:
        seconds = float(parse_seconds(text))
    except UnfitError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_PERIOD:
        raise Refused(f"the period is no duration of at most {LONGEST_PERIOD:g} s, such as 15s: {text[:40]!r}")
    return seconds


def _ports(pod: Pod, signs: _Signs, likely: Dialect | None) -> Iterable[tuple[int, Dialect | None]]:
    """Choose a pod's ports, each with the engine that has it by all appearances.

    What we are told, then by name, then by Prometheus' annotation, then the usual ones of the images' engines in their
    own containers, then the only sensible one.
    """
    chosen = _told(pod, signs)
    if chosen:
        found = [(port, likely) for port in dict.fromkeys(chosen)]
    else:
        found = list(_of_images(pod, signs)) or [(port, likely) for port in _sensible(pod, signs, likely)]
    if len(found) > _MAX_PORTS:
        raise Refused(f"more than {_MAX_PORTS} ports")
    return found


def _told(pod: Pod, signs: _Signs) -> Sequence[int]:
    if signs.ours.get("port"):
        return [_port(word.strip(), pod) for word in signs.ours["port"].split(",")]
    if signs.named:
        return signs.named
    return [_port(signs.theirs["port"].strip(), pod)] if signs.theirs.get("port") else []


def _of_images(pod: Pod, signs: _Signs) -> Iterator[tuple[int, Dialect]]:
    """Give each such container's likeliest port. A port of another container, as a proxy's, is not the engine's."""
    for container, engine in signs.images.items():
        own = {port.number for port in pod.ports if port.container == container}
        yield from ((port, engine) for port in [p for p in usual_ports(engine) if p in own][:1])


def _sensible(pod: Pod, signs: _Signs, likely: Dialect | None) -> tuple[int, ...]:
    declared = {port.number for port in pod.ports}
    if signs.images and not (signs.asked or signs.labels):
        container, engine = next(iter(signs.images.items()))
        usual = " or ".join(map(str, usual_ports(engine)))
        raise Refused(
            f"its image {repository(pod.images[container])[:100]} is {engine.name}'s, and the container {container} declares "
            f"no port that is usual for it ({usual})",
            _SAY,
            doubtful=True,
        )
    if len(declared) == 1:
        return tuple(declared)
    usual_one = next((port for port in usual_ports(likely) if port in declared), 0) if likely else 0
    if usual_one:
        return (usual_one,)
    raise Refused("it is marked as an engine and does not say on which port: annotate inferometer/port", _SAY)


def _port(word: str, pod: Pod) -> int:
    """Read a port's number, or the name of a declared one."""
    number = next((port.number for port in pod.ports if port.name == word), 0) if word else 0
    if word.isascii() and word.isdigit() and len(word) <= 5:
        number = int(word)
    if not 1 <= number <= 65535:
        raise Refused(f"the port is none: {word[:40]!r}")
    return number


def container_of(pod: Pod, port: int) -> str:
    """Name the container that serves a port, where it is certain."""
    owners = {p.container for p in pod.ports if p.number == port}
    if len(owners) == 1:
        return owners.pop()
    return pod.containers[0] if len(pod.containers) == 1 else ""
