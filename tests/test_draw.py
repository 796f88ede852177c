"""Random numbers by key: the same whatever the batch."""

import torch

from train.draw import draw_normal, draw_rows, draw_timestep, draw_uniform, generators, seed_of


def test_a_sample_draws_the_same_in_any_batch():
    def draws(keys, rows):
        randoms = generators(keys, "train", 7, 5)
        return (
            draw_timestep(randoms, 1000),
            draw_normal(randoms, (4, 8, 8)),
            draw_uniform(randoms),
            draw_rows(randoms, rows, 16),
        )

    both, alone = draws(["a", "b"], 3), draws(["b"], 9)
    for one, other in zip(both[:3], alone[:3], strict=True):
        assert torch.equal(one[1:], other)
    assert torch.equal(both[3][1:], alone[3][:, :3])


def test_another_sample_step_seed_or_purpose_draws_otherwise():
    one = draw_normal(generators(["a"], "train", 7, 5), (4,))
    for key, parts in (
        ("b", ("train", 7, 5)),
        ("a", ("train", 7, 6)),
        ("a", ("train", 8, 5)),
        ("a", ("valid", 7, 5)),
    ):
        assert not torch.equal(one, draw_normal(generators([key], *parts), (4,)))


def test_seeds_fit_torch():
    assert all(0 <= seed_of("x", number) < 2**63 for number in range(100))
