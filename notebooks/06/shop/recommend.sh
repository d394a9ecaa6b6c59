# For every product, find the product that is most like it: compare each with each.
set -eu
awk -F, 'NR > 1 { name[NR] = $1; price[NR] = $2; weight[NR] = $3 }
END {
  for (i = 2; i <= NR; i++) {
    least = -1
    for (j = 2; j <= NR; j++) if (i != j) {
      p = price[i] - price[j]; w = weight[i] - weight[j]; far = p * p + w * w
      if (least < 0 || far < least) { least = far; best = j }
    }
    print name[i] " -> " name[best]
  }
}' "$1"
