#!/bin/sh
# Makes a quick, quiet server of freshly installed packages. mmdebstrap runs it, with the
# directory of the new root file system. What an operator would not have is said where it is done.
set -eu
root=$1

write() {
    mkdir -p "$(dirname "$root$1")"
    cat >"$root$1"
}

echo carrel-test >"$root/etc/hostname"
write /etc/hosts <<'END'
127.0.0.1 localhost
127.0.1.1 carrel-test
::1       localhost ip6-localhost
END
write /etc/fstab <<'END'
/dev/vda / ext4 noatime 0 1
END
write /etc/default/locale <<'END'
LANG=C.UTF-8
END

# The address that QEMU forwards ports to: no DHCP to wait for.
write /etc/systemd/network/10-test.network <<'END'
[Match]
Type=ether

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
IPv6AcceptRA=no
END
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"

write /etc/ssh/sshd_config.d/test.conf <<'END'
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxSessions 64
END
touch "$root/root/.hushlogin"

# The journal survives a power cut, so that a test can read what was before it.
mkdir -p "$root/var/log/journal"

# The project's files come as a tar archive on the second disk: a change of them costs no new disk.
write /etc/systemd/system/test-sources.service <<'END'
[Unit]
Description=Unpack the project's files from the second disk
ConditionPathExists=/dev/vdb
ConditionPathExists=!/srv/carrel
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/bin/mkdir -p /srv/carrel
ExecStart=/bin/tar --extract --file=/dev/vdb --directory=/srv/carrel

[Install]
WantedBy=multi-user.target
END
systemctl --root="$root" enable systemd-networkd.service test-sources.service

# Minutes of an emulated processor for nothing, or somebody to sign in at a console.
systemctl --root="$root" mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer logrotate.timer \
    getty@tty1.service serial-getty@ttyS0.service

# Debian has AppArmor profiles for a hundred programs; to load those of programs that are not here would
# cost each boot five seconds.
for profile in "$root"/etc/apparmor.d/*; do
    [ -f "$profile" ] || continue
    program=$(basename "$profile" | sed 's/.*\.//; s/-/_/g')
    found=false
    for place in bin sbin; do
        for name in "$program" "$(basename "$profile")"; do
            if [ -e "$root/usr/$place/$name" ]; then found=true; fi
        done
    done
    "$found" || rm "$profile"
done

# It looks for a way in that this machine has not, and complains on the console.
mkdir -p "$root/etc/systemd/system-generators"
ln -s /dev/null "$root/etc/systemd/system-generators/systemd-ssh-generator"

# Only what this machine has: a tenth of the initial file system to unpack.
echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/test"
printf '%s\n' virtio_pci virtio_blk ext4 >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u
