#!/usr/bin/env bash
# One stage of the training on a bare CUDA machine, each at most eight minutes: what ran, and how fast, goes to OUT/log.
#
#     bash training/on_gpu.sh checks|encoder|vit|renderer|decoder|job [OPTIONS OF ITS LAST COMMAND]
#
# Python 3.12 with torch, timm, numba, OpenCV and ONNX Runtime is taken as given; WHEELS is a folder of what else
# `training` imports (tyro, docstring_parser, platformdirs, typing_extensions, pydantic, pydantic_core,
# typing_inspection, annotated_types; for `job` onnx, onnxscript, onnx_ir and ml_dtypes as well). DATA is what
# `training.pack --is-unpacking` wrote: faces, renders_*, pairs, acted, portraits. WEIGHTS is the bundle to start from,
# MINUTES the length of a stage, OUT what is brought home. `decoder` takes the neural renderer of RENDERER (default:
# what `renderer` left in RUNS), and the encoder of ENCODER. DEVICE=cpu tries it out.
set -euo pipefail
stage=${1:?say which: checks, encoder, vit, renderer, decoder or job}
shift
data=${DATA:-/tmp/data} out=${OUT:-/tmp/out} weights=${WEIGHTS:-freeavatar/weights/default}
runs=${RUNS:-/tmp/runs} minutes=${MINUTES:-6} workers=${WORKERS:-12} batch=${BATCH:-512} device=${DEVICE:-cuda}
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
mkdir -p "$out" "$runs"

python() {
    python3 -m "$@" 2>&1 | tee -a "$out/$stage.log"
}

renders() {
    find "$data" -maxdepth 1 -type d \( -name 'renders*' -o -name pairs -o -name acted \) | sort
}

lists() {
    [ -s "$data/lists/recast.jsonl" ] || python training.build_triplets --out "$data/lists" --faces "$data/faces" \
        --pairs "$data/pairs" --acted "$data/acted" --count ${TRIPLETS:-60000}
}

train() { # the losses, whatever the backbone
    lists
    # shellcheck disable=SC2046
    python training.train --faces "$data/faces" --renders $(renders) --triplets "$data/lists/recast.jsonl" \
        "$data/lists/acted.jsonl" --triplet-weights 3 1 --real-share 1.2 --rendered-share 1.6 --listed-share 0.6 \
        --silver 2.0 --rig 2.0 --rig-emotion 0.1 --batch "$batch" --workers "$workers" --minutes "$minutes" \
        --device "$device" --log-every 100 --save-minutes 2 "$@"
}

case $stage in
checks)
    nvidia-smi --query-gpu=name,memory.total --format=csv,noheader | tee -a "$out/checks.log"
    python pytest -q -p no:cacheprovider tests/freeavatar/test_cuda.py \
        tests/training/test_devices.py tests/training/test_engine.py
    python freeavatar animate examples/actor.mp4 --avatar ines --device cuda --out "$out/animate"
    ;;
encoder)
    train --start "$weights" --image-size "${VIEW:-144}" --rate "${RATE:-1.2e-3}" --drop-path 0.1 --out "$runs/encoder" "$@"
    cp -r "$runs/encoder/weights" "$out/encoder"
    cp "$runs/encoder/metrics.jsonl" "$out/encoder" || echo "too short a run for metrics"
    ;;
vit)
    # shellcheck disable=SC2046,SC2086
    labels="" # names the pictures to leave out, where there are any
    grep -q ',val,' "$data/faces/labels.csv" && labels="--labels $data/faces/labels.csv"
    python training.pretrain vit_tiny_112 --images "$data/faces/images.zip" $(renders) $labels --out "$runs/mae" --minutes "$(awk "BEGIN {print $minutes / 3}")" --batch 1024 --workers "$workers" \
        --device "$device"
    minutes=$(awk "BEGIN {print $minutes * 2 / 3}")
    train --start "$runs/mae" --backbone vit_tiny_patch16_224 --patch-size 14 --teacher "$weights" --distillation 10 \
        --embedding-share 0.1 --layer-decay 0.9 --rate 1e-3 --out "$runs/vit"
    cp -r "$runs/vit/weights" "$out/vit"
    ;;
renderer)
    python training.train_rig2img --portraits "$data/portraits" --out "$runs/rig2img" --minutes "$minutes" \
        --batch 64 --workers 4 --device "$device"
    cp -r "$runs/rig2img/weights" "$out/renderer"
    cp "$runs/rig2img/fidelity.json" "$out/renderer" || echo "the renderer was not measured"
    ;;
decoder)
    # shellcheck disable=SC2046
    python training.train_emb2rig_multichar training/configs_emb2rig_multi.yaml --pretrained "${ENCODER:-$weights}" \
        --neural-renderer "${RENDERER:-$runs/rig2img/weights}" --portraits "$data/portraits" \
        --data.faces "$data/faces" --data.renders $(renders) --losses.silver 2.0 --losses.rig 1.0 \
        --losses.symmetry 0.5 --losses.emotion 0.1 --engine.rate 5e-4 --engine.out "$runs/decoder" \
        --engine.minutes "$minutes" --engine.workers "$workers" --engine.device "$device" "$@"
    cp -r "$runs/decoder/weights" "$out/decoder"
    ;;
job)
    python training.jobs --train "$data/answers/train.jsonl" --images "$data/answers/images" \
        --held-out "$data/answers/held_out.jsonl" --device cuda:0
    ;;
*)
    echo "training/on_gpu.sh: no stage $stage; expected checks, encoder, vit, renderer, decoder or job" >&2
    exit 2
    ;;
esac
