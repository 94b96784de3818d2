"""Quality: each fault of a photograph lowers the score; the paper's own network loads what has its true shapes."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tasks.video import quality
from tasks.video.backends import open_backend
from tests.cases import rest
from tests.tasks.video import checkpoints
from tests.tasks.video.scenes import Scene

SEEDS = [3, 5, 8, 13, 21]


@cache
def photograph(seed: int) -> np.ndarray:
    """A sound picture, as in a strip: tones from 20 to 220 whose mean is mid-grey."""
    image = Scene(seed, 1, 256, 456, things=12).images[0][..., ::-1].astype(np.float64)
    low, high = np.percentile(image, [2, 98])
    shares = np.clip((image - low) / (high - low), 0, 1)
    gamma = next(g for g in np.geomspace(0.2, 5, 200) if (shares**g).mean() < 0.5)
    return (shares**gamma * 200 + 20).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compressed(image: np.ndarray, jpeg_quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1], cv2.IMREAD_COLOR)


def posterised(image: np.ndarray, levels: int) -> np.ndarray:
    step = 256 / levels
    return ((np.floor(image / step) + 0.5) * step).astype(np.uint8)


def lit(image: np.ndarray, gain: float) -> np.ndarray:
    return np.clip(image.astype(float) * gain, 0, 255).astype(np.uint8)


def flattened(image: np.ndarray, contrast: float) -> np.ndarray:
    return (118 + (image - 118.0) * contrast).astype(np.uint8)


def grey(image: np.ndarray, share: float) -> np.ndarray:
    return cv2.addWeighted(image, 1 - share, cv2.cvtColor(cv2.cvtColor(image, 6), 8), share, 0)


FAULTS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], list[float]]] = {
    "blur": (lambda i, s: cv2.GaussianBlur(i, (0, 0), s), [1.5, 3, 6]),
    "noise": (noisy, [8, 16, 32]),
    "compression": (lambda i, s: compressed(i, int(s)), [30, 15, 5]),
    "posterisation": (lambda i, s: posterised(i, int(s)), [24, 10, 4]),
    "over-exposure": (lit, [1.8, 2.5, 4]),
    "under-exposure": (lit, [0.6, 0.35, 0.15]),
    "flatness": (flattened, [0.6, 0.35, 0.15]),
    "greyness": (grey, [0.6, 0.85, 1]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_score_falls_as_a_fault_grows(fault: str, seed: int) -> None:
    image = photograph(seed)
    damage, strengths = FAULTS[fault]
    scores = quality.Photographic().scores([image, *(damage(image, strength) for strength in strengths)])
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    assert scores[0] - scores[-1] > (0.1 if fault == "greyness" else 0.7)


def test_each_part_sees_its_own_fault() -> None:
    image = photograph(3)
    sound = quality.photographic_parts(image)
    seen = {
        "sharp": cv2.GaussianBlur(image, (0, 0), 3),
        "clean": noisy(image, 16),
        "whole": compressed(image, 10),
        "tones": posterised(image, 8),
        "exposure": lit(image, 3),
        "contrast": flattened(image, 0.3),
        "colorful": grey(image, 1),
    }
    for part, damaged in seen.items():
        assert quality.photographic_parts(damaged)[part] < 0.85 * sound[part], part


def test_noise_is_measured_in_grey_levels() -> None:
    flat = np.full((256, 456), 128, np.uint8)
    for sigma in (4, 8, 16):
        clean = quality.photographic_parts(cv2.cvtColor(noisy(flat, sigma), cv2.COLOR_GRAY2BGR))["clean"]
        measured = 6 * math.sqrt(1 / clean - 1)
        assert measured == pytest.approx(sigma, rel=0.15)


def test_colourfulness_is_that_of_hasler_and_suesstrunk() -> None:
    """Half red, half green: rg = +-255, yb = 127.5; so M = 255 + 0.3 * 127.5, far above where it is capped."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32, 2] = image[:, 32:, 1] = 255
    assert quality._colorfulness(image) == pytest.approx(255 + 0.3 * 127.5)
    assert quality.photographic_parts(image)["colorful"] == 1


def test_flat_pictures_have_a_low_and_finite_score() -> None:
    flat = [np.full((256, 456, 3), level, np.uint8) for level in (0, 128, 255)]
    assert all(0 <= score < 3 for score in quality.Photographic().scores(flat))


def test_scores_are_in_order_and_no_score_depends_on_the_others() -> None:
    images = [photograph(seed) for seed in SEEDS]
    together = quality.Photographic().scores(images)
    assert together == [quality.Photographic().scores([image])[0] for image in images]
    assert all(0 <= score <= 10 for score in together)


# --- laion ---


def picture(seed: int, height: int = 256, width: int = 456) -> np.ndarray:
    return Scene(seed, 1, height, width).images[0][..., ::-1].copy()


@pytest.mark.parametrize("size", [(256, 456), (224, 224), (100, 130), *rest((256, 341), (456, 256), (720, 1280))])
def test_clip_input_is_that_of_clip_s_own_processor(size: tuple[int, int]) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    image = picture(1, *size)
    expected = CLIPImageProcessorPil()(np.ascontiguousarray(image[..., ::-1]), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(quality.clip_input(image), expected, atol=1e-5)


SETTINGS = {**quality._VIT_L_14, "hidden_act": "quick_gelu", "projection_dim": 768}
HEAD = {"weight": torch.linspace(-1, 1, 768)[None], "bias": torch.tensor([5.0])}


def laion_folder(folder: Path, tower: dict[str, torch.Tensor] | None, head: dict[str, torch.Tensor]) -> Path:
    """Fill models/laion with a config, a head, and a tower (None: an empty file)."""
    (folder / "laion").mkdir(exist_ok=True)
    (folder / "laion" / "config.json").write_text(json.dumps({"vision_config": SETTINGS}))
    checkpoints.write(folder / "laion" / "model.safetensors", tower or {"nothing": torch.zeros(1)})
    checkpoints.write(folder / "laion" / "aesthetic_head.safetensors", head)
    return folder / "laion"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "aesthetic_head.safetensors"])
def test_laion_without_one_of_its_files_names_it_and_the_remedy(tmp_path: Path, file: str) -> None:
    folder = laion_folder(tmp_path, None, HEAD)
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"laion.{file}: no such file. laion needs in .*ViT-L/14"):
        quality.Laion(folder)


@pytest.mark.parametrize("fault", ["missing", "renamed", "reshaped", "not finite"])
def test_laion_names_what_is_wrong_with_a_head(tmp_path: Path, fault: str) -> None:
    head, said = checkpoints.faults(HEAD, "weight")[fault]
    folder = laion_folder(tmp_path, None, head)
    with pytest.raises(ValueError, match=f"aesthetic_head.safetensors: {said}"):
        quality.Laion(folder).prepare()


def test_laion_refuses_another_clip(tmp_path: Path) -> None:
    folder = laion_folder(tmp_path, None, HEAD)
    (folder / "config.json").write_text(json.dumps({"vision_config": {**SETTINGS, "patch_size": 32}}))
    with pytest.raises(ValueError, match=r"config.json: patch_size is 32, not 14"):
        quality.Laion(folder).prepare()
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json: not JSON"):
        quality.Laion(folder).prepare()


def test_laion_refuses_a_tower_that_is_no_checkpoint(tmp_path: Path) -> None:
    folder = laion_folder(tmp_path, None, HEAD)
    with pytest.raises(ValueError, match=r"model.safetensors: vision_model.* and 388 more is missing .it has nothing"):
        quality.Laion(folder).prepare()
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match=r"model.safetensors: not a safetensors file"):
        quality.Laion(folder).prepare()


def test_identity_is_that_of_the_weights(tmp_path: Path) -> None:
    folder = laion_folder(tmp_path, None, HEAD)
    first = open_backend("quality", "laion", tmp_path).identity
    assert first.startswith("laion@1+") and len(first) == len("laion@1+") + 12
    checkpoints.write(folder / "aesthetic_head.safetensors", {**HEAD, "bias": torch.tensor([5.1])})
    assert open_backend("quality", "laion", tmp_path).identity != first
    assert open_backend("quality", "photographic", tmp_path).identity == "photographic@1"


def test_a_backend_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no quality backend 'LAION'; there are photographic, laion"):
        open_backend("quality", "LAION", tmp_path)


@pytest.mark.slow
def test_laion_with_a_random_checkpoint_of_the_true_shapes(tmp_path: Path) -> None:
    """Saved by transformers itself, in half precision; the score is that of transformers' own forward pass."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        tower = CLIPVisionModelWithProjection(CLIPVisionConfig(**SETTINGS))
    state = checkpoints.random_state(tower.state_dict(), dtype=torch.float16)
    assert sum(tensor.numel() for tensor in state.values()) == 303_966_208
    folder = laion_folder(tmp_path, state, HEAD)
    images = [picture(seed) for seed in (1, 2, 3)]
    scores = open_backend("quality", "laion", tmp_path).scores(images)
    assert all(math.isfinite(score) for score in scores)
    assert len({round(score, 6) for score in scores}) == 3

    tower.to_empty(device="cpu").load_state_dict({key: tensor.float() for key, tensor in state.items()})
    tower.vision_model.embeddings.position_ids = torch.arange(257)[None]
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack([quality.clip_input(image) for image in images[::-1]]))
        embedding = tower.eval()(pixel_values=batch).image_embeds
        expected = (embedding / embedding.norm(dim=1, keepdim=True)) @ HEAD["weight"][0] + 5
    np.testing.assert_allclose(scores, expected.flip(0), atol=1e-4)

    for wrong, said in checkpoints.faults(state, "visual_projection.weight").values():
        checkpoints.write(folder / "model.safetensors", wrong)
        with pytest.raises(ValueError, match=f"model.safetensors: {said}"):
            quality.Laion(folder).prepare()
