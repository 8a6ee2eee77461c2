# SPDX-License-Identifier: Apache-2.0
"""What the driver itself reports of GPUs and NVSwitches: XIDs and SXIDs."""

from alerts.hardware import HOLDERS
from alerts.rule import Alert, Group, Recording, Severity
from alerts.site import HOUR, MINUTE, Site
from inferometer.xid_catalog import PAGED, TICKETED

XID = "GpuXid"
SXID = "GpuNvswitchSxid"

# XIDs whose code no rule names: those of all codes less those of codes that NVIDIA's catalogue has.
_UNKNOWN = "gpu:xid_unknown:sum"

_INFO = "printf `gpu_xid_info{gpu_xid_code=%q,instance=%q}` $labels.gpu_xid_code $labels.instance"
_MNEMONIC = f'{{{{ with query ({_INFO}) }}}} {{{{ . | first | label "gpu_xid_mnemonic" }}}}{{{{ end }}}}'
_ACTION = (
    f'{{{{ with query ({_INFO}) }}}}{{{{ . | first | label "gpu_xid_action" }}}}{{{{ else }}}}unknown{{{{ end }}}}'
)

_DO = {
    Severity.PAGE: "Cordon the node and move the holders, then do what is recommended: nothing that runs there can be trusted.",
    Severity.TICKET: "Work goes on. Do what is recommended at the next opportunity, and see whether it comes again.",
}


def group(site: Site) -> Group:
    """Make the rules on XIDs and SXIDs."""
    return Group(
        "xid",
        (
            _catalogued(site, Severity.PAGE, PAGED),
            _catalogued(site, Severity.TICKET, TICKETED),
            Recording(
                _UNKNOWN,
                """
                gpu_xid_events_total
                -
                sum without (gpu_xid_code, gpu_xid_severity) (gpu_xid_errors_total{gpu_xid_severity!="unknown"})
                """,
            ),
            _uncatalogued(site),
            _of_switch(site),
        ),
    )


def _catalogued(site: Site, severity: Severity, codes: tuple[int, ...]) -> Alert:
    errors = f'gpu_xid_errors_total{{gpu_xid_code=~"{"|".join(map(str, codes))}"}}'
    return Alert(
        XID,
        severity,
        f"""
        increase({errors}[{site.span(15 * MINUTE)}]) > 0
        or
        {_born(errors, site)}
        """,
        0,
        "XID {{ $labels.gpu_xid_code }} on GPU {{ $labels.gpu_index }} of {{ $labels.instance }}: {{ $labels.gpu_xid_severity }}",
        f"""
        GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} reported XID
        {{{{ $labels.gpu_xid_code }}}}{_MNEMONIC} in the last fifteen minutes, for which NVIDIA recommends
        {_ACTION}. Held by: {HOLDERS}

        {_DO[severity]}
        """,
        {"cause": "catalogued"},
        rule=severity.value,
    )


def _uncatalogued(site: Site) -> Alert:
    return Alert(
        XID,
        Severity.TICKET,
        f"""
        {_UNKNOWN} > min_over_time({_UNKNOWN}[{site.span(15 * MINUTE)}])
        or
        {_born(_UNKNOWN, site)}
        """,
        0,
        "An XID that is in no catalogue on GPU {{ $labels.gpu_index }} of {{ $labels.instance }}",
        f"""
        GPU {{{{ $labels.gpu_index }}}} ({{{{ $labels.hw_id }}}}) of {{{{ $labels.instance }}}} reported an XID in the last fifteen
        minutes that NVIDIA's catalogue, as the agent has it, does not know. Unknown codes so far:
        {{{{- range query (printf `gpu_xid_errors_total{{hw_id=%q,gpu_xid_severity="unknown"}} > 0` $labels.hw_id) }}}}
        {{{{ label "gpu_xid_code" . }}}}{{{{ else }}}} none{{{{ end }}}}. Held by: {HOLDERS}

        The kernel log of the node has its text (NVRM: Xid), NVIDIA's catalogue perhaps its meaning.
        """,
        {"cause": "uncatalogued"},
        rule="uncatalogued",
    )


def _of_switch(site: Site) -> Alert:
    errors = 'gpu_nvswitch_sxid_errors_total{gpu_xid_severity="fatal"}'
    return Alert(
        SXID,
        Severity.PAGE,
        f"""
        increase({errors}[{site.span(15 * MINUTE)}]) > 0
        or
        {_born(errors, site)}
        """,
        0,
        "Fatal SXID {{ $labels.gpu_sxid_code }} on NVSwitch {{ $labels.gpu_nvswitch_pci_address }} of {{ $labels.instance }}",
        """
        NVSwitch {{ $labels.gpu_nvswitch_pci_address }} of {{ $labels.instance }} reported SXID {{ $labels.gpu_sxid_code }} as fatal in
        the last fifteen minutes. What several of the node's GPUs do together fails or hangs; what uses one alone goes on.

        Cordon the node and move what spans several GPUs, then reset all its GPUs and NVSwitches together, or restart it.
        """,
    )


def _born(counter: str, site: Site) -> str:
    """Find a counter that Prometheus first sees above 0: it has not increased for it, though what it counts is new.

    Not so where the whole agent was not there then, between two scrapes that were: that is a scrape missed, and nothing new.
    """
    window, hour = site.span(15 * MINUTE), site.span(HOUR)
    return f"""(
          {counter} > 0
          unless
          {counter} offset {window}
          unless on (job, instance)
          (last_over_time(inferometer_info[{hour}] offset {window}) unless on (job, instance) inferometer_info offset {window})
        )"""
