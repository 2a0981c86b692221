# Makes the two disks of a machine with a protected root: what is filtered, and what is not.
truncate -s 12M "$work/root.img" "$work/state.img"
mkdir "$work/image"
(
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
)
mkfs.ext4 -q -F -d "$work/image" "$work/root.img"
mkfs.ext4 -q -F "$work/state.img"
