{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What PodMonitor and ServiceMonitor share. */ -}}

{{- /* Which of the two is there, by its value's name; nothing where neither is. Both at once are refused. */ -}}
{{- define "inferometer.monitor" -}}
{{- if .Values.podMonitor.enabled -}}podMonitor{{- else if .Values.serviceMonitor.enabled -}}serviceMonitor{{- end -}}
{{- end -}}

{{- /* An object's labels, and those by which it is picked. Given: the chart's root, and these. */ -}}
{{- define "inferometer.pickedBy" -}}
{{- merge (include "inferometer.labels" (first .) | fromYaml) (last . | default dict) | toYaml -}}
{{- end -}}

{{- /* How the page is scraped. Given: the chart's root, and the monitor's values, of which those that are set are told. */ -}}
{{- define "inferometer.endpoint" -}}
{{- $of := last . -}}
port: metrics
path: /metrics
{{- if include "inferometer.tls" (first .) }}
scheme: https
{{- end }}
{{- range $name := list "interval" "scrapeTimeout" "honorLabels" "bearerTokenFile" "tlsConfig" "authorization" "basicAuth" "relabelings" "metricRelabelings" }}
{{- with get $of $name }}
{{ dict $name . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* What a monitor says beside its endpoint. Given: its values. */ -}}
{{- define "inferometer.monitorLimits" -}}
{{- $of := . -}}
{{- range $name := list "sampleLimit" "labelLimit" "targetLabels" "podTargetLabels" }}
{{- with get $of $name }}
{{ dict $name . | toYaml }}
{{- end }}
{{- end }}
{{- end -}}
