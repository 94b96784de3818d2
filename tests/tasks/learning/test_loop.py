"""The loop against loops written out by hand, and what ends a run."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.learning import exact
from tasks.learning.batches import IndexBatches, shuffled, stacked
from tasks.learning.checkpoints import Checkpoints, checkpoint_key
from tasks.learning.loop import TrainingError, train
from tasks.learning.schedule import learning_rate, total_steps
from tasks.learning.task import Loss, Task, Trained
from tests.tasks.learning.small import (
    BASE,
    ITEMS,
    KEY,
    TASK,
    Net,
    batches,
    config,
    data,
    held_out,
    report,
    squared,
    weights,
)

ROWS = 24


def linear_task(batch_size: int = 6) -> Task:
    """A line through points in float64, whose gradients stand in a formula."""
    x, y = points()

    def build() -> torch.nn.Module:
        line = torch.nn.Linear(3, 1, dtype=torch.float64)
        with torch.no_grad():
            line.weight.fill_(0.5)
            line.bias.fill_(-0.25)
        return line

    def loss(model: torch.nn.Module, batch: Any) -> Loss:
        return Loss(((model(batch[0])[:, 0] - batch[1]) ** 2).mean())

    def validate(model: torch.nn.Module) -> dict[str, float]:
        return {"mse": float(((model(torch.from_numpy(x))[:, 0] - torch.from_numpy(y)) ** 2).mean())}

    return Task(build, IndexBatches(stacked([x, y]), lambda epoch: np.arange(ROWS), ROWS, batch_size), loss, validate)


def points() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, 3))
    return x, x @ [3.0, -2.0, 1.0] + 4 + 0.1 * rng.standard_normal(ROWS)


@pytest.mark.parametrize("clip_norm", [None, 0.7])
def test_weights_are_those_of_adamw_written_out_in_numpy(clip_norm: float | None) -> None:
    steps, warmup, lr, floor, decay = 17, 5, 0.05, 0.2, 0.1
    given = config(
        max_steps=steps,
        warmup_steps=warmup,
        lr=lr,
        floor_share=floor,
        weight_decay=decay,
        clip_norm=clip_norm,
        micro_batches=1,
        validate_every_steps=steps,
    )
    trained = train(linear_task(), given, device="cpu")

    x, y = points()
    x1 = np.hstack([x, np.ones((ROWS, 1))])
    w, m, v = np.array([0.5, 0.5, 0.5, -0.25]), np.zeros(4), np.zeros(4)
    norms = []
    for t in range(steps):
        rows = slice(t % 4 * 6, t % 4 * 6 + 6)
        g = 2 * x1[rows].T @ (x1[rows] @ w - y[rows]) / 6
        norms.append(np.linalg.norm(g))
        if clip_norm is not None and norms[-1] > clip_norm:
            g = g * clip_norm / (norms[-1] + 1e-6)
        rising = (t + 1) / (warmup + 1)
        falling = 0.5 * (1 + math.cos(math.pi * (t - warmup) / (steps - 1 - warmup)))
        rate = lr * (floor + (1 - floor) * (rising if t < warmup else falling))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w * (1 - rate * decay)
        w = w - rate * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
    found = torch.cat([trained.model.weight[0], trained.model.bias]).detach().numpy()  # type: ignore[union-attr, index]
    np.testing.assert_allclose(found, w, rtol=1e-12)
    logged = [row["grad_norm"] for row in trained.curve]
    means = [np.mean(norms[start : start + given.log_every_steps]) for start in range(0, steps, given.log_every_steps)]
    np.testing.assert_allclose(logged, means, rtol=1e-12)


def test_the_rate_rises_in_a_line_then_falls_as_half_a_cosine_to_its_floor() -> None:
    given = config(lr=2.0, warmup_steps=3, floor_share=0.25)
    rates = [learning_rate(step, 12, given) for step in range(12)]
    np.testing.assert_allclose(rates[:4], [0.5 + 1.5 * share for share in (0.25, 0.5, 0.75, 1.0)])
    middle = 3 + 8 / 2  # half-way between the peak and the last step the cosine is at its half
    assert rates[int(middle)] == pytest.approx(0.5 + 1.5 * 0.5)
    assert rates[-1] == pytest.approx(0.5)
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))


def test_the_last_step_has_the_full_rate_where_warm_up_takes_all_others() -> None:
    given = config(lr=2.0, warmup_steps=3, floor_share=0.25)
    assert learning_rate(3, 4, given) == pytest.approx(2.0)
    assert learning_rate(0, 1, config(lr=2.0, warmup_steps=0)) == pytest.approx(2.0)


@pytest.mark.parametrize(("steps", "epochs", "expected"), [(7, 100, 7), (1000, 3, 30), (30, 3, 30)])
def test_what_ends_first_counts(steps: int, epochs: int, expected: int) -> None:
    assert total_steps(config(max_steps=steps, max_epochs=epochs), 10) == expected


def test_a_warm_up_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match=r"warmup_steps=10, but training has 8 steps .* make the warm-up shorter"):
        total_steps(config(max_steps=8, warmup_steps=10), 100)


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"max_steps": 0}, {"clip_norm": -1.0}, {"epochs": 3}])
def test_a_wrong_setting_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        config(**wrong)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_a_batch_worked_in_parts_is_the_batch_worked_whole(parts: int) -> None:
    whole, parted = (train(linear_task(), config(micro_batches=n), device="cpu") for n in (1, parts))
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(parted.model.state_dict()[name], tensor, rtol=1e-12, atol=0)
    np.testing.assert_allclose(*([row["loss"] for row in run.curve] for run in (whole, parted)), rtol=1e-12)


def test_parts_of_different_weight_make_the_mean_over_the_whole_batch() -> None:
    class Uneven:
        def __init__(self, inner: IndexBatches) -> None:
            self.inner = inner

        def __len__(self) -> int:
            return len(self.inner)

        def read(self, epoch: int, position: int, part: int, parts: int) -> Any:
            x, y = self.inner.read(epoch, position, 0, 1)
            rows = [slice(0, 1), slice(1, None)][part]
            return x[rows], y[rows]

    task = linear_task()

    def weighted(model: torch.nn.Module, batch: Any) -> Loss:
        return Loss(task.loss(model, batch).mean, weight=len(batch[1]))

    whole = train(task, config(micro_batches=1), device="cpu")
    parted = train(replace(task, batches=Uneven(task.batches), loss=weighted), config(micro_batches=2), device="cpu")  # type: ignore[arg-type]
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(parted.model.state_dict()[name], tensor, rtol=1e-12, atol=0)


def scripted(values: list[float]) -> tuple[Task, list[dict[str, bytes]]]:
    """Return a task whose validations come out as written, and the weights that each of them saw."""
    seen: list[dict[str, bytes]] = []

    def validate(model: torch.nn.Module) -> dict[str, float]:
        assert not model.training
        seen.append(weights(model))
        return {"score": values[len(seen) - 1], "other": -values[len(seen) - 1]}

    return replace(TASK, validate=validate), seen


def test_the_weights_of_the_best_validation_are_what_comes_out() -> None:
    task, seen = scripted([3, 1, 2, 1, 5, 4])
    trained = train(task, config(), device="cpu")
    assert (trained.best_step, trained.best) == (8, {"score": 1, "other": -1})
    assert weights(trained.model) == seen[1] != seen[-1]
    assert (trained.steps, trained.stopped, len(seen)) == (23, "length", 6)


def test_higher_is_better_where_the_task_says_so() -> None:
    task, seen = scripted([3, 1, 5, 2, 5, 4])
    trained = train(replace(task, better="higher"), config(), device="cpu")
    assert trained.best_step == 12
    assert weights(trained.model) == seen[2]


def test_patience_ends_training() -> None:
    task, seen = scripted([3, 2, 2.5, 2])
    trained = train(task, config(patience=2), device="cpu")
    assert (trained.steps, trained.stopped, trained.best_step) == (16, "patience", 8)
    assert weights(trained.model) == seen[1]


def test_a_validation_that_is_not_finite_is_never_the_best() -> None:
    task, _ = scripted([math.nan, 2, math.nan, 3, math.inf, 4])
    trained = train(task, config(), device="cpu")
    assert trained.best_step == 8
    assert [row["score"] for row in trained.validations] == [None, 2, None, 3, None, 4]
    task, _ = scripted([math.nan] * 6)
    with pytest.raises(TrainingError, match="none of 6 validations was finite"):
        train(task, config(), device="cpu")


def broken_at(*places: tuple[int, int]) -> Task:
    """Return the task with a NaN in the second part of some batches, (epoch, position)."""

    class Broken(IndexBatches):
        def read(self, epoch: int, position: int, part: int, parts: int) -> Any:
            x, y = super().read(epoch, position, part, parts)
            if (epoch, position) in places and part == 1:
                x[0, 3] = math.nan
            return x, y

    return Task(Net, Broken(stacked(data()), shuffled(ITEMS, 11), ITEMS, 8), squared, held_out)


def test_a_nan_stops_with_step_batch_and_the_last_good_state(tmp_path: Any) -> None:
    with pytest.raises(TrainingError) as error:
        train(broken_at((1, 4)), config(), device="cpu", checkpoints=Checkpoints(str(tmp_path), KEY))
    text = str(error.value)
    assert "step 11 (epoch 1, batch 4): not finite: loss nan" in text
    (kept,) = (tmp_path / "checkpoints" / KEY).glob("step-*")
    assert f"With skip_steps=1 training goes on from the state of step 10, {kept}; with a lower lr" in text
    from safetensors.torch import load_file

    state = load_file(kept)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values())
    assert int(state["step.hidden.weight"]) == 10


def test_a_nan_is_skipped_from_the_state_before_it_on_as_if_it_had_been_allowed_from_the_start(tmp_path: Path) -> None:
    task, key = broken_at((0, 2), (1, 4)), checkpoint_key("train_small@net", "1", BASE, {"data/small": "aa"})

    def trained(skip_steps: int, store: Path) -> Trained:
        key = checkpoint_key("train_small@net", "1", {**BASE, "skip_steps": skip_steps}, {"data/small": "aa"})
        return train(task, config(skip_steps=skip_steps), device="cpu", checkpoints=Checkpoints(str(store), key))

    expected = trained(2, tmp_path / "other")
    for skip_steps, step in ((0, 3), (1, 11)):
        with pytest.raises(TrainingError, match=rf"step {step} .* With skip_steps={skip_steps + 1} training goes on"):
            trained(skip_steps, tmp_path)
    found = trained(2, tmp_path)
    assert (found.resumed_from, found.skipped) == (10, 2)
    assert weights(found.model) == weights(expected.model)
    assert report(found) == report(expected)
    # what was finished with two is no result where one is allowed
    with pytest.raises(TrainingError, match=rf"{key}/done-.*2 steps .* more than skip_steps=1 allows: raise it to 2"):
        trained(1, tmp_path)
    assert trained(5, tmp_path).steps_run == 0


def test_steps_with_a_nan_are_skipped_and_counted_where_that_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    good = train(TASK, config(), device="cpu")
    trained = train(broken_at((0, 2), (1, 4)), config(skip_steps=2), device="cpu")
    assert (trained.skipped, trained.steps) == (2, 23)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in trained.model.state_dict().values())
    assert int(trained.model.norm.num_batches_tracked) == 2 * (23 - 2) // 2  # type: ignore[union-attr, arg-type]
    assert weights(trained.model) != weights(good.model)
    assert "step 3 (epoch 0, batch 2): not finite" in caplog.text
    with pytest.raises(TrainingError, match=r"step 11 .*\(1 steps were skipped before\)"):
        train(broken_at((0, 2), (1, 4)), config(skip_steps=1), device="cpu")


def test_a_skipped_step_leaves_everything_as_it_was() -> None:
    task = linear_task()

    def last_is_nan(model: torch.nn.Module, batch: Any) -> Loss:
        loss = task.loss(model, batch).mean
        return Loss(loss * (math.nan if bool((batch[0] == torch.from_numpy(points()[0])[18]).all(1).any()) else 1))

    short = config(max_steps=4, micro_batches=1, warmup_steps=0, validate_every_steps=1, skip_steps=1)
    trained = train(replace(task, loss=last_is_nan), short, device="cpu")  # the fourth batch has row 18
    assert [row["mse"] for row in trained.validations][2] == [row["mse"] for row in trained.validations][3]
    assert trained.curve[-1]["step"] == 3  # a window without a step has no point


def test_batch_statistics_move_by_the_mean_over_the_parts_of_a_batch() -> None:
    short = config(max_steps=1, warmup_steps=0, lr=1e-9, validate_every_steps=1)
    inputs: list[torch.Tensor] = []

    def build() -> torch.nn.Module:
        net = Net()
        net.norm.register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach()))
        return net

    norm = train(replace(TASK, build=build), short, device="cpu").model.norm
    first, second = inputs[:2]  # parts of the one batch; after them comes the validation
    assert len(first) == len(second) == 4
    torch.testing.assert_close(norm.running_mean, 0.1 * (first.mean(0) + second.mean(0)) / 2)  # type: ignore[union-attr, arg-type]
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * (first.var(0) + second.var(0)) / 2)  # type: ignore[union-attr, arg-type]
    assert int(norm.num_batches_tracked) == 1  # type: ignore[union-attr, arg-type]


def test_two_runs_are_equal_to_the_last_bit_and_the_seed_matters() -> None:
    first, second, other = (train(TASK, config(seed=seed), device="cpu") for seed in (3, 3, 4))
    assert weights(first.model) == weights(second.model) != weights(other.model)
    assert report(first) == report(second)


def test_other_draws_from_torch_do_not_change_a_run() -> None:
    expected = weights(train(TASK, config(), device="cpu").model)
    torch.manual_seed(99)

    def drawing(model: torch.nn.Module) -> dict[str, float]:
        torch.rand(7)
        return held_out(model)

    assert weights(train(replace(TASK, validate=drawing), config(), device="cpu").model) == expected


def test_torch_is_left_as_it_was() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    during = []

    def validate(model: torch.nn.Module) -> dict[str, float]:
        during.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
        return held_out(model)

    train(replace(TASK, validate=validate), config(threads=2, max_steps=5), device="cpu")
    assert set(during) == {(2, True)}
    assert before[:2] == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    assert torch.equal(before[2], torch.get_rng_state())


def test_bfloat16_is_for_cuda_alone() -> None:
    plain, mixed = (train(TASK, config(precision=p), device="cpu") for p in ("float32", "bfloat16"))
    assert weights(plain.model) == weights(mixed.model)


def test_frozen_parameters_stay_and_are_in_no_checkpoint(tmp_path: Any) -> None:
    def build() -> torch.nn.Module:
        net = Net()
        net.hidden.requires_grad_(False)
        return net

    torch.manual_seed(0)
    states: list[set[str]] = []

    class Watched(Checkpoints):
        def save(self, step: int, best_step: int, tensors: Any, numbers: Any) -> str:
            states.append(set(tensors))
            return super().save(step, best_step, tensors, numbers)

    trained = train(
        replace(TASK, build=build), config(), device="cpu", checkpoints=Watched(str(tmp_path), KEY, every_s=0)
    )
    assert states and not any("hidden" in name for name in set().union(*states))
    exact.seed_for(torch.device("cpu"), config().seed, "build")
    assert torch.equal(trained.model.hidden.weight, Net().hidden.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ValueError, match="no parameter that is trained"):
        train(replace(TASK, build=lambda: Net().requires_grad_(False)), config(), device="cpu")


def test_curves_go_to_the_sink_and_progress_tells_every_step() -> None:
    sunk: list[tuple[dict[str, float], int]] = []
    steps: list[tuple[int, int]] = []
    trained = train(
        TASK,
        config(),
        device="cpu",
        sink=lambda figures, step: sunk.append((dict(figures), step)),
        progress=lambda step, total: steps.append((step, total)),
    )
    drawn = [(f, step) for f, step in sunk if "train/loss" in f]
    assert [step for _, step in drawn] == [3, 6, 9, 12, 15, 18, 21, 23]
    assert set(drawn[0][0]) == {"train/loss", "train/lr", "train/grad_norm", "train/mae"}
    assert [step for figures, step in sunk if "valid/rmse" in figures] == [4, 8, 12, 16, 20, 23]
    assert steps == [(n, 23) for n in range(24)]
    assert json.loads(json.dumps(trained.curve)) == trained.curve


def test_a_loss_that_the_model_has_no_part_in_is_told() -> None:
    with pytest.raises(ValueError, match="step 1: no parameter has a gradient"):
        train(
            replace(TASK, loss=lambda model, batch: Loss(torch.ones((), requires_grad=True))),
            config(),
            device="cpu",
        )


@pytest.mark.parametrize("wanted", ["gpu", "cuda:7", "meta"])
def test_a_device_that_is_not_there_is_named(wanted: str) -> None:
    with pytest.raises(ValueError, match=f"device is '{wanted}'"):
        train(TASK, config(), device=wanted)


# --- batches ---


def test_an_epoch_is_a_permutation_and_parts_make_the_batch() -> None:
    def read(indices: np.ndarray, epoch: int) -> np.ndarray:
        return indices

    def epoch_of(number: int) -> Iterator[int]:
        source = IndexBatches(read, shuffled(20, seed=1), 20, 6)
        for position in reversed(range(len(source))):  # in any order
            parts = [source.read(number, position, part, 3) for part in range(3)]
            assert np.array_equal(np.concatenate(parts), source.read(number, position, 0, 1))
            yield from np.concatenate(parts)

    first, again, second = list(epoch_of(0)), list(epoch_of(0)), list(epoch_of(1))
    assert len(first) == len(set(first)) == 18
    assert first == again != second


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size=53 for 52 training items"):
        batches(batch_size=53)
    with pytest.raises(ValueError, match="batch_size=8 is no multiple of micro_batches=3"):
        batches().read(0, 0, 0, 3)


def test_a_batch_is_read_into_aligned_memory() -> None:
    """NumPy aligns to 16 bytes, torch to 64; sums of matrix products may depend on it."""
    room = torch.zeros(64)
    odd = room[next(n for n in range(1, 17) if (room.data_ptr() + 4 * n) % 64) :]
    moved = exact.on_device({"x": [odd, "name"], "y": (room, Loss(odd))}, torch.device("cpu"))
    assert moved["x"][0].data_ptr() % 64 == 0 and torch.equal(moved["x"][0], odd)
    assert moved["x"][1] == "name" and moved["y"][1].mean.data_ptr() % 64 == 0
    assert moved["y"][0] is room or room.data_ptr() % 64
