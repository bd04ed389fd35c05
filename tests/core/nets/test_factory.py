"""From an architecture to a localizer."""

from urllib.error import URLError

import pytest
import torch
from torchvision import models
from torchvision.models import WeightsEnum, detection
from torchvision.ops import FrozenBatchNorm2d

from htltools.core.nets import factory
from htltools.core.nets.compact import compact
from htltools.core.nets.detection.names import DETECTORS
from htltools.core.nets.factory import architecture, build, task_of_net
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.errors import DataError, MissingInput, UsageError

SIZE = 32, 32, 3
CLASSES = ["a", "b"]
NETS = {"box": ("compact", {}), "mask": ("compact_unet", {}), "class_map": ("compact", {"classes": CLASSES})}
NETS["detect"] = "compact_fcos", {"classes": CLASSES, "most": 10}


@pytest.mark.parametrize("task", NETS)
def test_each_task_has_its_localizer(task):
    """The localizer that is built for a task names that task."""
    name, more = NETS[task]
    assert build(architecture(name, SIZE, task, **more)).task == task


def test_task_of_net():
    """Detectors detect; nets of segmentation predict masks where there are some; all others boxes, or class maps from labels alone."""
    assert {task_of_net(name) for name in DETECTORS} == {"detect"}
    pixelwise = "compact_unet", "lraspp_mobilenet_v3_large", "fcn_resnet50"
    assert [{task_of_net(name, masks=there) for name in pixelwise} for there in (True, False)] == [{"mask"}, {"box"}]
    assert {task_of_net(name, masks=there) for name in ("compact", "resnet18", "my.nets:small") for there in (True, False)} == {"box"}
    labels = [task_of_net(name, labels_alone=True) for name in ("compact", "compact_unet", "compact_fcos")]
    assert labels == ["class_map", "mask", "detect"]  # only a net of boxes has maps of classes


def test_unknown_tasks_are_refused(localizer):
    """A task that nothing is known of is refused by name, also where a file asks for it."""
    with pytest.raises(UsageError, match="no task is called 'pose'; use one of box, mask, detect, class_map"):
        build(architecture("compact", SIZE, "pose"))
    with pytest.raises(DataError, match="do not fit the architecture 'compact' .no task is called 'pose'"):
        from_weights(architecture("compact", SIZE, "pose"), weights_of(localizer))


def test_a_task_can_be_added(monkeypatch):
    """A further task builds its localizers by a function of its own."""

    class Centre(Localizer):
        task = "centre"

    monkeypatch.setitem(factory.BUILDERS, "centre", lambda shape, imagenet, trusted: Centre(compact(*shape["size"]), **NORMALISATION))
    model = build(architecture("compact", SIZE, "centre"))
    again = from_weights(architecture("compact", SIZE, "centre"), weights_of(model))
    assert model.task == again.task == "centre"


def test_a_detector_with_imagenet_weights_is_loaded(monkeypatch):
    """torchvision freezes the batch norms of a detector with ImageNet weights: stored and loaded, they are frozen, and predict the same."""
    pretrained = models.mobilenet_v3_large().state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *args, **options: pretrained)
    shape = architecture("fasterrcnn_mobilenet_v3_large_320_fpn", (64, 64, 3), "detect", classes=CLASSES, most=10)
    before = build(shape, imagenet=True).eval()
    after = from_weights(shape, weights_of(before))
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(before(images), after(images))
    assert sum(isinstance(module, FrozenBatchNorm2d) for module in after.modules()) == 46


@pytest.mark.parametrize("name", ["resnet18", "fasterrcnn_resnet50_fpn"])
def test_weights_that_cannot_be_fetched(name, monkeypatch):
    """Without a network, ImageNet weights are missing input, for every kind of net."""

    def offline(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr(models, "get_model", offline)
    monkeypatch.setattr(detection, name, offline, raising=False)
    task = task_of_net(name)
    with pytest.raises(MissingInput, match=f"ImageNet weights of {name} could not be fetched .no network.; connect, or start from fresh"):
        build(architecture(name, SIZE, task, **NETS[task][1]), imagenet=True)
