#!/bin/sh
# Run one program of examples/seeds and compare its whole output with what is expected of it: run.sh PROGRAM [ARGUMENT].
# The expectation is expected/PROGRAM.txt, or expected/PROGRAM.ARGUMENT.txt. In it a line `{` opens and a line `}`
# closes a block whose lines may come in any order. What differs from run to run is replaced in the output first:
#   a process id                          pid-1, pid-2, ... in the order in which they appear; equal ones stay equal
#   the name of the process of a task     Process-N, for any of the three
#   the number of CPUs                    COUNT
#   the time that N sleepers took         SOON when it is below N / 2 s
#   the address of an object              ADDRESS
# The program must also exit with 0 and write nothing to stderr, but for the line that says whom an end without a join
# waits for.
set -eu

program=$1
expected=$(dirname "$0")/expected/$program${2:+.$2}.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
"$EXAMPLES/seeds/$program" ${2:+"$2"} >"$work/output" 2>"$work/errors" || status=$?
if [ "${2:-}" = no-join ]; then
    sed -i '/^mproc: main() is over, and waits for /d' "$work/errors"
fi
if [ "$status" -ne 0 ] || [ -s "$work/errors" ]; then
    echo "$program: exit status $status, and on stderr:"
    cat "$work/errors"
    exit 1
fi

awk '
    /process id: [0-9]+$/ {
        if (!($NF in name))
            name[$NF] = "pid-" ++count
        sub(/[0-9]+$/, name[$NF])
    }
    / is done by Process-[1-3]$/ { sub(/[1-3]$/, "N") }
    /^The number of CPU/ { sub(/ [1-9][0-9]*$/, " COUNT") }
    / took [0-9.]+ s$/ && $(NF - 1) < $1 / 2 { sub(/[0-9.]+ s$/, "SOON") }
    / object at 0x[0-9a-f]+>$/ { sub(/0x[0-9a-f]+/, "ADDRESS") }
    { print }
' "$work/output" >"$work/actual"

# Put the number of the expected line before each line, the same number for all of a block, and sort by it: then the two
# texts are equal when they agree but for the order within blocks.
awk -v want="$work/want" -v got="$work/got" '
    FNR == NR && ($0 == "{" || $0 == "}") { block = ($0 == "{"); number++; next }
    FNR == NR { place[++expected] = block ? number : ++number; print place[expected] "\t" $0 >want; next }
    { print (FNR in place ? place[FNR] : "more") "\t" $0 >got }
' "$expected" "$work/actual"
touch "$work/got"
for text in want got; do
    LC_ALL=C sort -t "$(printf '\t')" -k 1,1n -k 2 "$work/$text" | cut -f 2- >"$work/$text.sorted"
done
diff -u "$work/want.sorted" "$work/got.sorted"
