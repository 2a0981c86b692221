# Starts a machine whose root is protected as the package overlayroot does it, in a mount and a network namespace of its own, and runs a
# test program there. Its two disks are images: a second start with the same ones is the start after a power loss.
set -e
work=$1 exe=$2 test=$3 part=$4 die=$5
if [ ! -e "$work/root.img" ]; then
  truncate -s 12M "$work/root.img" "$work/state.img"
  mkdir "$work/new" "$work/image"
  mkfs.ext4 -q -F "$work/root.img"
  mkfs.ext4 -q -F "$work/state.img"
  mount -o loop "$work/root.img" "$work/image"
  cd "$work/image"
  mkdir -p dev etc/pam.d etc/security media/root-ro media/root-rw old opt proc root run sys test tmp usr var/lib/faillock var/lib/muster-agent
  ln -s usr/bin usr/sbin usr/lib .
  ln -s /run var/run
  [ ! -e /lib64 ] || ln -s usr/lib64 .
  touch test/exe
  cp -a /etc/ld.so.cache etc/ 2>/dev/null || true
  cp "$work"/etc/* etc/
  mv etc/login etc/sshd etc/pam.d/
  mv etc/faillock.conf etc/security/
  chmod 600 etc/shadow
  cd /
  umount "$work/image"
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
