# SPDX-License-Identifier: Apache-2.0
"""Loading the configuration: what is accepted, and how each mistake is explained."""

import os
from pathlib import Path

import pytest

from inferometer.config import Config, ConfigError, Nvidia, Otlp, Seconds, TargetConfig, load


def read(folder: Path, text: str | bytes, environ: dict[str, str] | None = None) -> Config:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(str(path), environ or {})


def problems(folder: Path, text: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    """Give what is wrong, with the file's folder left out."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    return [str(problem).replace(f"{folder}{os.sep}", "") for problem in caught.value.problems]


def test_without_a_file_all_is_default() -> None:
    """The agent needs no configuration."""
    assert load(None, {"HOME": "/", "INFEROMETERS": "x"}) == Config()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "server:\n", "server:\nengines:\n  discovery:\n", "{}", "\ufeffserver:"]
)
def test_what_is_left_out_is_default(tmp_path: Path, text: str) -> None:
    """An empty file and an empty section, as commenting out leaves them, are the defaults."""
    assert read(tmp_path, text) == Config()


def test_values_are_read_by_their_types(tmp_path: Path) -> None:
    """Durations, sizes, texts, flags, numbers, lists, mappings and sections of a list."""
    config = read(
        tmp_path,
        """
period: 1m30s
server: {listen: "[::1]:80", max_connections: 10.0, timeout: 1.5}
devices: {nvidia: {enabled: false, deadline: 500ms}}
identity: {pods: {source: off, max_body: 1MiB}, team_keys: [a, b]}
engines:
  targets:
    - url: http://h:1/m
      headers: {Authorization: "Bearer x"}
    - {url: "https://h/", pod: p, namespace: n}
otlp: {max_request: 4096, endpoint: collector:4317}
""",
    )

    assert (config.period, config.server.listen, config.server.max_connections) == (90.0, "[::1]:80", 10)
    assert config.server.timeout == 1.5
    assert isinstance(config.period, Seconds)
    assert config.devices.nvidia == Nvidia(enabled=False, deadline=Seconds(0.5))
    assert (config.identity.pods.source, config.identity.pods.max_body) == ("off", 1 << 20)
    assert config.identity.team_keys == ("a", "b")
    assert config.engines.targets == (
        TargetConfig(url="http://h:1/m", headers={"Authorization": "Bearer x"}),
        TargetConfig(url="https://h/", namespace="n", pod="p"),
    )
    assert (config.otlp.endpoint, config.otlp.max_request) == ("collector:4317", 4096)


def test_variables_override_the_file(tmp_path: Path) -> None:
    """Texts are taken as they are, all else is YAML, and a list is replaced as a whole."""
    config = read(
        tmp_path,
        "server: {listen: '127.0.0.1:1'}\nengines: {targets: [{url: 'http://a/'}]}\nnode:\n",
        {
            "INFEROMETER_PERIOD": "2s",
            "INFEROMETER_SERVER__LISTEN": "127.0.0.1:2",
            "INFEROMETER_NODE__NAME": "0123",
            "INFEROMETER_ENGINES__TARGETS": "[{url: 'http://b/'}]",
            "INFEROMETER_OTLP__HEADERS": "{a: b}",
            "INFEROMETER_DEVICES__NVIDIA__ENABLED": "false",
        },
    )

    assert (config.period, config.server.listen, config.node.name) == (2.0, "127.0.0.1:2", "0123")
    assert config.engines.targets == (TargetConfig(url="http://b/"),)
    assert config.otlp.headers == {"a": "b"}
    assert config.devices.nvidia.enabled is False


def test_the_variables_of_kubernetes_services_are_not_ours() -> None:
    """A Service called `inferometer` puts these into every container of its namespace."""
    environ = {
        "INFEROMETER_SERVICE_HOST": "10.0.0.1",
        "INFEROMETER_SERVICE_PORT": "9466",
        "INFEROMETER_SERVICE_PORT_METRICS": "9466",
        "INFEROMETER_PORT": "tcp://10.0.0.1:9466",
        "INFEROMETER_PORT_9466_TCP": "tcp://10.0.0.1:9466",
        "INFEROMETER_PORT_9466_TCP_ADDR": "10.0.0.1",
        "INFEROMETER_AGENT_SERVICE_HOST": "10.0.0.2",
        "INFEROMETER_AGENT_PORT_9466_TCP_PROTO": "tcp",
    }

    assert load(None, environ) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server:\n  listne: x", "c.yaml:2: server.listne: is not a known key; did you mean server.listen?"),
        ("listen: x", "c.yaml:1: listen: is not a known key; did you mean server.listen?"),
        ("engines: {targets: [{ulr: 'http://a/'}]}", "c.yaml:1: engines.targets[0].ulr: is not a known key; did you mean engines.targets[].url?"),
        ("engines:\n  targets:\n  - pod: x", "c.yaml:3: engines.targets[0].url: is required"),
        ("period: 1\nperiod: 2", "c.yaml:2: period: stands twice; first in line 1"),
        ("period: fast", "c.yaml:1: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("period: 0.05", "c.yaml:1: period: must be at least 100ms"),
        ("period: -1s", "c.yaml:1: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("period: .inf", "c.yaml:1: period: must be at most 30d"),
        ("period: .nan", "c.yaml:1: period: must be at most 30d"),
        ("period: true", "c.yaml:1: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("period:", "c.yaml:1: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("otlp: {max_request: 5 MB}", "c.yaml:1: otlp.max_request: must be a size such as 16MiB, 512KiB, 4MB or a number of bytes"),
        ("otlp: {max_request: " + "9" * 5000 + "B}", "c.yaml:1: otlp.max_request: must be a size such as 16MiB, 512KiB, 4MB or a number of bytes"),
        ('period: "5s\\n"', "c.yaml:1: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("otlp: {max_request: 1KiB}\nlimits: {series: 5}", "c.yaml:2: limits.series: must be at least 1000"),
        ("engines: {targets: [{url: 'http://[::1'}]}", "c.yaml:1: engines.targets[0].url: must be an http:// or https:// URL"),
        ("engines: {targets: [{url: 'http://a:99999/'}]}", "c.yaml:1: engines.targets[0].url: must be an http:// or https:// URL"),
        ("otlp: {protocol: grcp}", "c.yaml:1: otlp.protocol: must be one of http/protobuf, grpc; the nearest is grpc"),
        ("server: {listen: '9466'}", "c.yaml:1: server.listen: must be ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466"),
        ("server: {listen: ':99999'}", "c.yaml:1: server.listen: must be ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466"),
        ("server: {max_connections: 1.5}", "c.yaml:1: server.max_connections: must be a whole number, not a number"),
        ("node: {name: 5}", "c.yaml:1: node.name: must be a text, not a number; put it in quotes"),
        ("engines: {enabled: yes}", "c.yaml:1: engines.enabled: must be true or false, not a text"),
        ("engines: {targets: {url: a}}", "c.yaml:1: engines.targets: must be a list, not a section"),
        ("engines: {discovery: 5}", "c.yaml:1: engines.discovery: must hold keys, not a number; its keys are enabled, labels, port_names, images"),
        ("identity:\n  team_keys:\n  - a\n  - 5", "c.yaml:2: identity.team_keys: must be a list of texts; item 1 is a number"),
        ("otlp: {headers: [a]}", "c.yaml:1: otlp.headers: must be a mapping of names to texts, not a list"),
        ("- a", "c.yaml: must hold keys, not a list; its keys are " + ", ".join(Config.__dataclass_fields__)),
        ("node: {name: !!python/object:os.system x}", "c.yaml:1: node.name: carries a tag; tags are not supported"),
        ("? [a]\n: b", "c.yaml:1: has a key that is not a text"),
        ("a: [", "c.yaml:1: is not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: &a 1\nb: *a", "c.yaml:2: is not valid YAML: aliases are not supported"),
        ("a: 1\n---\nb: 1", "c.yaml:2: is not valid YAML: but found another document"),
        ("[" * 20_000, "c.yaml: is not valid YAML: it is nested too deeply or a number is too long"),
        (f"period: {'9' * 5000}", "c.yaml: is not valid YAML: it is nested too deeply or a number is too long"),
        ("a: \x07", "c.yaml: is not valid YAML: it holds a character that YAML does not allow"),
        (b"node: {name: '\xff'}", "c.yaml: is not UTF-8 (byte 14)"),
        (b"#" * (1 << 20) + b"##", "c.yaml: is larger than 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place_and_what_is_right(tmp_path: Path, text: str | bytes, said: str) -> None:
    """File, line, key and the nearest valid key or form stand in the error."""
    assert said in problems(tmp_path, text)


def test_all_mistakes_are_reported_in_the_files_order(tmp_path: Path) -> None:
    """Nobody mends a file one error a time."""
    found = problems(tmp_path, "period: x\nfoo: 1\nserver:\n  timeout: y\nlog:\n  level: z\n")

    assert [line.split(":")[1] for line in found] == ["1", "2", "4", "6"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("INFEROMETER_OTLP_ENDPOINT", "x", "INFEROMETER_OTLP_ENDPOINT: is not a known variable; the nearest is INFEROMETER_OTLP__ENDPOINT"),
        ("INFEROMETER_OTLP", "{}", "INFEROMETER_OTLP: is a section; set one of its keys, such as INFEROMETER_OTLP__ENDPOINT"),
        ("INFEROMETER_ENGINES__TARGETS__URL", "x", "INFEROMETER_ENGINES__TARGETS__URL: is a key within a list; a list is set as a whole, in YAML"),
        ("INFEROMETER_PERIOD", "x", "INFEROMETER_PERIOD: period: must be a duration such as 5s, 500ms, 1m30s or a number of seconds"),
        ("INFEROMETER_ENGINES__TARGETS", "[", "INFEROMETER_ENGINES__TARGETS: engines.targets: is not valid YAML: expected the node content, but found '<stream end>'"),
        ("INFEROMETER_ENGINES__TARGETS", "[{a: b, url: 'http://a/'}]", "INFEROMETER_ENGINES__TARGETS: engines.targets[0].a: is not a known key; did you mean engines.targets[].url?"),
        ("INFEROMETER_SERVER__LISTEN", "x", "INFEROMETER_SERVER__LISTEN: server.listen: must be ADDRESS:PORT, such as 127.0.0.1:9466 or [::]:9466"),
    ],
)  # fmt: skip
def test_a_mistaken_variable_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    """The variable stands where the file and line would."""
    (found,) = problems(tmp_path, "engines: {targets: [{url: 'http://file/'}]}", {name: value})
    if "a: b" in value:  # the nearest of all keys is not fixed by the interface
        assert found.startswith("INFEROMETER_ENGINES__TARGETS: engines.targets[0].a: is not a known key; ")
    else:
        assert found == said


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and a folder are errors and not the defaults."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match=rf"^{path}: cannot be read: "):
            load(str(path), {})


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"otlp: {{headers: {{a: [{SECRET}]}}}}",
        f"otlp: {{headers: {SECRET}}}",
        f"otlp: {{endpoint: 'ftp://user:{SECRET}@host/'}}",
        f"engines: {{targets: [{{url: 'x {SECRET}', headers: {{a: {SECRET}}}}}]}}",
        f"otlp:\n  headers:\n    a: 'x\n  {SECRET}: [",
        f"otlp: {{headers: {{a: !!binary {SECRET}}}}}",
    ],
)
def test_no_secret_stands_in_an_error(tmp_path: Path, text: str) -> None:
    """Errors go to logs; the value of a header, or of a URL that may hold a password, does not."""
    assert not any(SECRET in said for said in problems(tmp_path, text))


def test_no_secret_stands_in_a_repr() -> None:
    """A value that ends up in a log line or a traceback shows no header."""
    shown = repr(Config(otlp=Otlp(headers={"a": SECRET}))) + repr(TargetConfig(headers={"a": SECRET}))

    assert SECRET not in shown
