# Makes what a virtual machine with a protected root starts from: its disks, a third one with its programs, and what its kernel begins with.
set -e
work=$1 exe=$2 kernel=$3
. "$work/disks.sh"
version=$(ls "$kernel/lib/modules")

# The programs of the machine, with the libraries that they need.
programs="/bin/sh /bin/busybox /bin/sleep /bin/cat /bin/true /bin/mount /bin/umount /usr/bin/nsenter /usr/bin/env /usr/sbin/chroot /usr/sbin/nft"
mkdir -p "$work/usr/bin" "$work/usr/sbin"
for program in $programs; do
  case $program in
    */sbin/*) cp -L "$program" "$work/usr/sbin/" ;;
    *) cp -L "$program" "$work/usr/bin/" ;;
  esac
done
strip -o "$work/usr/bin/test-exe" "$exe" 2>/dev/null || cp "$exe" "$work/usr/bin/test-exe"
ldd $programs "$exe" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
  case $library in /usr/*) to=$library ;; *) to=/usr$library ;; esac
  mkdir -p "$work$(dirname "$to")"
  cp -L "$library" "$work$to"
done
cp "$work/inside.sh" "$work/usr/bin/inside.sh"
truncate -s 200M "$work/usr.img"
mkfs.ext4 -q -F -O ^has_journal -d "$work/usr" "$work/usr.img"

# What the kernel begins with: a shell, its modules, and the way to the disks.
start=$work/start
mkdir -p "$start/bin" "$start/proc" "$start/sys" "$start/dev" "$start/new" "$start/media" "$start/lib/modules"
cp /bin/busybox "$start/bin/"
cp "$work/init.sh" "$start/init"
chmod 755 "$start/init"
cp -a "$kernel/lib/modules/$version" "$start/lib/modules/"
busybox depmod -b "$start" "$version"
modules=$(cd "$start" && for module in virtio_pci virtio_blk overlay nf_tables nft_ct nf_conntrack nft_reject_inet; do
  sed -n "s#^\(.*/$module\.ko\):\(.*\)#\1\2#p" "lib/modules/$version/modules.dep"
done | tr ' ' '\n' | sort -u)
mkdir -p "$work/kept"
for module in $modules; do
  case $module in lib/modules/*) ;; *) module=lib/modules/$version/$module ;; esac
  mkdir -p "$work/kept/$(dirname "$module")"
  cp "$start/$module" "$work/kept/$module"
done
rm -rf "$start/lib/modules"
cp -a "$work/kept/lib" "$start/"
busybox depmod -b "$start" "$version"
(cd "$start" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/start.img"
