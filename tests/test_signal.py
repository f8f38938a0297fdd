"""Signal before search: correlations of planted tables, a whole run, and what it advises."""

from pathlib import Path

import numpy as np
import pytest
from search_runs import small

from recursive_lth.errors import InputError
from recursive_lth.report.signal_drawing import draw_signal
from recursive_lth.search.signal import _correlations, advice, signal

SETTINGS = ("growth.candidates=3", "growth.replicates=2", "growth.rungs=2", "growth.epochs=3")


def slow_rank(one: list[float], other: list[float]) -> float:
    """Pearson's correlation of the places in order, without ties."""
    a, b = ([sorted(values).index(v) for v in values] for values in (one, other))
    return float(np.corrcoef(a, b)[0, 1])


def test_correlations_are_those_of_the_ranks() -> None:
    draw = np.random.default_rng(3)
    short, long = draw.normal(size=(3, 2, 6)), draw.normal(size=(3, 6))
    found = _correlations(short, long)
    pairs = [(0, 1), (0, 2), (1, 2)]
    for rung in range(2):
        expected = [slow_rank(list(short[a, rung]), list(short[b, rung])) for a, b in pairs]
        assert found["between_seeds"][rung] == pytest.approx(expected)
        truth = [slow_rank(list(one[rung]), list(long.mean(0))) for one in short]
        assert found["with_long"][rung] == pytest.approx(truth)
    assert found["between_long"] == pytest.approx([slow_rank(list(long[a]), list(long[b]))
                                                   for a, b in pairs])  # fmt: skip


def test_noise_and_spread_are_those_planted() -> None:
    """Networks differ by .3, a seed moves all alike by 5, noise is .1: over 400 networks."""
    draw = np.random.default_rng(5)
    worth, shared = draw.normal(0, 0.3, 400), draw.normal(0, 5, (4, 1))
    short = (worth + shared + draw.normal(0, 0.1, (4, 400)))[:, None]
    found = _correlations(short, short[:, 0])
    assert found["noise"] == pytest.approx(0.1, rel=0.05)
    assert found["spread"] == pytest.approx(np.hypot(0.3, 0.05), rel=0.1)


def test_nothing_is_ranked_where_all_are_alike() -> None:
    same = np.ones((2, 1, 4))
    found = _correlations(same, same[:, 0])
    assert found["between_seeds"] == [[0.0]]
    assert advice(found) == {"rung": 1, "reliability": 0.0, "replicates": None}


def test_advice_follows_spearman_and_brown() -> None:
    """Reliability .8 takes one seed of reliability .8, four of .5, thirty-six of .1."""
    for reliability, seeds in ((0.8, 1), (0.5, 4), (0.1, 36), (-0.2, None)):
        found = {"between_seeds": [[reliability]], "with_long": [[0.3]]}
        assert advice(found)["replicates"] == seeds
    late = {"between_seeds": [[0.5]] * 3, "with_long": [[0.1], [0.55], [0.6]]}
    assert advice(late)["rung"] == 2


def test_a_signal_is_measured_and_read_again(tmp_path: Path) -> None:
    """Four networks, two seeds, short and long; a second call computes nothing."""
    found, folder = signal(small(*SETTINGS), out=tmp_path, device="cpu")
    assert len(found["growths"]) == 4
    assert found["growths"][0] is None
    for numbers in found["measures"].values():
        assert np.array(numbers["short"]).shape == (2, 2, 4)
        assert np.array(numbers["long"]).shape == (2, 4)
    assert found["steps"] == [7, 14]
    assert found["long_steps"] == 21
    short = np.array(found["measures"]["val_loss"]["short"])
    assert not np.allclose(short[0], short[1])  # the seeds differ
    again, there = signal(small(*SETTINGS), out=tmp_path, device="cpu")
    assert (again, there) == (found, folder)
    assert draw_signal(found).startswith("<svg")


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (("growth.cut=median",), [9, 19, 28]),
        (("growth.cut=halving", "growth.keep=0.4"), [4, 11, 28]),
        (("growth.spacing=0.25",), [2, 7, 28]),
    ],
)
def test_networks_are_ranked_at_the_rungs_of_a_search(
    settings: tuple[str, ...], steps: list[int], tmp_path: Path
) -> None:
    """Or else its advice would be about rungs at which no search compares."""
    three = ("growth.judge_epochs=4", "growth.rungs=3")
    found, _ = signal(small(*SETTINGS, *three, *settings), out=tmp_path, device="cpu")
    assert found["steps"] == steps


def test_one_seed_is_no_signal(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"growth\.replicates=3"):
        signal(small(), out=tmp_path, device="cpu")
