"""A killed run goes on as if nothing had been: the same weights and figures to the last bit."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tasks.learning.batches import IndexBatches, shuffled, stacked
from tasks.learning.checkpoints import Checkpoints, Standing, checkpoint_key
from tasks.learning.exact import Interrupts
from tasks.learning.loop import train
from tasks.learning.task import Loss, Task, Trained
from tests.tasks.learning.small import (
    BASE,
    ITEMS,
    KEY,
    TASK,
    EveryThird,
    Net,
    config,
    data,
    held_out,
    odd_figures,
    processes,
    report,
    squared,
    weights,
)


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    return train(TASK, config(), device="cpu")


def killed(tmp_path: Path, how: str) -> list[str]:
    """Train in a process that is killed on the way; return the files that it left."""
    store = tmp_path / "store"
    assert processes([(str(store), str(tmp_path / "out"), how, {})]) == [-signal.SIGKILL]
    assert not (tmp_path / "out").exists()
    return sorted(file.name for file in (store / "checkpoints" / KEY).iterdir())


def gone_on(tmp_path: Path) -> Trained:
    return train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path / "store"), KEY))


def test_killed_twice_in_mid_epoch_then_resumed(tmp_path: Path, uninterrupted: Trained) -> None:
    names = killed(tmp_path, "step:6")  # the best weights are of step 4, which the state of step 3 knows nothing of
    assert [name.split("-")[:3] for name in names] == [
        ["best", "0000000004", names[0].split("-")[2]],
        ["step", "0000000003", "0000000000"],
    ]
    killed(tmp_path, "step:10")  # from step 3
    trained = gone_on(tmp_path)
    assert trained.resumed_from == 12 and trained.steps_run == 11
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)
    assert [list(row) for row in trained.curve] == [list(row) for row in uninterrupted.curve]  # as columns of a table


@pytest.mark.parametrize(("what", "number", "state"), [("step", 3, 6), ("best", 3, 9), ("done", 1, 21)])
def test_killed_while_writing(tmp_path: Path, uninterrupted: Trained, what: str, number: int, state: int) -> None:
    names = killed(tmp_path, f"writing:{what}:{number}")
    assert max(int(name.split("-")[1]) for name in names if name.startswith("step")) == state
    assert list((tmp_path / "store" / "partial").iterdir())  # half a file, which nothing reads
    trained = gone_on(tmp_path)
    assert trained.resumed_from == state
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)


def test_a_figure_that_is_no_number_does_not_end_training_and_a_kill_does_not_lose_it(tmp_path: Path) -> None:
    task, given = replace(TASK, loss=odd_figures), config(log_every_steps=4)
    expected = train(task, given, device="cpu")
    killed(tmp_path, "odd_step:6")  # the state of step 3 has sums of three steps
    trained = train(task, given, device="cpu", checkpoints=EveryThird(str(tmp_path / "store"), KEY))
    assert trained.resumed_from == 3
    assert weights(trained.model) == weights(expected.model)
    assert report(trained) == report(expected)
    assert {row["never"] for row in trained.curve} == {None}
    assert {row["third"] for row in trained.curve} == {1 / 3}


def interrupted(store: Path, at: int) -> None:
    """Train in this process up to an exception at step `at`: its states stay as a kill leaves them."""

    class Stopped(Exception):
        pass

    def progress(step: int, total: int) -> None:
        if step == at:
            raise Stopped

    with pytest.raises(Stopped):
        train(TASK, config(), device="cpu", checkpoints=EveryThird(str(store), KEY), progress=progress)


def states(store: Path, kind: str = "step") -> list[Path]:
    return sorted((store / "checkpoints" / KEY).glob(f"{kind}-*"))


def test_the_last_two_states_and_their_best_weights_are_kept(tmp_path: Path) -> None:
    interrupted(tmp_path, 17)
    assert [file.name.split("-")[1:3] for file in states(tmp_path)] == [
        ["0000000012", "0000000012"],
        ["0000000015", "0000000012"],
    ]
    assert [file.name.split("-")[1] for file in states(tmp_path, "best")] == ["0000000012", "0000000016"]


@pytest.mark.parametrize("how", ["a bit", "cut", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before(
    tmp_path: Path, uninterrupted: Trained, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    interrupted(tmp_path, 17)
    newest = states(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[-5] ^= 1
    newest.write_bytes({"a bit": data, "cut": data[:-40], "empty": b""}[how])
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert trained.resumed_from == 12
    assert f"{newest} is damaged and set aside" in caplog.text
    assert (tmp_path / "damaged" / newest.name).exists()
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)


def test_without_a_sound_state_training_starts_anew(tmp_path: Path, uninterrupted: Trained) -> None:
    interrupted(tmp_path, 17)
    for file in states(tmp_path, "best"):
        file.write_bytes(b"nothing")
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert trained.resumed_from is None
    assert weights(trained.model) == weights(uninterrupted.model)


def test_a_finished_run_is_not_trained_again_and_tells_its_curves_again(tmp_path: Path, uninterrupted: Trained) -> None:
    first: list[Any] = []
    second: list[Any] = []
    for told in (first, second):
        trained = train(
            TASK,
            config(),
            device="cpu",
            checkpoints=Checkpoints(str(tmp_path), KEY, every_s=0),
            sink=lambda figures, step, told=told: told.append((step, dict(figures))),  # type: ignore[misc]
        )
        assert weights(trained.model) == weights(uninterrupted.model)
        assert report(trained) == report(uninterrupted)
        assert len(list((tmp_path / "checkpoints" / KEY).iterdir())) == 1  # moments are dropped
    assert trained.steps_run == 0
    assert sorted(first, key=str) == sorted(second, key=str)


def test_how_far_a_training_has_come_is_told_without_touching_it(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), KEY)
    assert checkpoints.standing() is None
    interrupted(tmp_path, 17)
    newest = states(tmp_path)[-1]
    before = sorted(tmp_path.rglob("*"))
    assert checkpoints.standing() == Standing(str(newest), 15, ended=False)
    assert sorted(tmp_path.rglob("*")) == before
    for best in states(tmp_path, "best"):
        best.unlink()
    assert checkpoints.standing() is None is checkpoints.load()
    train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert checkpoints.standing() == Standing(str(states(tmp_path, "done")[0]), 23, ended=True)


def age(folder: Path, days: float) -> None:
    """Make all files of a folder as old as this."""
    for file in folder.iterdir():
        os.utime(file, (time.time() - days * 86_400,) * 2)


def test_states_that_nobody_went_on_from_for_a_month_go_when_another_training_begins(tmp_path: Path) -> None:
    place = tmp_path / "checkpoints"
    for name in ("left", "resting", "running", "ended"):
        interrupted(tmp_path, 17)
        (place / KEY).rename(place / name)
    for name, days in (("left", 31.0), ("resting", 29.0), ("running", 31.0), ("ended", 400.0)):
        age(place / name, days)
    now = time.time()
    os.utime(sorted((place / "running").glob("step-*"))[-1], (now, now))  # its best weights are a month old
    apart = tmp_path / "apart" / "checkpoints"
    apart.mkdir(parents=True)
    (place / "ended").rename(apart / "ended")
    ended = train(TASK, config(), device="cpu", checkpoints=Checkpoints(str(apart.parent), "ended"))
    assert ended.resumed_from == 15  # its own states are never too old
    (apart / "ended").rename(place / "ended")
    age(place / "ended", 400)
    (place / "left" / "notes.txt").write_text("somebody's")
    before = {name: sorted((place / name).iterdir()) for name in ("resting", "running", "ended")}
    assert Checkpoints(str(tmp_path), KEY).load() is None
    assert [file.name for file in (place / "left").iterdir()] == ["notes.txt"]
    assert {name: sorted((place / name).iterdir()) for name in before} == before
    assert [len(files) for files in before.values()] == [4, 4, 1]


def test_what_a_kill_left_beside_the_end_of_training_goes_at_the_next_run(tmp_path: Path) -> None:
    class Killed(EveryThird):
        def finish(self, *args: Any) -> None:
            kept = {file: file.read_bytes() for file in (tmp_path / "checkpoints" / KEY).iterdir()}
            super().finish(*args)
            for file, content in kept.items():
                file.write_bytes(content)

    train(TASK, config(), device="cpu", checkpoints=Killed(str(tmp_path), KEY))
    assert len(states(tmp_path)) == 2
    assert train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY)).steps_run == 0
    assert [file.name[:4] for file in (tmp_path / "checkpoints" / KEY).iterdir()] == ["done"]


def test_no_pickle_is_written(tmp_path: Path) -> None:
    interrupted(tmp_path, 17)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 4
    for file in files:
        with safetensors.safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        header = int.from_bytes(file.read_bytes()[:8], "little")
        spans = json.loads(file.read_bytes()[8 : 8 + header])
        del spans["__metadata__"]
        # numbers are JSON text, and the tensors fill the rest of the file
        assert set(json.loads(metadata["numbers"])) >= ({"step", "curve"} if file.name.startswith("step") else set())
        assert max(span["data_offsets"][1] for span in spans.values()) + header + 8 == file.stat().st_size


def test_a_state_of_another_model_names_the_keys(tmp_path: Path) -> None:
    class Other(Net):
        def __init__(self) -> None:
            super().__init__()
            self.hidden_layer = self.hidden
            del self.hidden

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.hidden_layer(x))[:, 0]

    interrupted(tmp_path, 8)
    with pytest.raises(
        ValueError, match=r"step-0000000006.*: model.hidden_layer.weight.* is missing .*raise the version"
    ):
        train(replace(TASK, build=Other), config(), device="cpu", checkpoints=Checkpoints(str(tmp_path), KEY))


@pytest.mark.parametrize(
    "changed",
    [
        ("train_small@other", "1", BASE, {"data/small": "aa"}),
        ("train_small@net", "2", BASE, {"data/small": "aa"}),
        ("train_small@net", "1", {**BASE, "lr": 0.02}, {"data/small": "aa"}),
        ("train_small@net", "1", {**BASE, "clip_norm": 0.4, "skip_steps": 1}, {"data/small": "aa"}),
        ("train_small@net", "1", BASE, {"data/small": "bb"}),
    ],
)
def test_no_run_goes_on_with_anothers_state(tmp_path: Path, changed: Any) -> None:
    interrupted(tmp_path, 8)
    other = checkpoint_key(*changed)
    assert other != KEY == checkpoint_key("train_small@net", "1", dict(reversed(BASE.items())), {"data/small": "aa"})
    assert Checkpoints(str(tmp_path), other).load() is None
    assert Checkpoints(str(tmp_path), KEY).load() is not None


def test_skip_steps_is_in_no_key_wherever_it_stands() -> None:
    def key(skip_steps: int, lr: float = 0.1) -> str:
        params = {
            "own": {"physics": "a"},
            "train": {"learning": {"skip_steps": skip_steps, "lr": lr}, "frames": [1, 2]},
        }
        return checkpoint_key("train@net", "1", params, {})

    assert key(0) == key(3) != key(3, lr=0.2)


def test_checkpoints_lie_in_an_object_storage_too(uninterrupted: Trained) -> None:
    store = f"memory://learning-{os.getpid()}"
    interrupted(store, 17)  # type: ignore[arg-type]
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(store, KEY))
    assert trained.resumed_from == 15
    assert weights(trained.model) == weights(uninterrupted.model)


# --- Ctrl-C and SIGTERM ---


@pytest.fixture
def terminated_as_a_stage() -> Iterator[None]:
    """Make SIGTERM what `stage_main` makes of it."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    assert signal.getsignal(signal.SIGTERM) is interrupt
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGTERM, before)


def train_signalled(store: Path, moment: str, nth: int, number: int = signal.SIGTERM, *, also_at: str = "") -> None:
    """Train until this process is sent a signal at the `nth` time of a moment, and each time `also_at`."""
    calls = 0

    def hit(what: str) -> None:
        nonlocal calls
        calls += what == moment
        if (what == moment and calls == nth) or (what == also_at and calls >= nth):
            os.kill(os.getpid(), number)

    class Watched(EveryThird):
        def save(self, *args: Any) -> str:
            hit("save")
            return super().save(*args)

        def save_best(self, *args: Any) -> None:
            super().save_best(*args)
            hit("save_best")

        def finish(self, *args: Any) -> None:
            hit("finish")
            super().finish(*args)

    class Read(IndexBatches):
        def read(self, *args: Any) -> Any:
            hit("read")
            return super().read(*args)

    def loss(model: torch.nn.Module, batch: Any) -> Loss:
        found = squared(model, batch)  # which has moved the batch statistics
        hit("loss")
        return found

    def validate(model: torch.nn.Module) -> dict[str, float]:
        hit("validate")
        return held_out(model)

    def update(optimizer: Any, *_: Any) -> None:
        hit("update")

    hook = register_optimizer_step_pre_hook(update)
    try:
        train(
            Task(Net, Read(stacked(data()), shuffled(ITEMS, 11), ITEMS, 8), loss, validate),
            config(),
            device="cpu",
            checkpoints=Watched(str(store), KEY),
            sink=lambda figures, step: hit("sink"),
            progress=lambda step, total: hit("progress"),
        )
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("moment", "nth", "kept"),
    [
        ("loss", 1, 0),
        ("loss", 14, 6),  # the second part of step 7
        ("read", 13, 6),
        ("update", 7, 7),  # a step is taken whole
        ("validate", 2, 8),  # and is judged by the next run
        ("save_best", 2, 8),
        ("sink", 3, 6),
        ("progress", 8, 7),
        ("save", 2, 6),
        ("validate", 6, 23),
        ("finish", 1, 23),
    ],
)
@pytest.mark.usefixtures("terminated_as_a_stage")
def test_a_run_that_is_told_to_end_loses_no_step(
    tmp_path: Path, uninterrupted: Trained, caplog: pytest.LogCaptureFixture, moment: str, nth: int, kept: int
) -> None:
    caplog.set_level("INFO", "headrace")
    with pytest.raises(KeyboardInterrupt):
        train_signalled(tmp_path, moment, nth)
    if moment == "finish":  # too late to stop it
        assert [file.name[:4] for file in (tmp_path / "checkpoints" / KEY).iterdir()] == ["done"]
    else:
        assert f"interrupted: step {kept} of 23 is kept" in caplog.text
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert (trained.resumed_from, trained.steps_run) == (kept, 23 - kept)
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)


@pytest.mark.usefixtures("terminated_as_a_stage")
def test_ctrl_c_and_what_else_is_sent_while_the_state_is_written(tmp_path: Path, uninterrupted: Trained) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_signalled(tmp_path, "loss", 16, signal.SIGINT, also_at="save")
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert trained.resumed_from == 7
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)


@pytest.mark.usefixtures("terminated_as_a_stage")
def test_a_run_interrupted_at_every_turn_ends_as_if_it_had_not_been(tmp_path: Path, uninterrupted: Trained) -> None:
    turns = 0
    for moment in itertools.cycle(["update", "validate", "loss", "progress", "save_best"]):
        turns += 1
        try:
            train_signalled(tmp_path, moment, 2)
        except KeyboardInterrupt:
            continue
        break
    assert turns > 5
    trained = train(TASK, config(), device="cpu", checkpoints=EveryThird(str(tmp_path), KEY))
    assert weights(trained.model) == weights(uninterrupted.model)
    assert report(trained) == report(uninterrupted)


def test_what_is_not_whole_is_not_interrupted_and_another_thread_takes_no_signals() -> None:
    def interrupt_once(number: int) -> list[str]:
        done = []
        with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
            with interrupts.held():
                os.kill(os.getpid(), number)
                done.append("first")
                with interrupts.held():
                    done.append("inner")
                done.append("last")
            done.append("never")
        return done

    assert interrupt_once(signal.SIGINT) == ["first", "inner", "last"]
    before = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []

    def elsewhere() -> None:
        with Interrupts() as interrupts, interrupts.held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
