"""Every measure by name."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from recursive_lth.config import pick
from recursive_lth.study.panel import speed
from recursive_lth.study.panel.measure import Measure


def panel_of(names: Sequence[str]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for name in names:
        if name in ("default", "all"):
            found |= PANEL
        else:
            found[name] = pick(PANEL, name, "measure")
    return found


PANEL: Mapping[str, Measure] = MappingProxyType(
    {
        "cost_to_target": Measure(
            speed.cost_to_target, "epochs", "less", "curve", "x", is_default=True
        ),
        "loss_area": Measure(speed.loss_area, "nats", "less", "curve", "x", is_default=True),
        "test_accuracy": Measure(
            speed.test_accuracy, "share", "more", "curve", "x", is_default=True
        ),
        "val_accuracy": Measure(speed.val_accuracy, "share", "more", "curve", "x", is_default=True),
    }
)
