#!/bin/sh
# Starts systemd from the file system in DISK, mounted at ROOT, in the cgroup CGROUP, and becomes
# systemd-nspawn: `nspawn.sh DISK ROOT CGROUP [FILE]`, FILE what the guest has as /dev/vdb. Runs as root in a
# mount and a network namespace of its own, which take the mount and the network along when they end.
set -eu
disk=$1
root=$2
cgroup=$3
second=${4:-}

mount -o loop,noatime "$disk" "$root"
mkdir -p "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
# Of /proc/sys only what belongs to the network, which is the guest's own.
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
# --register, --keep-unit: this machine may have no systemd. @keyring: containers in it make keyrings.
exec systemd-nspawn --quiet --register=no --keep-unit --network-namespace-path=/proc/self/ns/net \
    --capability=CAP_NET_ADMIN --system-call-filter=@keyring --bind=/dev/fuse --bind=/dev/net/tun \
    ${second:+"--bind-ro=$second:/dev/vdb"} --resolv-conf=off --timezone=off --link-journal=no \
    --console=read-only --directory="$root" --boot
