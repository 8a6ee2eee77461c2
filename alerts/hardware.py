# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a GPU, and with how it is used."""

from alerts.rule import LIMIT, Alert, Group, Limit, Recording, Severity
from alerts.site import HOUR, MINUTE, Site

LOST = "GpuLost"
IDLE = "GpuHeldButIdle"

IDLE_BELOW = 0.05

# How many GPUs a node has, whatever state they are in; excluded ones are still there.
_GPUS = "instance:gpu_devices:sum"

# Who holds a GPU, or instances of it, for an alert with its `hw_id`.
HOLDERS = (
    "{{ range $place, $holder := query (printf `group by (k8s_namespace_name, k8s_pod_name)"
    ' (gpu_owner_info{hw_id=%q,role!="admin"} or gpu_owner_info{hw_parent=%q,role!="admin"})` $labels.hw_id $labels.hw_id) }}'
    "{{ if $place }}, {{ end }}"
    "{{ $holder.Labels.k8s_namespace_name }}/{{ $holder.Labels.k8s_pod_name }}{{ else }}nobody{{ end }}."
)


def group(site: Site) -> Group:
    """Make the rules on GPUs."""
    return Group(
        "gpu",
        (
            _unresponsive(),
            _nameless(),
            Recording(_GPUS, "sum without (hw_model, gpu_state) (gpu_devices)"),
            _missing(site),
            _held_but_idle(site),
        ),
    )


def _unresponsive() -> Alert:
    return Alert(
        LOST,
        Severity.PAGE,
        'gpu_health_reason{gpu_health_cause="unresponsive"} == 1',
        2 * MINUTE,
        "GPU {{ $labels.gpu_index }} of {{ $labels.instance }} does not answer",
        f"""
        The driver's calls on GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} fail or
        hang; its other GPUs are still read. Whatever runs on it is stuck or gone. Held by: {HOLDERS}

        Cordon the node, see what the kernel log says of it (NVRM: Xid), move the holders, and reset the GPU or restart
        the node.
        """,
        {"cause": "unresponsive"},
        rule="unresponsive",
    )


def _nameless() -> Alert:
    return Alert(
        LOST,
        Severity.PAGE,
        'gpu_devices{gpu_state="unhealthy",hw_model=""} > 0',
        2 * MINUTE,
        "{{ $value }} GPU(s) of {{ $labels.instance }} have never answered",
        """
        The driver of {{ $labels.instance }} counts {{ $value }} GPU(s) that have not said who they are since the agent was started:
        every call on them fails or hangs. What they are called, and who holds them, is not known; the node's other GPUs are read.

        inferometer check names the call and the driver's answer. Cordon the node, see what the kernel log says (NVRM: Xid),
        and reset the GPU or restart the node.
        """,
        {"cause": "nameless"},
        rule="nameless",
    )


def _missing(site: Site) -> Alert:
    return Alert(
        LOST,
        Severity.PAGE,
        f"{_GPUS} < ignoring (pod) group_left () max without (pod) (max_over_time({_GPUS}[{site.span(6 * HOUR)}]))",
        10 * MINUTE,
        "{{ $labels.instance }} shows fewer GPUs than it did",
        """
        The driver of {{ $labels.instance }} shows {{ $value }} GPU(s), fewer than at some time in the last six hours. One
        has left the bus, or the driver was unloaded or updated. Compare nvidia-smi -L with lspci -d 10de: on the node;
        the kernel log has the reason (NVRM: Xid 79 and the lines around it).
        """,
        {"cause": "missing"},
        rule="missing",
    )


def _held_but_idle(site: Site) -> Alert:
    return Alert(
        IDLE,
        Severity.TICKET,
        f"max_over_time(gpu_owner_utilization_ratio[{site.span(10 * MINUTE)}]) < {LIMIT}",
        HOUR,
        "{{ $labels.k8s_namespace_name }}/{{ $labels.k8s_pod_name }} holds an idle GPU",
        """
        {{ $labels.k8s_namespace_name }}/{{ $labels.k8s_pod_name }}
        {{- with $labels.k8s_workload_kind }} ({{ . }} {{ $labels.k8s_workload_name }}){{ end }}
        {{- with $labels.inferometer_team }} of team {{ . }}{{ end }} has held GPU {{ $labels.gpu_index }}
        ({{ $labels.hw_id }}) of {{ $labels.instance }} alone for long, and hardly used it: in the last ten minutes its utilisation
        was {{ $value | humanizePercentage }} at most.

        Ask its owner; a notebook can be stopped, an engine without requests scaled down.
        """,
        limit=Limit(
            IDLE_BELOW, "Utilisation, 0 to 1, that a GPU which is used gets above at least once in ten minutes.", 1
        ),
    )
