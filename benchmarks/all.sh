#!/bin/sh
# Every benchmark that the material on this machine allows; figures and plots go to benchmarks/results.
# sh benchmarks/all.sh          the bundled recording, what lies in ../shared, and simulated meetings
# sh benchmarks/all.sh FOLDER   only DER and live quality of your own audio + RTTM
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
results=benchmarks/results
mkdir -p "$results"

bench() { "$python" -m benchmarks "$@"; }

recordings() { # FOLDER NAME
    bench der "$1" --json "$results/der-$2.json"
    bench live "$1" --json "$results/live-$2.json" --plot "$results/live-$2.svg"
}

if [ $# -gt 0 ]; then
    recordings "$1" "$(basename "$1")"
    exit
fi

recordings speakrs_stream/demo demo
if [ -d ../shared/speech/ami ]; then
    recordings ../shared/speech/ami ami
else
    echo 'skipped: no recordings at ../shared/speech/ami' >&2
fi

revoiced() { # REFERENCES NAME SEED FURTHER-OPTIONS: meetings spoken by LibriSpeech voices
    meetings=benchmarks/.cache/$2
    references=../shared/reference/$1
    voices=../shared/speech/librispeech/dev
    name=$2
    seed=$3
    shift 3
    if [ ! -d "$voices" ] || [ ! -d "$references" ]; then
        echo "skipped: no voices at $voices or no references at $references to speak meetings with" >&2
        return
    fi
    rm -rf "$meetings"
    bench revoice "$meetings" --rttm "$references" --voices "$voices" --seed "$seed" "$@"
    recordings "$meetings" "$name"
}

revoiced ami_dev revoiced-ami 5 --max-seconds 300 --max-files 10
revoiced voxconverse_dev revoiced-voxconverse 5 --max-seconds 300 --max-files 12
revoiced ami_dev revoiced 13 --max-seconds 600 --max-files 8 --copies

bench simulate --diart --long 8 --json "$results/simulate.json" --plot "$results/simulate.svg"
bench simulate --curve --max-files 12 --json "$results/max-delay.json" --plot "$results/max-delay.svg"

bench throughput --json "$results/throughput.json"
bench shares --json "$results/shares.json"
bench latency --json "$results/latency.json"
bench memory --json "$results/memory.json"
bench peers --json "$results/peers.json"

for one in sessions faults stalled slowloris drain capacity memory; do
    bench server "$one" --out "$results/server-$one.json"
done

if [ -f ../shared/golden/two_speakers.npz ]; then
    bench parity ../shared/golden/two_speakers.npz | tee "$results/parity.json"
else
    echo 'skipped: no recorded pipeline at ../shared/golden' >&2
fi
