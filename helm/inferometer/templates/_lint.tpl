{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What kube-linter would complain of, and why it is so: annotations of the DaemonSet. Nothing where nothing is. */ -}}

{{- define "inferometer.lintExceptions" -}}
{{- $reasons := dict -}}
{{- if eq (get (.Values.securityContext | default dict) "runAsUser" | toString) "0" -}}
{{- $_ := set $reasons "run-as-non-root" "the kubelet's sockets are root's" -}}
{{- end -}}
{{- if .Values.hostAccess.processes -}}
{{- $_ := set $reasons "host-pid" "hostAccess.processes: whose the processes on a GPU are" -}}
{{- end -}}
{{- if .Values.gpuAccess.migMonitor -}}
{{- $_ := set $reasons "privilege-escalation-container" "gpuAccess.migMonitor: NVIDIA's runtime asks for SYS_ADMIN" -}}
{{- end -}}
{{- if or (include "inferometer.kernelLogDirectory" .) (get .Values "persistence" | default dict).hostPath -}}
{{- $_ := set $reasons "writable-host-mount" "a directory of the agent's own, which outlives its pod" -}}
{{- end -}}
{{- if eq .Values.gpuAccess.mode "hostPath" -}}
{{- $_ := set $reasons "sensitive-host-mounts" "gpuAccess.mode hostPath: the node's driver and its device files" -}}
{{- end -}}
{{- with include "inferometer.isPrivileged" . -}}
{{- $privileged := . -}}
{{- range list "privileged-container" "privilege-escalation-container" -}}
{{- $_ := set $reasons . (ternary "securityContext.privileged says so" "device files open in no other container" (eq $privileged "securityContext.privileged")) -}}
{{- end -}}
{{- end -}}
{{- range $check, $why := $reasons }}
ignore-check.kube-linter.io/{{ $check }}: {{ $why | quote }}
{{- end }}
{{- end -}}
