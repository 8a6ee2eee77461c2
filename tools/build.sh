#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Build the Go programs that the integration tests run, one family after another, into the user's cache.
#
#   tools/build.sh [FAMILY...]     build what is missing, of all families or of these
#   tools/build.sh --path PROGRAM  say where a program is; exit status 3 if it is not built, 4 if there is no Go for it
#   tools/build.sh --clean         remove everything that was ever built, the compiler's cache too
#
# A family is a Go module in this folder: its go.mod and go.sum pin everything that is compiled. README.md says more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# One line per family: its folder, its own flags, what it tells the linker (-X=..., -extldflags=...), -cgo where it
# needs the C compiler, and what it builds, as PROGRAM=PACKAGE, or keeps, as FILE.yaml=MODULE//PATH.
families=(
  'builder ocb=go.opentelemetry.io/collector/cmd/builder'
  # Without service discoveries, as Prometheus below: its receiver of scrapes compiles them all.
  'collector -tags=remove_all_sd otelcol=.'
  'alertmanager alertmanager=github.com/prometheus/alertmanager/cmd/alertmanager amtool=github.com/prometheus/alertmanager/cmd/amtool'
  'helm helm=helm.sh/helm/v4/cmd/helm'
  'kube-linter kube-linter=golang.stackrox.io/kube-linter/cmd/kube-linter'
  'chart-testing ct=github.com/helm/chart-testing/v3/ct chart-schema.yaml=github.com/helm/chart-testing/v3//etc/chart_schema.yaml'
  # No programs, but files of modules: what other operators' kinds look like.
  'crds PodMonitor.yaml=github.com/prometheus-operator/prometheus-operator//example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml ServiceMonitor.yaml=github.com/prometheus-operator/prometheus-operator//example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml PrometheusRule.yaml=github.com/prometheus-operator/prometheus-operator//example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml GrafanaDashboard.yaml=github.com/grafana/grafana-operator/v5//config/crd/bases/grafana.integreatly.org_grafanadashboards.yaml'
  # Without these it takes every cluster that it does not ask for Kubernetes 1.20.
  'helm3 -X=helm.sh/helm/v3/internal/version.version=v3.21.4 -X=helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X=helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36 helm3=helm.sh/helm/v3/cmd/helm'
  # Of the service discoveries only files, HTTP and Kubernetes: the clients of 24 clouds are most of what it would compile.
  'prometheus -tags=remove_all_sd,enable_kubernetes_sd promtool=github.com/prometheus/prometheus/cmd/promtool prometheus=github.com/prometheus/prometheus/cmd/prometheus'
  # Without a version of its own a program says v0.0.0, and its clients and feature gates go by that.
  'kubernetes -X=k8s.io/component-base/version.gitVersion=v1.37.1 kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler kubelet=k8s.io/kubernetes/cmd/kubelet'
  'etcd etcd=go.etcd.io/etcd/server/v3'
  'containerd -tags=no_btrfs,no_devmapper,no_zfs -X=github.com/containerd/containerd/v2/version.Version=v2.2.4 containerd=github.com/containerd/containerd/v2/cmd/containerd containerd-shim-runc-v2=github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2 ctr=github.com/containerd/containerd/v2/cmd/ctr'
  'buildkit -X=github.com/moby/buildkit/version.Version=v0.31.0 buildkitd=github.com/moby/buildkit/cmd/buildkitd buildctl=github.com/moby/buildkit/cmd/buildctl'
  # It asks pkg-config for libseccomp, and a script in its folder answers.
  'runc -cgo -tags=seccomp runc=github.com/opencontainers/runc'
  'cni bridge=github.com/containernetworking/plugins/plugins/main/bridge host-local=github.com/containernetworking/plugins/plugins/ipam/host-local loopback=github.com/containernetworking/plugins/plugins/main/loopback'
  # It loads the driver's library when it runs and binds each symbol at its first call.
  'device-plugin -cgo -extldflags=-Wl,-z,lazy nvidia-device-plugin=github.com/NVIDIA/k8s-device-plugin/cmd/nvidia-device-plugin'
  'dra-nvidia -cgo -extldflags=-Wl,-z,lazy gpu-kubelet-plugin=sigs.k8s.io/dra-driver-nvidia-gpu/cmd/gpu-kubelet-plugin nvidia-cdi-hook=github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-cdi-hook nvidia-container-runtime=github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime'
  'dra-example dra-example-kubeletplugin=sigs.k8s.io/dra-example-driver/cmd/dra-example-kubeletplugin'
  'victoriametrics victoria-metrics=github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics'
  'llm-d-sim llm-d-inference-sim=github.com/llm-d/llm-d-inference-sim/cmd/llm-d-inference-sim'
)
flags=(-trimpath -buildvcs=false '-ldflags=-s -w')

cache=${XDG_CACHE_HOME:-$HOME/.cache}/inferometer
built=$cache/tools
kept=30 # days that a build stays after another one has taken its place

# The same result for everyone: of the user's own settings only those that say where modules come from.
export GOCACHE=$cache/go-build GOFLAGS=-mod=readonly GOWORK=off
export CGO_CFLAGS='-O2 -Wno-deprecated-declarations' # what headers deprecate is not for us to mend

go=
# Set `go` to the first Go that is new enough for the modules here.
find_go() {
  for go in go /usr/local/go/bin/go; do
    if (cd builder && "$go" list -m) >/dev/null 2>&1; then return; fi
  done
  printf 'Go 1.26 or newer is needed, on PATH or in /usr/local/go\n' >&2
  exit 4
}

# Print a family's folder under $built: named by everything that decides what its programs are.
place() {
  local key
  key=$(
    cd "$1"
    {
      "$go" env GOVERSION GOOS GOARCH GOAMD64 GOARM64
      printf '%s\n' "${flags[@]}" "$@"
      find . -type f \( -name go.mod -o -name go.sum -o -name '*.go' -o -name '*.h' -o -name pkg-config \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum
  )
  printf '%s/%s-%s\n' "$built" "$1" "${key:0:16}"
}

# Copy one file of a module, which go.sum pins as it does what is compiled: keep MODULE//PATH FILE.
keep() {
  "$go" mod download "${1%%//*}"
  cp "$("$go" list -m -f '{{.Dir}}' "${1%%//*}")/${1#*//}" "$2"
}

# Build one family, so that its folder is there whole or not at all.
build() {
  local family=$1 begin=$SECONDS final scratch word own=() link='' cgo=0
  final=$(place "$@")
  test ! -d "$final" || return 0
  printf 'tools: building %s\n' "$family" >&2
  scratch=$(mktemp -d "$built/.$family.XXXXXX")
  # shellcheck disable=SC2064  # the folder as it is named now
  trap "rm -rf '$scratch'" EXIT
  if [[ -x $family/pkg-config ]]; then local -x PKG_CONFIG=$PWD/$family/pkg-config; fi
  for word in "${@:2}"; do
    case $word in
      -X=* | -extldflags=*) link+=" $word" own+=("-ldflags=-s -w$link") ;; # the last one counts
      -cgo) cgo=1 ;;
      -*) own+=("$word") ;;
      *.yaml=*) (cd "$family" && keep "${word#*=}" "$scratch/${word%%=*}") ;;
      # At the lowest priority: a build of minutes leaves the machine usable.
      *) (cd "$family" && CGO_ENABLED=$cgo nice -n 19 "$go" build "${flags[@]}" "${own[@]}" -o "$scratch/${word%%=*}" "${word#*=}") ;;
    esac
  done
  find "$built" -maxdepth 1 -name "$family-*" -mtime "+$kept" -exec rm -rf {} +
  chmod 755 "$scratch"
  mv -T "$scratch" "$final"
  trap - EXIT
  printf 'tools: built %s in %d s\n' "$family" $((SECONDS - begin)) >&2
}

# Print where a program is.
path() {
  local line word words file
  for line in "${families[@]}"; do
    read -ra words <<<"$line"
    for word in "${words[@]:1}"; do
      test "${word%%=*}" = "$1" || continue
      file=$(place "${words[@]}")/$1
      test -e "$file" || { printf '%s is not built: run make tools\n' "$1" >&2; exit 3; }
      printf '%s\n' "$file"
      return
    done
  done
  printf 'no family builds %s\n' "$1" >&2
  exit 2
}

case ${1:-} in
  --path)
    find_go
    path "${2:?a program}"
    ;;
  --clean)
    rm -rf "$built" "$GOCACHE"
    ;;
  -*)
    printf 'unknown option %s\n' "$1" >&2
    exit 2
    ;;
  *)
    find_go
    for family; do
      test -f "$family/go.mod" || { printf 'no family %s\n' "$family" >&2; exit 2; }
    done
    mkdir -p "$built"
    exec 9>"$cache/tools.lock"
    flock 9 # two checkouts build one after another
    for line in "${families[@]}"; do
      read -ra words <<<"$line"
      if test $# -eq 0 || [[ " $* " == *" ${words[0]} "* ]]; then build "${words[@]}"; fi
    done
    ;;
esac
