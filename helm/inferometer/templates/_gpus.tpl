{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- /* How the driver comes into the container. */ -}}

{{- /*
What of the node's driver is mounted, and where, in JSON: a directory in which the agent looks for the library unasked. Of a
driver that is installed on the node itself the library's directory will do: all else of `/` is none of the agent's business.
*/ -}}
{{- define "inferometer.driver" -}}
{{- $root := clean .Values.gpuAccess.driverRoot -}}
{{- if eq $root "/" -}}
{{- $library := clean .Values.gpuAccess.libraryDirectory -}}
{{- dict "path" $library "mountPath" (printf "/run/nvidia/driver%s" $library) | toJson -}}
{{- else if has $root (list "/home/kubernetes/bin/nvidia" "/usr/local/nvidia") -}}
{{- dict "path" $root "mountPath" $root | toJson -}}
{{- else -}}
{{- /* A driver's container mounts its own file system there when it is ready. */ -}}
{{- dict "path" $root "mountPath" "/run/nvidia/driver" "mountPropagation" "HostToContainer" | toJson -}}
{{- end -}}
{{- end -}}

{{- /* The newest version of the claims' API that the cluster serves; nothing where none is. */ -}}
{{- define "inferometer.claimVersion" -}}
{{- $version := .Capabilities.KubeVersion.Version -}}
{{- range list (list "resource.k8s.io/v1" "1.34") (list "resource.k8s.io/v1beta2" "1.33") (list "resource.k8s.io/v1beta1" "1.32") -}}
{{- /* Helm's own list, which counts where no cluster is asked, knows no version of Kubernetes. */ -}}
{{- if and ($.Capabilities.APIVersions.Has (first .)) (semverCompare (printf ">=%s-0" (last .)) $version) -}}
{{- first . -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /*
What the claim asks for, in YAML: every device of each class, whoever has it, and in whatever health. Before 1.36 taints of
devices are off by default, and what is said of them is dropped: an upgrade would then differ from what is there.
*/ -}}
{{- define "inferometer.claimRequests" -}}
{{- $requests := list -}}
{{- $version := include "inferometer.claimVersion" . -}}
{{- range $i, $class := .Values.gpuAccess.dra.deviceClassNames -}}
{{- $asked := dict "deviceClassName" $class "allocationMode" "All" "adminAccess" true -}}
{{- $name := printf "gpus-%d" $i -}}
{{- if eq $version "resource.k8s.io/v1beta1" -}}
{{- $requests = append $requests (set $asked "name" $name) -}}
{{- else -}}
{{- if semverCompare ">=1.36-0" $.Capabilities.KubeVersion.Version -}}
{{- $_ := set $asked "tolerations" (list (dict "operator" "Exists")) -}}
{{- end -}}
{{- $requests = append $requests (dict "name" $name "exactly" $asked) -}}
{{- end -}}
{{- end -}}
{{- toYaml $requests -}}
{{- end -}}

{{- define "inferometer.claimName" -}}
{{- $asked := printf "%s %s" (include "inferometer.claimVersion" .) (include "inferometer.claimRequests" .) -}}
{{- printf "%s-%s" (include "inferometer.fullname" . | trunc 54 | trimSuffix "-") ($asked | sha256sum | trunc 8) -}}
{{- end -}}
