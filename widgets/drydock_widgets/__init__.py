"""The kit's widgets: each takes values of the model, never a Docker client."""

from drydock_widgets.buildcache import BuildCache
from drydock_widgets.layerstack import LayerStack
from drydock_widgets.question import Question

__all__ = ["BuildCache", "LayerStack", "Question"]
