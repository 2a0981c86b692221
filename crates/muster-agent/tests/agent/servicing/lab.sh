# Starts a machine whose root is protected as the package overlayroot does it, in a mount and a network namespace of its own, and runs a
# test program there. Its two disks are images: a second start with the same ones is the start after a power loss.
set -e
work=$1 exe=$2 test=$3 part=$4 die=$5
if [ ! -e "$work/root.img" ]; then
  mkdir "$work/new"
  . "$work/disks.sh"
fi
mount -t tmpfs tmpfs /media
mkdir /media/root-ro /media/root-rw
mount -o loop "$work/root.img" /media/root-ro
mount -o remount,ro /media/root-ro
mount -t tmpfs tmpfs-root /media/root-rw
mkdir /media/root-rw/overlay /media/root-rw/overlay-workdir
mount -t overlay -o lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir overlayroot "$work/new"
mount --bind /usr /media/root-ro/usr
mount --bind /usr "$work/new/usr"
mount --move /media/root-ro "$work/new/media/root-ro"
mount --move /media/root-rw "$work/new/media/root-rw"
mount -o loop "$work/state.img" "$work/new/var/lib/muster-agent"
mount -t proc proc "$work/new/proc"
mount --rbind /sys "$work/new/sys"
mount --rbind /dev "$work/new/dev"
mount -t tmpfs tmpfs "$work/new/run"
mount -t tmpfs tmpfs "$work/new/tmp"
mount --bind "$exe" "$work/new/test/exe"
ip link set lo up
cd "$work/new"
pivot_root . old
umount -l old
cd /
exec env -i PATH=/usr/sbin:/usr/bin TMPDIR=/var/lib/muster-agent "MUSTER_SERVICING_PART=$part" "MUSTER_SERVICING_DIE=$die" RUST_BACKTRACE=1 \
  /test/exe "servicing::$test" --exact --nocapture --test-threads 1
