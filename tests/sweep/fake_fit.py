"""Stands in for `vitvis.fit` in tests of the runner: same folder, made in a moment."""

import json
import sys
from pathlib import Path

from PIL import Image

settings = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
out = Path(settings["out"])
tv = float(settings["regularize.tv"])
mode = settings.get("mode", "ok")
if mode == "fail" and tv > 0.5:
    print("Traceback: something before", file=sys.stderr)
    sys.exit("vitvis: the disk is made of cheese")
for name in ("images", "records", "metrics"):
    (out / name).mkdir(parents=True, exist_ok=True)
manifest = {"kind": "fit", "attempts": 1}
if (out / "manifest.json").exists():
    manifest["attempts"] = json.loads((out / "manifest.json").read_text())["attempts"] + 1
(out / "manifest.json").write_text(json.dumps(manifest))
(out / "config.yaml").write_text(f"steps: 3\nmode: {mode}\nregularize: {{tv: {tv}}}\nunits: ['a:0']\nout: {out}\n")
score = 1 - abs(tv - 0.3)
if mode == "hang" or (mode == "hang-once" and manifest["attempts"] == 1 and tv > 0.5) or (mode == "prune" and tv > 0.5):
    (out / "metrics" / "0.csv").write_text(f"chunk,summary/score\n0,{score}\n")
    sys.stdin.read()  # closed from the start, so this returns at once
    import signal

    signal.pause()
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

records = [
    {"address": f"blocks.{d}.mlp:{u}", "site": f"blocks.{d}.mlp", "depth": d, "unit": u, "seed": 0, "image":
     f"images/{d}_{u}.png", "status": "dead" if u == 1 and tv > 0.5 else "ok", "activation": 1.0 + u,
     "activation_start": 0.0, "rank": 1 + int(20 * tv), "site_width": 64, "hf_share": max(0.0, 0.6 - tv), "tv": 1.0,
     "seconds": 0.1} for d in (0, 4) for u in (0, 1)
]  # fmt: skip
for record in records:
    colour = (int(255 * tv) % 256, 60 * record["depth"], 120 * record["unit"])
    Image.new("RGB", (24, 24), colour).save(out / record["image"])
pq.write_table(pa.Table.from_pylist(records), out / "records" / "0.parquet")
(out / "summary.json").write_text(json.dumps({"score": score, "selectivity": 0.5, "note": "text"}))
(out / "metrics.csv").write_text(f"chunk,summary/score,loss\n0,,1\n0,{score / 2},1\n1,{score},1\n")
