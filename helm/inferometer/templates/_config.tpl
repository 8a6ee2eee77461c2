{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /*
The agent's configuration, and what of the chart follows it. The defaults that `dig` names are the agent's own; a test
compares them.
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

{{- /* As JSON. Helm reads a bare `off` as false, and the agent as a text. */ -}}
{{- define "inferometer.config" -}}
{{- $config := include "inferometer.withoutNulls" (.Values.config | default dict) | fromJson -}}
{{- if eq (dig "identity" "pods" "source" "auto" $config | toString) "false" -}}
{{- $_ := set $config.identity.pods "source" "off" -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{- define "inferometer.listen" -}}
{{- include "inferometer.config" . | fromJson | dig "server" "listen" "0.0.0.0:9466" -}}
{{- end -}}

{{- define "inferometer.port" -}}
{{- include "inferometer.listen" . | regexFind "[0-9]+$" | int -}}
{{- end -}}

{{- /* The socket is replaced when the kubelet restarts: its directory is mounted. */ -}}
{{- define "inferometer.socketDirectory" -}}
{{- include "inferometer.config" . | fromJson | dig "identity" "podresources" "socket" "/var/lib/kubelet/pod-resources/kubelet.sock" | dir -}}
{{- end -}}

{{- /* Whether the kubelet is asked who holds what: "true" or nothing. */ -}}
{{- define "inferometer.asksKubelet" -}}
{{- if include "inferometer.config" . | fromJson | dig "identity" "podresources" "enabled" true -}}true{{- end -}}
{{- end -}}

{{- /* Whether the API server is asked for pods and claims: "true" or nothing. */ -}}
{{- define "inferometer.asksApiServer" -}}
{{- if include "inferometer.config" . | fromJson | dig "identity" "pods" "source" "auto" | ne "off" -}}true{{- end -}}
{{- end -}}

{{- /* Which value makes the agent push by OTLP; nothing where none does. */ -}}
{{- define "inferometer.pushes" -}}
{{- if include "inferometer.config" . | fromJson | dig "otlp" "endpoint" "" -}}
config.otlp.endpoint
{{- else -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" "INFEROMETER_OTLP__ENDPOINT") -}}
extraEnv's {{ .name }}{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Where an operator makes the file that has the driver let go: a directory of the node's, or nothing. */ -}}
{{- define "inferometer.releaseDirectory" -}}
{{- if include "inferometer.readsGpus" . -}}
{{- with include "inferometer.config" . | fromJson | dig "devices" "nvidia" "release" "file" "/run/inferometer/release" -}}
{{- dir . -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Whether an annotation of the node is asked for: "true" or nothing. */ -}}
{{- define "inferometer.asksNode" -}}
{{- if include "inferometer.readsGpus" . -}}
{{- if include "inferometer.config" . | fromJson | dig "devices" "nvidia" "release" "annotation" "" -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- define "inferometer.readsGpus" -}}
{{- if include "inferometer.config" . | fromJson | dig "devices" "nvidia" "enabled" true -}}true{{- end -}}
{{- end -}}
