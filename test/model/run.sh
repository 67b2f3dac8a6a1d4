#!/bin/sh
# run.sh MODEL holds|fails [OPTION...]: have spin look at every state of a model, and say whether it holds, or whether
# what was broken in it by -D is found. BITS=n instead looks at as many states as fit into 2^n bits.
set -eu
model=$(readlink -f "$(dirname "$0")/$1.pml")
expected=$2
shift 2

command -v spin >/dev/null || {
    echo "skipped: there is no spin (Debian: apt-get install spin)"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cp "$model" model.pml # spin writes the trail beside it
spin "$@" -a model.pml
store=-DCOLLAPSE
size=-w22
if [ -n "${BITS:-}" ]; then
    store=-DBITSTATE
    size=-w$BITS
fi
${CC:-cc} -O1 -w -DSAFETY -DMEMLIM=4000 $store -o pan pan.c
./pan -m100000 $size -n >said

sed -n 's/^ *\([0-9.e+]* states, stored\).*/\1/p' said
if grep -q 'errors: 0$' said; then
    found=holds
elif grep -q '^pan:1: invalid end state' said; then
    found=fails
else
    found='nothing to tell'
fi
if grep -q 'max search depth too small\|out of memory\|memory limit' said; then
    found='only a part of the states seen'
fi
echo "$model: $found"
[ "$found" = "$expected" ] && exit 0
cat said
[ ! -e model.pml.trail ] || spin "$@" -t -p -g model.pml | tail -200
exit 1
