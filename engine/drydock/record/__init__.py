"""What the kit remembers, in `$DRYDOCK_HOME/record`: builds (for the why), BuildKit's keys, predictions, a name."""

from drydock.record.answers import read as predictions
from drydock.record.answers import save as save_prediction
from drydock.record.learners import call_me
from drydock.record.standing import progress
from drydock.record.travel import export, reset, take_in

__all__ = ["call_me", "export", "predictions", "progress", "reset", "save_prediction", "take_in"]
