import gc

import numpy as np
import pytest

from cxrfuture_data.slot import ALIGNMENT, SlotPool, arrange, arrays_over

SHAPES = {"labels": ((3, 14), np.int8), "none": ((3, 0, 4), np.float16), "age": ((3,), np.float32)}


def test_arrays_lie_apart_and_aligned():
    arranged = arrange(SHAPES)
    starts = {name: start for name, _, _, start in arranged.arrays}
    assert starts == {"labels": 0, "none": ALIGNMENT, "age": ALIGNMENT}
    assert arranged.size == 2 * ALIGNMENT
    arrays = arrays_over(np.zeros(arranged.size, np.uint8), arranged)
    assert {name: array.shape for name, array in arrays.items()} == {
        name: lengths for name, (lengths, _) in SHAPES.items()
    }
    arrays["labels"][:] = -1
    assert not arrays["age"].any()
    with pytest.raises(ValueError, match="128 bytes does not go into 127"):
        arrays_over(np.zeros(arranged.size - 1, np.uint8), arranged)


def test_a_slot_comes_back_with_the_last_array_over_it():
    pool = SlotPool(arrange(SHAPES).size)
    slot = pool.take()
    arrays = arrays_over(pool.lend(slot), arrange(SHAPES))
    part = arrays["age"][1:]
    del arrays
    gc.collect()
    other = pool.take()
    assert other is not slot  # a part of the first is still in use
    pool.give_back(other)
    assert pool.take() is other
    del part
    gc.collect()
    assert pool.take() is slot
    assert len(pool.made) == 2
    pool.close()


class Copying:
    """What an event of CUDA is: whether the copies asked for before it are over."""

    def __init__(self):
        self.is_over = False

    def query(self):
        return self.is_over


def test_a_slot_that_is_still_copied_from_is_not_written_to():
    pool = SlotPool(64)
    slot = pool.take()
    slot.is_copied = Copying()
    pool.give_back(slot)
    other = pool.take()
    assert other is not slot
    slot.is_copied.is_over = True
    assert pool.take() is slot
    pool.close()


def test_batches_outlive_their_pool():
    pool = SlotPool(64)
    memory = pool.lend(pool.take())
    memory[:] = 7
    pool.close()
    assert (memory == 7).all()
