"""Weights that a training leaves as they are."""

import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.freezing import freeze
from htltools.errors import UsageError


def frozen_parts(name, what, task="box", **more):
    """The names of the frozen weights of a net, without their last word."""
    model = build(architecture(name, (32, 32, 3), task, **more))
    still, count = freeze(model, what)
    parameters = dict(model.net.named_parameters())
    frozen = {key: p for key, p in parameters.items() if not p.requires_grad}
    assert still == sum(p.numel() for p in frozen.values()) and count == sum(p.numel() for p in parameters.values())
    return list(dict.fromkeys(key.rpartition(".")[0] for key in frozen))


def test_the_first_layers(localizer):
    """A number freezes as many layers from the image on, with the norms after each."""
    assert frozen_parts("compact", "1") == ["0.0", "0.1"]
    assert frozen_parts("compact", "2") == ["0.0", "0.1", "1.conv1", "1.norm1"]


def test_backbones():
    """`backbone` is what ImageNet's weights are for, or all but the prediction."""
    assert {name.split(".")[0] for name in frozen_parts("compact_unet", "backbone")} == {"stem", "stages"}
    assert "fc" not in frozen_parts("resnet18", "backbone") and "layer4.1.conv2" in frozen_parts("resnet18", "backbone")
    assert {name.split(".")[1] for name in frozen_parts("lraspp_mobilenet_v3_large", "backbone")} == {"backbone"}
    detector = frozen_parts("fcos_resnet50_fpn", "backbone", "detect", classes=["lesion"], most=10)
    assert detector and all(".body." in name for name in detector)
    maps = frozen_parts("compact", "backbone", "class_map", classes=["a", "b"])
    assert maps and all(name.startswith("stages") for name in maps)
    assert "4.conv2" in frozen_parts("compact", "backbone") and "6.2" not in frozen_parts("compact", "backbone")


def test_parts_by_name():
    """Parts of a net are frozen by their names, whole words of them."""
    assert {name.split(".")[0] for name in frozen_parts("resnet18", "conv1,layer1")} == {"conv1", "layer1"}


@pytest.mark.parametrize(
    "what, said",
    [
        ("0", "--freeze takes from 1 to 14 layers of this net, not 0"),
        ("99", "--freeze takes from 1 to 14 layers of this net, not 99"),
        ("1.conv3", "--freeze takes backbone, a number of layers, or parts of the net, and this one has no '1.conv3'; did you mean 1.conv"),
        ("layer1,", "this one has no 'layer1'; it has 0, 1, 2, 3, 4, 5, 6"),
    ],
)
def test_what_is_no_part(localizer, what, said):
    """A part or number that the net does not have is an error with what there is."""
    with pytest.raises(UsageError) as error:
        freeze(localizer, what)
    assert said in str(error.value)


def test_frozen_norms_keep_their_statistics(localizer):
    """In training, norms whose weights are frozen stay as they are, and the others learn; all is as before once nothing is frozen."""
    freeze(localizer, "1")
    before = [norm.running_mean.clone() for norm in (localizer.net[0][1], localizer.net[1].norm1)]
    localizer.train()
    localizer(torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8))
    assert torch.equal(localizer.net[0][1].running_mean, before[0])
    assert not torch.equal(localizer.net[1].norm1.running_mean, before[1])
    localizer.requires_grad_(True).train()
    assert all(module.training for module in localizer.net.modules())
