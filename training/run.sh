#!/usr/bin/env bash
# The whole recipe: data to bundle. Usage: training/run.sh SHARED WORK BUNDLE
# SHARED holds speech/, reference/ and models/ (see README.md); WORK is a scratch folder; BUNDLE is written.
# Environment: PYTHON (python), EMBEDDING_MINUTES (93), SEGMENTATION_STEPS (500), THREADS (2).
set -euo pipefail
shared=$(realpath "$1") work=$2 bundle=$3
python=${PYTHON:-python}
threads=${THREADS:-2}
cd "$(dirname "$0")/.."
mkdir -p "$work"
train=$shared/speech/librispeech/train
dev=$shared/speech/librispeech/dev

# 1. perturbed voices with teacher vectors, rooms
"$python" -m training.rooms "$work"
"$python" -m training.data "$shared" "$work" speed
"$python" -m training.data "$shared" "$work" vocoder

# 2. networks; they can run beside each other, and the embedding goes on where it was stopped
steps=${SEGMENTATION_STEPS:-500}
"$python" -m training.segmentation "$shared" "$work" --hold 0.5 --steps "$steps" --threads "$threads" --name first
"$python" -m training.segmentation "$shared" "$work" --hold 0.5 --steps "$steps" --threads "$threads" --seed 6 \
  --start "$work/first.pt"
minutes=${EMBEDDING_MINUTES:-93}
"$python" -m training.embedding "$shared" "$work" --minutes "$minutes" --twice --compile --threads "$threads"
"$python" -m training.export "$shared" "$work/bundle" --embedding "$work/embedding.pt" \
  --segmentation "$work/segmentation.pt"

# 3. meetings: turn-taking of the references, spoken by voices that the networks were not trained on
# (tune-*, check-*), and by training voices for the PLDA (plda-*)
"$python" -m training.references "$shared/reference" "$train" "$work/rttm"
revoice() { "$python" -m benchmarks revoice "$work/meet/$1" --rttm "$work/rttm/$2" --voices "$3" "${@:4}"; }
revoice tune-ami ami "$train" --speakers training/held_out.txt --max-seconds 150 --seed 11
revoice tune-vox voxa "$train" --speakers training/held_out.txt --max-seconds 120 --seed 12
revoice check-ami ami "$dev" --copies --max-seconds 150 --seed 13
revoice check-vox voxb "$dev" --copies --max-seconds 120 --seed 14
revoice plda-ami ami "$train" --speakers "$work/rttm/training-voices.txt" --max-seconds 150 --seed 15
revoice plda-vox voxc "$train" --speakers "$work/rttm/training-voices.txt" --max-seconds 90 --seed 16
for name in tune-ami tune-vox check-ami check-vox; do
  "$python" -m training.meetings "$work/cache/$name" "$work/bundle" "$work/meet/$name"
done
for name in plda-ami plda-vox; do
  "$python" -m training.meetings "$work/cache/$name" "$work/bundle" "$work/meet/$name" --every 4
done
"$python" -m training.meetings "$work/cache/ami" "$work/bundle" "$shared/speech/ami"

# 4. PLDA, clustering settings, bundle
"$python" -m training.plda "$work/bundle" "$work/plda" "$work/cache/plda-ami" "$work/cache/plda-vox"
# a search (this command without --settings) splits voices too eagerly where each has one utterance only, see LOG.md:
# these were chosen by hand from its neighbourhood; the command reports them
settings='{"threshold": 0.7, "Fa": 0.05, "Fb": 6.0, "min_clean_ratio": 0.14}'
"$python" -m training.tune "$work/bundle" --plda "$work/plda" --out "$work/clustering.json" --settings "$settings" \
  "$work/cache/tune-ami" "$work/cache/tune-vox" "$work/cache/ami" \
  --check "$work/cache/check-ami" "$work/cache/check-vox"
"$python" -m training.export "$shared" "$bundle" --embedding "$work/embedding.pt" \
  --segmentation "$work/segmentation.pt" --plda "$work/plda" --clustering "$work/clustering.json"
