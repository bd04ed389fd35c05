"""The pruned branch: the net in training with its smallest weights cut, and batch-norm statistics of its own."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from htltools.core.nets.localizer import Localizer
from htltools.core.pruning.unstructured import largest_magnitudes, random_choice


class PrunedBranch:
    """The same weights as the dense net, through a mask: what trains one trains the other. A call is a forward pass in the mode of the net.

    Because the mask cuts the smallest weights, the branch errs first on the samples that the net fits by small weights; a loss of the
    branch weighs these samples without a measure of hardness.

    Reference: Jiang et al., "Self-Damaging Contrastive Learning", ICML 2021 (arXiv 2106.02990). Deviations: boxes and their losses
    take the place of contrastive features; the branches share the gains of batch norm, and only its statistics are apart.
    """

    def __init__(self, model: Localizer, sparsity: float):
        self.net, self.sparsity, last = model.net, sparsity, model.prediction_layers
        layers = {f"{path}.weight": module for path, module in self.net.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
        self.cut = {name: any(module is layer for layer in last) for name, module in layers.items()}  # by weight, is it of the prediction?
        self.statistics = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        self.kept: dict[str, Tensor] = {}
        self.renew()

    def renew(self, seed: int | None = None) -> None:
        """Cut the smallest weights of now; with a seed, as many at random: the control for whether it matters which ones go.

        The random cut is `random_choice`: the same share of each layer, none of the layers of the prediction.
        """
        weights = {name: tensor.detach() for name, tensor in self.net.named_parameters() if name in self.cut}
        arrays = [tensor.cpu().numpy() for tensor in weights.values()]
        if seed is None:
            kept = largest_magnitudes(arrays, self.sparsity)
        else:
            kept = random_choice(arrays, [self.cut[name] for name in weights], self.sparsity, seed)
        self.kept = {name: torch.from_numpy(stays).to(tensor.device) for (name, tensor), stays in zip(weights.items(), kept)}

    def __call__(self, x: Tensor) -> Tensor:
        """The output of the net [B, ...] for normalised images [B, C, H, W] without the weights that were cut."""
        weights = {name: tensor * self.kept[name] if name in self.kept else tensor for name, tensor in self.net.named_parameters()}
        return functional_call(self.net, weights | self.statistics, (x,))

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from."""
        return {f"kept/{name}": kept for name, kept in self.kept.items()} | {f"statistics/{n}": s for n, s in self.statistics.items()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        for prefix, tensors in ("kept/", self.kept), ("statistics/", self.statistics):
            for name in tensors:
                tensors[name] = state_dict[prefix + name].to(tensors[name].device)
