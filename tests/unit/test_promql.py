# SPDX-License-Identifier: Apache-2.0
"""The checker of PromQL: what it lets pass, with which labels and unit, and what it says of what it does not."""

import pytest

from promql import KNOWN, Fault, check, check_legend, recorded, substitute
from units import Unit

GOOD = (
    ("hw_power_watts", "W"),
    ("rate(hw_energy_joules_total[5m])", "W"),
    ("rate(gpu_owner_time_seconds_total[5m])", "1"),
    ("increase(hw_energy_joules_total[1h])", "J"),
    ("1 - hw_gpu_utilization_ratio", "1"),
    ("hw_gpu_memory_usage_bytes / (hw_gpu_memory_limit_bytes > 0)", "1"),
    ("count(group by (hw_id) (gpu_info))", "{gpu}"),
    ("sum(group by (hw_id) (gpu_info) * 0)", "{gpu}"),
    ("sum(hw_power_watts > bool 300)", "1"),
    ("avg_over_time(hw_power_watts[5m])", "W"),
    ("deriv(inference_requests_waiting[5m])", "{request}/s"),
    ("max_over_time(sum(rate(hw_energy_joules_total[1m]))[1h:1m])", "W"),
    (
        "histogram_quantile(0.95, sum by (le) (rate(gen_ai_server_time_to_first_token_seconds_bucket[5m])))",
        "s",
    ),
    (
        (
            '1 - sum(rate(gen_ai_server_time_to_first_token_seconds_bucket{le=~"1(\\\\.0)?"}[5m]))'
            " / (sum(rate(gen_ai_server_time_to_first_token_seconds_count[5m])) > 0)"
        ),
        "1",
    ),
    (
        "rate(gen_ai_server_request_duration_seconds_sum[5m]) / rate(gen_ai_server_request_duration_seconds_count[5m])",
        "s/{observation}",
    ),
    (
        (
            'sum by (k8s_pod_uid) (rate(inference_tokens_total{gen_ai_token_type="output"}[5m]))'
            " / on (k8s_pod_uid) sum by (k8s_pod_uid) (rate(hw_energy_joules_total[5m])"
            " * on (hw_id) group_left (k8s_pod_uid) group by (hw_id, k8s_pod_uid) (gpu_owner_utilization_ratio))"
        ),
        "{token}/J",
    ),
    ("hw_power_watts and on (job, instance) target_info{k8s_node_name='a'}", "W"),
    ("absent(up{job='inferometer'})", "1"),
    ("time() - gpu_reading_age_seconds", "s"),
    ("scalar(hw_power_watts) + 1", "W"),
)

FAULTS = (
    ("hw_powr_watts", "metric hw_powr_watts does not exist here; the nearest is hw_power_watts"),
    ('hw_power_watts{hw_idd="x"}', "label hw_idd does not exist here; the nearest is hw_id, of hw_power_watts"),
    (
        'rate(inference_tokens_total{gen_ai_token_type="outptu"}[5m])',
        "value outptu does not exist here; the nearest is output",
    ),
    ('hw_status{hw_state=~"faild|degraded"}', "value faild does not exist here; the nearest is failed"),
    ("sum by (model) (inference_requests_running)", "label model does not exist here; the nearest is"),
    (
        "gpu_devices < on (pod) gpu_devices",
        "label pod does not exist here; the nearest is hw_model, on one side of <",
    ),
    ("sum without (gpu) (hw_power_watts)", "label gpu does not exist here; the nearest is gpu_index"),
    ("rate(hw_power_watts[5m])", "rate() is for counters, and hw_power_watts[5m] is a gauge"),
    ("rate(sum(hw_energy_joules_total)[5m:1m])", "is a derived"),
    ("avg_over_time(hw_energy_joules_total[5m])", "avg_over_time() is for gauges"),
    ("histogram_quantile(0.9, hw_power_watts)", "needs a histogram's _bucket series"),
    (
        "histogram_quantile(0.9, sum by (le) (gen_ai_server_request_duration_seconds_bucket))",
        "take rate() of the buckets first",
    ),
    (
        "sum(rate(gen_ai_server_request_duration_seconds_bucket[5m]))",
        "sum() over le counts each observation once per bucket",
    ),
    ("sum(hw_gpu_utilization_ratio)", "sum() of hw_gpu_utilization_ratio means nothing: the catalogue says average"),
    ("sum(gpu_owner_info)", "the catalogue says join"),
    ("hw_power_watts > hw_temperature_celsius", "the two sides of > differ in hw_sensor_location, hw_type"),
    (
        "hw_power_watts > on (hw_id) hw_temperature_celsius",
        "the two sides of > have different units: J/s and Cel",
    ),
    ("hw_power_watts * on (hw_id) gpu_devices", "label hw_id does not exist here"),
    (
        "hw_power_watts * on (hw_id) group_left (pod) gpu_owner_info",
        "label pod does not exist here; the nearest is k8s_pod_uid",
    ),
    ('label_replace(hw_power_watts, "a", "$1", "uuid", "(.*)")', "label uuid does not exist here"),
    ('{__name__="hw_power_watts"}', "a selector names one metric"),
    ("sum(", "this is not PromQL"),
)


@pytest.mark.parametrize(("expression", "unit"), GOOD)
def test_what_is_right_has_the_unit_that_follows_from_its_metrics(expression: str, unit: str) -> None:
    """The unit of a query is worked out from the catalogue, through rates, quotients, quantiles and joins."""
    assert check(expression, place="here").unit == Unit.parse(unit)


@pytest.mark.parametrize(("expression", "sentence"), FAULTS)
def test_what_cannot_be_right_is_a_sentence_that_names_the_place(expression: str, sentence: str) -> None:
    """A wrong name, label, value, type or unit is told with its place and, where it is a name, the nearest valid one."""
    with pytest.raises(Fault) as caught:
        check(expression, place="dashboard fleet, panel Held")
    assert str(caught.value).startswith("dashboard fleet, panel Held: ")
    assert sentence in str(caught.value)


def test_the_labels_of_a_result_follow_its_aggregations_and_joins() -> None:
    """Only what `by`, `on` and `group_left` leave is there for a legend."""
    shape = check(
        "sum by (hw_id) (hw_power_watts) * on (hw_id) group_left (hw_model) max by (hw_id, hw_model) (gpu_info)",
        place="here",
    )
    assert shape.labels == {"hw_id", "hw_model"}
    check_legend("{{hw_model}} {{ hw_id }}", shape, place="here")
    with pytest.raises(Fault, match="here: the legend's label hw_serial does not exist here; the nearest is"):
        check_legend("{{hw_serial}}", shape, place="here")


def test_a_recording_rule_is_a_series_like_any_other() -> None:
    """What it records keeps its unit and labels, and gains those that the rule adds."""
    shape = check("sum by (gen_ai_request_model) (rate(inference_tokens_total[5m]))", place="rule")
    record = recorded("model:inference_tokens:rate5m", shape, ["slo"])
    known = {**KNOWN, record.name: record}
    assert check('model:inference_tokens:rate5m{slo="x"} * 3', place="here", known=known).unit == Unit.parse(
        "{token}/s"
    )
    with pytest.raises(Fault, match="metric model:inference_tokens:rate5m does not exist here"):
        check(record.name, place="here")


def test_a_variable_that_does_not_exist_names_the_nearest() -> None:
    """Variables are put in place in each of Grafana's spellings; label_replace's own `$1` stays."""
    values = {"node": "n.*", "__rate_interval": "10s"}
    text = substitute('x{a=~"$node",b="${node}",c="${node:regex}",d="$1"}[$__rate_interval]', values, place="here")
    assert text == 'x{a=~"n.*",b="n.*",c="n.*",d="$1"}[10s]'
    with pytest.raises(Fault, match=r"here: variable \$nod does not exist here; the nearest is \$node"):
        substitute("$nod", values, place="here")


def test_every_metric_of_the_catalogue_can_be_selected() -> None:
    """By the name that Prometheus gives it, a histogram by its three."""
    assert {"hw_energy_joules_total", "gpu_info", "gen_ai_server_request_duration_seconds_bucket"} <= set(KNOWN)
    assert "gen_ai_server_request_duration_seconds" not in KNOWN
    for name in KNOWN:
        check(name, place=name)
