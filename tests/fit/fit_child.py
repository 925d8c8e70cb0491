"""Runs fits in forked children, so that a test can kill them without losing the interpreter's start-up each time.

Reads lines of JSON `{"argv": [...], "kill": null | "step:N" | "write:PART:N" | "torn:PART:N"}` and answers each with
the child's wait status. `step:N` kills it before its N-th step, `write:PART:N` before the N-th file whose path holds
PART, `torn:PART:N` while that file is half-written.
"""

import json
import os
import signal
import sys

import torch
from pytorch_lightning import Callback

import vitvis.runs.files as files
import vitvis.runs.ledger as ledger
from vitvis.config.core import merge
from vitvis.fit import engine
from vitvis.fit.settings import FitSettings


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class KillAtStep(Callback):
    def __init__(self, step):
        self.left = step

    def on_train_batch_start(self, *_):
        self.left -= 1
        if self.left == 0:
            die()


def kill_at_write(part, count, torn):
    write, left = files.atomic_write, [count]

    def counted(path, data, **how):
        left[0] -= part in str(path)
        if left[0] == 0:
            left[0] = -1
            if torn:
                files.os.fsync = lambda descriptor: die()
                data = data[: len(data) // 2]
            else:
                die()
        write(path, data, **how)

    ledger.atomic_write = counted


def run(argv, kill):
    sys.argv = ["vitvis", *argv]
    torch.set_num_threads(1)
    callbacks = []
    if kill:
        kind, *rest = kill.split(":")
        if kind == "step":
            callbacks.append(KillAtStep(int(rest[0])))
        else:
            kill_at_write(rest[0], int(rest[1]), kind == "torn")
    engine.run_fit(merge(FitSettings, argv), callbacks)


for line in sys.stdin:
    request = json.loads(line)
    pid = os.fork()
    if pid == 0:
        try:
            run(request["argv"], request["kill"])
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(json.dumps(status), flush=True)
