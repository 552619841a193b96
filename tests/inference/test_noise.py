"""The noise that draws tokens: SplitMix64's known numbers, the distribution, and what it depends on."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chisquare, kstest

from variegate.inference import noise
from variegate.inference.noise import add_gumbel

# The first numbers of SplitMix64 from state 1234567, as published with other implementations of it.
KNOWN = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821)


def test_the_numbers_are_splitmix64s() -> None:
    assert tuple(noise._mix(1234567 + place * noise._GAMMA & noise._WORD) for place in range(5)) == KNOWN


def test_the_noise_of_a_seed_and_step_worked_in_whole_numbers() -> None:
    for seed, step in ((0, 1), (5, 2), (2**63 + 11, 40), (2**64 - 1, 1)):
        state = noise._mix(noise._mix(seed) + step + 1)
        uniform = [((noise._mix(state + token * noise._GAMMA) >> 12) + 0.5) / 2**52 for token in range(9)]
        found = add_gumbel(torch.zeros(1, 9, dtype=torch.float64), [seed], step)
        assert found[0].tolist() == pytest.approx([-math.log(-math.log(each)) for each in uniform], rel=1e-12)


def test_draws_follow_the_softmax_over_seeds_and_over_steps() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])
    expected = 6000 * torch.softmax(logits.double(), 0)[:4].numpy()
    over_seeds = add_gumbel(logits.repeat(6000, 1), range(6000), 1)
    over_steps = torch.cat([add_gumbel(logits[None].clone(), [7], step) for step in range(6000)])
    for sums in (over_seeds, over_steps):
        counts = torch.bincount(sums.argmax(dim=1), minlength=5).numpy()
        assert counts[4] == 0
        assert chisquare(counts[:4], expected).pvalue > 1e-3


def test_neighbouring_tokens_seeds_and_steps_share_nothing() -> None:
    whole = torch.stack([add_gumbel(torch.zeros(40, 500, dtype=torch.float64), range(40), step) for step in range(40)])
    assert kstest(whole.flatten()[::7].numpy(), "gumbel_r").pvalue > 1e-3
    for axis in range(3):
        first, second = whole.narrow(axis, 0, whole.shape[axis] - 1), whole.narrow(axis, 1, whole.shape[axis] - 1)
        correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
        assert abs(float(correlation)) < 4 / math.sqrt(first.numel())


def test_a_rows_noise_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands beside it, and in whatever pieces it is made."""
    together = add_gumbel(torch.zeros(5, 100), [3, 1, 4, 1, 5], 2)
    assert torch.equal(together[1], together[3])
    assert torch.equal(add_gumbel(torch.zeros(1, 100), [4], 2)[0], together[2])
    monkeypatch.setattr(noise, "_AT_ONCE", {"cpu": 200})
    assert torch.equal(add_gumbel(torch.zeros(5, 100), [3, 1, 4, 1, 5], 2), together)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_makes_the_same_noise() -> None:
    cpu, gpu = (add_gumbel(torch.zeros(64, 4096, dtype=torch.float64, device=device), range(64), 3) for device in ("cpu", "cuda"))
    assert gpu.cpu().numpy() == pytest.approx(cpu.numpy(), rel=1e-12)
