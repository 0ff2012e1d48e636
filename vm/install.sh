#!/bin/sh
# `make install` in the file system of a disk that nothing boots yet: DISK, SOURCES (a tar archive), a
# directory to mount it on. Runs as root in a mount namespace of its own, which takes its mounts along.
set -eu
disk=$1
sources=$2
root=$3

mount -o loop,noatime "$disk" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mkdir "$root/srv/carrel"
tar --extract --file="$sources" --directory="$root/srv/carrel"
# It asks for this to know a server.
mkdir -p "$root/run/systemd/system"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot "$root" make -C /srv/carrel install
rm -r "$root/run/systemd"
umount "$root/dev" "$root/proc" "$root"
