#!/bin/bash
# A newer Docker beside Debian 12's: 26.1 with BuildKit and buildx, on the containerd image store or on overlay2.
#
#   modern.sh start      make its root file system once (about a minute, 0.5 GB), start dockerd, print DOCKER_HOST
#   modern.sh stop       end the dockerd that this script started
#   modern.sh cli ...    run that release's docker CLI, which has buildx, against it
#
# STORE=containerd (default) or graph. MODERN_HOME: where it lives. Needs root.
# The daemon has a mount namespace of its own. Of the machine it sees /tmp, so build contexts must be below /tmp.
set -eu
STORE=${STORE:-containerd}
BASE=${MODERN_HOME:-/var/tmp/drydock-modern}
R=$BASE/root; RUN=$BASE/$STORE-run; DATA=$BASE/$STORE-data; SOCK=$RUN/docker.sock; PID=$BASE/$STORE.pid
BRIDGE=dry${STORE:0:5}0
case $STORE in containerd) SNAP=true; NET=172.30.0.1/16 ;; graph) SNAP=false; NET=172.31.0.1/16 ;; *) echo "STORE is containerd or graph" >&2; exit 2 ;; esac

answers() { DOCKER_HOST=unix://$SOCK docker version >/dev/null 2>&1; }

case ${1:-} in
start)
  if [ -S "$SOCK" ] && answers; then echo "unix://$SOCK"; exit; fi
  if [ ! -e "$BASE/made" ]; then
    rm -rf "$R"; mkdir -p "$BASE"
    mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
      --include=docker.io,docker-cli,docker-buildx,iptables,iproute2,ca-certificates trixie "$R" >&2
    touch "$BASE/made"
  fi
  ip link show "$BRIDGE" >/dev/null 2>&1 || { ip link add "$BRIDGE" type bridge; ip addr add "$NET" dev "$BRIDGE"; ip link set "$BRIDGE" up; }
  mkdir -p "$DATA" "$RUN"; rm -f "$RUN/docker.pid"
  # In memory: a daemon asks the disk to confirm every step, and on a slow disk the tests took six times as long.
  mountpoint -q "$DATA" || mount -t tmpfs -o size=6g drydock "$DATA"
  ROOTFS=$BASE/$STORE-view; mkdir -p "$ROOTFS"
  cat >"$RUN/daemon.json" <<EOF
{"features": {"containerd-snapshotter": $SNAP}, "bridge": "$BRIDGE", "iptables": false, "ip6tables": false}
EOF
  setsid unshare -m --propagation private sh -c "
    mount --bind '$R' '$ROOTFS'
    mkdir -p '$ROOTFS/srv/old' '$ROOTFS/etc/docker' '$ROOTFS/var/lib/docker'
    for d in proc sys dev; do mount --rbind /\$d '$ROOTFS'/\$d; done
    mount --bind '$DATA' '$ROOTFS/var/lib/docker'; mount --bind '$RUN' '$ROOTFS/run'; mount --bind /tmp '$ROOTFS/tmp'
    cd '$ROOTFS'; pivot_root . srv/old; cd /; umount -l /srv/old; exec dockerd --config-file /run/daemon.json" \
    >"$RUN/dockerd.log" 2>&1 </dev/null &
  echo $! >"$PID"
  for _ in $(seq 120); do answers && { echo "unix://$SOCK"; exit; }; sleep 0.5; done
  echo "dockerd did not answer within a minute; the end of its log:" >&2; tail -20 "$RUN/dockerd.log" >&2; exit 1 ;;
stop) kill "$(cat "$PID")"
  for _ in $(seq 60); do umount "$DATA" 2>/dev/null && break; sleep 0.5; done ;;
cli) shift; exec nsenter -t "$(cat "$PID")" -m --wd="$PWD" env DOCKER_HOST=unix:///run/docker.sock docker "$@" ;;
*) sed -n '2,11p' "$0"; exit 2 ;;
esac
