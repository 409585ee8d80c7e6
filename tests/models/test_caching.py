"""Caches of blocks, those of diffusers, on the explicit network: a cache belongs to a run."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from diffusers.hooks import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
)

import fpdm
from fpdm.diffusion import Diffusion
from fpdm.errors import InvalidValueError
from fpdm.models.caching import state_managers
from tests.sampling.pipelines import pipeline, seeded
from tests.toys import ComputedBlocks, tiny, tiny_dit

DEPTH, STEPS = 4, 12


def taylor(**options) -> TaylorSeerCacheConfig:
    sizes = {"cache_interval": 4, "disable_cache_before_step": 2}
    return TaylorSeerCacheConfig(taylor_factors_dtype=torch.float32, **(sizes | options))


BRANCHES = {
    "cache_identifiers": [r"blocks\.\d+\.(attn|mlp)"],
    "skip_predict_identifiers": [r"blocks\.\d+\.(attn\.qkv|mlp\.0)"],
}
"""What attention and MLP add is predicted, and the products before are not taken."""

CACHES = {
    "first block": lambda: FirstBlockCacheConfig(threshold=0.4),
    "taylor": taylor,
    "taylor, second order": lambda: taylor(max_order=2),
    "taylor, branches": lambda: taylor(**BRANCHES),
    "magnitudes": lambda: MagCacheConfig(
        threshold=0.5, num_inference_steps=STEPS, mag_ratios=[0.99] * STEPS
    ),
}


@pytest.fixture
def pipe():
    return pipeline(tiny_dit(depth=DEPTH))


def draw(pipe, seed: int = 0, *, steps: int = STEPS, **options) -> torch.Tensor:
    options |= {"num_inference_steps": steps, "budget": DEPTH * steps, "output_type": "latent"}
    return pipe([0, 1], generator=seeded(seed), **options).images


def passes(pipe, **options) -> int:
    with ComputedBlocks(pipe.model) as computed:
        draw(pipe, **options)
    return computed.count


@pytest.mark.parametrize("guidance", [{}, {"guidance_scale": 2.0, "guidance_interval": (0.3, 0.7)}])
def test_a_threshold_of_zero_changes_nothing(pipe, guidance):
    plain = draw(pipe, **guidance)
    pipe.model.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    assert torch.equal(draw(pipe, **guidance), plain)
    assert passes(pipe, **guidance) == DEPTH * STEPS


@pytest.mark.parametrize("cache", CACHES)
def test_a_cached_run_passes_over_blocks_and_draws_something_else(pipe, cache):
    plain = draw(pipe)
    assert passes(pipe) == DEPTH * STEPS
    pipe.model.enable_cache(CACHES[cache]())
    assert pipe.model.is_cache_enabled
    assert passes(pipe) < DEPTH * STEPS
    assert draw(pipe).isfinite().all()
    assert not torch.equal(draw(pipe), plain)
    pipe.model.disable_cache()
    assert not pipe.model.is_cache_enabled
    assert torch.equal(draw(pipe), plain)
    assert passes(pipe) == DEPTH * STEPS


def test_the_first_block_decides_about_the_others(pipe):
    pipe.model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    assert passes(pipe) == DEPTH + (STEPS - 1)


@pytest.mark.parametrize("lite", [False, True])
@pytest.mark.parametrize("interval", [2, 3, 5])
def test_taylor_computes_whole_timesteps_at_intervals(pipe, interval, lite):
    pipe.model.enable_cache(taylor(cache_interval=interval, use_lite_mode=lite))
    whole = [step < 2 or (step - 3) % interval == 0 for step in range(STEPS)]
    assert passes(pipe) == DEPTH * sum(whole)


def test_what_taylor_predicts_is_on_the_line_through_what_was_computed(pipe):
    """Liu et al. 2025, of first order: what the last block returns, as a function of the step."""
    seen, known = [], []
    last = pipe.model.encoder.blocks[-1].norm1
    handles = [
        pipe.model.decoder.final.register_forward_pre_hook(lambda _, given: seen.append(given[0])),
        last.register_forward_hook(lambda *_: known.append(len(seen))),
    ]
    pipe.model.enable_cache(taylor(cache_interval=4))
    draw(pipe)
    for handle in handles:
        handle.remove()
    assert known == [0, 1, 3, 7, 11]
    for step in set(range(STEPS)) - set(known):
        before = [done for done in known if done < step][-2:]
        (a, b), (first, second) = before, (seen[each] for each in before)
        expected = second + (step - b) / (b - a) * (second - first)
        torch.testing.assert_close(seen[step], expected)


@pytest.mark.parametrize("cache", CACHES)
def test_a_run_does_not_see_the_cache_of_the_one_before(pipe, cache):
    pipe.model.enable_cache(CACHES[cache]())
    first = draw(pipe)
    draw(pipe, seed=1, steps=5)
    draw(pipe, seed=2, guidance_scale=2.0)
    assert torch.equal(draw(pipe), first)
    fresh = pipeline(tiny_dit(depth=DEPTH))
    fresh.model.enable_cache(CACHES[cache]())
    assert torch.equal(draw(fresh), first)
    assert not any(manager._state_cache for manager in state_managers(pipe.model))


@pytest.mark.parametrize("cache", CACHES)
def test_runs_in_turn_and_in_threads_are_as_they_are_alone(pipe, cache):
    pipe.model.enable_cache(CACHES[cache]())
    alone = [draw(pipe, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: draw(pipe, seed), range(4)))
    assert all(map(torch.equal, alone, together))
    with torch.no_grad():
        runs = [run(pipe.model, seed) for seed in range(2)]
        apart = [list(each)[-1].sample for each in runs]
        in_turn = [*zip(*(run(pipe.model, seed) for seed in range(2)), strict=True)][-1]
    assert all(torch.equal(step.sample, image) for step, image in zip(in_turn, apart, strict=True))


def run(model, seed: int):
    scheduler = Diffusion().scheduler()
    scheduler.set_timesteps(STEPS)
    noise = torch.randn(2, 1, 4, 4, generator=seeded(seed))
    return fpdm.sample(model, scheduler, noise, torch.tensor([0, 1]), budget=DEPTH * STEPS)


def test_a_cache_begins_anew_where_guidance_does(pipe):
    pipe.model.enable_cache(FirstBlockCacheConfig(threshold=1e9))
    guided = {"guidance_scale": 2.0}
    assert passes(pipe, **guided) == DEPTH + (STEPS - 1)
    assert passes(pipe, **guided, guidance_interval=(0.25, 0.75)) == 3 * DEPTH + (STEPS - 3)


@pytest.mark.parametrize("cache", CACHES)
def test_a_call_outside_of_a_run_is_computed_whole(pipe, cache):
    x, labels = torch.randn(2, 1, 4, 4), torch.tensor([0, 1])
    plain = [pipe.model(x, time, labels).sample for time in (900, 890, 880)]
    pipe.model.enable_cache(CACHES[cache]())
    draw(pipe)
    with ComputedBlocks(pipe.model) as computed:
        again = [pipe.model(x, time, labels).sample for time in (900, 890, 880)]
    assert computed.count == 3 * DEPTH
    assert all(map(torch.equal, again, plain))


REFUSED = {
    "a DiT cannot be cached as a PyramidAttentionBroadcastConfig": (
        lambda: PyramidAttentionBroadcastConfig()
    ),
    "cannot be cached as a dict": lambda: {"threshold": 1},
    "no module is called 'transformer_blocks": lambda: taylor(
        cache_identifiers=[r"transformer_blocks\.0"]
    ),
    "is no pattern": lambda: taylor(cache_identifiers=["blocks.["]),
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_cache_that_does_not_fit_is_one_sentence(pipe, said):
    assert said in refusal(pipe.model, REFUSED[said]())
    assert not pipe.model.is_cache_enabled
    assert passes(pipe) == DEPTH * STEPS


def test_a_network_that_cannot_be_cached_says_so(pipe):
    config = FirstBlockCacheConfig()
    assert "a FPDiT has no cache of blocks" in refusal(tiny(), config)
    assert "must be a network of depth ≥ 2" in refusal(tiny_dit(depth=1), config)
    pipe.model.enable_cache(config)
    assert "has a cache already" in refusal(pipe.model, taylor())
    with pytest.raises(InvalidValueError, match=r"compile: this DiT decides at each timestep"):
        draw(pipe.compile(backend="eager"))


def refusal(model, config) -> str:
    with pytest.raises(InvalidValueError) as caught:
        model.enable_cache(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_with_a_cache_is_not_copied_and_one_that_had_one_is(pipe):
    plain = draw(pipe)
    pipe.model.enable_cache(taylor())
    for again in (copy.deepcopy, pickle.dumps):
        with pytest.raises(InvalidValueError, match=r"cannot be copied: call disable_cache\(\)"):
            again(pipe.model)
    pipe.model.disable_cache()
    other = copy.deepcopy(pipe.model)
    with torch.no_grad():
        pipe.model.encoder.blocks[1].attn.proj.weight.zero_()
    assert torch.equal(draw(pipeline(other)), plain)
    assert not torch.equal(draw(pipe), plain)


def test_a_cached_network_is_saved_as_it_was(pipe, tmp_path):
    before = dict(pipe.model.state_dict())
    pipe.model.enable_cache(taylor())
    assert pipe.model.state_dict().keys() == before.keys()
    pipe.save_pretrained(tmp_path)
    again = fpdm.FPDMPipeline.from_pretrained(tmp_path)
    assert not again.model.is_cache_enabled
    assert all(torch.equal(value, before[name]) for name, value in again.model.state_dict().items())
