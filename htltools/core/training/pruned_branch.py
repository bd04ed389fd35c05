"""The pruned branch: the net in training with its smallest weights cut, and batch-norm statistics of its own."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from htltools.core.pruning.unstructured import largest


class PrunedBranch:
    """The same weights as the dense net, through a mask: what trains one trains the other. A call is a forward pass in the mode of the net.

    Because the mask cuts the smallest weights, the branch forgets first what the net holds with the least of them; a loss of the
    branch weighs these samples without anybody saying which.

    Reference: Jiang et al., "Self-Damaging Contrastive Learning", ICML 2021 (arXiv 2106.02990). Deviations: boxes and their losses
    take the place of contrastive features; the branches share the gains of batch norm, and only its statistics are apart.
    """

    def __init__(self, net: nn.Module, sparsity: float):
        self.net, self.sparsity = net, sparsity
        self.cut = {f"{path}.weight" for path, module in net.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
        self.statistics = {name: buffer.clone() for name, buffer in net.named_buffers()}
        self.kept: dict[str, Tensor] = {}
        self.renew()

    def renew(self, seed: int | None = None) -> None:
        """Cut what is smallest now; with a seed, cut as much at random: the control for whether it matters what goes."""
        weights = {name: tensor.detach() for name, tensor in self.net.named_parameters() if name in self.cut}
        if seed is None:
            sizes = [tensor.cpu().numpy() for tensor in weights.values()]
        else:
            random = np.random.default_rng(seed)
            sizes = [random.random(tensor.shape, np.float32) for tensor in weights.values()]
        kept = largest(sizes, self.sparsity)
        self.kept = {name: torch.from_numpy(stays).to(tensor.device) for (name, tensor), stays in zip(weights.items(), kept)}

    def __call__(self, x: Tensor) -> Tensor:
        """What the net answers [B, ...] for normalised images [B, C, H, W] without the weights that were cut."""
        weights = {name: tensor * self.kept[name] if name in self.kept else tensor for name, tensor in self.net.named_parameters()}
        return functional_call(self.net, weights | self.statistics, (x,))

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on."""
        return {f"kept/{name}": kept for name, kept in self.kept.items()} | {f"statistics/{n}": s for n, s in self.statistics.items()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Go on from what `memory` said."""
        for what in self.kept, self.statistics:
            prefix = "kept/" if what is self.kept else "statistics/"
            for name in what:
                what[name] = state_dict[prefix + name].to(what[name].device)
