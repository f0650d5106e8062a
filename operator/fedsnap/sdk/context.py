"""What a training function is given."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fedsnap.api.federatedround import Hyperparameters


@dataclass(frozen=True, slots=True)
class Context:
    """One local training: a model that holds the base weights, on its device, and how to train it.

    Train `model` in place. Nothing else of the context changes.
    """

    model: nn.Module
    hyperparameters: Hyperparameters
    device: torch.device
    round: int
    seed: int
    _base: tuple[Tensor, ...] = field(default=(), repr=False)

    @classmethod
    def start(
        cls,
        model: nn.Module,
        hyperparameters: Hyperparameters,
        *,
        device: torch.device | None = None,
        round: int = 1,  # noqa: A002  (the field's own word)
        seed: int = 0,
    ) -> Context:
        """The context of a training that starts at the model's present weights."""
        where = device or torch.device("cpu")
        model.to(where)
        keep = hyperparameters.proximal_mu is not None
        base = tuple(weight.detach().clone() for weight in _trainable(model)) if keep else ()
        return cls(model, hyperparameters, where, round, seed, base)

    @property
    def learning_rate(self) -> float:
        """`hyperparameters.learning_rate` as a number."""
        return float(self.hyperparameters.learning_rate)

    @property
    def proximal_mu(self) -> float:
        """`hyperparameters.proximal_mu` as a number; 0 where the round is not FedProx."""
        return float(self.hyperparameters.proximal_mu or 0)

    def proximal_term(self) -> Tensor:
        """What FedProx adds to the loss: mu/2 · ‖w - w_base‖², over all trainable weights; 0 in other rounds.

        Li et al., Federated Optimization in Heterogeneous Networks (2020), equation 2.
        """
        if not self._base:
            return torch.zeros((), device=self.device)
        pairs = zip(_trainable(self.model), self._base, strict=True)
        distance = torch.stack([(weight - start).pow(2).sum() for weight, start in pairs]).sum()
        return distance * (self.proximal_mu / 2)


def _trainable(model: nn.Module) -> list[Tensor]:
    return [weight for weight in model.parameters() if weight.requires_grad]
