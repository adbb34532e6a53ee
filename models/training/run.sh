#!/bin/sh
# The whole training: run.sh DETECTOR.onnx FR_LIVENESS.onnx CACHE [DATA [TEACHERS]]. Seeded; some two hours on two idle slow cores.
set -eu
detector=$1 fr=$2 cache=$3 data=${4:-../shared/data} teachers=${5:-../shared/models}
python=${PYTHON:-python}
neutral="lfw_single lfw_deepfunneled"
labelled="nuaa_raw sankalita_webcam pourfard_bench selfie_replay_crops"
mkdir -p "$cache/folds"
pool() { $python -m models.training.pool --data "$data" --teachers "$teachers" --detector "$detector" "$@"; }
# shellcheck disable=SC2086
pool --seed 11 --datasets $neutral --out "$cache/neutral"
# shellcheck disable=SC2086
pool --seed 12 --datasets $labelled --out "$cache/labelled"
$python -m models.training.evaluate prepare --data "$data" --teachers "$teachers" --detector "$detector" \
    --fr-liveness "$fr" --out "$cache/bench.npz"
$python -m models.training.train --pool "$cache/neutral" --neutral --jobs 2 --steps 6000 --out "$cache/neutral.pt"
train() {
    $python -m models.training.train --pool "$cache/neutral" "$cache/labelled" --frozen --start "$cache/neutral.pt" \
        --rate 2e-3 --steps 2500 "$@"
}
$python -m models.training.train --pool "$cache/neutral" "$cache/labelled" --freeze --start "$cache/neutral.pt"
for name in $labelled; do
    train --hold-out "$name" --out "$cache/folds/$name.pt"
done
train --out "$cache/folds/all.pt"
$python -m models.training.evaluate lodo --bench "$cache/bench.npz" --folds "$cache/folds" --out "$cache/lodo.json"
$python -m models.training.export --weights "$cache/folds/all.pt" --out models/livegate_pad.onnx
$python -m models.training.quantise --net models/livegate_pad.onnx --pool "$cache/neutral" --bench "$cache/bench.npz" \
    --out "$cache/int8.onnx"
