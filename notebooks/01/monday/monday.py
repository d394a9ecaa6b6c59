"""What did the shop take on Monday?"""

import csv
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from pricing import cents

orders = csv.DictReader((Path(__file__).parent / "orders.csv").open())
monday = [o for o in orders if datetime.fromtimestamp(int(o["when"])).weekday() == 0]
total = sum(cents(int(o["pieces"]) * float(o["price"])) for o in monday)
print(f"Monday: {len(monday)} orders, {total / 100:.2f} dollars (pricing {version('pricing')})")
