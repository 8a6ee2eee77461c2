# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a GPU, and with how it is used."""

from alerts.rule import Alert, Group, Severity
from alerts.site import HOUR, MINUTE, Site

LOST = "GpuLost"
XID = "GpuXid"
IDLE = "GpuHeldButIdle"

# What the agent tells of NVIDIA's XID catalogue, `gpu.xid.action`. An application's own fault (restart_app) and what may
# be ignored are nobody's alert.
ACT_NOW = ("reset_gpu", "restart_node")
LOOK_LATER = ("check_hardware", "contact_support", "unknown", "update_software", "workflow")
LEAVE = ("ignore", "restart_app")

# Clean-up after another XID, and the driver's note that its advice has changed: they come with the one that matters.
FOLLOWERS = ("45", "154")

IDLE_BELOW = 0.05

_HOLDERS = (
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
            _missing(site),
            _xid(site, Severity.PAGE, ACT_NOW),
            _xid(site, Severity.TICKET, LOOK_LATER),
            _held_but_idle(site),
        ),
    )


def _unresponsive() -> Alert:
    return Alert(
        LOST,
        Severity.PAGE,
        'hw_status{hw_state="failed"} == 1',
        2 * MINUTE,
        "GPU {{ $labels.gpu_index }} of {{ $labels.instance }} does not answer",
        f"""
        The driver's calls on GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} have failed or
        hung for two minutes; its other GPUs are still read. Whatever runs on it is stuck or gone. Held by: {_HOLDERS}

        Cordon the node, see what the kernel log says of it (NVRM: Xid), move the holders, and reset the GPU or restart
        the node.
        """,
        {"cause": "unresponsive"},
    )


def _missing(site: Site) -> Alert:
    return Alert(
        LOST,
        Severity.PAGE,
        f"gpu_devices < ignoring (pod) group_left () max without (pod) (max_over_time(gpu_devices[{site.span(6 * HOUR)}]))",
        10 * MINUTE,
        "{{ $labels.instance }} shows fewer GPUs than it did",
        """
        The driver of {{ $labels.instance }} shows {{ $value }} GPU(s), fewer than at some time in the last six hours. One
        has left the bus, or the driver was unloaded or updated. Compare nvidia-smi -L with lspci -d 10de: on the node;
        the kernel log has the reason (NVRM: Xid 79 and the lines around it).
        """,
        {"cause": "missing"},
    )


def _xid(site: Site, severity: Severity, actions: tuple[str, ...]) -> Alert:
    errors = f'gpu_xid_errors_total{{gpu_xid_action=~"{"|".join(actions)}",gpu_xid_code!~"{"|".join(FOLLOWERS)}"}}'
    window, hour = site.span(15 * MINUTE), site.span(HOUR)
    return Alert(
        XID,
        severity,
        # A counter that is born at 1 has not increased for Prometheus: what is new is what was not there before. Not so where
        # the whole agent was not there then, between two scrapes that were: that is a scrape missed, and nothing new.
        f"""
        increase({errors}[{window}]) > 0
        or
        (
          {errors} > 0
          unless
          {errors} offset {window}
          unless on (job, instance)
          (last_over_time(inferometer_info[{hour}] offset {window}) unless on (job, instance) inferometer_info offset {window})
        )
        """,
        0,
        "XID {{ $labels.gpu_xid_code }} on GPU {{ $labels.gpu_index }} of {{ $labels.instance }}: {{ $labels.gpu_xid_action }}",
        f"""
        GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} reported XID
        {{{{ $labels.gpu_xid_code }}}} in the last fifteen minutes, for which NVIDIA recommends
        {{{{ $labels.gpu_xid_action }}}}. Held by: {_HOLDERS}

        {_DO[severity]}
        """,
    )


_DO = {
    Severity.PAGE: "Cordon the node and move the holders, then do what is recommended: nothing that runs there can be trusted.",
    Severity.TICKET: "Work goes on. Do what is recommended at the next opportunity, and see whether it comes again.",
}


def _held_but_idle(site: Site) -> Alert:
    return Alert(
        IDLE,
        Severity.TICKET,
        f"max_over_time(gpu_owner_utilization_ratio[{site.span(10 * MINUTE)}]) < {IDLE_BELOW}",
        HOUR,
        "{{ $labels.k8s_namespace_name }}/{{ $labels.k8s_pod_name }} holds an idle GPU",
        """
        {{ $labels.k8s_namespace_name }}/{{ $labels.k8s_pod_name }}
        {{- with $labels.k8s_workload_kind }} ({{ . }} {{ $labels.k8s_workload_name }}){{ end }}
        {{- with $labels.inferometer_team }} of team {{ . }}{{ end }} has held GPU {{ $labels.gpu_index }}
        ({{ $labels.hw_id }}) of {{ $labels.instance }} alone for more than an hour, and its utilisation never reached 5 %.

        Ask its owner; a notebook can be stopped, an engine without requests scaled down.
        """,
    )
