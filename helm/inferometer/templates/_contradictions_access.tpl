{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* What cannot both be meant of GPUs, rights and the node, in JSON: a list of sentences under `found`. */ -}}

{{- define "inferometer.accessContradictions" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- $given := include "inferometer.givenConfig" . | fromJson -}}
{{- $mode := .Values.gpuAccess.mode -}}
{{- $found := list -}}

{{- /* GPUs. */ -}}
{{- if and .Values.gpuAccess.migMonitor (has $mode (list "dra" "none")) -}}
{{- $found = append $found (printf "gpuAccess.migMonitor is true and gpuAccess.mode is %s: that access comes with the runtime class, and with hostPath by itself." $mode) -}}
{{- end -}}
{{- if and (ne $mode "none") (not (include "inferometer.readsNvidia" .)) -}}
{{- $found = append $found (printf "gpuAccess.mode is %s and config.devices.nvidia.enabled is false: the agent would be given every GPU and read none. Set gpuAccess.mode to none." $mode) -}}
{{- end -}}
{{- if eq $mode "dra" -}}
{{- if not .Values.gpuAccess.dra.deviceClassNames -}}
{{- $found = append $found "gpuAccess.mode is dra and gpuAccess.dra.deviceClassNames is empty: a claim asks for devices of a class. Name one, such as gpu.nvidia.com." -}}
{{- end -}}
{{- if not (include "inferometer.claimVersion" .) -}}
{{- $found = append $found (printf "gpuAccess.mode is dra and this cluster (Kubernetes %s) serves none of resource.k8s.io/v1, v1beta2 and v1beta1: switch the API on, or set gpuAccess.mode to runtimeClass or hostPath." .Capabilities.KubeVersion.Version) -}}
{{- else if and (semverCompare "<1.34-0" .Capabilities.KubeVersion.Version) (not .Values.gpuAccess.dra.adminAccessGate) -}}
{{- $found = append $found (printf "gpuAccess.mode is dra and gpuAccess.dra.adminAccessGate is false: in Kubernetes %s admin access is off by default, and the API server would drop it without a word, so that the agents took every GPU. Switch the feature gate DRAAdminAccess on and say so, or choose another mode." .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace -}}
{{- if and $namespace (ne (dig "metadata" "labels" "resource.kubernetes.io/admin-access" "" $namespace) "true") -}}
{{- $found = append $found (printf "gpuAccess.mode is dra and the namespace %s does not allow admin access: kubectl label namespace %s resource.kubernetes.io/admin-access=true" .Release.Namespace .Release.Namespace) -}}
{{- end -}}
{{- end -}}

{{- /* Rights: what a tier lacks is switched off, unless somebody insists on it. */ -}}
{{- $tier := .Values.rbac.tier -}}
{{- $claims := dig "identity" "claims" "source" "auto" $given -}}
{{- if and (ne $tier "node+claims") (eq $claims "api") -}}
{{- $found = append $found (printf "rbac.tier is %s and config.identity.claims.source is api: reading claims takes the tier node+claims." $tier) -}}
{{- end -}}
{{- if and (ne $tier "node+claims") (dig "identity" "slices" "enabled" false $given) -}}
{{- $found = append $found (printf "rbac.tier is %s and config.identity.slices.enabled is true: listing resourceslices takes the tier node+claims." $tier) -}}
{{- end -}}
{{- if eq $tier "local" -}}
{{- $pods := dig "identity" "pods" "source" "auto" $given -}}
{{- if has $pods (list "api" "kubelet_http") -}}
{{- $found = append $found (printf "rbac.tier is local and config.identity.pods.source is %s: the one asks the API server for nothing, the other for a right. Set the tier to node, or the source to kubelet_socket or off." $pods) -}}
{{- end -}}
{{- with dig "identity" "pods" "server" "" $given -}}
{{- $found = append $found (printf "rbac.tier is local and config.identity.pods.server is %s: the one asks no API server, the other names one. Set the tier to node, or leave the server out." .) -}}
{{- end -}}
{{- if include "inferometer.asksNode" . -}}
{{- $found = append $found "rbac.tier is local and config.devices.nvidia.release.annotation is set: reading it takes the right to get nodes. Set the tier to node, or use the file." -}}
{{- end -}}
{{- if include "inferometer.asksReviews" . -}}
{{- $found = append $found "rbac.tier is local and config.server.auth.token_review is true: the reviews are the API server's. Set the tier to node, or check who scrapes by a certificate or a password." -}}
{{- end -}}
{{- end -}}

{{- /* Directories that are mounted because the configuration names a place in them. */ -}}
{{- with include "inferometer.releaseDirectory" . -}}
{{- if or (not (regexMatch "^(/[^/]+){2,}$" .)) (regexMatch "^/(boot|dev|etc|proc|sys|usr|var)/[^/]+$" .) -}}
{{- $found = append $found (printf "config.devices.nvidia.release.file is in %s and the chart mounts that directory of the node's, with all that is in it: name one of the agent's own, such as /run/inferometer." .) -}}
{{- end -}}
{{- end -}}
{{- with include "inferometer.spoolDirectory" . -}}
{{- if or (not (regexMatch "^/[^/]" .)) (regexMatch "^/(bin|boot|dev|etc|lib|lib64|opt|proc|sbin|sys|usr|var)$" .) (has . (list "/etc/inferometer" "/opt/inferometer" (include "inferometer.releaseDirectory" $))) -}}
{{- $found = append $found (printf "config.otlp.spool.directory is %s and the chart mounts an empty directory there: name one where nothing else is, such as /var/spool/inferometer." .) -}}
{{- end -}}
{{- end -}}

{{- /* The directory that outlives the pod. */ -}}
{{- with .Values.persistence.hostPath -}}
{{- if regexMatch "(^|/)[.]+(/|$)" . -}}
{{- $found = append $found (printf "persistence.hostPath is %s, which is not where it says: name the directory without dots." .) -}}
{{- end -}}
{{- if regexMatch "^/(bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr)/|/kubelet(/|$)" . -}}
{{- $found = append $found (printf "persistence.hostPath is %s, where the agent would write among what is not its own: name a directory for it alone, such as /var/lib/inferometer." .) -}}
{{- end -}}
{{- $kept := dict "config.otlp.spool.directory" (dig "otlp" "spool" "directory" "" $given) "config.devices.kernel_log.state" (dig "devices" "kernel_log" "state" "" $given) "config.accounting.state" (dig "accounting" "state" "" $given) -}}
{{- range $key, $path := $kept -}}
{{- if and $path (not (include "inferometer.persists" (dict "root" $ "path" $path))) -}}
{{- $found = append $found (printf "%s is %s and persistence.hostPath is %s: leave the one out, and the chart puts it into the other." $key $path $.Values.persistence.hostPath) -}}
{{- end -}}
{{- end -}}
{{- if eq . (include "inferometer.releaseDirectory" $) -}}
{{- $found = append $found (printf "persistence.hostPath and config.devices.nvidia.release.file are both in %s, which the agent would have to write to for the one and only reads for the other: name two directories." .) -}}
{{- end -}}
{{- end -}}

{{- with dig "accounting" "state" "" $given -}}
{{- $mounted := list -}}
{{- range $.Values.extraVolumeMounts -}}
{{- $mounted = append $mounted (clean .mountPath) -}}
{{- end -}}
{{- if not (or $.Values.persistence.hostPath (has (dir .) $mounted)) -}}
{{- $found = append $found (printf "config.accounting.state is %s and persistence.hostPath is empty: the agent could not write there, and an upgrade would keep nothing. Set persistence.hostPath and leave the key out." .) -}}
{{- end -}}
{{- end -}}

{{- /* Volumes: a pod with two of one name is refused, and nobody sees by whom. */ -}}
{{- $own := list "config" "dev" "dri" "driver" "kernel-log" "kernel-log-state" "kfd" "pod-resources" "pods-api" "release" "rocm" "spool" "state" -}}
{{- range .Values.extraVolumes -}}
{{- if has .name $own -}}
{{- $found = append $found (printf "extraVolumes has a volume %s, and the chart has one of that name: choose another." .name) -}}
{{- end -}}
{{- end -}}

{{- /* OpenShift. */ -}}
{{- if .Values.openshift.enabled -}}
{{- range $place, $context := dict "securityContext" .Values.securityContext "podSecurityContext" .Values.podSecurityContext -}}
{{- if ($context | default dict).seLinuxOptions -}}
{{- $found = append $found (printf "%s.seLinuxOptions and openshift.enabled are both set: say it by openshift.seLinuxType." $place) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "inferometer.serviceAccountName" .) "default" -}}
{{- $found = append $found "openshift.enabled is true and the service account is the namespace's `default`: every pod of the namespace could reach into the node. Set serviceAccount.create or serviceAccount.name." -}}
{{- end -}}
{{- end -}}

{{- dict "found" $found | toJson -}}
{{- end -}}
