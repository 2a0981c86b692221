#!/bin/busybox sh
# The first process of the virtual machine: protects the root as the package overlayroot does it, and goes on there.
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk overlay nf_tables nft_ct nft_reject_inet; do busybox modprobe "$module"; done
busybox mount -t tmpfs tmpfs /media
busybox mkdir /media/root-ro /media/root-rw /usr
busybox mount -t ext4 -o ro /dev/vda /media/root-ro
busybox mount -t ext4 -o ro /dev/vdc /usr
busybox mount -t tmpfs tmpfs-root /media/root-rw
busybox mkdir /media/root-rw/overlay /media/root-rw/overlay-workdir
busybox mount -t overlay -o lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir overlayroot /new
busybox mount -o bind /usr /media/root-ro/usr
busybox mount -o bind /usr /new/usr
busybox mount -o move /media/root-ro /new/media/root-ro
busybox mount -o move /media/root-rw /new/media/root-rw
busybox mount -t ext4 /dev/vdb /new/var/lib/muster-agent
busybox mount -t proc proc /new/proc
busybox mount -o move /dev /new/dev
busybox mount -o move /sys /new/sys
busybox mount -t tmpfs tmpfs /new/run
busybox mount -t tmpfs tmpfs /new/tmp
exec busybox switch_root /new /bin/sh /usr/bin/inside.sh
