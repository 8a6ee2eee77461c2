{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Which nodes an agent runs on. */ -}}

{{- /* The affinity: any one of gpuNodeLabels suffices. Nothing where there is none. */ -}}
{{- define "inferometer.affinity" -}}
{{- $affinity := .Values.affinity | default dict | deepCopy -}}
{{- $terms := list -}}
{{- range .Values.gpuNodeLabels -}}
{{- $key := regexFind "^[^=]+" . -}}
{{- $expression := dict "key" $key "operator" "Exists" -}}
{{- if contains "=" . -}}
{{- $expression = dict "key" $key "operator" "In" "values" (list (regexFind "[^=]+$" .)) -}}
{{- end -}}
{{- $terms = append $terms (dict "matchExpressions" (list $expression)) -}}
{{- end -}}
{{- if $terms -}}
{{- $_ := set $affinity "nodeAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms)) -}}
{{- end -}}
{{- if $affinity -}}
{{- toYaml $affinity -}}
{{- end -}}
{{- end -}}
