"""Adam with a state of plain tensors.

The step is that of torch, bit for bit. Its class is not used, because making one has torch's compiler loaded, which
takes two seconds and is of no use here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Adam:
    """Adam of Kingma and Ba (ICLR 2015).

    Args:
        parameters: What to optimise, on their device already.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        device = self._parameters[0].device
        self._fused = device.type != "mps"  # one kernel for all parameters
        counters = device if self._fused else None  # without the kernel steps are counted on the CPU
        self._state = {
            "step": [torch.zeros((), dtype=torch.float32, device=counters) for _ in self._parameters],
            "exp_avg": [torch.zeros_like(one) for one in self._parameters],
            "exp_avg_sq": [torch.zeros_like(one) for one in self._parameters],
        }

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Follow the gradients at a learning rate; a parameter without one stays, and so does its state."""
        used = [i for i, one in enumerate(self._parameters) if one.grad is not None]
        steps, means, squares = ([self._state[name][i] for i in used] for name in ("step", "exp_avg", "exp_avg_sq"))
        adam(
            [self._parameters[i] for i in used],
            [grad for i in used if (grad := self._parameters[i].grad) is not None],
            means,
            squares,
            [],
            steps,
            fused=self._fused,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=lr,
            weight_decay=0.0,
            eps=_EPS,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The state by number of the parameter and name, such as "3.exp_avg"."""
        return {f"{i}.{name}": tensor for name, tensors in self._state.items() for i, tensor in enumerate(tensors)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what ``tensors`` gave; what is not there stays as it is."""
        for key, tensor in self.tensors().items():
            if key in tensors:
                tensor.copy_(tensors[key])
