"""Runs of ticket finding: levels, rewinding, controls, transfer, resume, and what they record."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lottery_runs import BATCH, PER_EPOCH, Begun, folder_of, run, small, spy_on_trainings

from recursive_lth import seeds
from recursive_lth.architecture.basis import BASES
from recursive_lth.config import TicketExperiment
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.pruning.scores import SCORES
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket, load_ticket

CONTROLS = ("reinit", "shuffled_mask", "shuffled_weights", "signs", "dense", "small_dense")
ALL_CONTROLS = f"tickets.controls={json.dumps(CONTROLS)}"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    return spy_on_trainings(monkeypatch)


def load(experiment: TicketExperiment, out: Path, line: dict[str, Any]) -> Ticket:
    return load_ticket(folder_of(experiment, out).ticket(line["digest"]))


def test_levels_are_iterative_pruning(tmp_path: Path, begun: Begun) -> None:
    """Half of each layer a level, nested, from the initial weights, on the same batches."""
    experiment = small()
    lines = run(experiment, tmp_path)
    assert [line["level"] for line in lines] == [0, 1, 2]
    assert [line["remaining_weights"] for line in lines] == [444, 222, 111]
    assert {job.seed for job, _, _ in begun} == {begun[0][0].seed}
    initial = fresh(begun[0][1].architecture, seeds.generator(3, "birth"), "kaiming_normal")
    outer = begun[0][1].masks
    for (_, ticket, fitted), line in zip(begun, lines, strict=True):
        assert masking.is_nested(ticket.masks, outer)
        outer = ticket.masks
        for name, tensor in masking.apply(initial, ticket.masks).items():
            assert torch.equal(ticket.weights[name], tensor)
        found = load(experiment, tmp_path, line)
        assert all(torch.equal(found.weights[n], t) for n, t in fitted.ticket.weights.items())
        assert line["steps"] == 2 * PER_EPOCH
        assert line["training_multiply_adds"] == 3 * line["remaining_weights"] * 14 * BATCH
    assert lines[2]["finding_multiply_adds"] == sum(x["training_multiply_adds"] for x in lines)


def test_early_stopping_is_at_the_least_validation_loss(tmp_path: Path) -> None:
    (line, *_) = run(small("tickets.look_every=2"), tmp_path)
    assert [point["step"] for point in line["curve"]] == [2, 4, 6, 8, 10, 12, 14]
    best = min(line["curve"], key=lambda point: point["val_loss"])
    assert line["early_stop_step"] == best["step"]


@pytest.mark.parametrize("rewind", ["5it", "1ep"])
@pytest.mark.parametrize("restore", ["weights", "learning_rate", "signs"])
def test_rewinding_begins_where_the_first_training_stood(
    rewind: str, restore: str, tmp_path: Path, begun: Begun
) -> None:
    """Weights, optimizer, rate and batches as after step k; learning-rate rewinding: the last two.

    The rest of the first training would come out again, were nothing pruned.
    """
    step = 5 if rewind == "5it" else PER_EPOCH
    settings = (f"pruning.rewind={rewind}", f"pruning.restore={restore}", "pruning.rounds=1")
    run(small(*settings), tmp_path)
    (_, _, whole), (job, ticket, fitted) = begun
    kept = whole.kept[step]
    assert (job.start, job.steps, fitted.steps) == (step, 14, 14 - step)
    for name, mask in ticket.masks.items():
        wanted = {
            "weights": kept.weights[name],
            "learning_rate": whole.ticket.weights[name],
            "signs": kept.weights[name].sign() * kept.weights[name].std(correction=0),
        }[restore]
        assert torch.equal(ticket.weights[name], wanted * mask)
    assert job.state.keys() == (kept.state.keys() if restore == "weights" else set())


def test_inherited_weights_train_on(tmp_path: Path, begun: Begun) -> None:
    """none: from the trained weights, for pruning.epochs; fine_tune: at the last rate."""
    for rewind in ("none", "fine_tune"):
        settings = (f"pruning.rewind={rewind}", "pruning.epochs=1", "training.schedule=steps")
        run(small(*settings, "pruning.rounds=1"), tmp_path / rewind)
    for (_, _, dense), (job, ticket, _) in (begun[:2], begun[2:]):
        for name, tensor in masking.apply(dense.ticket.weights, ticket.masks).items():
            assert torch.equal(ticket.weights[name], tensor)
        assert (job.start, job.steps) == (0, PER_EPOCH)
    assert begun[1][0].recipe.learning_rate == 0.02
    assert begun[3][0].recipe.learning_rate == pytest.approx(0.0002)
    assert begun[3][0].recipe.schedule == "constant"


def test_one_shot_levels_are_cut_from_the_dense_network(tmp_path: Path, begun: Begun) -> None:
    """Exactly round(density * weights), each the global magnitude's choice of the same scores."""
    settings = ("pruning.schedule=one_shot", "pruning.scope=global", "pruning.rounds=0")
    experiment = small(*settings, "tickets.densities=[0.5, 0.1]", "pruning.target_density=0.1")
    lines = run(experiment, tmp_path)
    assert [line["remaining_weights"] for line in lines] == [444, 222, 44]
    dense = begun[0][2].ticket
    sizes = torch.cat([dense.weights[n].abs().flatten() for n in dense.architecture.prunable])
    for _, ticket, _ in begun[1:]:
        kept = torch.cat([ticket.masks[n].flatten() for n in dense.architecture.prunable])
        assert sizes[kept].min() > sizes[~kept].max()


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_differ_and_cost_the_same(control: str, tmp_path: Path, begun: Begun) -> None:
    """The same seed, batches and multiply-adds, another network."""
    lines = run(small(f'tickets.controls=["{control}"]'), tmp_path)
    assert [(x["level"], x["variant"]) for x in lines] == [
        (0, "ticket"), (1, "ticket"), (1, control), (2, "ticket"), (2, control)
    ]  # fmt: skip
    for ticket, rival in ((lines[1], lines[2]), (lines[3], lines[4])):
        ratio = rival["training_multiply_adds"] / ticket["training_multiply_adds"]
        smallest = rival["remaining_multiply_adds"] / ticket["training_multiply_adds"] * 3 * BATCH
        assert abs(ratio - 1) <= smallest
        if control in {"dense", "small_dense"}:
            assert not any(c["weights"] > c["remaining"] for c in rival["layers"].values())
        else:
            assert rival["layers"] == ticket["layers"]
    assert len({job.seed for job, _, _ in begun}) == 1
    digests = [ticket.digest for _, ticket, _ in begun]
    assert len(set(digests)) == len(digests)


def test_a_transferred_ticket_keeps_mask_and_initial_weights(tmp_path: Path, begun: Begun) -> None:
    """Found on five digits, trained on the other five by another optimizer, beside its control."""
    settings = ("data.classes=[0, 1, 2, 3, 4]", "transfer.classes=[5, 6, 7, 8, 9]")
    more = ("transfer.optimizer=sgd", 'tickets.controls=["reinit"]', "tickets.control_levels=[2]")
    lines = run(small(*settings, *more), tmp_path)
    variants = [line["variant"] for line in lines]
    assert variants == [*["ticket"] * 3, "reinit", "transfer", "transfer_reinit"]
    known = {(job.place["level"], job.place["variant"]): (job, ticket) for job, ticket, _ in begun}
    (own, ticket), (there, moved) = known[2, "ticket"], known[2, "transfer"]
    _, control = known[2, "transfer_reinit"]
    assert moved.digest == ticket.digest
    assert (own.recipe.optimizer, there.recipe.optimizer) == ("adamw", "sgd")
    assert all(torch.equal(control.masks[n], m) for n, m in ticket.masks.items())
    assert lines[4]["test_accuracy"] != lines[2]["test_accuracy"]


def test_arms_that_begin_alike_share_their_dense_training(tmp_path: Path, begun: Begun) -> None:
    """Two scores, one first training; an arm with another recipe has its own."""
    arms = {"a": [], "b": ["pruning.score=random"], "c": ["training.epochs=1"]}
    lines = run(small(arms=arms), tmp_path)
    assert len(lines) == 9
    assert sum(not bool((~m).any()) for _, t, _ in begun for m in [t.masks["fc1.weight"]]) == 2
    summary = json.loads(folder_of(small(arms=arms), tmp_path).summary.read_text())
    assert [entry["arms"] for entry in summary["overlap"][:1]] == [["a", "b"]]
    assert {len(entry["arms"]) for entry in summary["overlap"]} == {2, 3}


@pytest.mark.parametrize("score", sorted(SCORES))
def test_every_score_runs(score: str, tmp_path: Path) -> None:
    (_, first, second) = run(small(f"pruning.score={score}"), tmp_path)
    assert (first["remaining_weights"], second["remaining_weights"]) == (222, 111)


def test_early_birds_stop_early_and_say_when(tmp_path: Path) -> None:
    """Any two masks differ by at most 2, so a queue of 2 is settled at the second look."""
    settings = ("tickets.early_bird=1.0", "tickets.early_bird_queue=2", "tickets.look_every=3")
    dense, ticket, *_ = run(small(*settings, "tickets.densities=[0.5]"), tmp_path)
    assert (dense["steps"], dense["drawn_at"]) == (6, 6)
    assert ticket["steps"] == 14
    assert ticket["finding_multiply_adds"] == 3 * BATCH * (444 * 6 + 222 * 14)


def test_coefficients_are_pruned_in_their_basis(tmp_path: Path, begun: Begun) -> None:
    """The initial coefficients are the transform of the initial weights; masks are on them."""
    experiment = small("pruning.basis=dct")
    lines = run(experiment, tmp_path)
    initial = fresh(begun[0][1].architecture, seeds.generator(3, "birth"), "kaiming_normal")
    ticket = load(experiment, tmp_path, lines[2])
    assert ticket.basis == "dct"
    for name, mask in ticket.masks.items():
        coefficients = BASES["dct"].encode(initial[name])
        assert torch.equal(begun[2][1].weights[name], coefficients * mask)
        assert not ticket.weights[name][~mask].any()
        assert bool(ticket.readable()[name].all()), "as weights they are dense"
    assert lines[2]["remaining_multiply_adds"] == lines[0]["remaining_multiply_adds"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["pruning.rewind=none"], "leaves nothing to train"),
        (["pruning.rewind=fine_tune", "pruning.epochs=1"], r"ends at 0.*training\.schedule"),
        (["pruning.rewind=15it"], "has only 14 steps"),
        (["tickets.score_at=9ep"], "has only 14 steps"),
        (["tickets.score_at=init", "pruning.score=movement_gradient"], "score_at=end"),
        (['tickets.controls=["reinitt"]'], "did you mean 'reinit'"),
        (["transfer.classes=[1, 2]"], "does not fit"),
        (["supermask.method=edge_popup"], r"need tickets\.densities"),
        (["pruning.granularity=unit", 'tickets.controls=["dense"]'], "has no mask"),
        (["tickets.densities=[0.5]", "pruning.output_rate=0.1"], "would do nothing"),
        (["tickets.early_bird=0.1", "pruning.score=movement_gradient"], "needs a whole training"),
        (["tickets.early_bird=0.1", "pruning.granularity=unit"], "this network has none"),
        (
            ["supermask.method=bernoulli", "tickets.densities=[0.5]", 'tickets.controls=["signs"]'],
            r"set tickets\.controls=\[\]",
        ),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_written(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(small(*settings), tmp_path / "out")
    assert str(caught.value).startswith("arm ticket: ")
    assert not (tmp_path / "out").exists()


def test_the_optimizer_shrinks_with_its_units(tmp_path: Path, begun: Begun) -> None:
    """Level after level its moments at the step rewound to are those of the units that remain."""
    settings = ("pruning.granularity=unit", "pruning.rewind=3it", "start.hidden=[12]")
    run(small(*settings), tmp_path)
    kept = begun[0][2].kept[3]
    for job, ticket, _ in begun[1:]:
        for kind in ("exp_avg", "exp_avg_sq"):
            for name, moment in job.state[kind].items():
                assert tuple(moment.shape) == ticket.architecture.shape(name)
                inner = set(kept.state[kind][name].flatten().tolist())
                assert {*moment.flatten().tolist()} <= inner
