#!/bin/sh
# The whole training: run.sh DETECTOR.onnx FR_LIVENESS.onnx CACHE [DATA [TEACHERS]]. Seeded; some four hours on two idle slow cores.
set -eu
detector=$1 fr=$2 cache=$3 data=${4:-../shared/data} teachers=${5:-../shared/models}
python=${PYTHON:-python}
mkdir -p "$cache/folds"
$python -m models.training.pool --data "$data" --teachers "$teachers" --detector "$detector" --out "$cache/pool"
$python -m models.training.evaluate prepare --data "$data" --teachers "$teachers" --detector "$detector" \
    --fr-liveness "$fr" --out "$cache/bench.npz"
$python -m models.training.train --pool "$cache/pool" --neutral --steps 3000 --out "$cache/neutral.pt"
$python -m models.training.train --pool "$cache/pool" --freeze --start "$cache/neutral.pt"
for name in nuaa_raw sankalita_webcam pourfard_bench selfie_replay_crops; do
    $python -m models.training.train --pool "$cache/pool" --frozen --start "$cache/neutral.pt" --rate 2e-3 \
        --steps 2500 --hold-out $name --out "$cache/folds/$name.pt"
done
$python -m models.training.train --pool "$cache/pool" --frozen --start "$cache/neutral.pt" --rate 2e-3 \
    --steps 2500 --out "$cache/folds/all.pt"
$python -m models.training.evaluate lodo --bench "$cache/bench.npz" --folds "$cache/folds" --out "$cache/lodo.json"
$python -m models.training.export --weights "$cache/folds/all.pt" --out models/livegate_pad.onnx
