# SPDX-License-Identifier: Apache-2.0
"""collector-config/ as files: the old names, the builder's list, the lists that have to be the same, the page's table."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import old_names
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "collector-config"
KINDS = ("receivers", "processors", "exporters", "extensions")

# What the tests' own Collector has besides: exporters and a processor that the benches and the tests compare with.
ONLY_TESTS = {"batchprocessor", "debugexporter", "prometheusexporter"}


def configurations(folder: Path = SHIPPED) -> list[Path]:
    """What a Collector reads, alone or over another."""
    found = [*folder.glob("*.yaml"), *folder.glob("overlays/*.yaml")]
    return sorted(path for path in found if "service" in load(path))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def components(path: Path) -> set[str]:
    """The components that a configuration defines, as `kind/type`."""
    return {f"{kind[:-1]}/{name.partition('/')[0]}" for kind in KINDS for name in load(path).get(kind, ())}


def modules(manifest: Path) -> dict[str, str]:
    """A builder's components and providers: each module's path, and its version."""
    return dict(
        entry["gomod"].split() for value in load(manifest).values() if isinstance(value, list) for entry in value
    )


def test_the_old_names_are_made_of_the_current_ones() -> None:
    """`old_names.py --check` finds nothing to change, and every configuration has its older form."""
    assert old_names.main(["--check"]) == 0
    current = {path.relative_to(SHIPPED) for path in configurations()}
    assert current == {path.relative_to(SHIPPED / "old-names") for path in configurations(SHIPPED / "old-names")}


def test_a_file_that_is_out_of_date_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A configuration that was changed, and one whose source is gone, are each named, and mended without --check."""
    monkeypatch.setattr(old_names, "HERE", tmp_path / "c")
    monkeypatch.setattr(old_names, "OLD", tmp_path / "c" / "old-names")
    (tmp_path / "c" / "old-names").mkdir(parents=True)
    source = "# SPDX-License-Identifier: Apache-2.0\nexporters:\n  otlp_http/a: {}\n\nservice:\n  x: [otlp_http/a]\n"
    (tmp_path / "c" / "one.yaml").write_text(source, encoding="utf-8")
    (tmp_path / "c" / "prometheus.yaml").write_text("otlp: {}\n", encoding="utf-8")  # no Collector reads it
    (tmp_path / "c" / "old-names" / "gone.yaml").write_text("", encoding="utf-8")

    assert old_names.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "one.yaml is out of date: run make docs" in said
    assert "gone.yaml is out of date" in said
    assert old_names.main([]) == 0
    assert [path.name for path in (tmp_path / "c" / "old-names").iterdir()] == ["one.yaml"]
    assert old_names.main(["--check"]) == 0


def test_no_new_name_is_left_among_the_old_ones_and_nothing_else_differs() -> None:
    """Read as YAML, an older form is the current one with other names of components, and with the changes that are listed."""
    renamed = {one.new: one.old for one in old_names.RENAMED}

    def old(value: Any) -> Any:
        if isinstance(value, dict):
            return {old(key): old(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [old(inner) for inner in value]
        kind, slash, name = value.partition("/") if isinstance(value, str) else (value, "", "")
        return renamed.get(kind, kind) + slash + name if isinstance(value, str) else value

    for path in configurations():
        expected = old(load(path))
        if path.name == "remote-write.yaml":
            writer = expected["exporters"]["prometheusremotewrite"]
            writer |= writer.pop("http")
            del writer["disable_scope_info"]
        assert load(SHIPPED / "old-names" / path.relative_to(SHIPPED)) == expected, path.name


def test_a_receiver_keeps_its_name() -> None:
    """`otlp` is an exporter's old name and a receiver's name of all times; keys and texts that only look alike stay."""
    text = "receivers:\n  otlp:\nexporters:\n  otlp_grpc/a:\n  my_otlp_http_x: otlp_httpd\n"
    assert old_names.old_text(text, "x") == text.replace("otlp_grpc/a", "otlp/a")


def test_the_builders_list_is_what_the_configurations_need() -> None:
    """Each component that a configuration uses is built, and none besides."""
    types = {
        "receiver/otlp": "otlpreceiver",
        "receiver/prometheus": "prometheusreceiver",
        "processor/memory_limiter": "memorylimiterprocessor",
        "processor/resource_detection": "resourcedetectionprocessor",
        "processor/k8s_attributes": "k8sattributesprocessor",
        "processor/transform": "transformprocessor",
        "exporter/otlp_grpc": "otlpexporter",
        "exporter/otlp_http": "otlphttpexporter",
        "exporter/prometheus_remote_write": "prometheusremotewriteexporter",
        "extension/health_check": "healthcheckextension",
        "extension/file_storage": "filestorage",
        "extension/bearertokenauth": "bearertokenauthextension",
    }
    used = set().union(*map(components, configurations()))
    assert used == types.keys()
    built = {path.rpartition("/")[2] for path in modules(SHIPPED / "builder.yaml") if "/confmap/provider/" not in path}
    assert built == set(types.values())


def test_the_tests_collector_is_the_users_with_what_only_tests_need() -> None:
    """tools/collector/manifest.yaml has the modules of builder.yaml at the same versions, and those that are listed here."""
    users, ours = modules(SHIPPED / "builder.yaml"), modules(ROOT / "tools" / "collector" / "manifest.yaml")
    assert users.items() <= ours.items()
    assert {path.rpartition("/")[2] for path in ours.keys() - users.keys()} == ONLY_TESTS
    telemetry = [load(path)["telemetry"] for path in (SHIPPED / "builder.yaml", ROOT / "tools/collector/manifest.yaml")]
    assert telemetry[0] == telemetry[1]


def _promoted(overlay: str) -> list[str]:
    """The attributes that an overlay's statements copy; each is copied from itself, where the point has none."""
    (group,) = load(SHIPPED / "overlays" / overlay)["processors"]["transform/promote"]["metric_statements"]
    form = re.compile(r'set\(attributes\["(.+?)"\], resource\.attributes\["\1"\]\) where attributes\["\1"\] == nil')
    found = [form.fullmatch(statement) for statement in group["statements"]]
    assert all(found)
    return [match[1] for match in found if match]


def test_the_same_attributes_are_promoted_on_every_route() -> None:
    """Prometheus' own list is the overlays', but for the label that one of them adds."""
    by_prometheus = load(SHIPPED / "prometheus.yaml")["otlp"]["promote_resource_attributes"]
    assert _promoted("promote.yaml") == by_prometheus
    assert _promoted("pods.yaml") == [*by_prometheus, "k8s.pod.label.app.kubernetes.io/name"]


def test_nothing_overwrites_what_a_resource_says() -> None:
    """No detector overrides, and pods are found by the UID in the resource alone: never by who sent it."""
    for path in configurations():
        processors = load(path).get("processors", {})
        if "resource_detection" in processors:
            assert processors["resource_detection"]["override"] is False
        if "k8s_attributes" in processors:
            (association,) = processors["k8s_attributes"]["pod_association"]
            assert association == {"sources": [{"from": "resource_attribute", "name": "k8s.pod.uid"}]}


def test_memory_is_limited_before_all_else_and_what_waits_is_on_disk() -> None:
    """The limiter is the first processor everywhere; a queue is persistent, measured in bytes, retried for ever; or there is none."""
    for path in configurations():
        document = load(path)
        pipeline = document["service"].get("pipelines", {}).get("metrics", {})
        assert pipeline.get("processors", ["memory_limiter"])[0] == "memory_limiter"
        for exporter in document.get("exporters", {}).values():
            queue = exporter.get("sending_queue", {})
            if queue.get("storage"):
                assert (queue["sizer"], queue["batch"]["sizer"], queue["num_consumers"]) == ("bytes", "bytes", 1)
                assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"
            elif "retry_on_failure" in exporter:
                assert exporter["retry_on_failure"]["enabled"] is False
                assert (exporter.get("remote_write_queue") or queue)["enabled"] is False


def _variables() -> Iterator[tuple[str, str]]:
    for path in configurations():
        yield from re.findall(r"\$\{env:(\w+):-([^}]*)\}", path.read_text(encoding="utf-8"))


def test_every_variable_is_in_the_pages_table() -> None:
    """README.md names each with the default that the configurations have, and no other."""
    page = (SHIPPED / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)` )?\|", page, re.MULTILINE))
    assert {name: table.get(name) for name, _ in _variables()} == dict(_variables())
    assert table.keys() - dict(_variables()).keys() == {"GOMEMLIMIT", "OTEL_RESOURCE_ATTRIBUTES"}
