"""The kit's widgets: each takes values of the model, never a Docker client."""

from drydock_widgets.buildcache import BuildCache
from drydock_widgets.layerstack import LayerStack
from drydock_widgets.question import Question
from drydock_widgets.shop import Shop
from drydock_widgets.stacks import Stacks
from drydock_widgets.transfer import Transfer
from drydock_widgets.writablelayer import WritableLayer

__all__ = ["BuildCache", "LayerStack", "Question", "Shop", "Stacks", "Transfer", "WritableLayer"]
