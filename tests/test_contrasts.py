"""Contrasts: what a line says, what is refused, and which readings it asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recursive_lth.errors import InputError
from recursive_lth.study.contrasts import (
    Budget,
    Contrast,
    check_budget,
    check_contrast,
    check_factors,
    check_reading,
    parse_contrast,
    parse_contrasts,
    readings_of,
)
from recursive_lth.study.moves import FACTORS

PLAIN = parse_contrast("ages: pruned > untouched in cost_to_target")
ARMS = ("untouched", "pruned", "grown")
MEASURES = ("cost_to_target", "test_accuracy", "val_loss")


def test_a_plain_line_asks_for_the_end_of_the_last_training() -> None:
    line = "ages: pruned > untouched in cost_to_target"
    assert Contrast("ages", line, "pruned", "untouched", "more", "cost_to_target") == PLAIN
    assert (PLAIN.moment, PLAIN.training, PLAIN.margin, PLAIN.is_unequal) == (1.0, -1, 0.0, False)


CLAUSES = {
    "at 0.25": ("moment", 0.25),
    "of -2": ("training", -2),
    "within 0.002": ("margin", 0.002),
    "at unequal cost": ("is_unequal", True),
    "factors strategy+structure": ("factors", ("structure", "strategy")),
}


@given(st.permutations(list(CLAUSES)), st.integers(0, 5), st.booleans())
def test_clauses_stand_in_any_order(order: list[str], count: int, is_tight: bool) -> None:
    """Those that stand are read, the others keep what they are without; blanks do not matter."""
    sign = "<" if is_tight else " < "
    line = " ".join([f"a name:a{sign}b in m", *order[:count]])
    found = parse_contrast(f"  {line} ")
    assert (found.name, found.line) == ("a name", line)
    assert (found.arm, found.rival, found.direction, found.measure) == ("a", "b", "less", "m")
    for number, clause in enumerate(order):
        field, value = CLAUSES[clause]
        default = getattr(Contrast("", "", "", "", "more", ""), field)
        assert getattr(found, field) == (value if number < count else default)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a > b in m", "contrast 'a > b in m': no name before a colon"),
        (": a > b in m", "no name before a colon"),
        ("c: a > b", "contrast 'c': 'a > b' is no comparison: write NAME: ARM > ARM in MEASURE"),
        ("c: a beats b in m", "contrast 'c': 'beats' stands where > or < should"),
        ("c: a > b on m", "'on' stands where 'in' should"),
        ("c: a > b in m wihtin 0.1", "unknown clause 'wihtin': did you mean 'within'?"),
        ("c: a > b in m within", "nothing stands after 'within'"),
        ("c: a > b in m within -1", "within '-1': after 'within' stands a number of at least 0"),
        ("c: a > b in m within inf", "within 'inf'"),
        ("c: a > b in m within nan", "within 'nan'"),
        ("c: a > b in m at 2", "after 'at' stands a moment from 0 to 1 .before and after the tr"),
        ("c: a > b", "write NAME: .* .at unequal cost. .factors FACTOR"),
        ("c: a > b in m at unequl cost", "'at unequl cost': did you mean 'at unequal cost'"),
        ("c: a > b in m at end", "at 'end': .* or 'at unequal cost'"),
        ("c: a > b in m of 1.5", "of '1.5': after 'of' stands the number of a training"),
        ("c: a > b in m at 1 at 0", "'at' stands there twice"),
        ("c: a > b in m factors strategie", "unknown factor 'strategie': did you mean 'strategy'?"),
    ],
)
def test_a_wrong_line_is_told_in_one(line: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        parse_contrast(line)
    assert "\n" not in str(error.value)


def test_two_contrasts_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="contrast 'c': this name stands before two"):
        parse_contrasts(["c: a > b in m", "c: b > a in m"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("c: gorwn > pruned in val_loss", "contrast 'c': unknown arm 'gorwn': .*'grown'"),
        ("c: grown > prune in val_loss", "unknown arm 'prune': did you mean 'pruned'"),
        ("c: grown > pruned in test_acuracy", "unknown measure .* did you mean 'test_accuracy'"),
        ("c: grown > grown in val_loss", "arm 'grown' against itself"),
    ],
)
def test_unknown_arms_and_measures_are_named(line: str, words: str) -> None:
    check_contrast(PLAIN, ARMS, MEASURES)
    with pytest.raises(InputError, match=words):
        check_contrast(parse_contrast(line), ARMS, MEASURES)


@pytest.mark.parametrize(
    ("clauses", "readings", "words"),
    [
        ("at 0.5", "all", "nothing is read at 0.5: add it to study.moments, which has 0, 1"),
        ("of 2", "all", "of 2: arm 'pruned' has 2 trainings"),
        ("of -2", "all", "of -2: arm 'untouched' has 1 trainings"),
        ("of 0", "last", "only the last of 2 trainings of 'pruned' is read"),
        ("of 0", "all", ""),
        ("at 0", "last", ""),
    ],
)
def test_what_is_never_read_cannot_be_asked_for(clauses: str, readings: str, words: str) -> None:
    contrast = parse_contrast(f"{PLAIN.line} {clauses}")
    trainings = {"pruned": 2, "untouched": 1}
    if not words:
        check_reading(contrast, (0.0, 1.0), trainings, readings)
        return
    with pytest.raises(InputError, match=words):
        check_reading(contrast, (0.0, 1.0), trainings, readings)


@pytest.mark.parametrize(
    ("ours", "theirs", "step", "is_equal"),
    [
        (1000, 1000, 1, True),
        (1000, 1010, 1, True),  # 1 % just so
        (1011, 1000, 1, False),
        (1011, 1000, 11, True),  # one step
        (1500, 1000, 11, False),
        (0, 0, 1, True),
        (100, 0, 1, False),
    ],
)
def test_unequal_budgets_are_refused(ours: int, theirs: int, step: int, is_equal: bool) -> None:
    """Who may train for longer may well learn more; both numbers and the cure are told."""
    pair = Budget(ours), Budget(theirs)
    check_budget(parse_contrast(f"{PLAIN.line} at unequal cost"), *pair, step)
    if is_equal:
        check_budget(PLAIN, *pair, step)
        return
    with pytest.raises(InputError, match="contrast 'ages': unequal budgets") as error:
        check_budget(PLAIN, *pair, step)
    words = str(error.value)
    assert f"'pruned' takes {ours:,} multiply-adds" in words
    assert f"'untouched' {theirs:,}" in words
    assert "same sum, or end the line in 'at unequal cost'" in words


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Budget(1300, 300), Budget(1000)),
        (Budget(1000), Budget(1310, 300)),  # trainings of 1 % apart are equal
        (Budget(1500, 500), Budget(1050, 50)),
    ],
)
def test_what_equal_trainings_cannot_mend_is_told(ours: Budget, theirs: Budget) -> None:
    """Scores and births make the difference, and no sum of `train` moves would take it away."""
    check_budget(parse_contrast(f"{PLAIN.line} at unequal cost"), ours, theirs, 1)
    with pytest.raises(InputError, match="contrast 'ages': unequal budgets") as error:
        check_budget(PLAIN, ours, theirs, 1)
    words = str(error.value)
    assert f"scores and births take {ours.untrained:,} and {theirs.untrained:,}" in words
    assert words.endswith("end the line in 'at unequal cost'")
    assert "same sum" not in words


def test_scores_of_equal_cost_part_nothing() -> None:
    check_budget(PLAIN, Budget(1300, 300), Budget(1305, 300), 1)


@given(st.sets(st.sampled_from(FACTORS)), st.sets(st.sampled_from(FACTORS)))
def test_arms_differ_in_what_the_line_says(found: set[str], named: set[str]) -> None:
    """Unless it says nothing and one factor is all there is."""
    clause = f" factors {'+'.join(sorted(named))}" if named else ""
    contrast = parse_contrast(PLAIN.line + clause)
    if found == named or (not named and len(found) == 1):
        check_factors(contrast, found)
        return
    with pytest.raises(InputError, match="contrast 'ages': 'pruned' against 'untouched'") as error:
        check_factors(contrast, found)
    cure = "leave factors out" if not found else "end the line in 'factors "
    assert cure in str(error.value)
    if found:  # the cure cures
        wanted = str(error.value).rpartition("'factors ")[2].rstrip("'")
        check_factors(parse_contrast(f"{PLAIN.line} factors {wanted}"), found)


def line(
    arm: str, seed: int, training: int, moment: float, value: float | None
) -> dict[str, object]:
    trainings = 3 if arm == "pruned" else 1
    numbers = {"seed": seed, "training": training, "trainings": trainings, "moment": moment}
    return {"arm": arm, **numbers, "values": {"cost_to_target": value}}


def test_a_contrast_picks_its_readings() -> None:
    """The last training of each arm, whatever its number, at the moment that is asked for."""
    lines = [
        line("pruned", 0, 2, 1.0, 0.5),
        line("pruned", 0, 1, 1.0, 7.0),
        line("pruned", 0, 2, 0.0, 8.0),
        line("pruned", 1, 2, 1.0, None),
        line("untouched", 0, 0, 1.0, 0.25),
        line("grown", 0, 0, 1.0, 9.0),
    ]
    wanted = {("pruned", 0): 0.5, ("pruned", 1): None, ("untouched", 0): 0.25}
    assert readings_of(PLAIN, lines) == wanted
    first = parse_contrast(f"{PLAIN.line} of 1")
    assert readings_of(first, lines) == {("pruned", 0): 7.0}
    other = parse_contrast("c: pruned > untouched in val_loss")
    assert set(readings_of(other, lines).values()) == {None}
