#!/bin/bash
# Base images under the names the course's Dockerfiles use, made here because tests must not need a public registry.
#
#   bases.sh make        make them once (about a minute): ubuntu:latest from Debian with nmap in a package source of
#                        its own, so that `apt-get` works without a network; alpine from busybox
#   bases.sh load        give them to the daemon of DOCKER_HOST
#   bases.sh unload      take the names away again
#
# BASES_HOME: where they live. Needs root, mmdebstrap and busybox-static.
set -eu
BASE=${BASES_HOME:-/var/tmp/drydock-bases}

make_ubuntu() {
  rm -rf "$BASE/ubuntu"
  # The packages are fetched inside, by the new system's own apt, and listed as any package source lists them.
  mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
    --customize-hook='mkdir "$1/srv/packages"; chroot "$1" sh -c "cd /srv/packages && apt-get install -y -qq --download-only --no-install-recommends nmap && mv /var/cache/apt/archives/*.deb ."' \
    --customize-hook='cd "$1/srv/packages" && for d in *.deb; do dpkg-deb -f "$d"; printf "Filename: ./%s\nSize: %s\nSHA256: %s\n\n" "$d" "$(stat -c %s "$d")" "$(sha256sum "$d" | cut -d" " -f1)"; done >Packages' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list.d/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc "$1"/usr/share/locale; echo "deb [trusted=yes] file:/srv/packages ./" >"$1/etc/apt/sources.list"' \
    bookworm "$BASE/ubuntu.tar" >&2
}

make_alpine() {
  rm -rf "$BASE/alpine"; mkdir -p "$BASE/alpine"/{bin,etc,tmp,proc,sys,dev,usr/bin,var,root}
  cp "$(command -v busybox)" "$BASE/alpine/bin/busybox"
  for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "$BASE/alpine/bin/$name"; done
  tar -C "$BASE/alpine" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1704067200 -cf "$BASE/alpine.tar" .
}

case ${1:-} in
make)
  mkdir -p "$BASE"
  [ -e "$BASE/made" ] || { make_ubuntu && make_alpine && touch "$BASE/made"; } ;;
load)
  docker import -c 'CMD ["/bin/bash"]' "$BASE/ubuntu.tar" ubuntu:latest
  docker import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' "$BASE/alpine.tar" alpine:latest ;;
unload)
  docker rmi -f ubuntu:latest alpine:latest ;;
*) sed -n '2,10p' "$0"; exit 2 ;;
esac
