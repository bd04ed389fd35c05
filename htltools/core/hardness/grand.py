"""GraNd: the norm of the gradient of each sample's loss."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from htltools.core.nets.localizer import Localizer

CHUNK_BYTES = 256 * 2**20  # that the gradients of the samples of one chunk may take together


def gradient_norms(model: Localizer, images: Tensor, annotated: np.ndarray) -> np.ndarray:
    """L2 norm of the gradient of each sample's box loss with respect to all weights, which is GraNd: float [N], 0 or more.

    `images`: uint8 [N, H, W, C], where the model is; `annotated`: float [N, 4], shares of the image's sides; NaN where there
    is no box, and there the norm is NaN. Higher = harder: the sample would change the model more. The arithmetic is float32,
    whatever the precision of the predictions. The model stays as it is.

    Reference: Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, definition 1 (arXiv 2107.07075). Deviations: theirs is
    the mean over initialisations, early in training; this is one trained model, in evaluation mode, with its batch-norm
    statistics fixed. The loss is that of the box before it is clipped to the image, as in training.
    """
    norms = np.full(len(images), np.nan)
    known = np.flatnonzero(~np.isnan(annotated).any(-1))
    training, size = model.training, samples_per_chunk(model)
    model.eval()
    try:
        for start in range(0, len(known), size):
            chosen = known[start : start + size]
            x = model.whole(model.normalised(images[torch.from_numpy(chosen)]))  # [B, C, H, W]
            norms[chosen] = chunk_norms(model, x, torch.from_numpy(annotated[chosen]).float().to(x.device), at_once=x.is_cuda).cpu().numpy()
    finally:
        model.train(training)
    return norms


def samples_per_chunk(model: nn.Module) -> int:
    """How many samples may have their gradients in memory at once."""
    return max(CHUNK_BYTES // (4 * sum(parameter.numel() for parameter in model.parameters())), 1)


def chunk_norms(model: Localizer, x: Tensor, annotated: Tensor, *, at_once: bool) -> Tensor:
    """The norms of normalised images [B, C, H, W] and boxes [B, 4]: [B].

    By the chain rule in two parts, because vmap does not reach through torchvision's loss: first how the loss of each sample
    changes with the raw output of the net, and then, for each sample, how the output so weighed changes with the weights: `at_once`
    by vmap, for GPUs, or one sample after the other, because the grouped convolutions that vmap makes are slow on a CPU.
    """
    net, plain = model.net, torch.ones(len(x), 2, device=x.device)
    with torch.no_grad():
        raw = net(x)
        targets = model.training_targets(annotated, plain, torch.zeros_like(plain), (x.shape[2], x.shape[3]))
    raw.requires_grad_()
    (slopes,) = torch.autograd.grad(model.training_loss(raw, targets).sum(), raw)  # [B, ...], as the output of the net

    def weighed(weights: dict[str, Tensor], image: Tensor, slope: Tensor) -> Tensor:
        return (functional_call(net, weights, (image[None],))[0] * slope).sum()

    weights = {name: tensor.detach() for name, tensor in net.named_parameters()}
    one = grad(weighed)
    if at_once:
        return vmap(lambda image, slope: norm(one(weights, image, slope)))(x, slopes)
    return torch.stack([norm(one(weights, image, slope)) for image, slope in zip(x, slopes)])


def norm(gradient: dict[str, Tensor]) -> Tensor:
    """The L2 norm of all parts of a gradient together: []."""
    return torch.stack([part.square().sum() for part in gradient.values()]).sum().sqrt()
