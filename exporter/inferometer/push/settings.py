# SPDX-License-Identifier: Apache-2.0
"""What the standard OTEL_* variables and the configuration file say together about the push.

Sources: the OpenTelemetry specification's pages "OTLP exporter configuration" and "environment variables". A variable
for metrics wins over the general one, that over the file, that over the default; an empty variable is an unset one; a
value that cannot be used is named and ignored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.wire import shown

T = TypeVar("T")

_GENERAL = "OTEL_EXPORTER_OTLP_"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_"
_PATH = "v1/metrics"
_LEAST_INTERVAL = 0.1  # seconds: no snapshot comes faster
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2: what a header's name is made of


@dataclass(frozen=True, slots=True)
class Settings:
    """How to push. `target` is a URL for HTTP, and what gRPC dials for gRPC; no secret shows in a repr.

    Times are seconds, `max_request` is bytes before compression.
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

    @property
    def place(self) -> str:
        """Where the push goes, as messages may show it."""
        return shown(self.target) if self.protocol != "grpc" else f"grpc {self.target}"


class Resolved(NamedTuple):
    """What to do: `settings` is None where nothing is to be pushed. `troubles` names every value that was not used."""

    settings: Settings | None
    troubles: tuple[Trouble, ...]


def resolve(file: config.Otlp, environ: Mapping[str, str]) -> Resolved:
    """Put the environment over the file. Pure; never raises for a bad value."""
    reading = _Reading(environ)
    off = reading.is_off()
    protocol = reading.take("PROTOCOL", _protocol, str(file.protocol))
    settings = None if off else reading.settings(file, protocol)
    preference = environ.get(f"{_METRICS}TEMPORALITY_PREFERENCE", "").strip().lower()
    if preference not in {"", "cumulative"}:
        remedy = "Leave it unset; a Collector's cumulativetodelta processor makes deltas."
        reading.refuse(f"{_METRICS}TEMPORALITY_PREFERENCE", "only cumulative is supported", remedy, Reason.UNSUPPORTED)
    histograms = environ.get(f"{_METRICS}DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    if histograms not in {"", "explicit_bucket_histogram"}:
        why = "a scraped histogram keeps the bounds of its engine"
        reading.refuse(f"{_METRICS}DEFAULT_HISTOGRAM_AGGREGATION", why, "Leave it unset.", Reason.UNSUPPORTED)
    try:
        _pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    except ValueError as error:
        reading.refuse("OTEL_RESOURCE_ATTRIBUTES", f"{error}; all of it is ignored", "Write key=value,key=value.")
    return Resolved(settings, tuple(reading.troubles))


def resource_attributes(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Read OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, which wins for `service.name`.

    Pure. As the specification asks, a list with any error in it counts for nothing; `resolve` names the error.
    """
    try:
        attributes = dict(_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    except ValueError:
        attributes = {}
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    return {**attributes, "service.name": name} if name else attributes


class _Reading:
    """One reading of the environment, with the troubles found on the way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
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

    def is_off(self) -> bool:
        """Say whether the environment turns the push off."""
        if self._environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return True
        listed = {part.strip().lower() for part in self._environ.get("OTEL_METRICS_EXPORTER", "").split(",")} - {""}
        unknown = listed - {"otlp", "none", "prometheus", "console", "logging"}
        if unknown:
            self.refuse("OTEL_METRICS_EXPORTER", f"{min(unknown)!r} is no exporter", "Write otlp or none.")
        return bool(listed) and not unknown and "otlp" not in listed

    def settings(self, file: config.Otlp, protocol: str) -> Settings | None:
        """Put the settings together; None without a usable endpoint."""
        found = self._grpc_endpoint(file) if protocol == "grpc" else self._http_endpoint(file)
        if found is None:
            return None
        return Settings(
            protocol=protocol,
            target=found[0],
            secure=found[1],
            interval=max(_LEAST_INTERVAL, self._milliseconds("OTEL_METRIC_EXPORT_INTERVAL", float(file.interval))),
            timeout=min(
                self.take("TIMEOUT", _milliseconds, float(file.timeout)),
                self._milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", inf),  # of a whole export, as the timeout here is
            ),
            compression=self.take("COMPRESSION", _compression, str(file.compression)),
            max_request=int(file.max_request),
            headers=self.take("HEADERS", _headers, {key.lower(): value for key, value in file.headers.items()}),
            certificate=self.take("CERTIFICATE", str, file.certificate),
            client_certificate=self.take("CLIENT_CERTIFICATE", str, file.client_certificate),
            client_key=self.take("CLIENT_KEY", str, file.client_key),
        )

    def _milliseconds(self, name: str, fallback: float) -> float:
        text = self._environ.get(name, "").strip()
        try:
            return _milliseconds(text) if text else fallback
        except ValueError as error:
            self.refuse(name, str(error), "Correct or unset it.")
            return fallback

    def _endpoint(self, file: config.Otlp) -> tuple[str, str]:
        """Give the first endpoint that is set, and the name of where it stands."""
        for name in (f"{_METRICS}ENDPOINT", f"{_GENERAL}ENDPOINT"):
            if text := self._environ.get(name, "").strip():
                return name, text
        return "otlp.endpoint", file.endpoint.strip()

    def _http_endpoint(self, file: config.Otlp) -> tuple[str, bool] | None:
        """Give the URL, as it is from the metrics' variable, with /v1/metrics appended from the others."""
        name, text = self._endpoint(file)
        if not text:
            return None
        try:
            parts = _split(text)
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

    def _grpc_endpoint(self, file: config.Otlp) -> tuple[str, bool] | None:
        """Give what gRPC dials, and whether by TLS: https says so, http denies it, else INSECURE decides."""
        name, text = self._endpoint(file)
        if not text:
            return None
        if text.startswith("unix:"):
            return text, False
        insecure = self.take("INSECURE", _boolean, False)
        bare = "://" not in text
        try:
            parts = _split(f"//{text}" if bare else text)
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


def _split(text: str) -> SplitResult:
    """Split a URL. Raises ValueError for what is none, also where only its port is wrong."""
    try:
        parts = urlsplit(text)
        fine = parts.port != 0 and not any(c.isspace() or not c.isprintable() for c in text)
    except ValueError:  # its own message may quote a password
        fine = False
    if not fine:
        raise ValueError("it is not a URL")
    return parts


def _protocol(text: str) -> str:
    if text not in {"grpc", "http/protobuf"}:
        raise ValueError(f"{text[:40]!r} is not supported, only grpc and http/protobuf are")
    return text


def _compression(text: str) -> str:
    if text not in {"gzip", "none"}:
        raise ValueError(f"{text[:40]!r} is not supported, only gzip and none are")
    return text


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("it is neither true nor false")
    return text.lower() == "true"


def _milliseconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or int(text) == 0:
        raise ValueError("it is not a positive whole number of milliseconds")
    return int(text) / 1000


def _headers(text: str) -> dict[str, str]:
    headers = _pairs(text)
    for key, value in headers.items():
        if not _TOKEN.fullmatch(key):
            raise ValueError("a header's name has a character that HTTP forbids")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the value of {key!r} has a character that HTTP forbids")
    return {key.lower(): value for key, value in headers.items()}


def _pairs(text: str) -> dict[str, str]:
    """Read `key=value,key=value` with percent-encoded values (W3C Baggage). Raises ValueError; shows no value."""
    pairs: dict[str, str] = {}
    for number, item in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        key, equals, value = item.partition("=")
        key = unquote(key.strip(), errors="strict")
        if not equals or not key:
            raise ValueError(f"its entry {number} is not key=value")
        try:
            pairs[key] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            raise ValueError(f"the value of {key!r} is not UTF-8") from None
    return pairs
