{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What `helm test` asks, and what it may expect. */ -}}

{{- /* No agent's selector has these: no Service and no DaemonSet takes the pod for one of theirs. */ -}}
{{- define "inferometer.testSelector" -}}
app.kubernetes.io/name: {{ include "inferometer.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
app.kubernetes.io/component: test
{{- end -}}

{{- /* How much the agents have to know of owners: of pods, where they may ask anybody for them. */ -}}
{{- define "inferometer.expectedIdentity" -}}
{{- $source := include "inferometer.config" . | fromJson | dig "identity" "pods" "source" "auto" -}}
{{- $bySocket := and (has $source (list "auto" "kubelet_socket")) (semverCompare ">=1.37-0" .Capabilities.KubeVersion.Version) -}}
{{- if .Values.test.identity -}}
{{- .Values.test.identity -}}
{{- else if not (include "inferometer.asksKubelet" .) -}}
none
{{- else if or $bySocket (include "inferometer.asksPods" .) (include "inferometer.asksKubeletPort" .) -}}
partial
{{- else -}}
name
{{- end -}}
{{- end -}}

{{- /* Whether /metrics is open to the test's pod, which shows no credential; /readyz always is. */ -}}
{{- define "inferometer.isOpen" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- $credentials := or (dig "server" "auth" "token_review" false $config) (dig "server" "auth" "tokens_file" "" $config) (dig "server" "auth" "users_file" "" $config) -}}
{{- if not (or $credentials (dig "server" "tls" "client_ca" "" $config)) -}}true{{- end -}}
{{- end -}}
