"""Plans and play: budgets before anything trains, beginnings, and draws that arms share."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from studies import ARMS, plan, played, small

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import StudyExperiment
from recursive_lth.errors import InputError
from recursive_lth.running.stages import Stages
from recursive_lth.study.contrasts import parse_contrast
from recursive_lth.study.play import Stand
from recursive_lth.study.summary import step_of

EVERY_VERB: dict[str, Sequence[str]] = {
    "long": ("train 2.3",),
    "twice": ("train 0.5", "train 0.77 by=epochs on=few learning_rate=1e-3"),
    "cut": ("train 0.5", "prune 0.3", "rewind", "train 1", "prune 0.1 scope=per_layer", "train 1"),
    "grown": ("train 0.5", "prune 0.4", "grow deepen initialisation=identity", "train 0.5",
              "grow widen ratio=0.5 mask=parent_density", "train 0.5 state=carry"),
    "scored": ("train 0.5", "prune 0.5 score=snip", "prune 0.5 score=grasp", "train 0.5",
               "prune 0.3 score=grasp", "train 0.2", "prune 0.2 score=synflow", "train 0.2"),
    "gradmax": ("train 0.5", "grow widen initialisation=gradmax", "train 0.5"),
    "remade": ("train 0.5", "prune 0.5", "remember", "train 0.2", "remake shuffled_weights",
               "train 0.3", "remake small_dense", "train 0.5"),
    "young": ("train 0.5", "shrink_perturb 0.5 0.1", "train 0.5 on=few"),
    "wide": ("begin mlp hidden=[24,8] initialisation=glorot_normal", "train 1"),
    "shape": ("begin like=grown", "train 1"),
}  # fmt: skip
FEW: tuple[Mapping[str, Any], ...] = ({"name": "few", "train_limit": 90},)


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyExperiment, dict[str, Stand]]:
    """Every verb, for real."""
    experiment = small(arms=EVERY_VERB, tasks=FEW)
    return experiment, played(experiment, Stages(tmp_path_factory.mktemp("s")), is_real=True)


def test_the_plan_tells_sizes_and_costs_of_the_run_exactly(
    every: tuple[StudyExperiment, dict[str, Stand]],
) -> None:
    """What a move leaves and what a training takes depends on counts, which nothing trained moves.

    Here a weight is a multiply-add, wherever it is.
    """
    experiment, real = every
    found = plan(experiment)
    assert found.stands.keys() == real.keys() == EVERY_VERB.keys()
    for name, stand in real.items():
        ours = found.stands[name]
        assert ours.spent == stand.spent == found.budget(name), name
        assert [d.steps for d in ours.trainings] == [d.steps for d in stand.trainings]
        assert [d.spent for d in ours.trainings] == [d.spent for d in stand.trainings]
        assert ours.ticket.architecture == stand.ticket.architecture
        assert ours.ticket.cost == stand.ticket.cost
        assert found.to_dict()["arms"][name]["multiply_adds"] == stand.spent


def test_what_was_spent_is_told_step_by_step(
    every: tuple[StudyExperiment, dict[str, Stand]],
) -> None:
    """A training of n steps of b samples takes n times what the remaining weights take for b."""
    for stand in every[1].values():
        before = 0
        for done in stand.trainings:
            assert done.spent_before >= before  # growing may cost as well
            rest = done.before.cost.remaining_multiply_adds
            assert done.spent - done.spent_before == training_cost(rest, done.steps * 12)
            assert done.curve[0]["step"] == 0
            assert done.curve[0]["spent"] == done.spent_before
            assert done.curve[-1]["spent"] == done.spent
            assert done.curve[-1]["step"] == done.steps
            before = done.spent
        assert stand.spent == before


def test_scores_that_run_the_network_are_paid_for(
    every: tuple[StudyExperiment, dict[str, Stand]],
) -> None:
    """All 120 training samples, forward and back, thrice for GraSP; SynFlow on one, 100 times.

    A cut to what is left already scores nothing.
    """
    first, second, third, fourth = every[1]["scored"].trainings
    sizes = [done.before.cost.remaining_multiply_adds for done in (first, second, third, fourth)]
    paid = [
        after.spent_before - before.spent
        for before, after in ((first, second), (second, third), (third, fourth))
    ]
    assert sizes[1] == 592
    assert paid == [3 * 120 * 1184, 3 * 3 * 120 * 592, 3 * 100 * sizes[2]]


def test_equal_sums_are_equal_budgets_to_half_a_step_of_each_training() -> None:
    """`train c` takes c epochs of the dense start network's cost, whatever is trained."""
    arms = {
        "dense": ("train 3",),
        "cut": ("train 1", "prune 0.1", "train 1", "prune 0.05", "train 1"),
        "grown": ("train 1.5", "prune 0.3", "grow deepen", "train 1.5"),
        "wide": ("begin mlp hidden=[50]", "train 3"),
        "few": ("train 3 on=few",),
    }
    found = plan(small(arms=arms, tasks=FEW))
    assert found.epoch_cost == training_cost(64 * 16 + 16 * 10, 120)
    assert found.budget("dense") == 3 * found.epoch_cost == found.budget("few")
    for stand in found.stands.values():
        a_step = [(d.spent - d.spent_before) // d.steps for d in stand.trainings]
        assert abs(stand.spent - 3 * found.epoch_cost) <= sum(a_step) / 2
        assert 3 * min(a_step) <= found.epoch_cost


def test_epochs_are_passes_through_the_data_of_the_task() -> None:
    arms = {"own": ("train 2 by=epochs",), "few": ("prune 0.1", "train 2 by=epochs on=few")}
    found = plan(small(arms=arms, tasks=FEW))
    assert [found.stands[n].trainings[0].steps for n in arms] == [20, 12]  # 120 and 72 of 12


def test_what_arms_share_counts_once() -> None:
    """The first training of three arms is one; the third one's second is not: it began otherwise.

    10 steps an epoch, of two seeds.
    """
    arms = {"a": ("train 1", "train 1"), "b": ("train 1", "train 1 warmup=0.1"),
            "c": ("train 1 warmup=0.1", "train 1")}  # fmt: skip
    found = plan(small(arms=arms))
    assert found.epochs == 2 * 5
    assert found.multiply_adds == 2 * 5 * found.epoch_cost
    assert found.probing == 0


def test_the_sum_has_what_scores_and_births_take() -> None:
    """For each arm, for each computes its own, while the first training of all is one; of two
    seeds. SNIP takes an epoch of the network that it cuts, its cut comes last in one arm.
    """
    arms = {"a": ("train 1", "prune 0.5 score=snip", "train 1"),
            "b": ("train 1", "prune 0.5 score=snip", "train 1 warmup=0.1"),
            "c": ("train 1", "prune 0.5 score=snip"),
            "d": ("train 1", "grow widen initialisation=gradmax", "train 1")}  # fmt: skip
    found = plan(small(arms=arms))
    born = found.untrained("d")
    assert born > 0
    assert found.untrained("a") == found.untrained("b") == found.epoch_cost
    assert found.untrained("c") == 0  # before its last training
    assert found.untrained("a", 0) == 0
    trained = {(name, done.number): done.spent - done.spent_before
               for name, stand in found.stands.items() for done in stand.trainings}  # fmt: skip
    seconds = sum(trained[name, 1] for name in "abd")
    assert found.multiply_adds == 2 * (trained["a", 0] + seconds + 3 * found.epoch_cost + born)


def test_budgets_are_compared_where_the_arms_are() -> None:
    """After the first training, in the middle of the last, at the end."""
    arms = {"a": ("train 1", "train 3"), "b": ("train 3", "train 1")}
    found = plan(small(arms=arms))
    spent = {(n, t, m): found.budget(n, t, m) / found.epoch_cost
             for n in arms for t in (0, -1) for m in (0.5, 1.0)}  # fmt: skip
    assert [spent["a", 0, 1.0], spent["b", 0, 1.0]] == [1, 3]
    assert [spent["a", -1, 0.5], spent["b", -1, 0.5]] == [2.5, 3.5]
    assert spent["a", -1, 1.0] == spent["b", -1, 1.0] == 4


def test_beginning_like_another_has_its_shape_on_weights_of_its_own(
    every: tuple[StudyExperiment, dict[str, Stand]],
) -> None:
    real = every[1]
    other, like = real["grown"].ticket, real["shape"].trainings[0].before
    assert like.architecture == other.architecture
    assert not any(born.any() for born in like.births.values())
    for name, mask in other.masks.items():
        assert torch.equal(like.masks[name], mask)
        assert not torch.equal(like.weights[name], other.weights[name])
        rest = like.weights[name][mask]
        assert float(rest.std()) == pytest.approx((2 / mask.shape[1]) ** 0.5, rel=0.35)


def test_beginning_like_a_pruned_arm_is_no_rewinding(tmp_path: Any) -> None:
    """Its fresh weights are not those that the other was born with, where no layer was grown."""
    arms = {"cut": ("train 0.2", "prune 0.5"), "shape": ("begin like=cut", "train 0.2")}
    found = played(small(arms={**arms, "cut": (*arms["cut"], "train 0.2")}), Stages(tmp_path),
                   is_real=True)  # fmt: skip
    like, cut = found["shape"].trainings[0].before, found["cut"].ticket
    for name, mask in cut.masks.items():
        assert torch.equal(like.masks[name], mask)
        assert not (like.weights[name] == cut.rewind[name])[mask].any()


@pytest.mark.parametrize(
    ("measure", "count"),
    [("val_accuracy", 10), ("own_accuracy", 30), ("test_accuracy", 40), ("val_loss", None)],
)
def test_accuracies_come_in_steps_of_what_they_are_counted_on(
    measure: str, count: int | None
) -> None:
    """One sample: of a task's own validation part, the fewest of both arms."""
    arms = {"a": ("train 1",), "b": ("train 1 on=few",)}
    found = plan(small(arms=arms, tasks=({"name": "few", "train_limit": 50},)))
    contrast = parse_contrast(f"x: a > b in {measure}")
    assert step_of(contrast, found) == (1 / count if count else 0.0)


@pytest.mark.parametrize(
    ("moves", "why"),
    [
        (("prune 0.2", "prune 0.5", "train 1"), "move 'prune 0.5': pruning cannot keep"),
        (("prune 0.2 scope=per_layer", "prune 0.5 scope=per_layer", "train 1"),
         "move 'prune 0.5 scope=per_layer': every layer has fewer weights already"),
        (("remake noise_skeleton", "train 1"), "move 'remake noise_skeleton': the ticket has no"),
        (("grow split initialisation=identity", "train 1"), "unknown initialisation of split"),
        (("begin nothing.safetensors", "train 1"), "no ticket at nothing.safetensors"),
        (("begin mpl", "train 1"), "unknown architecture 'mpl': did you mean 'mlp'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_arm(moves: Sequence[str], why: str) -> None:
    with pytest.raises(InputError) as found:
        plan(small(arms={**ARMS, "odd": moves}))
    assert str(found.value).startswith("arm odd: ")
    assert why in str(found.value)


def test_a_ticket_of_other_data_is_refused(tmp_path: Any) -> None:
    stand = played(small("data.classes=[0,1,2]"), Stages(tmp_path), is_real=False)["pruned"]
    saved = stand.ticket.save(tmp_path / "three.safetensors")
    with pytest.raises(InputError, match=r"arm odd: .*tells 3 classes apart; the data have"):
        plan(small(arms={"odd": (f"begin {saved}", "train 1")}))


@pytest.mark.parametrize(
    ("task", "settings", "why"),
    [
        ({"pixels": "blurred", "draw": 2}, (),
         "data.draw=2 numbers a draw, but nothing here is drawn: leave it out"),
        ({"labels": "random"}, ("data.label_noise=0.1",),
         "data.label_noise spoils true labels"),
    ],
)  # fmt: skip
def test_a_task_that_the_data_do_not_admit_is_refused(
    task: Mapping[str, Any], settings: Sequence[str], why: str
) -> None:
    with pytest.raises(InputError, match=f"task odd: {why}"):
        plan(small(*settings, tasks=({"name": "odd", **task},)))


def test_a_task_that_the_network_cannot_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"task big: its samples are .*the study's"):
        plan(small(tasks=({"name": "big", "resize": 12},)))


def test_convolutions_take_their_budget_whatever_layers_a_cut_thins_out(tmp_path: Any) -> None:
    """Their weights cost by their layer: the steps of the run are other than planned, not the sum.

    Each training rounds to steps, so it is off by half of one at most.
    """
    found = set()
    for seed in (3, 4, 5):
        experiment = small(
            f"seed={seed}", 'start.architecture="conv-2"', "start.hidden=[6]",
            "data.train_limit=80", arms={"cut": ("train 1", "prune 0.2", "train 2")},
        )  # fmt: skip
        real = played(experiment, Stages(tmp_path), is_real=True)["cut"]
        foreseen = plan(experiment)
        planned = foreseen.stands["cut"]
        assert planned.ticket.cost.remaining_weights == real.ticket.cost.remaining_weights
        found.add(planned.ticket.cost.remaining_multiply_adds)
        found.add(real.ticket.cost.remaining_multiply_adds)
        for stand in (real, planned):
            for done, epochs in zip(stand.trainings, (1, 2), strict=True):
                spent, wanted = done.spent - done.spent_before, epochs * foreseen.epoch_cost
                assert abs(spent - wanted) <= spent / done.steps / 2
    assert len(found) > 1
