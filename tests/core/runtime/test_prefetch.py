"""How images reach the device."""

import threading
import time

import numpy as np
import pytest
import torch

from htltools.core.runtime.prefetch import OnDevice, load_batches, on_device_if_it_fits, prefetched

CPU = torch.device("cpu")
INDICES = torch.tensor([[3, 1, 2], [47, 0, 3]])


def test_every_way_gives_the_same(shelf):
    """A map, a device's own memory and indices in one tensor or in a list of arrays give the same images in the same order."""
    expected = [torch.from_numpy(shelf.images[chosen.numpy()]) for chosen in INDICES]
    for images in shelf, OnDevice(shelf, CPU):
        for indices in INDICES, [chosen.numpy() for chosen in INDICES]:
            loaded = list(load_batches(images, indices, CPU))
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded, expected, strict=True))


def test_a_map_stays_where_it_is_on_a_cpu(shelf):
    """On a CPU nothing is copied beforehand: a store may be larger than memory."""
    assert on_device_if_it_fits(shelf, CPU) is shelf


def test_moving_in_pieces(shelf, monkeypatch):
    """A store moves to the device piece by piece, the last one what is left."""
    monkeypatch.setattr("htltools.core.runtime.prefetch.PIECE", 7 * 32 * 32 * 3)
    assert np.array_equal(OnDevice(shelf, CPU).images.numpy(), shelf.images)


def test_ahead_keeps_the_order_and_runs_ahead():
    """Results come in order; while one is used, the next two are made, and no more."""
    made, lock = [], threading.Lock()

    def doubled(chosen):
        with lock:
            made.append(chosen)
        return 2 * chosen

    results = prefetched(doubled, range(10))
    assert next(results) == 0
    time.sleep(0.2)
    assert made == [0, 1, 2]
    assert list(results) == list(range(2, 20, 2))


def test_ahead_tells_what_went_wrong():
    """An error of the reader arrives where its batch would have, and earlier batches before it."""
    results = prefetched(lambda chosen: 1 // (2 - chosen), range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("room", [0.5, 0.0])
def test_on_a_gpu(shelf, monkeypatch, room):
    """A GPU holds the store where it fits, and is fed by a reader that runs ahead where it does not: the same images."""
    monkeypatch.setattr("htltools.core.runtime.prefetch.MEMORY_SHARE", room)
    device = torch.device("cuda", 0)
    images = on_device_if_it_fits(shelf, device)
    assert isinstance(images, OnDevice) == (room > 0)
    for chosen, batch in zip(INDICES, load_batches(images, INDICES, device), strict=True):
        assert batch.device == device
        assert np.array_equal(batch.cpu().numpy(), shelf.images[chosen.numpy()])
