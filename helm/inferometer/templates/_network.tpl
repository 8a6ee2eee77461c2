{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Whom the agent asks, and on which ports: what networkpolicy.yaml lets out. */ -}}

{{- /* A rule's ports, and to whom; any port, and to anybody, where none and nobody is named. Given: both. */ -}}
{{- define "inferometer.egressTo" -}}
{{- $rule := dict -}}
{{- range first . -}}
{{- $_ := set $rule "ports" (append ($rule.ports | default list) (dict "port" (int .) "protocol" "TCP")) -}}
{{- end -}}
{{- with last . -}}{{- $_ := set $rule "to" . -}}{{- end -}}
{{- toYaml $rule -}}
{{- end -}}

{{- /* The port behind the Service's name: that of the pods, which a headless Service's name stands for. */ -}}
{{- define "inferometer.reachedPort" -}}
{{- if .Values.service.headless -}}{{- include "inferometer.port" . -}}{{- else -}}{{- .Values.service.port -}}{{- end -}}
{{- end -}}

{{- define "inferometer.asksApiServer" -}}
{{- if or (include "inferometer.asksPods" .) (include "inferometer.asksClaims" .) (include "inferometer.asksSlices" .) (include "inferometer.asksNode" .) (include "inferometer.asksReviews" .) -}}true{{- end -}}
{{- end -}}

{{- /* Where a URL, or HOST:PORT, leads: host, port, and the block of the one address where the host is one. In JSON. */ -}}
{{- define "inferometer.place" -}}
{{- $parts := urlParse (ternary . (printf "grpc://%s" .) (contains "://" .)) -}}
{{- $usual := get (dict "https" "443" "grpc" "4317") $parts.scheme | default "80" -}}
{{- $port := regexFind ":[0-9]+$" $parts.host | trimPrefix ":" | default $usual | int -}}
{{- $host := regexReplaceAll ":[0-9]+$" $parts.host "" | trimPrefix "[" | trimSuffix "]" -}}
{{- $block := "" -}}
{{- if regexMatch "^[0-9]+([.][0-9]+){3}$" $host -}}
{{- $block = printf "%s/32" $host -}}
{{- else if contains ":" $host -}}
{{- $block = printf "%s/128" $host -}}
{{- end -}}
{{- dict "host" $host "port" $port "block" $block | toJson -}}
{{- end -}}

{{- /* The API server's ports, in JSON, and the one of an address that is named; none where any will do. */ -}}
{{- define "inferometer.apiServerPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.apiServerPorts -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- $url := include "inferometer.config" . | fromJson | dig "identity" "pods" "server" "" -}}
{{- if and $ports $url -}}
{{- $ports = append $ports ((include "inferometer.place" $url | fromJson).port | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{- define "inferometer.kubeletPort" -}}
{{- $url := include "inferometer.config" . | fromJson | dig "identity" "pods" "kubelet_url" "" -}}
{{- with $url -}}{{- (include "inferometer.place" . | fromJson).port -}}{{- else -}}10250{{- end -}}
{{- end -}}

{{- /* The port of the OTLP endpoint, by the file or by a variable that says it in the clear; nothing where there is none. */ -}}
{{- define "inferometer.otlpPort" -}}
{{- $url := include "inferometer.config" . | fromJson | dig "otlp" "endpoint" "" -}}
{{- /* The last that is set counts, as with the agent. */ -}}
{{- range $name := list "INFEROMETER_OTLP__ENDPOINT" "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" -}}
{{- range $.Values.extraEnv -}}
{{- if and .value (eq .name $name) -}}
{{- $url = .value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $url -}}{{- (include "inferometer.place" . | fromJson).port -}}{{- end -}}
{{- end -}}
