#!/usr/bin/env bash
# The table of docs/performance.md for a GPU, in at most ten minutes: benchmarks/gpu.sh [cuda|cpu]
# `cpu` rehearses it on a small model, so that nothing but the device is new where a GPU is at hand.
# Fit (float32, bfloat16, compiled, CUDA graphs; one device and two), search, evaluate, judge, and whether images are
# those of the CPU. Weights are random but for the bundled models; nothing asks the network.
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 WANDB_MODE=disabled PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
device=${1:-cuda}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
place="trainer.accelerator=$device trainer.progress=none"
if [ "$device" = cuda ]; then
  model=vit_base_patch16_224 size=224 photos=4096 units='blocks.{0,5,11}.mlp:~64' batch=256 gpus=$(nvidia-smi -L | wc -l)
  name=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -1)
else
  model=test_vit size=64 photos=48 units='blocks.{0,1}.mlp:~2' batch=16 gpus=1 name="CPU, a rehearsal"
fi
row() { printf '| %s | %s |\n' "$1" "$2"; }
seconds() { local began; began=$(date +%s.%N); "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  python -c "print(round($(date +%s.%N) - $began, 1))"; }

printf '%s, torch %s\n\n| what | figure |\n| --- | --- |\n' "$name" "$(python -c 'import torch; print(torch.__version__)')"
for how in precision=32-true precision=bf16-mixed 'precision=bf16-mixed trainer.compile=true' \
           'precision=bf16-mixed trainer.compile=true trainer.compile_mode=reduce-overhead'; do
  [ "$device" = cpu ] && [ "${how#*compile}" != "$how" ] && continue   # a compiler for minutes, and nothing to learn
  # shellcheck disable=SC2086
  python -m vitvis.fit --dry-run model=$model weights=none image_size=$size units="$units" $place trainer.${how} out="$work/plan" \
    >"$work/plan.txt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  row "fit, default recipe, $how" "$(grep -E '^time' "$work/plan.txt" | cut -c9-)"
done
for count in 1 2; do
  [ "$count" -le "$gpus" ] || continue
  took=$(seconds python -m vitvis.fit model=$model weights=none image_size=$size units="$units" steps=24 $place \
    trainer.devices=$count logger.kind=none out="$work/fit-$count")
  row "fit of 24 steps, $count device(s), s" "$took"
done
python - "$work/photos" "$photos" <<'PY'
import sys
from pathlib import Path

import numpy as np
from PIL import Image

draw, names = np.random.default_rng(0), ("n01443537", "n01774750")
for number in range(int(sys.argv[2])):
    place = Path(sys.argv[1]) / names[number % 2] / f"{number:05d}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    small = Image.fromarray(draw.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    small.resize((500, 375), Image.Resampling.BICUBIC).save(place, quality=90)
PY
seconds python -m vitvis.search model=$model weights=none image_size=$size data="imagefolder:$work/photos" batch_size=$batch \
  strips=none thumbs=none $place trainer.precision=bf16-mixed out="$work/search" >/dev/null
row "search, all sites, bfloat16, photos/s with decoding" \
  "$(python -c "import json; print(json.load(open('$work/search/summary.json'))['images_per_second'])")"
took=$(seconds python -m vitvis.evaluate models=vitvis_vit data="imagefolder:$work/photos" probe=lowpass radii='[8,16]' \
  $place out="$work/evaluate" bootstrap=100)
row "evaluate of the bundled ViT, low-pass at two radii, s" "$took"
for where in "$device" cpu; do
  [ -d "$work/same-$where" ] && continue
  python -m vitvis.fit units='blocks.{0,6,11}.mlp:~2' steps=24 trainer.accelerator=$where trainer.progress=none \
    trainer.precision=32-true out="$work/same-$where" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
done
took=$(seconds python -m vitvis.judge run="$work/same-$device" $place)
row "judge of six pictures, s" "$took"
row "float32 images, largest difference to the CPU's, of 255" "$(python - "$work/same-$device" "$work/same-cpu" <<'PY'
import sys
from pathlib import Path

import numpy as np
from PIL import Image

one, other = (sorted(Path(folder).glob("images/**/*.png")) for folder in sys.argv[1:])
print(max(int(np.abs(np.asarray(Image.open(a), int) - np.asarray(Image.open(b), int)).max()) for a, b in zip(one, other)))
PY
)"
