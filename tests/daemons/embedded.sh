#!/bin/bash
# The kit's own engine, as an ordinary user: where this is started by root, it runs as uid 1000.
#
#   embedded.sh start    start it and print DOCKER_HOST
#   embedded.sh stop     end the engine that this script started
#
# EMBEDDED_HOME: where it lives. RUNG: A, B, C or D instead of the best that works. PYTHON: which interpreter.
set -eu
BASE=${EMBEDDED_HOME:-/var/tmp/drydock-embedded}; RUNG=${RUNG:-}
SOCK=$BASE/embedded${RUNG:+-$RUNG}-run/docker.sock; HOME_=$BASE/home$RUNG
PROJECT=$(cd "$(dirname "$0")/../.." && pwd)
MINE=${PYTHON:-$PROJECT/.venv/bin/python}
export PYTHONPATH=$PROJECT/engine:$("$MINE" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
mkdir -p "$BASE"
become=()
if [ "$(id -u)" = 0 ]; then
  chown 1000:1000 "$BASE"; chmod 0755 "$BASE"
  become=(setpriv --reuid 1000 --regid 1000 --clear-groups)
  "${become[@]}" test -r "$PROJECT/engine/drydock/engine/__init__.py" || become=()  # a folder for root's eyes only
fi
engine() {  # root's own Python may lie where nobody else can read it; then the machine's runs, with this one's packages
  local python=$MINE
  "${become[@]}" test -x "$python" || python=/usr/bin/python3
  (cd / && "${become[@]}" env HOME="$BASE" "$python" -m drydock.cli engine "$@")
}
case ${1:-} in
start)
  engine start --home "$HOME_" --socket "$SOCK" ${RUNG:+--rung "$RUNG"} >&2
  echo "unix://$SOCK" ;;
stop) engine stop --home "$HOME_" ;;
*) sed -n '2,8p' "$0"; exit 2 ;;
esac
