# SPDX-License-Identifier: Apache-2.0
"""The OTEL_* variables, their precedence over one another and over the file, and what happens to bad values."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from inferometer import config
from inferometer.model import Reason
from inferometer.push import Settings, resolve, resource_attributes
from inferometer.push.temporality import Preference

FILE = config.Otlp(endpoint="http://file:4318")


def settle(environ: dict[str, str], file: config.Otlp = FILE) -> Settings:
    """Resolve what has to be usable without a complaint."""
    settings, troubles = resolve(file, environ)
    assert not troubles
    assert settings is not None
    return settings


def test_without_an_endpoint_nothing_is_pushed() -> None:
    """The defaults push nothing, whatever other variables say."""
    assert resolve(config.Otlp(), {"OTEL_EXPORTER_OTLP_TIMEOUT": "5000"}) == (None, ())


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"])
def test_an_endpoint_in_the_environment_turns_the_push_on(name: str) -> None:
    """One standard variable is enough; the rest are defaults."""
    settings = settle({name: "http://c:4318/v1/metrics" if "METRICS" in name else "http://c:4318"}, config.Otlp())
    assert settings.target == "http://c:4318/v1/metrics"
    assert (settings.protocol, settings.interval, settings.timeout, settings.compression) == (
        "http/protobuf",
        60,
        10,
        "gzip",
    )


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({}, "http://file:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "http://file:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp"}, "https://c/otlp/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/otlp/"}, "https://c/otlp/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/v1/metrics"}, "http://c/v1/metrics/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c?key=1"}, "http://c/v1/metrics?key=1"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4318"}, "http://m:4318/"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m/x"}, "http://m/x"),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"},
            "http://m/x",
        ),
    ],
)
def test_the_http_url(environ: dict[str, str], target: str) -> None:
    """The metrics' variable is used as it is; to the general one and the file's base /v1/metrics is appended."""
    assert settle(environ).target == target


def test_the_whole_url_in_the_file_is_meant_as_such() -> None:
    """Whoever writes the path into the file does not get it twice."""
    assert settle({}, config.Otlp(endpoint="http://f/otlp/v1/metrics")).target == "http://f/otlp/v1/metrics"


@pytest.mark.parametrize(
    ("endpoint", "insecure", "target", "secure"),
    [
        ("http://c:4317", "", "c:4317", False),
        ("https://c:4317", "true", "c:4317", True),
        ("http://c:4317", "false", "c:4317", False),
        ("c:4317", "", "c:4317", True),
        ("c:4317", "true", "c:4317", False),
        ("c:4317", "TRUE", "c:4317", False),
        ("c", "true", "c:4317", False),
        ("https://c", "", "c:443", True),
        ("http://c", "", "c:80", False),
        ("http://[fd00::1]:4317/ignored", "", "[fd00::1]:4317", False),
        ("unix:///run/otlp.sock", "", "unix:///run/otlp.sock", False),
    ],
)
def test_the_grpc_target(endpoint: str, insecure: str, target: str, secure: bool) -> None:
    """For gRPC the scheme says whether TLS is used, and only without one does INSECURE."""
    settings = settle(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_INSECURE": insecure,
        }
    )
    assert (settings.target, settings.secure) == (target, secure)


# The specification's lists, "OTLP exporter configuration" and "Environment Variable Specification", one by one: a value, and
# what it changes. Those of metrics stand over the general ones: see `PRECEDENCE`.
SPECIFIED = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("http://g/x", "target", "http://g/x/v1/metrics"),
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ("http://m/x", "target", "http://m/x"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("a=b", "headers", {"a": "b"}),
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS": ("a=b", "headers", {"a": "b"}),
    "OTEL_EXPORTER_OTLP_COMPRESSION": ("none", "compression", "none"),
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": ("none", "compression", "none"),
    "OTEL_EXPORTER_OTLP_TIMEOUT": ("1500", "timeout", 1.5),
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": ("1500", "timeout", 1.5),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("grpc", "protocol", "grpc"),
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": ("grpc", "protocol", "grpc"),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": ("/x", "certificate", "/x"),
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE": ("/x", "certificate", "/x"),
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": ("/x", "client_certificate", "/x"),
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE": ("/x", "client_certificate", "/x"),
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": ("/x", "client_key", "/x"),
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY": ("/x", "client_key", "/x"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": ("delta", "temporality", "delta"),
    "OTEL_METRIC_EXPORT_INTERVAL": ("1500", "interval", 1.5),
    "OTEL_METRIC_EXPORT_TIMEOUT": ("1500", "timeout", 1.5),
}
# Of other signals, of the SDK's own pipelines, or taken elsewhere: `resource_attributes`, `is_wanted`, the refused aggregation.
WITHOUT_EFFECT = {
    "OTEL_EXPORTER_OTLP_INSECURE": "true",  # on HTTP: its scheme says it
    "OTEL_EXPORTER_OTLP_METRICS_INSECURE": "true",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "explicit_bucket_histogram",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_EXPORTER_PROMETHEUS_HOST": "h",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "9464",
    "OTEL_SDK_DISABLED": "false",
    "OTEL_RESOURCE_ATTRIBUTES": "a=b",
    "OTEL_SERVICE_NAME": "x",
    "OTEL_LOG_LEVEL": "debug",
    "OTEL_PROPAGATORS": "b3",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_BSP_SCHEDULE_DELAY": "1",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1",
}


@pytest.mark.parametrize("name", SPECIFIED)
def test_every_specified_variable_counts(name: str) -> None:
    """Alone over the file, each changes what it is for, and nothing else but what follows from the protocol."""
    value, changed, expected = SPECIFIED[name]
    settings, before = settle({name: value}), settle({})
    assert getattr(settings, changed) == expected
    different = {
        field.name for field in fields(Settings) if getattr(settings, field.name) != getattr(before, field.name)
    }
    assert different - {"target"} == {changed} - {"target"}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_is_not_for_the_push_changes_nothing(name: str) -> None:
    """Nor does it make a trouble."""
    assert settle({name: WITHOUT_EFFECT[name]}) == settle({})


PRECEDENCE = {
    "PROTOCOL": ("protocol", "grpc", "http/protobuf", "grpc"),
    "TIMEOUT": ("timeout", "1500", "2000", 1.5),
    "COMPRESSION": ("compression", "none", "gzip", "none"),
    "CERTIFICATE": ("certificate", "/m.pem", "/g.pem", "/m.pem"),
    "CLIENT_CERTIFICATE": ("client_certificate", "/m.pem", "/g.pem", "/m.pem"),
    "CLIENT_KEY": ("client_key", "/m.pem", "/g.pem", "/m.pem"),
    "HEADERS": ("headers", "k=m", "k=g,other=g", {"k": "m"}),
}


@pytest.mark.parametrize("key", PRECEDENCE)
def test_precedence(key: str) -> None:
    """A metrics variable stands over the general one, that over the file; an empty one counts for nothing."""
    field, metrics, general, value = PRECEDENCE[key]
    both = {f"OTEL_EXPORTER_OTLP_METRICS_{key}": metrics, f"OTEL_EXPORTER_OTLP_{key}": general}
    assert getattr(settle(both), field) == value
    swapped = {f"OTEL_EXPORTER_OTLP_METRICS_{key}": "  ", f"OTEL_EXPORTER_OTLP_{key}": metrics}
    assert getattr(settle(swapped), field) == value
    file = config.Otlp(
        endpoint="http://file:4318",
        protocol="grpc",
        timeout=config.Seconds(1.5),
        compression="none",
        certificate="/m.pem",
        client_certificate="/m.pem",
        client_key="/m.pem",
        headers={"K": "m"},
    )
    assert getattr(settle({}, file), field) == value


def test_the_interval_has_one_variable() -> None:
    """OTEL_METRIC_EXPORT_INTERVAL is in milliseconds and stands over the file."""
    assert settle({"OTEL_METRIC_EXPORT_INTERVAL": "2500"}).interval == 2.5


def test_the_shorter_of_two_timeouts_holds() -> None:
    """OTEL_METRIC_EXPORT_TIMEOUT bounds a whole push, as the exporter's own timeout does here."""
    assert settle({"OTEL_METRIC_EXPORT_TIMEOUT": "2500"}).timeout == 2.5
    assert settle({"OTEL_METRIC_EXPORT_TIMEOUT": "2500", "OTEL_EXPORTER_OTLP_TIMEOUT": "2000"}).timeout == 2.0
    assert settle({"OTEL_METRIC_EXPORT_TIMEOUT": "30000"}).timeout == 10.0


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, False),
        ({"OTEL_METRICS_EXPORTER": "console, otlp"}, True),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, True),
    ],
)
def test_the_environment_can_turn_the_push_off(environ: dict[str, str], on: bool) -> None:
    """OTEL_SDK_DISABLED and an OTEL_METRICS_EXPORTER without otlp stop the push although there is an endpoint."""
    settings, troubles = resolve(FILE, environ)
    assert (settings is not None) is on
    assert not troubles


def test_headers_are_percent_decoded() -> None:
    """Names become lower case, values are decoded, and blanks around both are no part of them."""
    settings = settle({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20dXNlcg%3D%3D, x-tenant = a%2Cb ,"})
    assert settings.headers == {"authorization": "Basic dXNlcg==", "x-tenant": "a,b"}


@pytest.mark.parametrize(
    ("name", "value", "field", "default"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", "protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "timeout", 10.0),
        ("OTEL_SDK_DISABLED", "1", "protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "timeout", 10.0),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "snappy", "compression", "gzip"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "interval", 60.0),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "soon", "timeout", 10.0),
        ("OTEL_EXPORTER_OTLP_HEADERS", "sesame", "headers", {}),
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=sesame%0d%0aevil:%20x", "headers", {}),
        ("OTEL_EXPORTER_OTLP_HEADERS", "bad name=sesame", "headers", {}),
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=sesame%ff", "headers", {}),
        ("OTEL_METRICS_EXPORTER", "oltp", "protocol", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "falling", "temporality", Preference.CUMULATIVE),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
            "protocol",
            "http/protobuf",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,sesame", "protocol", "http/protobuf"),
    ],
)
def test_a_bad_value_is_named_and_ignored(name: str, value: str, field: str, default: object) -> None:
    """A value that cannot be used is one trouble that names its variable, shows no secret, and leaves the default."""
    settings, troubles = resolve(FILE, {name: value})
    assert settings is not None
    assert getattr(settings, field) == default
    (trouble,) = troubles
    assert name in trouble.message
    assert "sesame" not in trouble.message + trouble.remedy
    assert trouble.remedy


def test_a_bad_value_falls_back_to_the_general_variable() -> None:
    """The next in line is used, not the default, where the first is bad."""
    environ = {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "bad", "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}
    settings, troubles = resolve(FILE, environ)
    assert settings is not None
    assert settings.timeout == 3.0
    assert len(troubles) == 1


@pytest.mark.parametrize(
    ("text", "temporality"),
    [("", "delta"), ("Cumulative", "cumulative"), ("DELTA", "delta"), ("LowMemory", "lowmemory"), ("x", "delta")],
)
def test_the_temporality_preference(text: str, temporality: str) -> None:
    """The variable stands over the file, in any case; what is none of the three is named and counts for nothing."""
    file = replace(FILE, temporality="delta")
    settings, troubles = resolve(file, {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": text})
    assert settings is not None
    assert settings.temporality == temporality
    assert bool(troubles) is (text == "x")


def test_a_timeout_of_nothing_is_long_and_not_endless() -> None:
    """A timeout of 0 is indefinite, which the specification lets be a very long time."""
    assert settle({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}).timeout == 600.0
    assert settle({"OTEL_METRIC_EXPORT_TIMEOUT": "0"}).timeout == 10.0


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({"OTEL_METRICS_EXPORTER": "otlp"}, "http://localhost:4318/v1/metrics"),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "localhost:4317"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, None),
        ({}, None),
    ],
)
def test_the_specified_endpoint_is_taken_where_otlp_is_named(environ: dict[str, str], target: str | None) -> None:
    """Without an endpoint nothing is pushed, unless OTEL_METRICS_EXPORTER asks for OTLP by its name."""
    settings, troubles = resolve(config.Otlp(), environ)
    assert not troubles
    assert (settings and settings.target) == target


def test_what_is_not_true_is_false() -> None:
    """A boolean that is neither is false, with a warning, and the general variable is not asked."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_METRICS_INSECURE": "yes",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }
    settings, (trouble,) = resolve(FILE, environ)
    assert settings is not None
    assert settings.secure
    assert "OTEL_EXPORTER_OTLP_METRICS_INSECURE" in trouble.message


# --- what is not installed ---


def nothing(_: str) -> bool:
    """Have no optional library."""
    return False


@pytest.mark.parametrize(
    ("keys", "installed", "compression", "words"),
    [
        ({}, lambda name: name == "compression.zstd", "zstd", ""),
        ({}, lambda name: name == "backports.zstd", "zstd", ""),
        ({}, nothing, "gzip", "inferometer[zstd]"),
        ({"protocol": "grpc"}, lambda _: True, "gzip", "gRPC"),
        ({"sender": "sdk"}, lambda _: True, "gzip", "SDK"),
    ],
)
def test_zstd_where_it_can_be_had(
    keys: dict[str, str], installed: Callable[[str], bool], compression: str, words: str
) -> None:
    """A zstd that cannot be had is one trouble that says what to do, and gzip is used."""
    file = replace(FILE, **keys)  # type: ignore[arg-type]  # of one section
    settings, troubles = resolve(file, {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, installed)
    assert settings is not None
    assert settings.compression == compression
    assert [words in trouble.told() for trouble in troubles] == [True] * bool(words)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_sdk_where_it_is_not_installed(protocol: str) -> None:
    """A sender that is not installed is a trouble that names the extra, and our own sends."""
    file = config.Otlp(endpoint="http://c:4318", protocol=protocol, sender="sdk")  # type: ignore[arg-type]  # both are
    settings, troubles = resolve(file, {}, nothing)
    assert settings is not None
    assert settings.sender == "own"
    assert [trouble.reason for trouble in troubles] == [Reason.MISSING]
    assert "inferometer[otel]" in troubles[0].told()
    assert resolve(file, {}) == (replace(settings, sender="sdk"), ())


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    "endpoint",
    ["ftp://host", "http://", "http://host:port", "http://user:sesame", "http://h:0", "http://a b", "http://[::1"],
)
def test_an_endpoint_that_is_no_address_turns_the_push_off_and_says_so(endpoint: str, protocol: str) -> None:
    """A malformed endpoint is named without the password that it may hold, and nothing is pushed."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    settings, troubles = resolve(FILE, environ)
    assert settings is None
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in troubles[0].message
    assert "sesame" not in troubles[0].message


def test_no_secret_shows() -> None:
    """Neither the repr nor the place that logs name shows headers, user information or query values."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:sesame@c:4318/x?token=sesame",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=sesame",
    }
    settings = settle(environ)
    assert "sesame" in settings.target
    assert "sesame" not in repr(settings) + settings.place
    assert "c:4318/x/v1/metrics" in settings.place
    _, troubles = resolve(FILE, {**environ, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert "gRPC does not send them" in troubles[0].message


@pytest.mark.parametrize(
    ("environ", "attributes"),
    [
        ({}, {}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b, c=d%2C%20e"}, {"a": "b", "c": "d, e"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,a=b", "OTEL_SERVICE_NAME": "y"}, {"service.name": "y", "a": "b"}),
        ({"OTEL_SERVICE_NAME": "y"}, {"service.name": "y"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,broken", "OTEL_SERVICE_NAME": "y"}, {"service.name": "y"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=%ff"}, {}),
    ],
)
def test_resource_attributes(environ: dict[str, str], attributes: dict[str, str]) -> None:
    """The service's own variable wins; a list with an error in it counts for nothing, as the specification asks."""
    assert resource_attributes(environ) == attributes
