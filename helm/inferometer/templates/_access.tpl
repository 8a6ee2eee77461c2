{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What of the node the agent reaches. Each template gives "true", or a directory of the node's, or nothing. */ -}}

{{- define "inferometer.readsNvidia" -}}
{{- if include "inferometer.config" . | fromJson | dig "devices" "nvidia" "enabled" true -}}true{{- end -}}
{{- end -}}

{{- define "inferometer.readsAmd" -}}
{{- if include "inferometer.config" . | fromJson | dig "devices" "amd" "enabled" false -}}true{{- end -}}
{{- end -}}

{{- define "inferometer.readsGpus" -}}
{{- include "inferometer.readsNvidia" . | default (include "inferometer.readsAmd" .) -}}
{{- end -}}

{{- /*
Which value makes the container privileged. Device files of the node open in no other: mounts do not change what the device
cgroup forbids.
*/ -}}
{{- define "inferometer.isPrivileged" -}}
{{- if .Values.hostAccess.kernelLog -}}
hostAccess.kernelLog
{{- else if include "inferometer.readsAmd" . -}}
gpuAccess.amd
{{- else if eq .Values.gpuAccess.mode "hostPath" -}}
gpuAccess.mode hostPath
{{- else if (.Values.securityContext | default dict).privileged -}}
securityContext.privileged
{{- end -}}
{{- end -}}

{{- /* Whether the kubelet is asked who holds what. */ -}}
{{- define "inferometer.asksKubelet" -}}
{{- if include "inferometer.config" . | fromJson | dig "identity" "podresources" "enabled" true -}}true{{- end -}}
{{- end -}}

{{- /* The sockets are replaced when the kubelet restarts: their directories are mounted. */ -}}
{{- define "inferometer.socketDirectory" -}}
{{- if include "inferometer.asksKubelet" . -}}
{{- include "inferometer.config" . | fromJson | dig "identity" "podresources" "socket" "/var/lib/kubelet/pod-resources/kubelet.sock" | dir -}}
{{- end -}}
{{- end -}}

{{- define "inferometer.podsSocketDirectory" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- if has (dig "identity" "pods" "source" "auto" $config) (list "auto" "kubelet_socket") -}}
{{- dig "identity" "pods" "socket" "/var/lib/kubelet/pods-api/pods-api.sock" $config | dir -}}
{{- end -}}
{{- end -}}

{{- /* Where an operator makes the file that has the driver let go. */ -}}
{{- define "inferometer.releaseDirectory" -}}
{{- if include "inferometer.readsGpus" . -}}
{{- with include "inferometer.config" . | fromJson | dig "devices" "nvidia" "release" "file" "/run/inferometer/release" -}}
{{- dir . -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The kernel's log. */ -}}
{{- define "inferometer.kernelLog" -}}
{{- if .Values.hostAccess.kernelLog -}}
{{- include "inferometer.config" . | fromJson | dig "devices" "kernel_log" "path" "/dev/kmsg" -}}
{{- end -}}
{{- end -}}

{{- /* Whether a path is in the directory that outlives the pod: `dict "root" $ "path" PATH`. */ -}}
{{- define "inferometer.persists" -}}
{{- $kept := .root.Values.persistence.hostPath -}}
{{- if and $kept (hasPrefix (printf "%s/" (clean $kept)) (clean .path)) -}}true{{- end -}}
{{- end -}}

{{- /* Where the agent notes how far it has read it, unless that is in the directory that outlives the pod. */ -}}
{{- define "inferometer.kernelLogDirectory" -}}
{{- if .Values.hostAccess.kernelLog -}}
{{- with include "inferometer.config" . | fromJson | dig "devices" "kernel_log" "state" "" -}}
{{- if not (include "inferometer.persists" (dict "root" $ "path" .)) -}}
{{- dir . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Where pushes wait that the receiver did not take, unless one of the extra volumes is there. */ -}}
{{- define "inferometer.spoolDirectory" -}}
{{- $directory := include "inferometer.config" . | fromJson | dig "otlp" "spool" "directory" "" -}}
{{- if and $directory (include "inferometer.pushes" .) -}}
{{- $mounted := list -}}
{{- range .Values.extraVolumeMounts -}}
{{- $mounted = append $mounted (clean .mountPath) -}}
{{- end -}}
{{- if not (or (has (clean $directory) $mounted) (has (dir $directory) $mounted) (include "inferometer.persists" (dict "root" . "path" $directory))) -}}
{{- clean $directory -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "inferometer.rocm" -}}
{{- if include "inferometer.readsAmd" . -}}
{{- include "inferometer.config" . | fromJson | dig "devices" "amd" "rocm" "" | default "/opt/rocm" -}}
{{- end -}}
{{- end -}}

{{- /* As whom the pod runs where OpenShift's SELinux looks: in whole, since what a constraint leaves out is the namespace's. */ -}}
{{- define "inferometer.seLinuxOptions" -}}
level: s0
role: system_r
type: {{ .Values.openshift.seLinuxType }}
user: system_u
{{- end -}}
