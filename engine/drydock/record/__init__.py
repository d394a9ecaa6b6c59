"""What the kit remembers, in `$DRYDOCK_HOME/record`: builds (for the why), BuildKit's keys, predictions."""

from drydock.record.answers import progress
from drydock.record.answers import read as predictions
from drydock.record.answers import save as save_prediction

__all__ = ["predictions", "progress", "save_prediction"]
