"""The online store, run for real in both designs: `shop.open(client, folder)`, then `start`, `play`, `close`."""

from drydock.lessons.shop.process import NoShop
from drydock.lessons.shop.store import ModelStore, Store, open, tidy

__all__ = ["ModelStore", "NoShop", "Store", "open", "tidy"]
