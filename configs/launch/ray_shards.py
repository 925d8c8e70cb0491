"""Shards of a fit as tasks of Ray: `python configs/launch/ray_shards.py`. One lost with its node starts again."""

import subprocess
import sys

import ray

FIT = [sys.executable, "-m", "vitvis.fit", "model=vit_base_patch16_224", "units=blocks.*.mlp:*", "out=/runs/vitb-mlp"]
SHARDS = 64

ray.init()
shard = ray.remote(num_gpus=1, max_retries=-1)(lambda i: subprocess.run([*FIT, f"shard={i}/{SHARDS}"], check=True))
ray.get([shard.remote(i) for i in range(SHARDS)])
