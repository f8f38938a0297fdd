"""What can be grown and how it can be born, in words: for `list`, which does not import torch.

The registries are in `operators` and `initialise`; a test holds these words to them.
"""

from collections.abc import Mapping
from types import MappingProxyType

GROWTHS: Mapping[str, str] = MappingProxyType(
    {
        "widen": "more units of any width: neurons, channels, a residual stream, depthwise groups",
        "split": "units become copies of themselves that share what they send on (Net2WiderNet)",
        "deepen": "a layer with an activation of its own behind an activation (Net2DeeperNet)",
        "residual": "a basic residual block behind an activation",
        "bottleneck": "a residual block through a quarter of the channels",
        "residual_pre": "a pre-activation block: exact behind any activation",
        "bottleneck_pre": "a pre-activation block through a quarter of the channels",
        "branch": "a second layer beside a layer, added to it",
        "branch_concat": "a second layer beside a layer, joined to its units",
        "skip": "what an earlier activation gave, joined to a later one (DenseNet)",
        "skip_add": "what an earlier activation gave, added to a later one",
        "stretch": "a residual block once more (Elastic Lottery Ticket Hypothesis)",
        "enlarge_kernel": "a rim of one pixel around a convolution's kernel",
        "rewire": "the same network, with other weights pruned (NeST, RigL, SET)",
        "deepen_widen": "deepen and then widen",
        "residual_widen": "residual and then widen",
        "stretch_widen": "stretch and then widen",
    }
)
WIDENING = (
    "zero_out", "kaiming", "gradmax", "gradmax_optimised", "mirror", "tiny", "bridging", "firefly",
    "variance_transfer",
)  # fmt: skip
BIRTHS: Mapping[str, tuple[str, ...]] = MappingProxyType(  # the preserving one first
    {
        "widen": WIDENING,
        "split": ("split_unevenly", "split_evenly"),
        "deepen": ("identity", "kaiming"),
        "residual": ("zero_gamma", "identity_paper", "kaiming"),
        "bottleneck": ("zero_gamma", "kaiming"),
        "residual_pre": ("zero_gamma", "kaiming"),
        "bottleneck_pre": ("zero_gamma", "kaiming"),
        "branch": ("zero_gamma", "kaiming"),
        "branch_concat": ("zero_out", "kaiming"),
        "skip": ("zero_out", "kaiming"),
        "skip_add": ("zero_gamma", "kaiming"),
        "stretch": ("zero_gamma", "copied", "interpolated", "kaiming"),
        "enlarge_kernel": ("zero_rim", "kaiming"),
        "rewire": ("regrow", "rigl", "set"),
    }
)
