"""Supermask levels: the weights stay bit for bit, the line says what the mask does."""

from pathlib import Path

import pytest
import torch
from lottery_runs import folder_of, run, small

from recursive_lth.ticket.ticket import load_ticket

SUPERMASK = (
    *("supermask.epochs=3", "supermask.optimizer=adam", "supermask.learning_rate=0.05"),
    *("tickets.densities=[0.5, 0.25]", "training.epochs=1"),
)
NETWORKS = {"mlp": "[12]", "convnet": "[4, 4]"}


@pytest.mark.parametrize("method", ["edge_popup", "bernoulli", "reinforce"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("weights", ["as_born", "signed_constant"])
def test_weights_stay_as_born(method: str, network: str, weights: str, tmp_path: Path) -> None:
    """What remains has its born bits, the rest is 0; the accuracy is that of the last look.

    With BatchNorm that takes the statistics that passed by while the mask was trained.
    """
    start = (f"start.architecture={network}", f"start.hidden={NETWORKS[network]}")
    settings = (*SUPERMASK, *start, f"supermask.method={method}", f"supermask.weights={weights}")
    experiment = small(*settings, "tickets.weight_samples=2")
    dense, *masked = run(experiment, tmp_path)
    folder = folder_of(experiment, tmp_path)
    born = load_ticket(folder.ticket(dense["digest"])).rewind
    for line, density in zip(masked, (0.5, 0.25), strict=True):
        ticket = load_ticket(folder.ticket(line["digest"]))
        for name, mask in ticket.masks.items():
            values = born[name]
            if weights == "signed_constant":
                values = values.sign() * values.std(correction=0)
            assert torch.equal(ticket.weights[name], values * mask)
            if method == "edge_popup":
                assert abs(int(mask.sum()) - density * mask.numel()) <= 1
        assert line["val_accuracy"] == line["curve"][-1]["val_accuracy"]
        assert line["training_multiply_adds"] > 0
        assert line["weight_samples"]["n"] == 2
    assert run(experiment, tmp_path) == [dense, *masked]
