"""Names are looked up before anything is written: every registry, and the nearest match."""

import pytest
from search_runs import small

from recursive_lth.architecture.zoo import mlp
from recursive_lth.errors import InputError
from recursive_lth.growth.initialise import INITIALISATIONS, PRESERVING
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.running.check import check_target
from recursive_lth.search.check import check_growth, check_names, check_pruning, check_rewind

FIXED = "growth.policy=fixed"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["start.architecture=mpl"], "unknown start.architecture 'mpl': did you mean 'mlp'"),
        (["start.initialisation=kaming_normal"], "start.initialisation .*'kaiming_normal'"),
        (["training.optimizer=adamm"], "unknown training.optimizer 'adamm'"),
        (["training.schedule=cosin"], "unknown training.schedule 'cosin': did you mean 'cosine'"),
        (["pruning.score=magnitud"], "unknown pruning.score .* did you mean 'magnitude'"),
        (["pruning.scope=globl"], "unknown pruning.scope 'globl': did you mean 'global'"),
        (["growth.policy=tpee"], "unknown growth.policy 'tpee': did you mean 'tpe'"),
        (['space.operator=["widen", "depen"]'], "unknown space.operator 'depen'.*'deepen'"),
        (['space.initialisation=["preserv"]'], "unknown space.initialisation .*'preserving'"),
        (
            ["acceptance.rule=paired", 'acceptance.controls=["trained"]'],
            "unknown acceptance.controls 'trained': did you mean 'trained_on'",
        ),
        (['space.mask=["dens"]'], "unknown space.mask 'dens': did you mean 'dense'"),
        (
            [FIXED, 'growth.schedule=[{}, {operator="widn"}]'],
            "unknown growth.schedule operator 'widn': did you mean 'widen'",
        ),
        (
            [FIXED, 'growth.schedule=[{initialisation="identitty"}]'],
            "unknown growth.schedule initialisation 'identitty': did you mean 'identity'",
        ),
        ([FIXED, 'growth.schedule=[{mask="copies"}]'], "unknown growth.schedule mask 'copies'"),
        (
            [FIXED, 'growth.schedule=[{operator="widen", initialisation="zero_gamma"}]'],
            "growth.schedule: widen has no initialisation 'zero_gamma'; choose from",
        ),
    ],
)
def test_a_wrong_name_is_an_error_that_names_key_and_cure(
    settings: list[str], message: str
) -> None:
    check_names(small())
    with pytest.raises(InputError, match=message) as caught:
        check_names(small(*settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["space.density=[0.1, 0.9]"], "space.density is that of space.mask random alone"),
        (
            [FIXED, 'growth.schedule=[{operator="widen", density=0.9}]'],
            "density is that of mask random alone, got mask dense",
        ),
        (
            [FIXED, 'growth.schedule=[{operator="widen", mask="copied"}]'],
            "widen copies no layer, so mask copied would be dense",
        ),
        (
            [FIXED, 'growth.schedule=[{operator="stretch_widen"}]'],
            "stretch has no place in mlp: begin with another operator",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(settings: list[str], message: str) -> None:
    start = mlp((1, 8, 8), 10, (6,))
    check_growth(small(), start)
    with pytest.raises(InputError, match=message):
        check_growth(small(*settings), start)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_known_name_passes(operator: str) -> None:
    """In a space all names at once; in a schedule each initialisation with its own operator."""
    for initialisation in (PRESERVING, *INITIALISATIONS[operator]):
        for mask in MASKS_OF_NEW:
            step = f'operator="{operator}", initialisation="{initialisation}", mask="{mask}"'
            check_names(small(FIXED, f"growth.schedule=[{{{step}}}]"))
            check_names(
                small(
                    f'space.operator=["{operator}"]',
                    f'space.initialisation=["{initialisation}"]',
                    f'space.mask=["{mask}"]',
                )
            )


def test_a_step_to_rewind_to_is_one_that_was_trained() -> None:
    """3 epochs of 7 whole batches are 21 steps; where nothing is rewound any length will do."""
    for rewind in ("none", "init", "0it", "21it"):
        check_rewind(small(f"pruning.rewind={rewind}"), 120)
    with pytest.raises(InputError, match=r"step 22 .* 21 steps: .* raise training\.epochs"):
        check_rewind(small("pruning.rewind=22it"), 120)


@pytest.mark.parametrize(
    ("settings", "is_reachable"),
    [
        (["pruning.target_weights=20", "pruning.layer_floor=10"], True),
        (["pruning.target_weights=20", "pruning.layer_floor=11"], False),
        (["pruning.target_density=0.01", "pruning.layer_floor=3"], False),  # 4 of 444 weights
        (["pruning.target_density=0", "pruning.rounds=1", "pruning.layer_floor=99"], True),
    ],
)
def test_a_target_is_one_that_the_floors_allow(settings: list[str], is_reachable: bool) -> None:
    """Two layers of a floor each; rounds alone stop at the floors by themselves."""
    architecture = mlp((1, 8, 8), 10, (6,))
    if is_reachable:
        check_target(small(*settings).pruning, architecture)
        return
    with pytest.raises(InputError, match=r"cannot reach \d+ weights .*layer_floor"):
        check_target(small(*settings).pruning, architecture)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pruning.basis=dct", "coefficients in dct: use `prune`"),
        ("pruning.pruned=initial", "pruning.pruned=zero"),
        ("pruning.score=movement_gradient", r"choose another pruning\.score"),
        ("pruning.epochs=0", r"pruning\.epochs must be above 0 in grow"),
    ],
)
def test_what_only_prune_can_do_is_refused(setting: str, message: str) -> None:
    check_pruning(small())
    with pytest.raises(InputError, match=message):
        check_pruning(small(setting, "pruning.rewind=init"))
