#!/usr/bin/env bash
# Proves the package on a GPU: tests/cuda and `lsfa-lite bench --quick`, in under eight minutes.
#
#   book/gpu/check.sh [--device cuda|cpu] WHEELS OUT
#
# WHEELS  a folder made by `make gpu-wheels`; what the machine lacks is taken from it, into a folder
#         of its own: the machine's packages stay as they are. Needs torch, torchvision, no network.
# OUT     a folder; OUT/gpu-check.json gets the outcome of every test and the measurements.
#
# PYTHON names the interpreter (default python3). Exit code 0: every test and every stage passed.
set -euo pipefail

device=cuda
if [ "${1:-}" = --device ]; then device=$2; shift 2; fi
if [ $# -ne 2 ]; then sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
root=$(cd "$(dirname "$0")/../.." && pwd)
wheels=$(cd "$1" && pwd)
mkdir -p "$2" && out=$(cd "$2" && pwd)
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" "$root/book/gpu/missing.py" "$wheels" > "$scratch/missing"
echo "installing: $(xargs -r -n 1 basename < "$scratch/missing" | xargs)"
xargs -r "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
    --disable-pip-version-check --target "$scratch/site" < "$scratch/missing"
export PYTHONPATH="$scratch/site${PYTHONPATH:+:$PYTHONPATH}" LSFA_TEST_DEVICE=$device

cd "$scratch"  # the wheel is what is tested, not the checkout
started=$SECONDS
# an interrupt, not a kill: pytest then still writes down what it has
timeout -s INT -k 20 240 "$python" -m pytest "$root/tests/cuda" -c "$root/pyproject.toml" \
    --rootdir "$root" -p no:cacheprovider --durations 8 --junitxml "$scratch/tests.xml" \
    || echo "tests ended with $?"
tests=$((SECONDS - started)) started=$SECONDS
timeout -s INT -k 20 245 "$python" -m lsfa_lite bench --quick --device "$device" \
    --json "$scratch/bench.json" || echo "bench ended with $?"
"$python" "$root/book/gpu/outcome.py" "$scratch" "$device" "$tests" $((SECONDS - started)) \
    "$out/gpu-check.json"
