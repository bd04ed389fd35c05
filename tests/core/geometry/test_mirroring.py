"""Mirror images, and predictions put back."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.boxes import box_of_mask
from htltools.core.geometry.mirroring import Mirror, allowed_mirrors, mirrored_boxes, mirrored_images, mirrored_masks

ALL = allowed_mirrors([0.5, 0.5])


@pytest.mark.parametrize("mirror", ALL)
def test_the_box_of_a_mirror_image_is_the_mirror_image_of_the_box(mirror):
    """A box, a mask and their image move alike, and back again."""
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:11] = True
    size = np.array([20, 10, 20, 10])
    box, turned = (torch.tensor(box_of_mask(each) / size) for each in (mask, mirrored_images(mask[None, ..., None], mirror)[0, ..., 0]))
    assert mirrored_boxes(box, mirror).tolist() == pytest.approx(turned.tolist())
    assert mirrored_boxes(turned, mirror).tolist() == pytest.approx(box.tolist())
    assert torch.equal(mirrored_boxes(box, mirror), torch.from_numpy(mirrored_boxes(box.numpy(), mirror)))  # arrays alike
    assert (mirrored_masks(mask, mirror) == mirrored_masks(torch.from_numpy(mask), mirror).numpy()).all()
    assert (mirrored_masks(torch.from_numpy(mask), mirror).numpy() == mirrored_images(mask[None, ..., None], mirror)[0, ..., 0]).all()


def test_what_training_never_saw_is_not_shown():
    """Only the mirror images of the axes that training mirrored, one axis at a time."""
    assert allowed_mirrors([0.5, 0.5]) == [Mirror(True, False), Mirror(False, True)]
    assert allowed_mirrors([0, 0.5]) == [Mirror(False, True)]


def test_class_and_score_of_an_object_stay():
    """Columns behind the edges are kept, and empty places stay empty."""
    objects = torch.tensor([[0.1, 0.2, 0.3, 0.4, 2, 0.9], [0, 0, 0, 0, -1, 0]])
    assert mirrored_boxes(objects, Mirror(True, True))[:, 4:].tolist() == objects[:, 4:].tolist()
