"""The one training loop: AdamW (arXiv 1711.05101), steps that can be taken up again to the last bit, the best kept.

A step is a function of the state before it and of its number: batches are read by their place, random numbers are
seeded by (seed, step, part). So a killed run goes on as if nothing had been, and nothing here asks the clock but for
when to write a checkpoint and what to tell people.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from tasks.learning.checkpoints import Checkpoints, Saved
from tasks.learning.config import LearningConfig
from tasks.learning.exact import Interrupts, exactly, on_device, seed_for
from tasks.learning.parallel import BatchStatistics, World, connected
from tasks.learning.schedule import learning_rate, total_steps
from tasks.learning.task import Row, Task, Trained
from tasks.learning.tensors import fill, model_tensors

log = logging.getLogger("headrace")

Sink = Callable[[Mapping[str, float], int], None]
_MISFIT = "It is of another model: raise the version that its key is made of, or remove it from the store"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of a parameter


class TrainingError(ValueError):
    """Training that cannot go on: says at which step, why, and where the last good state lies."""


def train(
    task: Task,
    config: LearningConfig,
    *,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    sink: Sink | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train until max_steps, max_epochs or patience end it; return the model with the best validation's weights.

    `checkpoints` is where a killed run goes on from. `sink(figures, step)` gets the curves (train/loss, train/lr,
    train/grad_norm, valid/...), those of before a kill once more, for `Tracker.metrics` of a new run. `progress(step,
    total)` is called at the start, after each step, and as (n, n) at the end. Under torchrun each process works on its
    part of every batch; the first one alone validates, writes, and calls sink and progress.

    Ctrl-C, and a SIGTERM that raises KeyboardInterrupt, end it at once with a state of the last whole step written.

    Raises TrainingError at a NaN or Inf that `skip_steps` does not allow, or where no validation was finite; ValueError
    for settings that cannot be.
    """
    with connected(device) as world, exactly(config.threads, world.device), Interrupts() as interrupts:
        run = _Run(task, config, world, checkpoints, sink, progress, interrupts)
        run.resume()
        try:
            while not run.ended:
                if not run.to_validate:  # nor was it before a kill
                    run.train_step()
                if run.to_validate:
                    run.validate()
                run.keep()
            return run.finish()
        except KeyboardInterrupt:
            run.put_away()
            raise


class _Run:
    """A run under way: model, optimizer, and the numbers that a checkpoint holds besides."""

    def __init__(
        self,
        task: Task,
        config: LearningConfig,
        world: World,
        checkpoints: Checkpoints | None,
        sink: Sink | None,
        progress: Callable[[int, int], None] | None,
        interrupts: Interrupts,
    ) -> None:
        self.task, self.config, self.world = task, config, world
        self.interrupts = interrupts
        self.checkpoints = checkpoints if world.first else None
        self.sink = sink if world.first else None
        self.progress = progress if world.first else None
        self.begun = time.monotonic()
        self.per_epoch = len(task.batches)
        self.total = total_steps(config, self.per_epoch)
        self.parts = world.share(config.micro_batches)

        seed_for(world.device, config.seed, "build")
        self.model = task.build().to(world.device).train()
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not self.trained:
            raise ValueError("the model has no parameter that is trained: all have requires_grad=False")
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.999), eps=1e-8
        )
        self.statistics = BatchStatistics(self.model, config.micro_batches)
        self.weights = model_tensors(self.model, frozen=False)

        self.step = 0
        self.skipped = 0
        self.stopped = ""
        self.worse = 0  # validations since the best
        self.best_step = 0
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, torch.Tensor] = {}
        self.curve: list[Row] = []
        self.validations: list[Row] = []
        self.window: dict[str, float] = {}  # sums since the last point of the curve
        self.window_steps = 0
        self.resumed_from: int | None = None
        self.found_at = ""  # the checkpoint that it went on from
        self.finished = False

    @property
    def ended(self) -> bool:
        return bool(self.stopped)

    @property
    def to_validate(self) -> bool:
        """Whether the state of this step is still to be judged."""
        due = self.step > 0 and (self.step % self.config.validate_every_steps == 0 or self.step == self.total)
        return due and not (self.validations and self.validations[-1]["step"] == self.step)

    # --- one step ---

    def train_step(self) -> None:
        """Take one optimizer step, or pass it over where it is not finite.

        An interrupt finds it taken, or not at all.
        """
        epoch, position = divmod(self.step, self.per_epoch)
        self.optimizer.zero_grad(set_to_none=True)
        figures, weight = self._backward(epoch, position)
        grads = [p.grad for p in self.trained.values() if p.grad is not None]
        if not grads:
            raise ValueError(f"step {self.step + 1}: no parameter has a gradient: does the loss depend on the model?")
        norm = float(torch.nn.utils.get_total_norm(grads)) / weight
        finite = math.isfinite(figures["loss"]) and math.isfinite(norm)
        if not finite:
            self._check_skip(figures["loss"], norm, epoch, position)
        with self.interrupts.held():
            if finite:
                self._update(grads, weight, norm, figures)
            else:
                self.statistics.undo()
                self.skipped += 1
            self.step += 1
            row = self._point() if self.step % self.config.log_every_steps == 0 or self.step == self.total else None
            self.statistics.note()
        if row:
            self._tell("train", row)
        if self.progress and self.step < self.total:  # the end is told when all is done
            self.progress(self.step, self.total)

    def _update(self, grads: list[torch.Tensor], weight: float, norm: float, figures: Mapping[str, float]) -> None:
        """Move the weights along the mean gradient, clipped to clip_norm."""
        scale = 1 / weight
        if self.config.clip_norm is not None:
            scale *= min(1.0, self.config.clip_norm / (norm + 1e-6))  # as torch.nn.utils.clip_grad_norm_
        if scale != 1:
            torch._foreach_mul_(grads, scale)
        lr = learning_rate(self.step, self.total, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.statistics.end(self.world)
        self._draw({**figures, "lr": lr, "grad_norm": norm})

    def _backward(self, epoch: int, position: int) -> tuple[dict[str, float], float]:
        """Leave in .grad the weighted sum over all processes' parts; return mean figures and the sum of weights."""
        config, world = self.config, self.world
        alone = config.micro_batches == 1
        sums: dict[str, float] = {}
        weight = 0.0
        for part in self.parts:
            seed_for(world.device, config.seed, self.step, part)
            batch = on_device(self.task.batches.read(epoch, position, part, config.micro_batches), world.device)
            with torch.autocast("cuda", torch.bfloat16, enabled=self._mixed):
                loss = self.task.loss(self.model, batch)
            one = 1.0 if alone else float(loss.weight)
            (loss.mean if one == 1 else loss.mean * one).backward()
            self.statistics.part_done()
            for name, value in {**loss.figures, "loss": loss.mean}.items():
                sums[name] = sums.get(name, 0.0) + _number(value) * one
            weight += one
        if world.size > 1:
            weight, sums = self._gather(weight, sums)
        if not weight > 0:
            raise ValueError(
                f"step {self.step + 1}: the parts of its batch weigh {weight}: a batch has something to learn"
            )
        return {name: value / weight for name, value in sums.items()}, weight

    def _gather(self, weight: float, sums: dict[str, float]) -> tuple[float, dict[str, float]]:
        """Sum weights, figures and gradients over all processes."""
        names, parameters = list(sums), list(self.trained.values())
        has_grad = [float(p.grad is not None) for p in parameters]
        weight, *rest = self.world.sums([weight, *(sums[name] for name in names), *has_grad])
        for parameter, anywhere in zip(parameters, rest[len(names) :], strict=True):
            if anywhere and parameter.grad is None:  # another process's part reached it
                parameter.grad = torch.zeros_like(parameter)
        self.world.sum_([p.grad for p in parameters if p.grad is not None])
        return weight, dict(zip(names, rest, strict=False))

    @property
    def _mixed(self) -> bool:
        return self.config.precision == "bfloat16" and self.world.device.type == "cuda"

    def _check_skip(self, loss: float, norm: float, epoch: int, position: int) -> None:
        """Tell of a step that is passed over; raise TrainingError, with the state before it kept, if it may not be."""
        where = f"step {self.step + 1} (epoch {epoch}, batch {position})"
        what = f"{where}: not finite: loss {loss:g}, norm of gradients {norm:g}"
        if self.skipped == self.config.skip_steps:
            self.statistics.undo()
            again = f" ({self.skipped} steps were skipped before)" if self.skipped else ""
            remedy = "Lower lr, set clip_norm, look at that batch, or allow it with skip_steps"
            if self.checkpoints:
                remedy = (
                    f"With skip_steps={self.skipped + 1} training goes on from the state of step {self.step}, "
                    f"{self._save()}; with a lower lr, another clip_norm, or that batch mended, it begins at step 0"
                )
            raise TrainingError(f"{what}{again}. {remedy}")
        log.warning("%s; skipped (%d of %d allowed)", what, self.skipped + 1, self.config.skip_steps)

    # --- curves ---

    def _draw(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.window[name] = self.window.get(name, 0.0) + value
        self.window_steps += 1

    def _point(self) -> Row | None:
        """Add a point to the curves: means over the steps since the last one, but the rate of the last step."""
        row: Row | None = None
        if self.window_steps:  # none where all were skipped
            means: Row = {name: value / self.window_steps for name, value in self.window.items()}
            means["lr"] = learning_rate(self.step - 1, self.total, self.config)
            row = {"step": self.step, **{name: _plain(value) for name, value in means.items()}}
            self.curve.append(row)
        self.window, self.window_steps = {}, 0
        return row

    def _tell(self, group: str, row: Row) -> None:
        if self.sink:
            figures = {f"{group}/{n}": value for n, value in row.items() if n != "step" and value is not None}
            self.sink(figures, int(row["step"] or 0))

    # --- validation ---

    def validate(self) -> None:
        """Let the task judge the model; keep its weights if they are the best so far, end where `patience` says so."""
        found: dict[str, float | None] = {}
        if self.world.first:
            self.model.eval()
            seed_for(self.world.device, self.config.seed, self.step, "validate")
            with torch.no_grad():
                found = {name: _plain(_number(value)) for name, value in self.task.validate(self.model).items()}
            self.model.train()
        found = self.world.told(found)
        if not found:
            raise ValueError("the task's validate returned no figure: the first one says which weights are best")
        counts, value = next(iter(found.items()))
        best = self.best.get(counts)
        sign = 1 if self.task.better == "lower" else -1
        improved = value is not None and (best is None or sign * value < sign * best)
        row: Row = {"step": self.step, **found}
        with self.interrupts.held():
            if improved:
                self.worse, self.best_step = 0, self.step
                self.best = {name: figure for name, figure in found.items() if figure is not None}
                if self.world.first:
                    self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in self.weights.items()}
                if self.checkpoints:
                    self.checkpoints.save_best(self.step, self.best_weights)
            else:
                self.worse += 1
            self.validations.append(row)
            if self.step == self.total:
                self.stopped = "length"
            elif self.config.patience is not None and self.worse >= self.config.patience:
                self.stopped = "patience"
        self._tell("valid", row)
        if self.world.first:
            told = "not finite" if value is None else f"{value:.6g}"
            log.info(
                "step %d of %d: %s %s%s", self.step, self.total, counts, told, ", the best so far" if improved else ""
            )

    # --- keeping and going on ---

    def keep(self) -> None:
        """Write a checkpoint if it is time to."""
        if self.checkpoints and self.checkpoints.due and not self.ended:
            self._save()

    def put_away(self) -> None:
        """Write the state of the last whole step, for a run that was interrupted."""
        if self.checkpoints and not self.finished:
            with self.interrupts.held():
                self.statistics.undo()  # a step that was under way
                self._save()
            log.info("interrupted: step %d of %d is kept, the next run goes on from there", self.step, self.total)

    def _save(self) -> str:
        assert self.checkpoints is not None
        return self.checkpoints.save(self.step, self.best_step, self._state(), self._numbers())

    def _state(self) -> dict[str, torch.Tensor]:
        """Return weights as model.NAME, and what AdamW keeps as exp_avg.NAME and so on."""
        state = {f"model.{name}": tensor for name, tensor in self.weights.items()}
        for name, parameter in self.trained.items():
            for moment in _MOMENTS if parameter in self.optimizer.state else ():
                state[f"{moment}.{name}"] = self.optimizer.state[parameter][moment]
        return state

    def _numbers(self) -> dict[str, Any]:
        names = ("step", "skipped", "stopped", "worse", "best_step", "best", "curve", "validations", "window_steps")
        # a figure may be what it likes, and JSON has no NaN and Inf
        window = {name: value if math.isfinite(value) else str(value) for name, value in self.window.items()}
        return {**{name: getattr(self, name) for name in names}, "window": window}

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is one."""
        saved = self.checkpoints.load() if self.checkpoints else None
        numbers = self.world.told(saved.numbers if saved else None)
        if numbers is not None:
            self._check_skipped(numbers["skipped"], saved)
            for name, value in numbers.items():
                setattr(self, name, value)
            self.window = {name: float(value) for name, value in self.window.items()}
            self.resumed_from = self.step
            if saved:
                self._restore(saved)
                log.info("going on from step %d of %d", self.step, self.total)
            for group, rows in (("train", self.curve), ("valid", self.validations)):
                for row in rows:
                    self._tell(group, row)
        self._share_state()
        self.statistics.note()
        if self.progress:
            self.progress(self.step, self.total)

    def _check_skipped(self, skipped: int, saved: Saved | None) -> None:
        """Refuse a state that this run would not have come to: its key says nothing of skip_steps."""
        if skipped > self.config.skip_steps:
            where = saved.address if saved else "the state that is kept"
            raise TrainingError(
                f"{where}: {skipped} steps that were not finite were skipped on the way there, more than "
                f"skip_steps={self.config.skip_steps} allows: raise it to {skipped}, lower lr, or set clip_norm"
            )

    def _restore(self, saved: Saved) -> None:
        self.best_weights, self.found_at = saved.best, saved.address
        if saved.ended:
            return
        stepped = [name for name in self.trained if f"{_MOMENTS[0]}.{name}" in saved.tensors]
        self._make_moments(stepped)
        fill(self._state(), saved.tensors, saved.address, _MISFIT)

    def _make_moments(self, names: list[str]) -> None:
        """Make room for what AdamW keeps of these parameters, as it does itself at its first step."""
        for name in names:
            parameter = self.trained[name]
            moments = {moment: torch.zeros_like(parameter) for moment in _MOMENTS[1:]}
            self.optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}

    def _share_state(self) -> None:
        """Give all processes the first one's state."""
        if self.world.size == 1:
            return
        stepped = self.world.told([name for name, p in self.trained.items() if p in self.optimizer.state])
        if not self.world.first:
            self._make_moments(stepped)
        self.world.copy_(list(self._state().values()))

    def finish(self) -> Trained:
        """Return what came out, with the best weights in the model of every process."""
        if not self.best_step:
            raise TrainingError(
                f"none of {len(self.validations)} validations was finite: lower lr, or look at the data"
            )
        with self.interrupts.held():
            if self.world.first:
                fill(self.weights, self.best_weights, self.found_at, _MISFIT)
            if self.checkpoints:
                self.checkpoints.finish(self.step, self.best_weights, self._numbers())
            self.finished = True
        self.world.copy_(list(self.weights.values()))
        if self.progress:
            self.progress(self.step, self.step)
        return Trained(
            model=self.model.eval(),
            best_step=self.best_step,
            best=self.best,
            steps=self.step,
            stopped=self.stopped,
            skipped=self.skipped,
            curve=self.curve,
            validations=self.validations,
            resumed_from=self.resumed_from,
            steps_run=self.step - (self.resumed_from or 0),
            seconds=time.monotonic() - self.begun,
        )


def _number(value: torch.Tensor | float) -> float:
    return float(value.detach() if isinstance(value, torch.Tensor) else value)


def _plain(value: float | None) -> float | None:
    """Return a number as JSON has it."""
    return value if value is not None and math.isfinite(value) else None
