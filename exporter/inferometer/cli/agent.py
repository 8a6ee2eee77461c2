# SPDX-License-Identifier: Apache-2.0
"""`inferometer check agent`: whether agents answer, by a name that may stand for several, and whether they know owners."""

import argparse
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit, urlunsplit

from inferometer import catalog
from inferometer.cli.access import open_agent
from inferometer.cli.durations import duration
from inferometer.cli.output import Failure, say, write
from inferometer.cli.settings import settle
from inferometer.cli.top import metrics_url
from inferometer.model import Trouble
from inferometer.views.json import dump
from inferometer.views.samples import Samples, parse
from inferometer.views.text import clean
from inferometer.wire import shown

_PAUSE = 1.0  # seconds between two rounds
_AT_ONCE = 16  # addresses that are asked together
_MOST = 1000  # addresses that are asked; a Service of more is a fleet for Prometheus to look after
_READ = frozenset(metric.prometheus for metric in (catalog.AGENT_INFO, catalog.IDENTITY_LEVEL, catalog.SOURCE_UP))


class Answer(NamedTuple):
    """What one address answered. `problem` is empty where it is what was asked for."""

    address: str
    version: str = ""
    level: str = ""
    down: tuple[str, ...] = ()  # sources whose newest read failed
    problem: str = ""


def execute(arguments: argparse.Namespace) -> int:
    """Ask every address until all are as they should be, or the time is over."""
    settle(arguments, level="error")
    url = metrics_url(arguments.url)
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError as error:
        raise Failure(2, f"URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(2, f"URL: must be http:// or https:// and a host, not {shown(url)}")
    until = time.monotonic() + duration("--wait", arguments.wait, least=0)
    port = port or {"http": 80, "https": 443}[parts.scheme]
    answers: tuple[Answer, ...] = ()
    while True:
        missing = ""
        try:
            addresses = _addresses(parts.hostname, port)
        except OSError as error:
            missing = f"{parts.hostname}: {error.strerror or error}"
        except UnicodeError:  # an empty label, or one that is too long
            raise Failure(2, f"URL: {parts.hostname} is not a host's name") from None
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:  # one that hangs keeps nobody else waiting
                answers = tuple(pool.map(lambda at: _ask(parts, at, port, arguments), addresses[:_MOST]))
        if (answers and not missing and not any(answer.problem for answer in answers)) or time.monotonic() > until:
            return _told(answers if not missing else (), missing, as_json=arguments.json)
        time.sleep(min(_PAUSE, max(0.0, until - time.monotonic()) + 0.01))


def _addresses(host: str, port: int) -> Sequence[str]:
    """Give every address behind a name, in their order; this machine is one, by its name. Raises OSError and UnicodeError."""
    found = {str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if len(found) > 1 and all(ip_address(address).is_loopback for address in found):
        return (host,)  # 127.0.0.1 and ::1: an agent may listen on one of them
    return sorted(found)


def _ask(parts: SplitResult, address: str, port: int, arguments: argparse.Namespace) -> Answer:
    """Ask one address for the page."""
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    client = open_agent(arguments, "check agent", server_name=parts.hostname or "")
    try:
        response = client.get(urlunsplit((parts.scheme, place, parts.path, parts.query, "")), accept="text/plain")
    except Trouble as trouble:
        return Answer(place, problem=trouble.message)
    finally:
        client.close()
    if response.status != 200:
        return Answer(place, problem=f"answers {response.status}")
    if not arguments.identity and not arguments.version and parts.path != "/metrics":
        return Answer(place)  # /healthz and /readyz, which say no more
    return judge(place, parse(response.body.decode("utf-8", "replace"), 0.0, _READ), arguments)


def judge(place: str, page: Samples, arguments: argparse.Namespace) -> Answer:
    """Hold a page against what was asked for."""
    version = level = ""
    down = []
    for series, sample in page.items():
        labels = dict(series.labels)
        if series.name == catalog.AGENT_INFO.prometheus:
            version = labels.get(catalog.VERSION.label, "")
        elif series.name == catalog.IDENTITY_LEVEL.prometheus and sample.value == 1:
            level = labels.get(catalog.LEVEL.label, "")
        elif series.name == catalog.SOURCE_UP.prometheus and sample.value == 0:
            down.append(
                " ".join(
                    filter(None, (labels.get(key) for key in (catalog.SOURCE.label, catalog.SOURCE_INSTANCE.label)))
                )
            )
    answer = Answer(place, version, level, tuple(sorted(down)))
    levels = catalog.LEVEL.values
    if not version:
        problem = "is not the page of an Inferometer agent"
    elif arguments.version and arguments.version != version:
        problem = f"is version {version}, not {arguments.version}"
    elif arguments.identity and (level not in levels or levels.index(level) < levels.index(arguments.identity)):
        problem = f"knows of owners: {level or 'nothing'}; asked for: {arguments.identity}"
    else:
        problem = ""
    return answer._replace(problem=problem)


def _told(answers: Sequence[Answer], missing: str, *, as_json: bool) -> int:
    """Write what was found; give the exit code."""
    good = bool(answers) and not any(answer.problem for answer in answers)
    if as_json:
        agents = [
            {**{key: value for key, value in answer._asdict().items() if value}, "ok": not answer.problem}
            for answer in answers
        ]
        write(dump({"ok": good, "agents": agents}) + "\n")
    else:
        write("".join(f"{clean(_line(answer))}\n" for answer in answers))
    if missing:
        say(f"{missing}: no agent answers there")
    return 0 if good else 1


def _line(answer: Answer) -> str:
    parts = [f"{'failed' if answer.problem else 'ok':6}  {answer.address}"]
    parts += [f"version {answer.version}"] if answer.version else []
    parts += [f"identity {answer.level}"] if answer.level else []
    parts += [f"not read: {', '.join(answer.down)}"] if answer.down else []
    return "  ".join((*parts, *filter(None, [answer.problem])))
