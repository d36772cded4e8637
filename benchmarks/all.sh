#!/bin/sh
# Every benchmark that the material on this machine allows; figures and plots go to benchmarks/results.
# sh benchmarks/all.sh          the bundled recording, what lies in ../shared, and simulated meetings
# sh benchmarks/all.sh FOLDER   only DER and live quality of your own audio + RTTM
# QUICK=1                       everything once and small: whether it runs, not figures to publish
# PARTS="speed server"          only these of quality, simulated, speed, server, parity
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
results=benchmarks/results
mkdir -p "$results"
begun=$(date +%s)
parts=${PARTS:-quality simulated speed server parity}
for part in $parts; do
    case $part in
    quality | simulated | speed | server | parity) ;;
    *) echo "unknown part $part; there are quality, simulated, speed, server, parity" >&2 && exit 2 ;;
    esac
done

bench() {
    printf '\n==> %s (after %d s)\n' "$*" $(($(date +%s) - begun)) >&2
    "$python" -m benchmarks "$@"
}

size() { # OPTIONS OPTIONS-WHEN-QUICK
    if [ -n "${QUICK:-}" ]; then echo "$2"; else echo "$1"; fi
}

wanted() { # PART
    case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

recordings() { # FOLDER NAME
    bench der "$1" --json "$results/der-$2.json"
    bench live "$1" --json "$results/live-$2.json" --plot "$results/live-$2.svg"
}

if [ $# -gt 0 ]; then
    recordings "$1" "$(basename "$1")"
    exit
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

# shellcheck disable=SC2046 # options are words
if wanted quality; then
    recordings speakrs_stream/demo demo
    if [ -d ../shared/speech/ami ]; then
        recordings ../shared/speech/ami ami
    else
        echo 'skipped: no recordings at ../shared/speech/ami' >&2
    fi
    revoiced ami_dev revoiced-ami 5 $(size '--max-seconds 300 --max-files 10' '--max-seconds 90 --max-files 1')
    revoiced voxconverse_dev revoiced-voxconverse 5 $(size '--max-seconds 300 --max-files 12' '--max-seconds 90 --max-files 1')
fi

# shellcheck disable=SC2046
if wanted simulated; then
    bench simulate $(size '--max-seconds 600 --max-files 6' '--max-files 1 --max-seconds 120') --diart \
        --json "$results/simulate.json" --plot "$results/simulate.svg"
    bench simulate --only-long --long $(size '8' '0.1') --jobs 1 --json "$results/simulate-long.json"
    bench simulate --curve $(size '--max-files 8 --max-seconds 600' '--max-files 1 --max-seconds 60') \
        --json "$results/max-delay.json" --plot "$results/max-delay.svg"
fi

# shellcheck disable=SC2046
if wanted speed; then
    bench throughput $(size '--runs 5 --seconds 16 --bundle embedded --bundle embedded-fast' '--runs 1 --seconds 12 --bundle embedded') \
        --json "$results/throughput.json"
    bench throughput $(size '--runs 3' '--runs 1') --seconds 12 --step 1 --bundle community-shapes \
        --json "$results/throughput-community.json"
    bench shares $(size '--runs 3 --bundle embedded --bundle embedded-fast --bundle community-shapes' '--runs 1 --bundle embedded') --seconds 12 --json "$results/shares.json"
    bench host --parts $(size '' '--runs 1 --seconds 12 --bundle embedded --hours 0.1 --minutes 1') --json "$results/host.json"
    bench latency $(size '--runs 3 --seconds 15' '--runs 1 --seconds 12') --json "$results/latency.json"
    bench memory $(size '' '--hours 0.02 --hours 0.1') --json "$results/memory.json"
    bench peers $(size '--runs 5 --seconds 20' '--runs 1 --seconds 12 --recording 12') --json "$results/peers.json"
fi

server() { bench server "$1" $2 --out "$results/server-$1.json"; }
if wanted server; then
    server sessions "$(size '' '--count 50 --seconds 5')"
    server faults "$(size '' '--faults 20 --callers 4 --seconds 5')"
    server stalled "$(size '' '--viewers 20 --stalled 10 --seconds 15')"
    server slowloris "$(size '' '--count 100')"
    server drain "$(size '' '--sessions 10 --stalled 5')"
    server capacity "$(size '' '--most 2 --seconds 10')"
    server memory "$(size '' '--hours 0.5')"
fi

if wanted parity; then
    if [ -f ../shared/golden/two_speakers.npz ]; then
        bench parity ../shared/golden/two_speakers.npz | tee "$results/parity.json"
    else
        echo 'skipped: no recorded pipeline at ../shared/golden' >&2
    fi
fi
