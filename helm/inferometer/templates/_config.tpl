{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /*
The agent's configuration, and what of the chart follows it; see _access.tpl and _rights.tpl too. The defaults that `dig`
names are the agent's own; a test compares them.
*/ -}}

{{- /* A section whose keys are all commented out is null: leave it out, as the agent does. */ -}}
{{- define "inferometer.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $kept $name (include "inferometer.withoutNulls" $value | fromJson) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $name $value -}}
{{- end -}}
{{- end -}}
{{- toJson $kept -}}
{{- end -}}

{{- /* As it is given, in JSON. Helm reads a bare `off` as false, and the agent as a text. */ -}}
{{- define "inferometer.givenConfig" -}}
{{- $config := include "inferometer.withoutNulls" (.Values.config | default dict) | fromJson -}}
{{- $identity := $config.identity | default dict -}}
{{- range list "pods" "claims" -}}
{{- with get $identity . -}}
{{- if eq (get . "source" | toString) "false" -}}
{{- $_ := set . "source" "off" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{- /* As the agent gets it, in JSON. What the pod is given no access to is switched off: no source is down for ever. */ -}}
{{- define "inferometer.config" -}}
{{- $config := include "inferometer.givenConfig" . | fromJson -}}
{{- $devices := $config.devices | default dict -}}
{{- $_ := set $devices "kernel_log" (set ($devices.kernel_log | default dict) "enabled" .Values.hostAccess.kernelLog) -}}
{{- if .Values.gpuAccess.amd -}}
{{- $_ := set $devices "amd" (set ($devices.amd | default dict) "enabled" true) -}}
{{- end -}}
{{- $_ := set $config "devices" $devices -}}
{{- $identity := $config.identity | default dict -}}
{{- if ne .Values.rbac.tier "node+claims" -}}
{{- $claims := $identity.claims | default dict -}}
{{- if eq (get $claims "source" | default "auto") "auto" -}}
{{- $_ := set $identity "claims" (set $claims "source" "off") -}}
{{- end -}}
{{- $_ := set $identity "slices" (set ($identity.slices | default dict) "enabled" false) -}}
{{- end -}}
{{- /* A /proc of the node's, mounted elsewhere, does without hostPID. */ -}}
{{- if or .Values.hostAccess.processes (eq (dig "identity" "processes" "proc" "/proc" $config) "/proc") -}}
{{- $_ := set $identity "processes" (set ($identity.processes | default dict) "enabled" .Values.hostAccess.processes) -}}
{{- end -}}
{{- $_ := set $config "identity" $identity -}}
{{- with .Values.persistence.hostPath -}}
{{- if not (dig "accounting" "state" "" $config) -}}
{{- $_ := set $config "accounting" (set ($config.accounting | default dict) "state" (printf "%s/counters" .)) -}}
{{- end -}}
{{- if and $.Values.hostAccess.kernelLog (not (dig "devices" "kernel_log" "state" "" $config)) -}}
{{- $_ := set $devices.kernel_log "state" (printf "%s/kernel-log" .) -}}
{{- end -}}
{{- if and (include "inferometer.pushes" $) (not (dig "otlp" "spool" "directory" "" $config)) -}}
{{- $otlp := $config.otlp | default dict -}}
{{- $_ := set $otlp "spool" (set ($otlp.spool | default dict) "directory" (printf "%s/spool" .)) -}}
{{- $_ := set $config "otlp" $otlp -}}
{{- end -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{- define "inferometer.listen" -}}
{{- include "inferometer.config" . | fromJson | dig "server" "listen" "0.0.0.0:9466" -}}
{{- end -}}

{{- define "inferometer.port" -}}
{{- include "inferometer.listen" . | regexFind "[0-9]+$" | int -}}
{{- end -}}

{{- /* Whether the endpoint speaks TLS. */ -}}
{{- define "inferometer.tls" -}}
{{- if include "inferometer.config" . | fromJson | dig "server" "tls" "certificate" "" -}}true{{- end -}}
{{- end -}}

{{- /* Which value makes the agent push by OTLP; nothing where none does. */ -}}
{{- define "inferometer.pushes" -}}
{{- if include "inferometer.givenConfig" . | fromJson | dig "otlp" "endpoint" "" -}}
config.otlp.endpoint
{{- else -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" "INFEROMETER_OTLP__ENDPOINT") -}}
extraEnv's {{ .name }}{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
