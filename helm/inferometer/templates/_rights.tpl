{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What the agent asks for in its service account's name. Each template gives "true" or nothing. */ -}}

{{- define "inferometer.asksPods" -}}
{{- if and (ne .Values.rbac.tier "local") (has (include "inferometer.config" . | fromJson | dig "identity" "pods" "source" "auto") (list "auto" "api")) -}}true{{- end -}}
{{- end -}}

{{- /* The kubelet's HTTPS port, which asks the API server whether the agent may. */ -}}
{{- define "inferometer.asksKubeletPort" -}}
{{- if include "inferometer.config" . | fromJson | dig "identity" "pods" "source" "auto" | eq "kubelet_http" -}}true{{- end -}}
{{- end -}}

{{- /* Without the kubelet nobody asks for claims; and where pods are off, only who insists on the API server does. */ -}}
{{- define "inferometer.asksClaims" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- $source := dig "identity" "claims" "source" "auto" $config -}}
{{- $hasPods := dig "identity" "pods" "source" "auto" $config | ne "off" -}}
{{- if and (include "inferometer.asksKubelet" .) (or (eq $source "api") (and (eq $source "auto") $hasPods)) -}}true{{- end -}}
{{- end -}}

{{- define "inferometer.asksSlices" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- $hasPods := dig "identity" "pods" "source" "auto" $config | ne "off" -}}
{{- if and (include "inferometer.asksKubelet" .) $hasPods (dig "identity" "slices" "enabled" true $config) -}}true{{- end -}}
{{- end -}}

{{- /* An annotation of its node's. */ -}}
{{- define "inferometer.asksNode" -}}
{{- if include "inferometer.readsGpus" . -}}
{{- if include "inferometer.config" . | fromJson | dig "devices" "nvidia" "release" "annotation" "" -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Whose the tokens are that are shown at /metrics. */ -}}
{{- define "inferometer.asksReviews" -}}
{{- if include "inferometer.config" . | fromJson | dig "server" "auth" "token_review" false -}}true{{- end -}}
{{- end -}}

{{- /* All of it in words; nothing where nothing is asked for, and no token needed. */ -}}
{{- define "inferometer.rights" -}}
{{- $rights := list -}}
{{- if include "inferometer.asksPods" . -}}{{- $rights = append $rights "list and watch pods" -}}{{- end -}}
{{- if include "inferometer.asksKubeletPort" . -}}{{- $rights = append $rights "get nodes/pods" -}}{{- end -}}
{{- if include "inferometer.asksClaims" . -}}{{- $rights = append $rights "get resourceclaims" -}}{{- end -}}
{{- if include "inferometer.asksSlices" . -}}{{- $rights = append $rights "list resourceslices" -}}{{- end -}}
{{- if include "inferometer.asksNode" . -}}{{- $rights = append $rights "get and watch nodes" -}}{{- end -}}
{{- if include "inferometer.asksReviews" . -}}{{- $rights = append $rights "create tokenreviews and subjectaccessreviews" -}}{{- end -}}
{{- join ", " $rights -}}
{{- end -}}
