#!/bin/sh
# Runs a Make target in a bare Debian, as on a newcomer's machine: make, git, python3 and ca-certificates, nothing else.
#
#   deploy/debian.sh trixie demo            as root, who gets what is missing installed
#   AS=guest deploy/debian.sh trixie test   as an ordinary user; root first types the one command that is asked for
#
# Needs root, debootstrap, and the right to make namespaces. What is committed here is cloned into a root below BARE. A
# later run goes on in the same root with the newest commit; FRESH=1 makes a new one. MIRROR is another mirror than
# debootstrap's own. The host gives its name servers, its certificate authorities, and of its environment PIP_*, UV_*,
# SSL_CERT_* and proxies.
set -eu

suite=${1:?a suite, such as bookworm or trixie} target=${2:?a Make target}
user=${AS:-root}
bare=${BARE:-/tmp/filmgate-bare}
base=$bare/$suite root=$bare/$suite-$user
source=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)

if [ ! -d "$base" ]; then
  mkdir -p "$bare"
  debootstrap --variant=minbase --include=make,git,python3,ca-certificates "$suite" "$base.new" ${MIRROR:+"$MIRROR"}
  mv "$base.new" "$base"
fi
[ -z "${FRESH:-}" ] || rm -rf --one-file-system "$root"
[ -d "$root" ] || cp -a "$base" "$root"
for given in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  [ ! -f "$given" ] || cp "$given" "$root$given"
done

id=0 home=/root
if [ "$user" != root ]; then
  id=1000 home=/home/$user
  [ -d "$root$home" ] || chroot "$root" useradd --create-home --uid "$id" "$user"
fi
tree=$root$home/filmgate
[ -d "$tree" ] || git init -q "$tree"
git -C "$tree" -c safe.directory='*' fetch -q "$source" HEAD
git -C "$tree" -c safe.directory='*' checkout -q -f --detach FETCH_HEAD
chown -R "$id:$id" "$tree"

set -- HOME="$home" USER="$user" LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for name in $(env | grep -oE '^(PIP_[A-Z_]+|UV_[A-Z_]+|SSL_CERT_[A-Z]+|[a-z]+_proxy)=' | tr -d =); do
  eval "set -- \"\$@\" \"$name=\$$name\""
done

# Its own processes, mounts and shared memory, which all end with it. Not a chroot: there no user namespace can be made,
# which root needs for PostgreSQL. The shell stays as process 1, to bury the orphans.
exec unshare --mount --pid --fork --kill-child sh -euc '
  root=$1 user=$2 id=$3 home=$4 target=$5
  shift 5
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
  mkdir -p "$root/dev/shm" "$root/.host"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  cd "$root"
  pivot_root . .host
  umount -l /.host
  cd "$home/filmgate"
  as() { setpriv --reuid "$id" --regid "$id" --clear-groups env -i "$@"; }
  if [ "$id" != 0 ]; then
    told=$(as "$@" make -s packages-tests 2>&1 || true)
    command=$(printf "%s\n" "$told" | sed -n "s/^  sudo sh -c .\(.*\).$/\1/p")
    [ -z "$command" ] || { printf "%s\n" "$told"; sh -c "$command" >/dev/null; }
  fi
  git -c safe.directory="*" log -1 --format="%h %s"
  status=0
  as "$@" make "$target" || status=$?
  exit $status
' sh "$root" "$user" "$id" "$home" "$target" "$@"
