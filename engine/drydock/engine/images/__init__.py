"""Images: configurations and names over layers, and the archives they travel in."""

from drydock.engine.images.catalogue import Catalogue, NoSuchImage
from drydock.engine.images.config import full, made
from drydock.engine.images.record import Record
from drydock.engine.images.removal import InUse, chain_id

__all__ = ["Catalogue", "InUse", "NoSuchImage", "Record", "chain_id", "full", "made"]
