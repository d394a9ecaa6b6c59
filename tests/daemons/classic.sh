#!/bin/bash
# Debian 12's own Docker (20.10, classic builder, overlay2) on a socket of its own, so that it meets no other daemon.
#
#   classic.sh start     start dockerd and print DOCKER_HOST
#   classic.sh stop      end the dockerd that this script started
#
# CLASSIC_HOME: where it lives. Needs root.
set -eu
BASE=${CLASSIC_HOME:-/var/tmp/drydock-classic}; SOCK=$BASE/docker.sock; BRIDGE=dryclas0
answers() { DOCKER_HOST=unix://$SOCK docker version >/dev/null 2>&1; }
case ${1:-} in
start)
  if [ -S "$SOCK" ] && answers; then echo "unix://$SOCK"; exit; fi
  mkdir -p "$BASE/data"; rm -f "$BASE/docker.pid"
  # In memory: a daemon asks the disk to confirm every step, and on a slow disk the tests took six times as long.
  mountpoint -q "$BASE/data" || mount -t tmpfs -o size=6g drydock "$BASE/data"
  ip link show "$BRIDGE" >/dev/null 2>&1 || { ip link add "$BRIDGE" type bridge; ip addr add 172.28.0.1/16 dev "$BRIDGE"; ip link set "$BRIDGE" up; }
  setsid dockerd --host "unix://$SOCK" --data-root "$BASE/data" --exec-root "$BASE/exec" --pidfile "$BASE/docker.pid" \
    --bridge "$BRIDGE" --iptables=false --ip6tables=false >"$BASE/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 120); do answers && { echo "unix://$SOCK"; exit; }; sleep 0.5; done
  echo "dockerd did not answer within a minute; the end of its log:" >&2; tail -20 "$BASE/dockerd.log" >&2; exit 1 ;;
stop) kill "$(cat "$BASE/docker.pid")"
  for _ in $(seq 60); do umount "$BASE/data" 2>/dev/null && break; sleep 0.5; done ;;
*) sed -n '2,8p' "$0"; exit 2 ;;
esac
