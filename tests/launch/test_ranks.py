"""Several processes make the images that one makes, and meet only at the end."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.strategies import StrategyRegistry

from vitvis.errors import VitvisError
from vitvis.fit import run as fit
from vitvis.launch.ranks import IndependentStrategy, check_nodes, device_of, register, trainer_arguments
from vitvis.launch.settings import TrainerSettings
from vitvis.launch.shards import deal
from vitvis.runs import read_records

ARGV = ["model=test_vit", "weights=none", "image_size=64", "steps=4", "copies=2", "trainer.accelerator=cpu",
        "units=[blocks.0.mlp:0-3,blocks.1.mlp:5]", "chunk=2", "trainer.threads=1"]  # fmt: skip


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_two_processes_make_what_one_makes(tmp_path):
    """Three chunks over two ranks: ranks have different numbers of steps, and none waits for the other."""
    command = [sys.executable, "-m", "vitvis.fit", *ARGV, f"out={tmp_path / 'two'}", "trainer.devices=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("folder ") == 1  # rank 0 alone speaks
    threads = torch.get_num_threads()
    one = fit(ARGV, out=str(tmp_path / "one"))  # threads=1: sums in one order, so that pixels can be equal
    torch.set_num_threads(threads)
    two = read_records(tmp_path / "two")
    keys = ("address", "seed", "status", "rank", "recipe", "weights_id", "image")
    assert sorted([record[key] for key in keys] for record in one) == sorted([r[key] for key in keys] for r in two)
    by_address = {record["address"]: record for record in two}
    for record in one:
        assert by_address[record["address"]]["activation"] == pytest.approx(record["activation"], abs=1e-5)
        assert (pixels(tmp_path / "one" / record["image"]) == pixels(tmp_path / "two" / record["image"])).all()
    curves = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    assert [line.split(",")[:3] for line in curves[0]] == [line.split(",")[:3] for line in curves[1]]
    assert pixels(tmp_path / "one/sheet.png").shape == pixels(tmp_path / "two/sheet.png").shape


def test_every_item_has_one_owner():
    items = list(range(11))
    for world in (1, 2, 3, 16):
        parts = [deal(items, rank, world) for rank in range(world)]
        assert sorted(sum(parts, [])) == items and all(part == sorted(part) for part in parts)
    assert deal(items, 1, 4) == [1, 6, 9]  # to and fro
    shares = [sum(deal(range(12), rank, 2)) for rank in range(2)]
    assert shares[0] == shares[1]  # of what grows dearer with depth, as much each


def test_the_strategy_is_known_to_lightning_once_registered():
    assert register() in StrategyRegistry.available_strategies()
    assert isinstance(StrategyRegistry.get(register()), IndependentStrategy)


def test_one_device_needs_no_strategy():
    arguments = trainer_arguments(TrainerSettings(accelerator="cpu"))
    assert arguments["strategy"] == "auto" and arguments["precision"] == "32-true"


def test_torchrun_sets_the_number_of_processes(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    arguments = trainer_arguments(TrainerSettings(accelerator="cpu"))
    assert (arguments["devices"], arguments["num_nodes"]) == (4, 2)
    assert isinstance(arguments["strategy"], IndependentStrategy)


def test_slurm_sets_the_number_of_processes(monkeypatch):
    slurm = {"NTASKS": "6", "NTASKS_PER_NODE": "2", "NNODES": "3", "JOB_NAME": "fit", "JOB_ID": "1"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    arguments = trainer_arguments(TrainerSettings(accelerator="cpu"))
    assert (arguments["devices"], arguments["num_nodes"]) == (2, 3)
    assert not arguments["plugins"][0].auto_requeue


def test_nodes_that_nobody_has_started_are_not_waited_for(monkeypatch):
    arguments = trainer_arguments(TrainerSettings(accelerator="cpu", num_nodes=2))
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(VitvisError, match="num_nodes=2: start every node"):
        check_nodes(arguments)
    monkeypatch.setenv("MASTER_ADDR", "node-0")
    check_nodes(arguments)
    check_nodes(trainer_arguments(TrainerSettings(accelerator="cpu")))


def test_slurm_without_tasks_per_node_is_one_line(monkeypatch):
    for name, value in {"SLURM_NTASKS": "6", "SLURM_JOB_NAME": "fit"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(VitvisError, match="ntasks-per-node"):
        trainer_arguments(TrainerSettings(accelerator="cpu"))


@pytest.mark.parametrize("devices", ["many", 0, 2.5, None])
def test_devices_that_make_no_sense(devices):
    if devices is None:
        assert trainer_arguments(TrainerSettings(accelerator="cpu", devices=None))["devices"] == 1
        return
    with pytest.raises(VitvisError, match="trainer.devices"):
        trainer_arguments(TrainerSettings(accelerator="cpu", devices=devices))


PREDICT = r"""
import os, sys, torch, pytorch_lightning as pl
from vitvis.launch.settings import TrainerSettings
from vitvis.launch.ranks import trainer_arguments

class Own(pl.LightningModule):  # ranks that differ, in what they hold and in how much they have to do
    def __init__(self):
        super().__init__()
        self.number = torch.nn.Parameter(torch.tensor(float(os.environ.get("LOCAL_RANK", "0"))))
    def predict_step(self, batch, index):
        with open(f"{sys.argv[1]}/{self.trainer.global_rank}", "a") as file:
            file.write(f"{self.number.item():g} {torch.distributed.is_initialized()}\n")
    def predict_dataloader(self):
        return torch.utils.data.DataLoader(range(2 + self.trainer.global_rank), batch_size=1)

where = TrainerSettings(accelerator="cpu", devices=2)
trainer = pl.Trainer(**trainer_arguments(where), logger=False, enable_progress_bar=False, enable_model_summary=False,
                     enable_checkpointing=False, use_distributed_sampler=False)
trainer.predict(Own(), return_predictions=False)
trainer.strategy.meet()
"""


def test_ranks_keep_their_own_numbers_when_they_predict(tmp_path, root):
    (tmp_path / "ranks").mkdir()
    (tmp_path / "main.py").write_text(PREDICT)
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path / "ranks")]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ranks" / "0").read_text() == "0 False\n" * 2
    assert (tmp_path / "ranks" / "1").read_text() == "1 False\n" * 3


def test_ranks_end_when_the_one_that_started_them_is_killed(tmp_path, root):
    """Rank 0 dies once rank 1 has begun; rank 1 is then on its way to a meeting that won't take place."""
    (tmp_path / "main.py").write_text(
        PREDICT.replace("batch, index):", "batch, index):\n        self.meet_or_die()").replace(
            "    def predict_dataloader", r"""
    def meet_or_die(self):
        pipe = f"{sys.argv[1]}/pipe"
        if self.trainer.global_rank == 0:
            open(pipe).read()  # until rank 1 is here
            os.kill(os.getpid(), 9)
        open(pipe, "w").close()
        self.trainer.strategy.meet()
    def predict_dataloader""")
    )  # fmt: skip
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path)]
    # returns when nobody holds the pipes of the output any more
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == -9, done.stderr


COMMAND = "from vitvis.errors import run_main\nsys.exit(run_main(main))\n"
PYTHON = "from vitvis.launch.isolation import isolated\nisolated(main)(None)\n"
KILLED = "        if self.trainer.global_rank:\n            os.kill(os.getpid(), 9)"
CTRL_C = """        open(f"{sys.argv[1]}/{self.trainer.global_rank}", "w").close()
        while self.trainer.global_rank or not os.path.exists(f"{sys.argv[1]}/1"):
            pass
        os.killpg(0, 2)
        while True:
            pass"""


OBSERVED = """
import os, subprocess, sys, threading
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from vitvis.launch.ranks import dismiss_observer
child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
child.wait()
dismissed = threading.Event()

class Observer(_ChildProcessObserver):
    def run(self):
        dismissed.wait()
        super().run()

observer = Observer(os.getpid(), [child], sleep_period=0)
observer.start()
dismiss_observer()
dismissed.set()
observer.join()
print("alive")
"""


def test_lightnings_observer_kills_nothing_once_it_is_dismissed() -> None:
    """It looks every five seconds: whichever watch came first said how a run with a dead rank ended."""
    done = subprocess.run([sys.executable, "-c", OBSERVED], text=True, capture_output=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@pytest.mark.parametrize(
    ("step", "way", "status", "words"),
    [(KILLED, COMMAND, 1, "ended by signal 9"), (KILLED, PYTHON, 1, "ended by signal 9"),
     (CTRL_C, PYTHON, 130, "interrupted")],
    ids=["killed, command", "killed, Python", "Ctrl-C, Python"],
)  # fmt: skip
def test_several_ranks_end_with_one_line(step, way, status, words, tmp_path, root):
    """One of two dies in its first step, while the other waits at the end; or all of them hear Ctrl-C."""
    script = PREDICT.replace("batch, index):", f"batch, index):\n{step}")
    script = script.replace("\ntrainer.predict", "\ndef main(_):\n    trainer.predict")
    (tmp_path / "main.py").write_text(script.replace("\ntrainer.strategy", "\n    trainer.strategy") + way)
    (tmp_path / "ranks").mkdir()
    done = subprocess.run([sys.executable, str(tmp_path / "main.py"), str(tmp_path / "ranks")], cwd=root, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, timeout=300,
                          start_new_session=True)  # fmt: skip
    assert done.returncode == status, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("vitvis:")]
    assert words in line and "run the same command again" in line and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"accelerator": "mps"}, "no usable Apple GPU"),
        ({"devices": ["a"]}, "trainer.devices"),
        ({"devices": []}, "trainer.devices"),
        ({"devices": [0]}, "indices name GPUs"),
        ({"devices": -2}, "trainer.devices"),
        ({"devices": True}, "trainer.devices"),
    ],
)
def test_hardware_that_is_not_there_is_one_line(settings, words):
    with pytest.raises(VitvisError, match=words):
        trainer_arguments(TrainerSettings(**{"accelerator": "cpu", **settings}))


class Cards:
    """Stands in for `torch.cuda` with some cards; remembers what the allocator was told when it was first asked."""

    def __init__(self, monkeypatch, count=2, bf16=True):
        self.allocator = None
        for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", self.is_available)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        # an emulated bf16 counts as supported unless one says that it must not
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or bf16
        )

    def is_available(self):
        self.allocator = self.allocator or os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "nothing")
        return True


def test_cards_are_asked_after_the_allocator_is_set_up(monkeypatch):
    cards = Cards(monkeypatch)
    arguments = trainer_arguments(TrainerSettings(deterministic=True))
    assert cards.allocator == "expandable_segments:True"
    assert (arguments["accelerator"], arguments["devices"], arguments["precision"]) == ("cuda", 2, "bf16-mixed")
    assert arguments["deterministic"] == "warn"  # some kernels have no deterministic way back
    assert device_of(arguments) == torch.device("cuda", 0)
    assert trainer_arguments(TrainerSettings(devices=-1))["devices"] == 2
    assert device_of(trainer_arguments(TrainerSettings(devices=[1]))) == torch.device("cuda", 1)


def test_emulated_bfloat16_is_not_taken(monkeypatch):
    Cards(monkeypatch, bf16=False)
    assert trainer_arguments(TrainerSettings())["precision"] == "32-true"


@pytest.mark.parametrize("devices", [3, [0, 2], [1, 1]])
def test_cards_that_are_not_there(monkeypatch, devices):
    Cards(monkeypatch)
    with pytest.raises(VitvisError, match="trainer.devices"):
        trainer_arguments(TrainerSettings(devices=devices))


def test_the_allocator_stays_as_the_user_has_set_it(monkeypatch):
    Cards(monkeypatch)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    trainer_arguments(TrainerSettings())
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:64" and "PYTORCH_ALLOC_CONF" not in os.environ
