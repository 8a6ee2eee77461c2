# SPDX-License-Identifier: Apache-2.0
"""What the standard OTEL_* variables and the configuration file say together about the push.

Sources: the OpenTelemetry specification's pages "OTLP exporter configuration" and "environment variables". A variable
for metrics wins over the general one, that over the file, that over the default; an empty variable is an unset one; a
value that cannot be used is named and ignored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypeVar

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.push.libraries import SDK, ZSTD, Installed, is_installed
from inferometer.push.temporality import Preference
from inferometer.push.variables import (
    read_boolean,
    read_compression,
    read_duration,
    read_headers,
    read_pairs,
    read_preference,
    read_protocol,
    read_timeout,
    read_url,
)
from inferometer.wire import shown

T = TypeVar("T")

_GENERAL = "OTEL_EXPORTER_OTLP_"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_"
_PATH = "v1/metrics"
_LEAST_INTERVAL = 0.1  # seconds: no snapshot comes faster
_EXPORTERS = frozenset({"otlp", "otlp/stdout", "none", "prometheus", "console", "logging"})
_ZSTD = f"zstd, wanted by otlp.compression or {_GENERAL}COMPRESSION,"
_PREFERENCE = f"{_METRICS}TEMPORALITY_PREFERENCE"
_HISTOGRAMS = f"{_METRICS}DEFAULT_HISTOGRAM_AGGREGATION"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to push. `target` is a URL for HTTP, and what gRPC dials for gRPC; no secret shows in a repr.

    Times are seconds. `max_request` is bytes before compression, because that is what receivers limit: gRPC by the
    uncompressed message (grpc, `max_receive_message_length`), HTTP by the body before and after it is inflated.
    """

    protocol: str
    target: str = field(repr=False)  # a URL may hold a password
    secure: bool
    interval: float
    timeout: float
    compression: str
    max_request: int
    headers: Mapping[str, str] = field(repr=False)
    certificate: str
    client_certificate: str
    client_key: str
    temporality: Preference = Preference.CUMULATIVE
    sender: str = "own"

    @property
    def place(self) -> str:
        """Where the push goes, as messages may show it."""
        return shown(self.target) if self.protocol != "grpc" else f"grpc {self.target}"


class Resolved(NamedTuple):
    """What to do: `settings` is None where nothing is to be pushed. `troubles` names every value that was not used."""

    settings: Settings | None
    troubles: tuple[Trouble, ...]


def resolve(file: config.Otlp, environ: Mapping[str, str], installed: Installed = is_installed) -> Resolved:
    """Put the environment over the file, as far as the libraries that are `installed` allow. Never raises for a bad value."""
    reading = _Reading(environ, installed)
    wanted = reading.is_wanted()
    protocol = reading.take("PROTOCOL", read_protocol, str(file.protocol))
    settings = None if wanted is False else reading.settings(file, protocol, local=wanted is True)
    histograms = environ.get(_HISTOGRAMS, "").strip().lower()
    if histograms not in {"", "explicit_bucket_histogram"}:
        why = "a scraped histogram keeps the bounds of its engine"
        reading.refuse(_HISTOGRAMS, why, "Leave it unset.", Reason.UNSUPPORTED)
    try:
        read_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    except ValueError as error:
        reading.refuse("OTEL_RESOURCE_ATTRIBUTES", f"{error}; all of it is ignored", "Write key=value,key=value.")
    return Resolved(settings, tuple(reading.troubles))


def resource_attributes(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Read OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which wins for `service.name`.

    Pure. As the specification asks, a list with any error in it counts for nothing; `resolve` names the error.
    """
    try:
        attributes = dict(read_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    except ValueError:
        attributes = {}
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    return {**attributes, "service.name": name} if name else attributes


class _Reading:
    """One reading of the environment, with the troubles found on the way."""

    def __init__(self, environ: Mapping[str, str], installed: Installed) -> None:
        self._environ = environ
        self._installed = installed
        self.troubles: list[Trouble] = []

    def refuse(self, name: str, why: str, remedy: str, reason: Reason = Reason.MALFORMED) -> None:
        """Note that a variable cannot be used. Its value is not shown: it may hold a secret."""
        self.troubles.append(Trouble(reason, f"{name} is ignored: {why}.", remedy))

    def take(self, key: str, parse: Callable[[str], T], fallback: T) -> T:
        """Give the metrics' variable, the general one, or the fallback; the first that is set and can be used."""
        for name in (f"{_METRICS}{key}", f"{_GENERAL}{key}"):
            text = self._environ.get(name, "").strip()
            if text:
                try:
                    return parse(text)
                except ValueError as error:
                    self.refuse(name, str(error), "Correct or unset it.")
        return fallback

    def is_wanted(self) -> bool | None:
        """Say whether the environment turns the push off, or names it; None where it says neither."""
        if self._boolean("OTEL_SDK_DISABLED"):
            return False
        listed = {part.strip().lower() for part in self._environ.get("OTEL_METRICS_EXPORTER", "").split(",")} - {""}
        unknown = listed - _EXPORTERS
        if unknown:
            self.refuse("OTEL_METRICS_EXPORTER", f"{min(unknown)!r} is no exporter", "Write otlp or none.")
        return None if unknown or not listed else "otlp" in listed

    def settings(self, file: config.Otlp, protocol: str, *, local: bool) -> Settings | None:
        """Put the settings together; None without a usable endpoint. `local` takes the specification's own default."""
        found = self._grpc_endpoint(file, local) if protocol == "grpc" else self._http_endpoint(file, local)
        if found is None:
            return None
        sender = self._sender(str(file.sender), protocol)
        return Settings(
            protocol=protocol,
            target=found[0],
            secure=found[1],
            interval=max(
                _LEAST_INTERVAL, self._one("OTEL_METRIC_EXPORT_INTERVAL", read_duration, float(file.interval))
            ),
            timeout=min(
                self.take("TIMEOUT", read_timeout, float(file.timeout)),
                self._one("OTEL_METRIC_EXPORT_TIMEOUT", read_timeout, inf),  # of a whole export, as the timeout here is
            ),
            compression=self._compression(str(file.compression), protocol, sender),
            max_request=int(file.max_request),
            headers=self.take("HEADERS", read_headers, {key.lower(): value for key, value in file.headers.items()}),
            certificate=self.take("CERTIFICATE", str, file.certificate),
            client_certificate=self.take("CLIENT_CERTIFICATE", str, file.client_certificate),
            client_key=self.take("CLIENT_KEY", str, file.client_key),
            temporality=self._one(_PREFERENCE, read_preference, Preference(str(file.temporality))),
            sender=sender,
        )

    def _sender(self, wanted: str, protocol: str) -> str:
        if wanted == "sdk" and not self._installed(SDK[protocol]):
            why = "otlp.sender: sdk is not used, the agent's own sender is: the OpenTelemetry SDK is not installed"
            self.troubles.append(Trouble(Reason.MISSING, why, "install inferometer[otel]"))
            return "own"
        return wanted

    def _compression(self, wanted: str, protocol: str, sender: str) -> str:
        """Give the compression; gzip in the place of a zstd that cannot be had."""
        compression = self.take("COMPRESSION", read_compression, wanted)
        if compression != "zstd":
            return compression
        if protocol == "grpc" or sender == "sdk":
            who = "gRPC" if protocol == "grpc" else "the SDK's exporter"
            why = f"{_ZSTD} is not used, gzip is: {who} has none in Python"
            remedy = "write gzip, or use http/protobuf and the agent's own sender"
            self.troubles.append(Trouble(Reason.UNSUPPORTED, why, remedy))
        elif not any(map(self._installed, ZSTD)):
            why = f"{_ZSTD} is not used, gzip is: this Python has no library for it"
            self.troubles.append(Trouble(Reason.MISSING, why, "install inferometer[zstd]"))
        else:
            return compression
        return "gzip"

    def _boolean(self, *names: str) -> bool:
        """Read the first of these variables that is set; whatever is not true is false."""
        for name in names:
            if text := self._environ.get(name, "").strip():
                try:
                    return read_boolean(text)
                except ValueError as error:
                    self.refuse(name, str(error), "Write true or false.")
                    return False
        return False

    def _one(self, name: str, parse: Callable[[str], T], fallback: T) -> T:
        """Give a variable that has no general form, or the fallback."""
        text = self._environ.get(name, "").strip()
        try:
            return parse(text) if text else fallback
        except ValueError as error:
            self.refuse(name, str(error), "Correct or unset it.")
            return fallback

    def _endpoint(self, file: config.Otlp, default: str) -> tuple[str, str]:
        """Give the first endpoint that is set, and the name of where it stands."""
        for name in (f"{_METRICS}ENDPOINT", f"{_GENERAL}ENDPOINT"):
            if text := self._environ.get(name, "").strip():
                return name, text
        return "otlp.endpoint", file.endpoint.strip() or default

    def _http_endpoint(self, file: config.Otlp, local: bool) -> tuple[str, bool] | None:
        """Give the URL, as it is from the metrics' variable, with /v1/metrics appended from the others."""
        name, text = self._endpoint(file, "http://localhost:4318" if local else "")
        if not text:
            return None
        try:
            parts = read_url(text)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("it is not an http:// or https:// URL")
        except ValueError as error:
            self.refuse(name, f"{error}; nothing is pushed", "Write it as http://HOST:4318.")
            return None
        path = parts.path or "/"
        # The file's key is a base as well, but people paste the whole URL there, and mean it.
        whole = name == f"{_METRICS}ENDPOINT" or (name == "otlp.endpoint" and path.rstrip("/").endswith(f"/{_PATH}"))
        if not whole:
            path = f"{path.rstrip('/')}/{_PATH}"
        return parts._replace(path=path, fragment="").geturl(), parts.scheme == "https"

    def _grpc_endpoint(self, file: config.Otlp, local: bool) -> tuple[str, bool] | None:
        """Give what gRPC dials, and whether by TLS: https says so, http denies it, else INSECURE decides."""
        name, text = self._endpoint(file, "http://localhost:4317" if local else "")
        if not text:
            return None
        if text.startswith("unix:"):
            return text, False
        insecure = self._boolean(f"{_METRICS}INSECURE", f"{_GENERAL}INSECURE")
        bare = "://" not in text
        try:
            parts = read_url(f"//{text}" if bare else text)
            if parts.scheme not in {"", "http", "https"} or not parts.hostname:
                raise ValueError("it is neither HOST:PORT nor an http:// or https:// URL")
        except ValueError as error:
            self.refuse(name, f"{error}; nothing is pushed", "Write it as http://HOST:4317.")
            return None
        if parts.username is not None:
            remedy = f"Put them into {_GENERAL}HEADERS as authorization=Basic%20..."
            self.refuse(f"the user and password in {name}", "gRPC does not send them", remedy)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 4317)
        return f"{host}:{port}", not insecure if bare else parts.scheme == "https"
