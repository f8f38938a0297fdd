"""Verdicts: p against scipy, the family against a slow twin, what each case comes to, the words."""

import itertools
import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recursive_lth.statistics import LEVEL, holm
from recursive_lth.study.contrasts import Readings, parse_contrast
from recursive_lth.study.verdicts import Case, Finding, corrected, decide, verdicts_file

PS = st.lists(st.floats(0, 1), min_size=1, max_size=5)
KEYS = {  # of each verdict, as the report reads them
    *("name", "line", "arm", "rival", "measure", "unit", "direction", "factors", "moment"),
    *("training", "n", "pairs", "effect", "standardised", "p", "p_exact", "p_holm", "p_within"),
    *("p_within_holm", "verdict", "margin", "seeds_needed", "budget", "is_unequal", "missing"),
    "words",
}
Values = Sequence[float | None]


def readings(ours: Values, theirs: Values) -> Readings:
    found = {("grown", seed): value for seed, value in enumerate(ours)}
    return found | {("pruned", seed): value for seed, value in enumerate(theirs)}


def finding(ours: Values, theirs: Values, clauses: str = "", *, step: float = 0.0) -> Finding:
    """The only contrast of a study: grown has less than pruned."""
    contrast = parse_contrast(f"rejuvenates: grown < pruned in cost_to_target {clauses}")
    case = Case(contrast, readings(ours, theirs), "epochs", step, ("structure",), (100, 101))
    (found,) = decide([case])
    return found


PRUNED = (0.42, 0.41, 0.44, 0.40, 0.43)
GROWN = (0.30, 0.31, 0.32, 0.29, 0.33)
NEARLY = (0.421, 0.409, 0.441, 0.4, 0.429)


def test_the_claimed_direction_is_supported_and_the_other_refuted() -> None:
    less, more = finding(GROWN, PRUNED), finding(PRUNED, GROWN)
    assert (less.verdict, more.verdict) == ("supported", "refuted")
    assert less.effect is not None
    assert less.effect.mean == pytest.approx(-0.11)
    twin = stats.ttest_rel(GROWN, PRUNED)
    assert less.p == pytest.approx(twin.pvalue)
    low, high = twin.confidence_interval()
    assert less.effect.low == pytest.approx(low)
    assert less.effect.high == pytest.approx(high)
    assert less.p_exact == more.p_exact == 2 / 32  # all of one sign, and no fewer flips do


@given(st.lists(st.integers(-50, 50).map(lambda k: k / 64), min_size=3, max_size=8))
def test_both_p_are_two_sided(differences: list[float]) -> None:
    """Twice the smaller side: scipy's t test, and flips counted one by one."""
    found = finding(differences, [0.0] * len(differences))
    assert found.p is not None
    assert found.p_exact is not None
    flips = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(each, differences, strict=True))) for each in flips]
    share = sum(each >= abs(sum(differences)) for each in sums) / len(sums)
    assert found.p_exact == pytest.approx(share)
    if np.ptp(differences) > 0:
        assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    else:
        assert found.p == found.p_exact


def test_a_difference_within_the_margin_is_refuted() -> None:
    """Both one-sided tests at 5 %; without a margin the same readings decide nothing."""
    assert finding(NEARLY, PRUNED).verdict == "undecided"
    found = finding(NEARLY, PRUNED, "within 0.01")
    assert found.verdict == "refuted"
    differences = np.subtract(NEARLY, PRUNED)
    above = stats.ttest_1samp(differences, -0.01, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.01, alternative="less").pvalue
    assert found.p_within == pytest.approx(max(float(above), float(below)))
    assert finding(NEARLY, PRUNED, "within 0.0001").verdict == "undecided"


def test_a_difference_that_is_shown_stands_though_it_be_small() -> None:
    found = finding(GROWN, PRUNED, "within 0.5")
    assert found.p_within_holm is not None
    assert found.p_within_holm <= LEVEL
    assert found.verdict == "supported"
    assert "supported, though by less than 0.5" in found.to_dict()["words"]


@pytest.mark.parametrize("lack", [None, math.inf, -math.inf, math.nan])
def test_a_seed_without_a_value_is_left_out_and_counted(lack: float | None) -> None:
    """No mean has room for what is infinite, or was never reached; nor has JSON."""
    found = finding([lack, *GROWN, 0.3], [0.4, *PRUNED, lack]).to_dict()
    assert (found["n"], found["missing"], len(found["pairs"])) == (5, 2, 7)
    assert found["pairs"][0] == {"seed": 0, "arm": None, "rival": 0.4}
    assert found["effect"]["mean"] == pytest.approx(-0.11)
    assert "2 left out for want of a value (grown in 1 and pruned in 1)" in found["words"]
    json.dumps(found, allow_nan=False)


def test_a_seed_read_in_one_arm_alone_is_missing_too() -> None:
    case = Case(parse_contrast("c: grown < pruned in m"), {("grown", 3): 1.0, ("other", 9): 2.0})
    found = decide([case])[0].to_dict()
    assert found["pairs"] == [{"seed": 3, "arm": 1.0, "rival": None}]
    assert (found["n"], found["missing"], found["verdict"]) == (0, 1, "undecided")
    assert found["words"] == "in m no seed has a value of both grown and pruned: undecided"


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_pairs_decide_nothing(n: int) -> None:
    """However large the effect; two equal differences have no spread at all."""
    found = finding([0.0] * n, [9.0] * n, "within 100").to_dict()
    assert found["effect"]["mean"] == -9
    assert {found[key] for key in ("p", "p_exact", "p_holm", "p_within_holm")} == {None}
    assert found["verdict"] == "undecided"
    assert "undecided, so few pairs show nothing" in found["words"]


@pytest.mark.parametrize(("n", "verdict"), [(5, "undecided"), (6, "supported")])
def test_equal_differences_count_as_tosses_of_a_coin(n: int, verdict: str) -> None:
    """Without spread there is no t: n of one sign have 2 x 2^-n, 6.25 % of five, 3.1 % of six."""
    found = finding([0.25] * n, [0.5] * n)
    assert found.p == 2 * 0.5**n
    assert found.verdict == verdict
    assert found.to_dict()["standardised"] is None
    stepped = finding([0.25] * n, [0.5] * n, step=0.25)  # and what lies within a step is spread
    assert stepped.p == pytest.approx(2 * stats.t.sf(math.sqrt(12 * n), n - 1))


def test_ties_show_nothing_but_that_they_tie() -> None:
    found = finding([0.5] * 5, [0.5] * 5).to_dict()
    assert (found["p"], found["verdict"], found["seeds_needed"]) == (1.0, "undecided", None)
    assert "no number of seeds would show so small an effect" in found["words"]
    assert finding([0.5] * 5, [0.5] * 5, "within 0.1").verdict == "refuted"  # 2^-5 either way


def test_many_seeds_draw_their_flips() -> None:
    generator = np.random.default_rng(0)
    ours = generator.normal(0.5, 1, 24).tolist()
    found = finding(ours, [0.0] * 24)
    assert found.p is not None
    assert found.p_exact == pytest.approx(found.p, abs=0.01)


def test_one_contrast_more_moves_no_others_interval() -> None:
    """It does count in the family, though."""
    generator = np.random.default_rng(1)
    data = readings(generator.normal(size=8).tolist(), generator.normal(1.5, 1, 8).tolist())
    first, second = (
        Case(parse_contrast(f"{name}: grown < pruned in m"), data) for name in ("a", "b")
    )
    (alone,), both = decide([first]), decide([second, first])
    assert alone.effect == both[1].effect != both[0].effect
    assert both[1].p_holm == pytest.approx(2 * (alone.p or 0))


@given(PS)
def test_without_margins_the_family_is_holms(ps: list[float]) -> None:
    assert corrected(ps, [None] * len(ps)) == (holm(ps), [None] * len(ps))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1) | st.none()), min_size=1, max_size=4))
def test_the_family_is_the_closed_test_of_what_can_be_false_together(
    claims: list[tuple[float, float | None]],
) -> None:
    """Slow twin, bounded: a claim holds where every set of claims that holds it is rejected.

    A set takes at most one claim of each contrast, since both cannot be false; Bonferroni rejects
    one of k claims if its least p is at most level / k. The closed test's p of a claim is thus the
    largest k x least p over its sets; stepping down by the number still open is never below it,
    and just so for the least p of all.
    """
    differ, within = [p for p, _ in claims], [p for _, p in claims]
    options = [[None, ("differ", i), ("within", i)] for i in range(len(claims))]
    table = {("differ", i): p for i, p in enumerate(differ)} | {
        ("within", i): p for i, p in enumerate(within) if p is not None
    }
    sets = [
        {claim for claim in each if claim is not None}
        for each in itertools.product(*options)
        if all(claim is None or claim in table for claim in each) and any(each)
    ]
    found = dict(zip(("differ", "within"), corrected(differ, within), strict=True))
    least = min(table, key=lambda claim: table[claim])
    for claim in table:
        closed = max(
            min(1.0, len(each) * min(table[c] for c in each)) for each in sets if claim in each
        )
        stepped = found[claim[0]][claim[1]]
        assert stepped is not None
        assert stepped >= closed - 1e-12
        if claim == least:
            assert stepped == pytest.approx(min(1.0, len(claims) * table[claim]))


def test_a_contrast_that_cannot_be_tested_still_counts() -> None:
    """The family is what was declared: leaving out what failed would choose it by its readings."""
    assert corrected([0.02, None], [None, None]) == ([0.04, None], [None, None])


def test_the_file_has_all_that_the_report_reads() -> None:
    found = verdicts_file([finding(GROWN, PRUNED, "at unequal cost")])
    assert found["family"] == {"level": 0.05, "contrasts": 1, "correction": "Holm 1979"}
    (verdict,) = found["verdicts"]
    assert set(verdict) == KEYS
    assert verdict["budget"] == {"arm": 100, "rival": 101}
    assert verdict["standardised"] == pytest.approx(
        verdict["effect"]["mean"] / verdict["effect"]["sd"]
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    with_margin = verdicts_file([finding(GROWN, PRUNED, "within 1")])
    assert with_margin["family"]["correction"] == "Shaffer 1986"


WORDS: dict[str, tuple[Values, str]] = {
    "in cost to target grown had 0.310 epochs where pruned had 0.420 epochs: -0.110 [-0.122, "
    "-0.098], n = 5, corrected p < 0.001: supported": (GROWN, ""),
    "in cost to target at 50 % of training 1 grown had 0.840 epochs where pruned had 0.420 epochs: "
    "+0.420 [+0.400, +0.440], n = 5, corrected p < 0.001: refuted, it is the other way round; "
    "at unequal cost": ([2 * v for v in PRUNED], "at 0.5 of 1 at unequal cost"),
    "in cost to target grown had 0.4200 epochs where pruned had 0.4200 epochs: +0.0000 "
    "[-0.0012, +0.0012], n = 5, corrected p = 1.000: refuted, they lie within 0.01 of each other": (
        NEARLY,
        "within 0.01",
    ),
    "in cost to target grown had 0.35 epochs where pruned had 0.42 epochs: -0.07 [-0.18, +0.05], "
    "n = 5, corrected p = 0.194: undecided, an effect like this takes 19 seeds": (
        (0.3, 0.45, 0.4, 0.2, 0.42),
        "",
    ),
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_are_one_plain_sentence(words: str) -> None:
    ours, clauses = WORDS[words]
    assert finding(ours, PRUNED, clauses).to_dict()["words"] == words


@pytest.mark.parametrize(
    ("size", "numbers"),
    [
        (1e-9, "grown had 1.5e-09 epochs where pruned had 3.5e-09 epochs: -2e-09 ["),
        (1.0, "grown had 1.5 epochs where pruned had 3.5 epochs: -2.0 ["),
        (1e9, "grown had 1.5e+09 epochs where pruned had 3.5e+09 epochs: -2e+09 ["),
    ],
)
def test_numbers_of_any_size_can_be_read(size: float, numbers: str) -> None:
    """Gradient norms are small, traces of Hessians large."""
    found = finding([size, 2 * size, 1.5 * size], [4 * size, 3 * size, 3.5 * size])
    assert numbers in found.to_dict()["words"]
