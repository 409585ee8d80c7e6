"""Images that are not finite: named, never taken for whole, and they spoil no others."""

import re
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

import fpdm
from fpdm.diffusion.decoding import decode, told_elsewhere
from fpdm.errors import InvalidValueError, SamplingWarning
from tests.sampling.pipelines import draw, images, parts, pipeline, seeded, tiny_vae
from tests.toys import tiny

LABELS = (0, 1, 2, 1)


@contextmanager
def warned(match: str = ""):
    """A block in which something is said of images that are not finite; other warnings are errors.

    Yields what is said.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SamplingWarning)
        yield told
    assert re.search(match, "\n".join(str(each.message) for each in told))
    assert told


def spoil(model, label: int, value: float = float("nan")) -> None:
    """Let a network give what is not finite for a class, and for no other."""
    table = next(part for part in model.modules() if isinstance(part, torch.nn.Embedding))
    with torch.no_grad():
        table.weight[label] = value


def spoilt(value: float = float("nan"), **options) -> fpdm.FPDMPipeline:
    model = tiny(**options)
    spoil(model, 1, value)
    return pipeline(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("output_type", ["pil", "np", "pt", "latent"])
def test_a_warning_names_the_images_and_the_others_are_as_before(output_type, value):
    options = {"output_type": output_type, "generator": [seeded(i) for i in (5, 6, 7, 8)]}
    whole = draw(pipeline(tiny()), LABELS, **options)
    options["generator"] = [seeded(i) for i in (5, 6, 7, 8)]
    assert whole.broken == ()
    with warned(r"Images 1, 3 \(seeds 6, 8\) are not finite") as told:
        out = draw(spoilt(value), LABELS, **options)
    assert len(told) == 1
    assert told[0].filename == draw.__code__.co_filename
    assert out.broken == (1, 3)
    for index in (0, 2):
        assert np.array_equal(np.asarray(out.images[index]), np.asarray(whole.images[index]))
    for index in out.broken:
        image = np.asarray(out.images[index])
        assert not image.any() if output_type == "pil" else not np.isfinite(image).any()


def test_one_generator_for_all_has_no_seed_of_an_image():
    with warned(r"^Image 0 is not finite"):
        draw(spoilt(), [1], output_type="pil")


def test_without_return_dict_there_is_the_warning_too():
    with warned("Image 2 is"):
        assert len(draw(spoilt(), (0, 0, 1), return_dict=False)) == 2


@pytest.mark.parametrize("solver", ["naive", "anderson", "broyden"])
@pytest.mark.parametrize("scheduler", ["ddim", "ddpm", "dpm++", "unipc"])
def test_one_image_spoils_no_other_whatever_draws(solver, scheduler):
    options = {"solver": solver, "scheduler": scheduler, "guidance_scale": 2.0}
    options["generator"] = [seeded(i) for i in range(4)]
    whole = images(pipeline(tiny()), LABELS, **options)
    options["generator"] = [seeded(i) for i in range(4)]
    with warned("Images 1, 3"):
        out = draw(spoilt(), LABELS, **options)
    assert torch.equal(out.images[[0, 2]], whole[[0, 2]])


def test_images_that_a_vae_spoils_are_named():
    pipe = parts()
    draw(pipe, output_type="pt")
    torch.nn.init.constant_(pipe.vae.decoder.conv_out.bias, float("nan"))
    with warned("Images 0, 1, 2 are"):
        out = draw(pipe, output_type="pil")
    assert all(isinstance(image, Image.Image) for image in out.images)


def test_a_long_list_is_cut():
    with warned(r"Images 0, 1, .*, 19 and 3 more are"):
        draw(spoilt(), [1] * 23)


def test_a_caller_that_tells_them_itself_hears_nothing():
    with warnings.catch_warnings(), told_elsewhere():
        warnings.simplefilter("error", SamplingWarning)
        assert draw(spoilt(), LABELS).broken == (1, 3)


def seen(vae) -> list[torch.dtype]:
    """The types in which a VAE decodes from now on."""
    types: list[torch.dtype] = []
    vae.decoder.register_forward_pre_hook(lambda _, given: types.append(given[0].dtype))
    return types


def state(vae) -> dict[str, torch.dtype]:
    return {name: tensor.dtype for name, tensor in vae.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("forced", [True, False])
def test_force_upcast_is_obeyed_and_the_weights_are_as_they_were(dtype, forced):
    vae = tiny_vae(force_upcast=forced).to(dtype)
    torch.nn.init.constant_(vae.post_quant_conv.bias, 0.5)
    before, kept = state(vae), {k: v.clone() for k, v in vae.state_dict().items()}
    types = seen(vae)
    with torch.no_grad():
        decode(torch.zeros(1, 4, 2, 2), vae)
    upcast = forced and dtype.itemsize < 4
    assert types == [torch.float32 if upcast else dtype]
    assert state(vae) == before
    assert all(torch.equal(value, kept[name]) for name, value in vae.state_dict().items())


def test_what_overflows_in_half_precision_does_not_where_upcasting_is_forced():
    broken, whole = tiny_vae(force_upcast=False).half(), tiny_vae(force_upcast=True).half()
    for vae in (broken, whole):
        torch.nn.init.constant_(vae.decoder.conv_in.bias, 6e4)
        torch.nn.init.constant_(vae.post_quant_conv.bias, 6e4)
    latents = torch.zeros(1, 4, 4, 4)
    with torch.no_grad():
        assert not decode(latents, broken).isfinite().all()
        assert decode(latents, whole).isfinite().all()


def test_the_weights_are_as_they_were_also_where_decoding_fails():
    vae = tiny_vae().half()
    before = state(vae)
    with pytest.raises(RuntimeError), torch.no_grad():
        decode(torch.zeros(1, 3, 2, 2), vae)
    assert state(vae) == before


def test_weights_of_several_types_each_get_their_own_again():
    vae = tiny_vae().half()
    vae.decoder.conv_out.float()
    before = state(vae)
    with torch.no_grad():
        decode(torch.zeros(1, 4, 2, 2), vae)
    assert state(vae) == before


def test_several_threads_may_decode_with_one_vae():
    vae, failed = tiny_vae().half(), []
    before = state(vae)

    def work():
        try:
            with torch.no_grad():
                for _ in range(5):
                    decode(torch.zeros(1, 4, 2, 2), vae)
        except RuntimeError as error:  # of two types that do not fit
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert state(vae) == before


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -1.0, 1e39, 10**400])
def test_a_guidance_scale_that_is_no_scale_is_one_sentence(scale):
    with pytest.raises(InvalidValueError, match=r"guidance_scale=.*: must be a number ≥ 0"):
        draw(pipeline(), guidance_scale=scale)
