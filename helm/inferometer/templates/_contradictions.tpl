{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* Values that cannot both be meant. All of them are told at once, each in a sentence that names both. */ -}}

{{- define "inferometer.refuseContradictions" -}}
{{- $config := include "inferometer.config" . | fromJson -}}
{{- $found := (include "inferometer.accessContradictions" . | fromJson).found | default list -}}

{{- /* Routes: the names are equal on both, so one backend would have everything twice. */ -}}
{{- $pushes := include "inferometer.pushes" . -}}
{{- with include "inferometer.monitor" . -}}
{{- if and $pushes (not $.Values.allowBothRoutes) -}}
{{- $found = append $found (printf "%s.enabled and %s are both set: one backend would count everything twice. Keep one route, or set allowBothRoutes where they lead into two backends." . $pushes) -}}
{{- end -}}
{{- if eq (dig "prometheus.io/scrape" "" ($.Values.podAnnotations | default dict)) "true" -}}
{{- $found = append $found (printf "%s.enabled and podAnnotations' prometheus.io/scrape are both set: every agent would be scraped twice. Keep one." .) -}}
{{- end -}}
{{- end -}}
{{- $found = concat $found (include "inferometer.monitorContradictions" . | fromJsonArray) -}}
{{- $found = concat $found (include "inferometer.ruleContradictions" . | fromJsonArray) -}}

{{- /* Rights. */ -}}
{{- $grants := and .Values.rbac.create (include "inferometer.rights" .) -}}
{{- if and $grants (eq (include "inferometer.serviceAccountName" .) "default") -}}
{{- $found = append $found "rbac.create is true and the service account is the namespace's `default`: every pod of the namespace would be allowed what the agent is. Set serviceAccount.create or serviceAccount.name." -}}
{{- end -}}
{{- $security := .Values.securityContext | default dict -}}
{{- range $place, $context := dict "securityContext" $security "podSecurityContext" (.Values.podSecurityContext | default dict) -}}
{{- if and $context.runAsNonRoot (eq (get $security "runAsUser" | toString) "0") -}}
{{- $found = append $found (printf "%s.runAsNonRoot is true and securityContext.runAsUser is 0: the kubelet would refuse the container. Name a user who may open the PodResources socket, which is root's, or leave runAsNonRoot out." $place) -}}
{{- end -}}
{{- end -}}
{{- range $key, $of := dict "podresources" (list "pod-resources" (include "inferometer.socketDirectory" .)) "pods" (list "pods-api" (include "inferometer.podsSocketDirectory" .)) -}}
{{- if and (last $of) (not (regexMatch (printf "^/.*/%s$" (first $of)) (last $of))) -}}
{{- $found = append $found (printf "config.identity.%s.socket is in %s and the chart mounts the socket's directory: that has to be %s below the kubelet's root, which holds nothing else." $key (last $of) (first $of)) -}}
{{- end -}}
{{- end -}}

{{- /* Access to the node: a value gives it, and switches on in the configuration what needs it. */ -}}
{{- $given := include "inferometer.givenConfig" . | fromJson -}}
{{- $proc := dig "identity" "processes" "proc" "/proc" $config -}}
{{- $switches := dict "devices.kernel_log.enabled" (list "hostAccess.kernelLog" .Values.hostAccess.kernelLog (dig "devices" "kernel_log" "enabled" nil $given)) "devices.amd.enabled" (list "gpuAccess.amd" .Values.gpuAccess.amd (dig "devices" "amd" "enabled" nil $given)) -}}
{{- if or .Values.hostAccess.processes (eq $proc "/proc") -}}
{{- $_ := set $switches "identity.processes.enabled" (list "hostAccess.processes" .Values.hostAccess.processes (dig "identity" "processes" "enabled" nil $given)) -}}
{{- end -}}
{{- range $key, $of := $switches -}}
{{- $asked := last $of -}}
{{- if and (kindIs "bool" $asked) (ne $asked (index $of 1)) -}}
{{- $found = append $found (printf "%s is %t and config.%s is %t: the chart sets the one by the other. Leave the key out of config, and say it by the value." (first $of) (index $of 1) $key $asked) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.hostAccess.kernelLog (not (include "inferometer.readsNvidia" .)) -}}
{{- $found = append $found "hostAccess.kernelLog is true and config.devices.nvidia.enabled is false: the log is read for NVIDIA's XIDs only, and the agent would be privileged for nothing." -}}
{{- end -}}
{{- if and .Values.hostAccess.processes (not (and (include "inferometer.readsNvidia" .) (dig "devices" "nvidia" "processes" true $config))) -}}
{{- $found = append $found "hostAccess.processes is true and config.devices.nvidia.enabled or config.devices.nvidia.processes is false: no process would be looked up, and the agent would see the node's for nothing." -}}
{{- end -}}
{{- with include "inferometer.kernelLogDirectory" . -}}
{{- if not (regexMatch "^(/[^/]+){3,}$" .) -}}
{{- $found = append $found (printf "config.devices.kernel_log.state is in %s and the chart mounts that directory of the node's writable: name one of the agent's own, three deep at least, such as /var/lib/inferometer." .) -}}
{{- end -}}
{{- if eq . (include "inferometer.releaseDirectory" $) -}}
{{- $found = append $found (printf "config.devices.kernel_log.state and config.devices.nvidia.release.file are both in %s, which the agent would have to write to for the one and only reads for the other: name two directories." .) -}}
{{- end -}}
{{- end -}}

{{- /* Secrets that the configuration refers to. */ -}}
{{- range (($config.engines | default dict).credentials | default list) -}}
{{- $entry := . -}}
{{- range list "token_file" "password_file" "ca_file" "certificate_file" "key_file" -}}
{{- $file := get $entry . -}}
{{- $secret := regexReplaceAll "^/etc/inferometer-secrets/([^/]+)/.*$" $file "${1}" -}}
{{- if and $file (ne $secret $file) (not (has $secret $.Values.engineSecrets)) -}}
{{- $found = append $found (printf "config.engines.credentials has %s in its %s and engineSecrets has no %s: list the Secret, or name a file that is mounted." $file . $secret) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Where the agents run. */ -}}
{{- if and .Values.gpuNodeLabels (dig "nodeAffinity" nil (.Values.affinity | default dict)) -}}
{{- $found = append $found "gpuNodeLabels and affinity.nodeAffinity both choose the nodes: set gpuNodeLabels to [], or use nodeSelector to narrow them." -}}
{{- end -}}
{{- with dig "node" "name" "" $config -}}
{{- $found = append $found (printf "config.node.name is %s and a DaemonSet runs on many nodes: each agent gets its node's name by itself." .) -}}
{{- end -}}
{{- $listen := include "inferometer.listen" . -}}
{{- if regexMatch "^(localhost|127\\.[0-9.]*|\\[::1\\]):" $listen -}}
{{- $found = append $found (printf "config.server.listen is %s, which nothing outside the pod can reach, and the probes have to: write :9466." $listen) -}}
{{- end -}}
{{- if eq (include "inferometer.port" .) "0" -}}
{{- $found = append $found (printf "config.server.listen is %s, a port that is chosen at the start, and probes and scrapers have to know it: write :9466." $listen) -}}
{{- end -}}

{{- /* Variables override the file, and the chart follows the file. */ -}}
{{- $followed := dict "INFEROMETER_DEVICES__AMD__ENABLED" "gpuAccess.amd" "INFEROMETER_DEVICES__AMD__ROCM" "config.devices.amd.rocm" "INFEROMETER_DEVICES__KERNEL_LOG__ENABLED" "hostAccess.kernelLog" "INFEROMETER_DEVICES__KERNEL_LOG__PATH" "config.devices.kernel_log.path" "INFEROMETER_DEVICES__KERNEL_LOG__STATE" "config.devices.kernel_log.state" "INFEROMETER_DEVICES__NVIDIA__PROCESSES" "config.devices.nvidia.processes" "INFEROMETER_IDENTITY__PROCESSES__ENABLED" "hostAccess.processes" "INFEROMETER_IDENTITY__PROCESSES__PROC" "config.identity.processes.proc" "INFEROMETER_IDENTITY__PODS__SOCKET" "config.identity.pods.socket" "INFEROMETER_IDENTITY__CLAIMS__SOURCE" "config.identity.claims.source" "INFEROMETER_IDENTITY__SLICES__ENABLED" "config.identity.slices.enabled" "POD_NAMESPACE" "the pod's own name" "POD_NAME" "the pod's own name" "NODE_IP" "the node's address" "INFEROMETER_SERVER__LISTEN" "config.server.listen" "INFEROMETER_SERVER__TLS__CERTIFICATE" "config.server.tls.certificate" "INFEROMETER_SERVER__AUTH__TOKEN_REVIEW" "config.server.auth.token_review" "INFEROMETER_OTLP__SPOOL__DIRECTORY" "config.otlp.spool.directory" "INFEROMETER_ACCOUNTING__STATE" "config.accounting.state" "INFEROMETER_NODE__NAME" "the node's name" "NODE_NAME" "the node's name" "INFEROMETER_DEVICES__NVIDIA__ENABLED" "config.devices.nvidia.enabled" "INFEROMETER_DEVICES__NVIDIA__RELEASE__FILE" "config.devices.nvidia.release.file" "INFEROMETER_DEVICES__NVIDIA__RELEASE__ANNOTATION" "config.devices.nvidia.release.annotation" "INFEROMETER_IDENTITY__PODRESOURCES__ENABLED" "config.identity.podresources.enabled" "INFEROMETER_IDENTITY__PODRESOURCES__SOCKET" "config.identity.podresources.socket" "INFEROMETER_IDENTITY__PODS__SOURCE" "config.identity.pods.source" "NVIDIA_VISIBLE_DEVICES" "gpuAccess.mode" "NVIDIA_DRIVER_CAPABILITIES" "gpuAccess.mode" "NVIDIA_MIG_MONITOR_DEVICES" "gpuAccess.migMonitor" -}}
{{- $followed = merge $followed (dict "INFEROMETER_IDENTITY__PODS__SERVER" "rbac.tier") -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $followed .name -}}
{{- $found = append $found (printf "extraEnv sets %s and overrides %s, which the rest of the chart follows: leave the variable out." .name (get $followed .name)) -}}
{{- end -}}
{{- end -}}

{{- /* Labels. */ -}}
{{- $selector := include "inferometer.selector" . | fromYaml -}}
{{- range $place, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels -}}
{{- range $label, $_ := $labels -}}
{{- if hasKey $selector $label -}}
{{- $found = append $found (printf "%s sets %s, by which the DaemonSet and the Service know their pods: leave it out, or set nameOverride." $place $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if $found -}}
{{- printf "\n\nThe values contradict one another:\n- %s\n" (join "\n- " $found) | fail -}}
{{- end -}}
{{- include "inferometer.refuseMissingKinds" . -}}
{{- end -}}
