"""What a growth has changed in a box that was there before, in the few words of its tag."""

from recursive_lth.architecture.graph import Architecture
from recursive_lth.report.boxes import Box


def is_changed(before: Architecture, after: Architecture, box: Box) -> bool:
    """Whether the box's weight layer makes other units than before, or looks through another
    kernel."""
    return bool(_units(before, after, box) or _kernel(before, after, box))


def tell_change(before: Architecture, after: Architecture, box: Box) -> str:
    """`+16 units`, `kernel 3→5`, `reads +16`, or "" where the box has the tensors that it had."""
    units = _units(before, after, box)
    made = f"{units:+d} units" if units else ""
    parts = [part for part in (made, _kernel(before, after, box)) if part]
    if parts:
        return " · ".join(parts)
    reads = _inputs(after, box) - _inputs(before, box)
    return f"reads {reads:+d}" if reads else ""


def _units(before: Architecture, after: Architecture, box: Box) -> int:
    """How many more units (channels, features) the box's weight layer makes."""
    if f"{box.name}.weight" not in before.tensors:
        return 0
    return after.shapes[box.name][0] - before.shapes[box.name][0]


def _kernel(before: Architecture, after: Architecture, box: Box) -> str:
    if f"{box.name}.weight" not in before.tensors:
        return ""
    old, new = (side.layers[box.name].kernel for side in (before, after))
    return "" if old == new else f"kernel {old}→{new}"


def _inputs(architecture: Architecture, box: Box) -> int:
    """How many channels or features each unit of the box's weight layer reads; 0 if it has none."""
    name = f"{box.name}.weight"
    return architecture.shape(name)[1] if name in architecture.tensors else 0
