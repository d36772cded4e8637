#!/usr/bin/env bash
# The whole recipe: data to bundle. Usage: training/run.sh SHARED WORK BUNDLE
# SHARED holds speech/, reference/ and models/ (see README.md); WORK is a scratch folder; BUNDLE is written.
# Environment: PYTHON (python), EMBEDDING_MINUTES (180), SEGMENTATION_STEPS (500), THREADS (2), and START, a bundle whose
# embedding is trained further instead of a new one.
set -euo pipefail
shared=$(realpath "$1") work=$(realpath -m "$2") bundle=$(realpath -m "$3")
python=${PYTHON:-python}
threads=${THREADS:-2}
cd "$(dirname "$0")/.."
mkdir -p "$work"
train=$shared/speech/librispeech/train
dev=$shared/speech/librispeech/dev

# 1. rooms and perturbed voices: as audio for the segmentation, as log-mel frames for the embedding
"$python" -m training.rooms "$work"
"$python" -m training.data "$shared" "$work" speed
"$python" -m training.data "$shared" "$work" vocoder
for part in 0 1 2 3; do
  "$python" -m training.melbank "$shared" "$work" --part "$part" --copies 8
done
for part in 8 9; do
  "$python" -m training.melbank "$shared" "$work" --part "$part" --copies 4 --width 0.4
done

# 2. networks; they can run beside each other, and the embedding goes on where it was stopped
steps=${SEGMENTATION_STEPS:-500}
"$python" -m training.segmentation "$shared" "$work" --hold 0.5 --steps "$steps" --threads "$threads" --name first
"$python" -m training.segmentation "$shared" "$work" --hold 0.5 --steps "$steps" --threads "$threads" --seed 6 \
  --start "$work/first.pt"
minutes=${EMBEDDING_MINUTES:-180}
"$python" -m training.embedding "$shared" "$work" --minutes "$minutes" --compile --threads "$threads" \
  ${START:+--start "$START" --rate 1e-3}
"$python" -m training.export "$shared" "$work/bundle" --embedding "$work/embedding.pt" \
  --segmentation "$work/segmentation.pt"

# 3. meetings: turn-taking of the references, spoken by voices that the networks were not trained on
# (tune, check), and by training voices and people made of held-out ones for the PLDA (plda-*); a voice changes a
# little from one utterance to the next, as voices do
vary() { "$python" -m training.sessions "$train" "$work/varied/$1" --strength 1.6 "${@:2}"; }
vary held --held-out --sessions 6
vary train --sessions 4
vary made --held-out --copies 5 --sessions 4
"$python" -m training.references "$shared/reference" "$work/rttm"
revoice() { "$python" -m benchmarks revoice "$work/meet/$1" --rttm "$work/rttm/$2" --voices "$3" "${@:4}"; }
revoice tune/ami ami "$work/varied/held" --max-seconds 240 --seed 11
revoice tune/vox voxa "$work/varied/held" --max-seconds 240 --seed 12
revoice check/ami ami "$dev" --copies --max-seconds 150 --seed 13
revoice check/vox voxb "$dev" --copies --max-seconds 120 --seed 14
revoice plda-ami ami "$work/varied/train" --max-seconds 150 --seed 15
revoice plda-vox voxc "$work/varied/train" --max-seconds 90 --max-files 50 --seed 16
revoice plda-made-ami ami "$work/varied/made" --max-seconds 200 --seed 17
revoice plda-made-vox voxc "$work/varied/made" --max-seconds 90 --max-files 40 --seed 18
mkdir -p "$work/meet/tune/excerpts"
cp "$shared"/speech/ami/*.flac "$shared"/speech/ami/*.rttm "$work/meet/tune/excerpts"

# 4. PLDA, clustering settings, bundle
for name in plda-ami plda-vox plda-made-ami plda-made-vox; do
  "$python" -m training.meetings "$work/cache/$name" "$work/bundle" "$work/meet/$name" --every 4
done
"$python" -m training.plda "$work/bundle" "$work/plda" "$work"/cache/plda-*
# chosen by hand, for the reasons in LOG.md: what a search finds leans on single clips
cat >"$work/clustering.json" <<'END'
{"threshold": 0.66, "Fa": 0.07, "Fb": 2.6, "init_smoothing": 1.0, "min_clean_ratio": 0.14, "keep_prior": 0.01}
END
"$python" -m training.export "$shared" "$bundle" --embedding "$work/embedding.pt" \
  --segmentation "$work/segmentation.pt" --plda "$work/plda" --clustering "$work/clustering.json"

# 5. what came out; and what the product's own tuner would choose on the meetings to tune by
"$python" -m training.evaluate "$shared" --bundle "$bundle"
for name in "$work"/meet/tune/* "$work"/meet/check/*; do
  "$python" -m benchmarks der "$name" --bundle "$bundle" --cache "$work/outputs"
done
"$python" -m speakrs_stream tune "$work/meet/tune" --bundle "$bundle" --cache "$work/outputs" -o "$work/tuned.toml"
