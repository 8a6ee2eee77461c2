# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus 3, VictoriaMetrics, Alertmanager and Collector, as tests start them and ask them."""

import json
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from integration.programs import Program, get_json, post

Labels = frozenset[tuple[str, str]]


class Sample(NamedTuple):
    """One series of an answer: what it is called, its labels, when and what it says."""

    name: str
    labels: Labels
    time: float
    value: float


_PROMETHEUS_READY = (
    re.compile(r'msg="Listening on" .*address=127\.0\.0\.1:(?P<port>\d+)'),
    re.compile(r'msg="Server is ready to receive web requests\."'),
)


class _Server(Program):
    """A program with one configuration file, which is written when it starts, and one HTTP port."""

    _file: Path
    _content: Mapping[str, Any]

    def start(self) -> None:
        """Write its configuration and start it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(yaml.safe_dump(self._content), encoding="utf-8")
        super().start()

    @property
    def address(self) -> str:
        """HOST:PORT, as Prometheus' configuration wants it."""
        return f"127.0.0.1:{self.told['port']}"

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{self.address}"


class Prometheus(_Server):
    """A Prometheus server with storage of its own.

    Args:
        directory: for its configuration, storage and log.
        scrape: `scrape_configs`, as in its configuration file.
        rules: files with recording and alerting rules.
        alertmanagers: addresses (HOST:PORT) of those that it sends alerts to.
        more: further top-level keys of its configuration file, such as `otlp` or `storage`.
        options: further command-line options, such as `--web.enable-otlp-receiver`.
        port: where it listens; 0 takes any free one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        scrape: Sequence[Mapping[str, Any]] = (),
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        more: Mapping[str, Any] | None = None,
        options: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self._file = directory / "prometheus.yaml"
        self._content: dict[str, Any] = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "scrape_configs": list(scrape),
            "rule_files": [str(path.absolute()) for path in rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
            **(more or {}),
        }
        arguments = (
            f"--config.file={self._file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--scrape.discovery-reload-interval=100ms",  # 5 s by default: how long a new target waits
            *options,
        )
        super().__init__("prometheus", directory, arguments, _PROMETHEUS_READY)

    @property
    def otlp_url(self) -> str:
        """Where it takes OTLP metrics, with `--web.enable-otlp-receiver`."""
        return f"{self.url}/api/v1/otlp/v1/metrics"

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Evaluate at one instant, now by default; a scalar is one sample without a name. Raises ProgramError."""
        parameters = [("query", expression)] + ([] if at is None else [("time", repr(at))])
        data = get_json(f"{self.url}/api/v1/query", parameters)["data"]
        if data["resultType"] == "scalar":
            time, value = data["result"]
            return [Sample("", frozenset(), time, float(value))]
        return [_sample(entry["metric"], *entry["value"]) for entry in data["result"]]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """Evaluate over a range; one sample for each series and step. Raises ProgramError."""
        times = [("start", repr(start)), ("end", repr(end)), ("step", repr(step))]
        data = get_json(f"{self.url}/api/v1/query_range", [("query", expression), *times])["data"]
        return [_sample(entry["metric"], *pair) for entry in data["result"] for pair in entry["values"]]

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """The exemplars of an expression's series, with `--enable-feature=exemplar-storage`: `seriesLabels`, `exemplars`."""
        times = [("start", repr(start)), ("end", repr(end))]
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/query_exemplars", [("query", expression), *times])[
            "data"
        ]
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Its active targets: `scrapeUrl`, `health`, `lastError`."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/targets")["data"]["activeTargets"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Its pending and firing alerts: `labels`, `annotations`, `state`."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return found

    def metadata(self) -> dict[str, dict[str, str]]:
        """What it knows of each scraped metric family: `type`, `unit`, `help`."""
        return {name: entries[0] for name, entries in get_json(f"{self.url}/api/v1/metadata")["data"].items()}

    def reload(self) -> None:
        """Have it read its configuration and rules again."""
        self.send(signal.SIGHUP)


def _sample(metric: Mapping[str, str], time: float, value: str) -> Sample:
    labels = frozenset((key, text) for key, text in metric.items() if key != "__name__")
    return Sample(metric.get("__name__", ""), labels, time, float(value))


_VICTORIA_READY = (re.compile(r'msg":"started server at http://127\.0\.0\.1:(?P<port>\d+)/'),)


class VictoriaMetrics(_Server):
    """A VictoriaMetrics of one node, which names what it gets by OTLP as Prometheus would.

    Args:
        directory: for its configuration, storage and log.
        scrape: `scrape_configs`, as in Prometheus' configuration file.
        relabel: a file of rules that it applies to all that it takes in.
    """

    def __init__(
        self, directory: Path, *, scrape: Sequence[Mapping[str, Any]] = (), relabel: Path | None = None
    ) -> None:
        self._file = directory / "scrape.yaml"
        self._content = {"global": {"scrape_interval": "500ms"}, "scrape_configs": list(scrape)}
        arguments = (
            f"-promscrape.config={self._file}",
            f"-storageDataPath={directory / 'data'}",
            "-httpListenAddr=127.0.0.1:0",
            "-opentelemetry.usePrometheusNaming",
            "-search.latencyOffset=0s",  # of 30 s by default, in which what has arrived is not shown
            "-search.disableCache",  # a test asks for what came within the last second
            "-memory.allowedBytes=64MB",
            "-loggerFormat=json",
            *([] if relabel is None else [f"-relabelConfig={relabel}"]),
        )
        super().__init__("victoria-metrics", directory, arguments, _VICTORIA_READY)

    @property
    def otlp_url(self) -> str:
        """Where it takes OTLP metrics."""
        return f"{self.url}/opentelemetry/v1/metrics"

    def query(self, expression: str) -> list[Sample]:
        """Evaluate now. Raises ProgramError."""
        post(f"{self.url}/internal/force_flush")  # what came a moment ago is searched too
        data = get_json(f"{self.url}/api/v1/query", [("query", expression), ("step", "10s")])["data"]
        return [_sample(entry["metric"], *entry["value"]) for entry in data["result"]]

    def metadata(self) -> dict[str, tuple[str, str]]:
        """What it knows of each metric: its type and its unit."""
        told = get_json(f"{self.url}/api/v1/metadata")["data"]
        return {name: (entries[0]["type"], entries[0]["unit"]) for name, entries in told.items()}


_ALERTMANAGER_READY = (re.compile(r'msg="Listening on" .*address=127\.0\.0\.1:(?P<port>\d+)'),)


class Alertmanager(_Server):
    """An Alertmanager on its own, with a configuration as in its file."""

    def __init__(self, directory: Path, configuration: Mapping[str, Any]) -> None:
        self._file = directory / "alertmanager.yaml"
        self._content = json.loads(json.dumps(configuration))  # plain lists and mappings
        arguments = (
            f"--config.file={self._file}",
            f"--storage.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        )
        super().__init__("alertmanager", directory, arguments, _ALERTMANAGER_READY)

    def alerts(self) -> list[dict[str, Any]]:
        """What it holds: `labels`, `annotations`, `status`, `receivers`."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v2/alerts")
        return found

    def take(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Give it alerts as a Prometheus would: `labels`, `annotations`, `startsAt`, `endsAt`."""
        post(f"{self.url}/api/v2/alerts", json.dumps(list(alerts)).encode())


_COLLECTOR_READY = (
    re.compile(r'Starting GRPC server.*"endpoint": "127\.0\.0\.1:(?P<grpc>\d+)"'),
    re.compile(r'Starting HTTP server.*"endpoint": "127\.0\.0\.1:(?P<http>\d+)"'),
    re.compile(r"Everything is ready\."),
)


class Collector(Program):
    """An OpenTelemetry Collector with an OTLP receiver, on a configuration file and changes to it.

    Args:
        directory: where it runs and logs.
        configuration: its file.
        overlays: files that go over it, in this order.
        environment: what the file's `${env:...}` find.
        changes: further configuration, each as `section::key: value`, that goes over the file.
        options: further command-line options, such as `--feature-gates=...`.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Path,
        *,
        overlays: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        changes: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        files = (f"--config={file}" for file in (configuration, *overlays))
        arguments = (*files, *(f"--config=yaml:{change}" for change in changes), *options)
        super().__init__("otelcol", directory, arguments, _COLLECTOR_READY, environment)

    @property
    def grpc_address(self) -> str:
        """HOST:PORT where it takes OTLP by gRPC, as another Collector's configuration wants it."""
        return f"127.0.0.1:{self.told['grpc']}"

    @property
    def grpc_url(self) -> str:
        """Where it takes OTLP by gRPC."""
        return f"http://{self.grpc_address}"

    @property
    def http_url(self) -> str:
        """Where it takes OTLP by HTTP; /v1/metrics is appended."""
        return f"http://127.0.0.1:{self.told['http']}"
