# Stands in for `pip install -r requirements.txt`: no network, but real work.
# Every line of requirements.txt names a table and its length; computing the tables takes the time.
set -eu
mkdir -p /srv/tables
while read -r name length; do
  awk -v n="$length" 'BEGIN {
    for (i = 1; i <= n; i++) {
      steps = 0
      for (x = i; x > 1; steps++) if (x % 2) x = 3 * x + 1; else x /= 2
      print i, steps
    }
  }' >"/srv/tables/$name.table"
  echo "$name: $(wc -l <"/srv/tables/$name.table") rows"
done <"$1"
