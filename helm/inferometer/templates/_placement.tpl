{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Which nodes an agent runs on. */ -}}

{{- /* The affinity: any one of gpuNodeLabels, and of AMD's where its GPUs are read, suffices. Nothing where there is none. */ -}}
{{- define "inferometer.affinity" -}}
{{- $affinity := .Values.affinity | default dict | deepCopy -}}
{{- $terms := list -}}
{{- $labels := .Values.gpuNodeLabels | default list -}}
{{- if and $labels (include "inferometer.readsAmd" .) -}}
{{- $labels = concat $labels (.Values.amdNodeLabels | default list) | uniq -}}
{{- end -}}
{{- range $labels -}}
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
