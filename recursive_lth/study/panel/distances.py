"""How far apart two settings of one network's weights are, over the entries that masks name.

All cost nothing but reading the weights. To measure a layer or a birth generation take the masks of
`parts.by_layer` or `parts.by_birth`; the rewind point is `ticket.rewind`. Each is None where it
says nothing: no entries, or only zeros.
"""

from collections.abc import Mapping

from torch import Tensor

from recursive_lth.study.panel.parts import entries


def relative_distance(
    now: Mapping[str, Tensor], then: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> float | None:
    """|now - then| / |then|, Euclidean, at least 0 and without unit.

    From the weights before a training to those after it, this is the update-to-weight ratio of the
    whole training; to `ticket.rewind`, the distance from the rewind point (Frankle et al. 2020,
    arXiv 2002.10365, who do not divide).
    """
    reference = entries(then, masks)
    size = float(reference.norm())
    return float((entries(now, masks) - reference).norm()) / size if size else None


def sign_agreement(
    now: Mapping[str, Tensor], then: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> float | None:
    """The share of entries with the same sign, in [0, 1], of those that are not 0 in either.

    What a ticket keeps of its initialisation may be the signs alone (Zhou et al. 2019,
    arXiv 1905.01067).
    """
    one, other = entries(now, masks), entries(then, masks)
    is_signed = (one != 0) & (other != 0)
    if not bool(is_signed.any()):
        return None
    return float((one.sign() == other.sign())[is_signed].double().mean())


def cosine(
    now: Mapping[str, Tensor], then: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> float | None:
    """The cosine of the angle between the two settings, in [-1, 1]."""
    one, other = entries(now, masks), entries(then, masks)
    sizes = float(one.norm() * other.norm())
    return min(1.0, max(-1.0, float(one @ other) / sizes)) if sizes else None
