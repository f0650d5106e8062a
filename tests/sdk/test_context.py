from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from fedsnap.api.federatedround import Hyperparameters
from fedsnap.sdk import Context
from sdk.conftest import build_model, step

PROX = Hyperparameters(proximal_mu="0.5")


def test_proximal_term_is_half_mu_times_the_squared_way_from_the_base():
    context = Context.start(build_model(), PROX)
    assert context.proximal_term().item() == 0
    with torch.no_grad():
        context.model[0].bias.add_(2.0)
    assert context.proximal_term().item() == pytest.approx(0.25 * 4 * 2.0**2)


def test_gradient_of_the_proximal_term_points_away_from_the_base():
    context = Context.start(build_model(), PROX)
    with torch.no_grad():
        context.model[2].bias.add_(3.0)
    context.proximal_term().backward()
    assert context.model[2].bias.grad.item() == pytest.approx(0.5 * 3.0)
    assert not context.model[0].weight.grad.any()


def test_proximal_term_leaves_frozen_weights_out():
    model = build_model()
    model[0].requires_grad_(False)
    context = Context.start(model, PROX)
    with torch.no_grad():
        model[0].bias.add_(2.0)
    assert context.proximal_term().item() == 0


def test_without_mu_the_proximal_term_is_zero_and_can_be_added_to_a_loss():
    context = Context.start(build_model(), Hyperparameters())
    with torch.no_grad():
        context.model[0].bias.add_(2.0)
    loss = context.model(torch.ones(1, 3)).sum() + context.proximal_term()
    loss.backward()
    assert context.proximal_term().item() == 0


def test_a_large_mu_keeps_the_weights_near_the_base():
    def trained(mu: str | None) -> float:
        torch.manual_seed(0)
        context = Context.start(nn.Linear(2, 1), Hyperparameters(proximal_mu=mu))
        start = context.model.weight.detach().clone()
        for _ in range(50):
            loss = (context.model(torch.ones(1, 2)) - 5).pow(2).sum() + context.proximal_term()
            step(context.model, loss, 0.05)
        return (context.model.weight - start).norm().item()

    assert trained("10") < trained("1") < trained(None)


def test_a_context_cannot_be_changed():
    context = Context.start(build_model(), Hyperparameters())
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.round = 2
