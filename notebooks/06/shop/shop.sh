# The shop's front door.
echo "Welcome to the shop!"
echo "$(($(wc -l <catalogue.csv) - 1)) products. Like this one, like that one: $(sed -n 1p recommendations.txt)."
