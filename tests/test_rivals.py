"""What trains beside a ticket: budgets that are equal, and one respect in which it differs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lottery_runs import BATCH, PER_EPOCH, Begun, run, small, spy_on_trainings

from recursive_lth import seeds
from recursive_lth.architecture.cost import training_cost
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.lottery.levels import drawing
from recursive_lth.pruning.controls import CONTROLS, control
from recursive_lth.pruning.cut import cut
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket, load_ticket

WHOLE = 2 * PER_EPOCH
CUBIC = ("pruning.schedule=cubic", "pruning.target_density=0.5")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    return spy_on_trainings(monkeypatch)


def by_variant(lines: list[dict[str, Any]], level: int) -> dict[str, dict[str, Any]]:
    return {line["variant"]: line for line in lines if line["level"] == level}


@pytest.mark.parametrize("epochs", [1, 4])
def test_an_inheriting_tickets_controls_get_all_that_it_got(epochs: int, tmp_path: Path) -> None:
    """Its weights were trained by every level before it: so many multiply-adds, within a step."""
    controls = '["reinit","dense","small_dense"]'
    settings = ("pruning.rewind=none", f"pruning.epochs={epochs}", f"tickets.controls={controls}")
    lines = run(small(*settings), tmp_path)
    for level in (1, 2):
        found = by_variant(lines, level)
        wanted = found["ticket"]["finding_multiply_adds"]
        assert wanted > found["ticket"]["training_multiply_adds"]
        for name in ("reinit", "dense", "small_dense"):
            a_step = training_cost(found[name]["remaining_multiply_adds"], BATCH)
            spent = found[name]["training_multiply_adds"]
            assert abs(spent - wanted) <= a_step / 2
            assert spent == a_step * found[name]["steps"]


def test_late_rewinding_leaves_each_control_what_it_can_have(tmp_path: Path, begun: Begun) -> None:
    """Weights of the ticket go on from step k with the optimizer there; fresh ones begin at 0."""
    controls = '["reinit","shuffled_mask","shuffled_weights","signs"]'
    run(small("pruning.rewind=5it", "pruning.rounds=1", f"tickets.controls={controls}"), tmp_path)
    (_, _, whole), (own, *_), *rivals = begun
    by_name = {job.place["variant"]: (job, ticket) for job, ticket, _ in rivals}
    reinit, _ = by_name.pop("reinit")
    assert len(by_name) == 3
    assert (reinit.start, reinit.steps, reinit.state) == (0, WHOLE, {})
    for job, ticket in by_name.values():
        assert (job.start, job.steps) == (own.start, own.steps) == (5, WHOLE)
        assert job.state.keys() == own.state.keys() == whole.kept[5].state.keys()
        assert set(ticket.weights) == set(whole.kept[5].weights)


def test_controls_of_an_early_stopped_level_stop_there_too(tmp_path: Path, begun: Begun) -> None:
    """The same steps on the same schedule; a level that nothing is cut from is trained whole."""
    settings = ["tickets.early_bird=1.0", "tickets.early_bird_queue=2", "tickets.look_every=2"]
    settings += ["tickets.densities=[0.5,0.3]", 'tickets.controls=["reinit"]']
    lines = run(small(*settings), tmp_path / "iterative")
    first, last = by_variant(lines, 1), by_variant(lines, 2)
    assert first["ticket"]["steps"] == first["reinit"]["steps"] == 4
    assert {job.steps for job, _, _ in begun} == {WHOLE}
    assert last["ticket"]["steps"] == last["reinit"]["steps"] == WHOLE
    lines = run(
        small(*settings, "pruning.schedule=one_shot", "pruning.target_density=0.3"),
        tmp_path / "one_shot",
    )
    assert [line["steps"] for line in lines] == [4, WHOLE, WHOLE, WHOLE, WHOLE]


def test_an_early_bird_waits_for_the_step_to_rewind_to(tmp_path: Path, begun: Begun) -> None:
    settings = ["tickets.early_bird=1.0", "tickets.early_bird_queue=2", "tickets.look_every=2"]
    run(small(*settings, "pruning.rewind=9it", "pruning.rounds=1"), tmp_path)
    (_, _, dense), (job, ticket, _) = begun
    assert (dense.steps, job.start) == (10, 9)
    kept = dense.kept[9].weights
    assert all(torch.equal(ticket.weights[n], kept[n] * m) for n, m in ticket.masks.items())


def test_finding_counts_what_was_needed_to_draw(tmp_path: Path) -> None:
    """A ticket drawn at step 0 did not need the dense training, nor one rewound to k the rest."""
    settings = ("pruning.rounds=1", "pruning.score=snip", "tickets.score_at=init")
    dense, ticket = run(small(*settings), tmp_path / "init")
    assert ticket["finding_multiply_adds"] == ticket["training_multiply_adds"]
    dense, ticket = run(small(*settings, "pruning.rewind=5it"), tmp_path / "5it")
    until = dense["training_multiply_adds"] * 5 // WHOLE
    assert ticket["finding_multiply_adds"] == until + ticket["training_multiply_adds"]


@pytest.mark.parametrize("name", ["reinit", "shuffled_mask", "shuffled_weights", "dense"])
def test_controls_of_a_sign_ticket_have_signs_alone(
    name: str, tmp_path: Path, begun: Begun
) -> None:
    """Each layer's weights are of one size, as the ticket's are: one respect differs, not two."""
    settings = ("pruning.restore=signs", "pruning.rounds=1", f'tickets.controls=["{name}"]')
    run(small(*settings), tmp_path)
    for _, ticket, _ in begun[1:]:
        for tensor, mask in ticket.masks.items():
            assert len(ticket.weights[tensor][mask].abs().unique()) == 1


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_of_a_ticket_from_a_file_are_the_same(name: str, tmp_path: Path) -> None:
    """Tensors come in the order of the layers, not of their names as a file has them."""
    architecture = ARCHITECTURES["resnet-20"]((3, 8, 8), 3, (2, 3, 4))
    ticket = seed_ticket(birth(architecture), seeds.generator(0), "kaiming_normal")
    found = cut(ticket, Pruning(target_density=0.5, schedule="one_shot"),
                Evidence(torch.Generator()), start=architecture, done=0)  # fmt: skip
    assert found is not None
    loaded = load_ticket(found.ticket.save(tmp_path / "one.safetensors"))
    assert list(loaded.masks) == list(architecture.prunable) != sorted(loaded.masks)
    draw = drawing(small())
    both = [control(name, t, draw, seeds.generator(1)) for t in (found.ticket, loaded)]
    assert both[0].digest == both[1].digest


@pytest.mark.parametrize(("granularity", "times"), [("weight", 7), ("unit", 7)])
def test_scores_are_drawn_anew_on_the_way_down(granularity: str, times: int) -> None:
    """In each of `score_rounds` the score is asked again, and all rounds reach the density."""
    architecture = ARCHITECTURES["mlp"]((40,), 3, (64, 32))
    ticket = seed_ticket(birth(architecture), seeds.generator(0), "kaiming_normal")
    asked = []

    def score(part: Ticket, evidence: Evidence) -> dict[str, torch.Tensor]:
        asked.append(part)
        return {n: part.weights[n].abs() for n in part.masks}

    pruning = Pruning(granularity=granularity, score_rounds=times, schedule="one_shot")
    found = cut(ticket, pruning, Evidence(torch.Generator()), start=architecture, done=0,
                density=0.25, score=score)  # fmt: skip
    assert found is not None
    assert len(asked) == times
    if found.morph is not None:
        assert sum(found.ticket.architecture.widths[s] for s in ("fc1", "fc2")) == 24
        assert found.morph.before == architecture
        assert found.morph.after == found.ticket.architecture
        assert found.ticket.parent == ticket.digest
        kept = {s: torch.tensor(found.morph.origin[s].units) for s in ("fc1", "fc2")}
        weight = ticket.weights["fc2.weight"][kept["fc2"]][:, kept["fc1"]]
        assert torch.equal(found.ticket.weights["fc2.weight"], weight)


@pytest.mark.parametrize(
    ("settings", "law"),
    [
        (["pruning.rewind=2ep"], "nothing would be left to train"),
        (["pruning.restore=signs", 'tickets.controls=["signs"]'], "its own control"),
        (["tickets.densities=[1.0,0.5]", 'tickets.controls=["dense"]'], "level 1 is dense"),
        (["pruning.granularity=unit", "pruning.scope=erk"], "use global or per_layer"),
        (["tickets.densities=[0.5,0.01]", "pruning.layer_floor=20"], "lower pruning.layer_floor"),
        (["tickets.densities=[0.5]", *CUBIC], "a schedule of their own"),
        (["tickets.densities=[0.5]", "tickets.control_levels=[7]"], "the last level is 1"),
        (["pruning.granularity=2:4", "pruning.rounds=1", "pruning.score=synflow"], "at once"),
    ],
)
def test_what_nothing_would_read_is_refused(settings: list[str], law: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=law):
        run(small(*settings), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arms_share_their_replicates() -> None:
    with pytest.raises(InputError, match="replicates are the whole run's"):
        small(arms={"b": ["tickets.replicates=3"]})


def test_looks_rarer_than_the_training_is_long_come_at_its_end(tmp_path: Path) -> None:
    lines = run(small("tickets.look_every=999"), tmp_path)
    assert [[point["step"] for point in line["curve"]] for line in lines] == [[WHOLE]] * 3
