#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first act in the node's namespaces: folders, kernel settings and a network of its own; then its first process.
#
#   enter.sh SCRATCH ADDRESS SERVICE INIT
set -eu
scratch=$1 address=$2 service=$3 init=$4

mount --make-rshared / # of this mount namespace; a kubelet asks for it

# What programs write to these folders goes to the scratch folder. One that is not there is not needed.
for folder in etc opt var; do
  mkdir -p "$scratch/written/$folder" "$scratch/work/$folder"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$scratch/written/$folder,workdir=$scratch/work/$folder" "/$folder"
done
mount -t tmpfs tmpfs /run
mkdir -p "$scratch/kubelet" /var/lib/kubelet
mount --bind "$scratch/kubelet" /var/lib/kubelet

mkdir -p "$scratch/driver"
mount --bind "$scratch/driver" /proc/driver # no GPU's driver tells its device numbers there: the tests do

# A kubelet changes these for the whole machine: here it changes files.
for setting in kernel/panic kernel/panic_on_oops vm/overcommit_memory vm/panic_on_oom kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  mkdir -p "$scratch/settings/$(dirname "$setting")"
  cat "/proc/sys/$setting" >"$scratch/settings/$setting"
  mount --bind "$scratch/settings/$setting" "/proc/sys/$setting"
done

ip link set lo up
ip link add node type bridge
ip address add "$address/24" dev node
ip address add "$service/32" dev node # of the API server's Service: no proxy leads there, so it is the node's own
ip link set node up
ip route add default via "${address%.*}.254" # nobody is there; but a node's address is that of its default route

exec "$init"
