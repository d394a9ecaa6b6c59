"""The online store, run for real in both designs: `shop.open(client, folder)`, then `start`, `play`, `close`."""

from drydock.lessons.shop.modelled import ModelStore
from drydock.lessons.shop.process import NoShop
from drydock.lessons.shop.store import Store, open, tidy

__all__ = ["ModelStore", "NoShop", "Store", "open", "tidy"]
