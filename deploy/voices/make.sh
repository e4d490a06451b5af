#!/usr/bin/env bash
# Makes the voice of the spoken captchas: a small file for each character, in Mandarin. The files are in the repository,
# so that neither the product nor its image needs a synthesiser; run it again when LETTERS (services/identity) change.
# Needs the Debian packages espeak-ng and sox.
set -euo pipefail
cd "$(dirname "$0")/../.."

VOICES=services/identity/captcha/voices
CHARACTERS=$(sed -n 's/^LETTERS = "\([A-Z0-9]*\)".*/\1/p' services/identity/captcha/media.py)

# The form that the captcha library mixes: 8 kHz, one channel, 8 bits unsigned; without silence around it.
speak() {
    local quiet=(silence 1 0.01 1%)
    espeak-ng -v cmn -s 120 --stdout "$1" |
        sox -q -t wav - -r 8000 -c 1 -b 8 -e unsigned-integer "$2" gain -n -6 "${quiet[@]}" reverse "${quiet[@]}" reverse
}

rm -rf "$VOICES"
for character in $(grep -o . <<<"$CHARACTERS"); do
    mkdir -p "$VOICES/$character"
    speak "$character" "$VOICES/$character/cmn.wav"
done
