"""Initialisations: (morph, soil) -> birth, one registry for each operator, and what they claim.

The first initialisation of each operator is its function-preserving one, which the name
"preserving" stands for.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from recursive_lth.architecture.layer import IDEMPOTENT
from recursive_lth.config import pick
from recursive_lth.growth.birth import Initialise
from recursive_lth.growth.copies import copied, interpolated, split_evenly, split_unevenly
from recursive_lth.growth.firefly import firefly
from recursive_lth.growth.gradmax import gradmax, gradmax_optimised
from recursive_lth.growth.mirror import mirror
from recursive_lth.growth.regrowth import regrow, rigl, set_random
from recursive_lth.growth.tiny import bridging, tiny
from recursive_lth.growth.variance import variance_transfer
from recursive_lth.growth.zeros import identity, identity_paper, kaiming, zero_gamma, zero_out
from recursive_lth.ticket.morph import NEW, Morph

PRESERVING = "preserving"
Doubt = Callable[[Morph], str]  # why a growth claims nothing, or ""


def resolve(operator: str, initialisation: str) -> tuple[str, Initialise]:
    """Name and function of an operator's initialisation; one it lacks becomes its preserving one.

    A search draws operator and initialisation independently, so an initialisation that belongs to
    another operator is ignored rather than refused.
    """
    choices = pick(INITIALISATIONS, operator, "operator")
    name = initialisation if initialisation in choices else next(iter(choices))
    return name, choices[name]


def why_inexact(morph: Morph, operator: str, initialisation: str) -> str:
    """Why this growth does not claim to preserve the function in both modes; "" where it does."""
    name, _ = resolve(operator, initialisation)
    if name not in CLAIMS:
        return f"{name} changes what the network computes"
    return CLAIMS[name](morph)


def is_preserving(operator: str, initialisation: str) -> bool:
    """True iff the growth can claim to leave the function as it is, in both modes."""
    return resolve(operator, initialisation)[0] in CLAIMS


def _always(morph: Morph) -> str:
    return ""


def _needs_idempotent(morph: Morph) -> str:
    """f(f(x)) = f(x) must hold where a new activation follows an old one."""
    for name in _last_activations(morph):
        operation = morph.after.layers[name].operation
        if operation not in IDEMPOTENT:
            return (
                f"{operation} is not idempotent, so a second one changes what it reads: use "
                "residual_pre, which is exact behind any activation"
            )
    return ""


def _adds_nothing(morph: Morph) -> str:
    """What is added to an old layer must be 0, and pass the activation behind it as it is."""
    for name in morph.new_layers:
        layer, old = morph.after.layers[name], morph.before.layers
        if layer.operation != "add" or not any(source in old for source in layer.inputs):
            continue
        for source in layer.inputs:
            if source not in old and not _can_be_zero(morph, source):
                operation = morph.after.layers[source].operation
                return f"{name} adds the output of {source}: a {operation} has no weights to be 0"
    return _needs_idempotent(morph)


def _can_be_zero(morph: Morph, name: str) -> bool:
    """True iff the layer has weights of its own, or adds up such layers."""
    layer = morph.after.layers[name]
    if layer.operation == "add":
        return all(_can_be_zero(morph, source) for source in layer.inputs)
    return f"{name}.weight" in morph.after.tensors


def _needs_zero_at_zero(morph: Morph) -> str:
    """f(0) = 0 must hold for every activation that new units pass."""
    new = {s for s, a in morph.origin.items() if NEW in a.units}
    for name, layer in morph.after.layers.items():
        if layer.operation == "sigmoid" and any(
            a.symbol in new for a in morph.after.unit_rows[name]
        ):
            return f"{name} is a sigmoid, which puts out 1/2 where nothing comes in: use mirror"
    return ""


def _last_activations(morph: Morph) -> list[str]:
    """New activations that old layers read."""
    return [
        name
        for name in morph.new_layers
        if morph.after.layers[name].operation not in {"add", "concat"}
        and any(reader in morph.before.layers for reader in morph.after.graph.successors(name))
        and f"{name}.weight" not in morph.after.tensors
    ]


CLAIMS: Mapping[str, Doubt] = MappingProxyType(
    {
        "zero_out": _always,
        "split_evenly": _always,
        "split_unevenly": _always,
        "identity": _needs_idempotent,
        "zero_gamma": _adds_nothing,
        "zero_rim": _always,
        "regrow": _always,
        "mirror": _always,
        "gradmax": _needs_zero_at_zero,
        "gradmax_optimised": _needs_zero_at_zero,
    }
)
INITIALISATIONS: Mapping[str, Mapping[str, Initialise]] = MappingProxyType(
    {
        "widen": {
            "zero_out": zero_out,
            "kaiming": kaiming,
            "gradmax": gradmax,
            "gradmax_optimised": gradmax_optimised,
            "mirror": mirror,
            "tiny": tiny,
            "bridging": bridging,
            "firefly": firefly,
            "variance_transfer": variance_transfer,
        },
        "split": {"split_unevenly": split_unevenly, "split_evenly": split_evenly},
        "deepen": {"identity": identity, "kaiming": kaiming},
        "residual": {
            "zero_gamma": zero_gamma,
            "identity_paper": identity_paper,
            "kaiming": kaiming,
        },
        "bottleneck": {"zero_gamma": zero_gamma, "kaiming": kaiming},
        "residual_pre": {"zero_gamma": zero_gamma, "kaiming": kaiming},
        "bottleneck_pre": {"zero_gamma": zero_gamma, "kaiming": kaiming},
        "branch": {"zero_gamma": zero_gamma, "kaiming": kaiming},
        "branch_concat": {"zero_out": zero_out, "kaiming": kaiming},
        "skip": {"zero_out": zero_out, "kaiming": kaiming},
        "skip_add": {"zero_gamma": zero_gamma, "kaiming": kaiming},
        "stretch": {
            "zero_gamma": zero_gamma,
            "copied": copied,
            "interpolated": interpolated,
            "kaiming": kaiming,
        },
        "enlarge_kernel": {"zero_rim": zero_out, "kaiming": kaiming},
        "rewire": {"regrow": regrow, "rigl": rigl, "set": set_random},
    }
)
