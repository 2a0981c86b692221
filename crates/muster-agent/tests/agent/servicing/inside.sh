# Plays the part that the kernel's command line names, says how that ended, and switches the machine off.
for word in $(cat /proc/cmdline); do
  case $word in
    muster.test=*) test=${word#*=} ;;
    muster.part=*) part=${word#*=} ;;
    muster.die=*) die=${word#*=} ;;
  esac
done
busybox ip link set lo up
busybox touch /test/exe
mount --bind /usr/bin/test-exe /test/exe
busybox env -i PATH=/usr/sbin:/usr/bin TMPDIR=/var/lib/muster-agent "MUSTER_SERVICING_PART=$part" "MUSTER_SERVICING_DIE=$die" RUST_BACKTRACE=1 \
  /test/exe "servicing::$test" --exact --nocapture --test-threads 1
echo "muster: ended with $?"
busybox poweroff -f
