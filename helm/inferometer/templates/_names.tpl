{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What objects are called. */ -}}

{{- define "inferometer.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "inferometer.fullname" -}}
{{- $name := include "inferometer.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* ClusterRoles know no namespace, and releases of one name may stand in two of them. */ -}}
{{- define "inferometer.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "inferometer.fullname" .) -}}
{{- end -}}

{{- define "inferometer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "inferometer.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "inferometer.image" -}}
{{- $digest := .Values.image.digest -}}
{{- printf "%s:%s%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) (ternary (printf "@%s" $digest) "" (ne $digest "")) -}}
{{- end -}}

{{- /*
A selector can never be changed: other components of a release will have another component. Here as elsewhere `toYaml` puts quotes
around a name such as `123` or `on`, which would be no text without them.
*/ -}}
{{- define "inferometer.selector" -}}
app.kubernetes.io/name: {{ include "inferometer.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
app.kubernetes.io/component: agent
{{- end -}}

{{- /* The pods'. Without the chart's version: a new chart that changes nothing of them leaves them running. */ -}}
{{- define "inferometer.podLabels" -}}
{{- $own := include "inferometer.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- toYaml (merge $own (.Values.podLabels | default dict) (.Values.commonLabels | default dict)) -}}
{{- end -}}

{{- /* Every other object's. */ -}}
{{- define "inferometer.labels" -}}
{{- $own := include "inferometer.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge $own (.Values.commonLabels | default dict)) -}}
{{- end -}}
