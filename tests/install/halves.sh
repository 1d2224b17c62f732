#!/usr/bin/env bash
# Uses each half of the program: tests/install/halves.sh VIDEO_PROGRAM LANGUAGE_PROGRAM
#
# The first ingests the demo video; the second, which has no library for that, asks the lake, makes
# a dataset of it and trains a step. Both refuse what the other one is for.
set -euo pipefail

video=$(realpath "${1:?usage: tests/install/halves.sh VIDEO_PROGRAM LANGUAGE_PROGRAM}")
language=$(realpath "${2:?usage: tests/install/halves.sh VIDEO_PROGRAM LANGUAGE_PROGRAM}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "halves: $*" >&2
    exit 1
}

# libraries PROGRAM: what the loader brings in before it starts.
libraries() { ldd "$1" | awk '{ print $1 }'; }
# refuses PROGRAM HALF COMMAND...: it names the half that it lacks.
refuses() {
    local program=$1 half=$2
    shift 2
    if "$program" "$@" >told 2>&1; then fail "$program does '$*'"; fi
    grep -q -- "--features $half" told || fail "$program says to '$*': $(cat told)"
    if [ "$1" != models ] && "$program" --help | grep -q "^  $1 "; then fail "$program has '$1' in its help"; fi
}

# What is looked for is there in the other program, so that the search does find it.
libraries "$video" | grep -q opencv || fail "no OpenCV in $video"
if libraries "$language" | grep -E 'opencv|libav|libsw'; then fail "the above are in $language"; fi
grep -aq avformat_open_input "$video" || fail "no FFmpeg in $video"
if grep -aq avformat_open_input "$language"; then fail "FFmpeg is in $language"; fi
grep -aq candle-core "$language" || fail "no candle in $language"
if grep -aq candle-core "$video"; then fail "candle is in $video"; fi

"$video" --version | grep -qx 'posedata .* (video)' || fail "$("$video" --version)"
"$language" --version | grep -qx 'posedata .* (language)' || fail "$("$language" --version)"
for command in ingest list annotate contact-sheet view report analyze metrics events run; do
    refuses "$language" video $command
done
for command in dataset synth train eval ask serve run; do
    refuses "$video" language $command
done
refuses "$language" video models tune
refuses "$language" video models path full
refuses "$video" language models path smollm2

"$video" ingest --quiet --no-video "$("$video" models path demo)"
"$video" export --quiet csv demo.mp4
"$language" query -e "select count(*) as frames from metrics" --format csv | tee frames.csv
[ "$(tail -n 1 frames.csv)" -gt 100 ] || fail "the lake has not the demo video's frames"
"$language" dataset build --quiet --name halves --examples 40 --valid 0
"$language" train --quiet --dataset halves --base smollm2 --max-steps 1 --max-tokens 512 --batch-size 1 --gradient-accumulation 1
"$language" lake check
echo "each half does its own work, and only that"
