#!/bin/bash
# Count the instructions and the system calls of each hot path of the library, and compare them with limits.txt. No clock
# is looked at, so a busy machine changes nothing. Instructions are counted by valgrind, in what is called `measured`, or
# in one function; system calls by strace, in a short and a long run, whose difference is that of the steps alone.
#
#     test_limits.sh [PATH...]            all paths, or these
#     test_limits.sh --write [PATH...]    renew the limits from what is counted now; look at the difference in git
#
# Limits are for one build only, which is named in their file. With another the test is skipped: exit code 77.
set -u

here=$(cd "$(dirname "$0")" && pwd)
build=${MPROC_BUILD:-$(dirname "$(dirname "$here")")/build/release}
paths=$build/test/guard/paths
limits=$here/limits.txt
write=
if [ "${1:-}" = --write ]; then
    write=yes
    shift
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

skip()
{
    echo "SKIPPED: $1"
    exit 77
}

# glibc has copies of memcpy() and the like for each kind of processor: take the same ones everywhere.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-SSSE3,-SSE4_2

# Run on one CPU, where nobody spins, and let those who are woken not drive out the one that woke them: then what is done
# goes little by the moment.
cpu=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')

# Run paths under a tool: under TOOL... -- NAME STEPS... What they print is in $work/processes then: name and process.
under()
{
    local tool=()
    while [ "$1" != -- ]; do
        tool+=("$1")
        shift
    done
    shift
    chrt --batch 0 taskset -c "$cpu" "${tool[@]}" "$paths" "$@" >"$work/processes" 2>"$work/log" && return
    cat "$work/log" >&2
    exit 1
}

# Print name and instructions of each path of a round: instructions ROUND.
instructions()
{
    local name function steps round of_round=() toggles=()
    while read -r name function steps _ _ round; do
        [ "$round" = "$1" ] && [ "$function" != - ] || continue
        of_round+=("$name" "$steps")
        toggles+=("--toggle-collect=$function")
    done <"$work/list"
    [ ${#of_round[@]} -gt 0 ] || return
    rm -f "$work"/counts.*
    under valgrind --tool=callgrind --zero-before=measured "${toggles[@]}" --callgrind-out-file="$work/counts.%p" -- \
        "${of_round[@]}"
    while read -r name process; do
        echo "$name $(sed -n 's/^summary: //p' "$work/counts.$process")"
    done <"$work/processes"
}

# Print name, system calls of its own and of other processes for each path: calls NAME STEPS... A call that others came
# in between has two lines, and signals have some. The paths run one after another, so what other processes do is for
# the last one that was seen.
calls()
{
    : >"$work/trace"
    : >"$work/processes"
    [ $# -gt 0 ] || return
    under strace -f -qq -o "$work/trace" -- "$@"
    awk 'NR == FNR { name[$2] = $1; next }
        FNR == 1 { first = $1 }
        $1 in name { last = $1 }
        $1 == first || $2 == "<..." || $2 ~ /^(---|\+\+\+)/ { next }
        $1 in name { own[$1]++; next }
        { others[last]++ }
        END { for (process in name) print name[process], own[process] + 0, others[process] + 0 }' \
        "$work/processes" "$work/trace"
}

# The list of paths, restricted to these.
list_of()
{
    "$paths" list | awk -v names=" $* " 'index(names, " " $1 " ")'
}

# Count what a step of these paths takes: name, instructions, system calls of its own and of others; - is not counted.
count()
{
    local round
    list_of "$@" >"$work/list"
    for round in $(awk '{ print $6 }' "$work/list" | sort -u); do
        instructions "$round"
    done >"$work/instructions"
    # shellcheck disable=SC2046 # lists
    {
        calls $(awk '$2 ~ /^(-|measured)$/ { print $1, $3 }' "$work/list") >"$work/short"
        calls $(awk '$2 ~ /^(-|measured)$/ { print $1, 2 * $3 }' "$work/list") >"$work/long"
    }
    awk -v work="$work" '
        function per_step(count) { return sprintf("%.2f", count / $3) }
        FILENAME == work "/instructions" { instructions[$1] = $2; next }
        FILENAME == work "/short" { own[$1] = -$2; others[$1] = -$3; next }
        FILENAME == work "/long" { own[$1] += $2; others[$1] += $3; next }
        { print $1, $1 in instructions ? sprintf("%.1f", instructions[$1] / $3) : "-",
              $1 in own ? per_step(own[$1]) " " per_step(others[$1]) : "- -" }' \
        "$work/instructions" "$work/short" "$work/long" "$work/list"
}

# Say of each path what is above its limit. Where nothing was counted, something else is wrong.
compare()
{
    awk 'BEGIN { split("instructions,system calls of its own,system calls of other processes", what, ",") }
        NR == FNR { if (!/^#/) for (i = 2; i <= 4; i++) limit[$1, i] = $i; next }
        { for (i = 2; i <= 4; i++) {
            most = limit[$1, i]
            if (most == "" || ($i == "-") != (most == "-") || (i == 2 && $i == 0 && $i != "-"))
                printf "%s: %s: %s, and the limit is \"%s\"\n", $1, what[i - 1], $i, most
            else if ($i != "-" && $i > most + 0.001)
                printf "%s takes %s %s, and the limit is %s\n", $1, $i, what[i - 1], most
        } }' "$limits" -
}

# The limits that follow from what was counted, in a file, and those that there are for the other paths.
limits_of()
{
    "$paths" list | awk -v limits="$limits" '
        BEGIN { while ((getline row < limits) > 0) { split(row, field); if (field[1] != "#") old[field[1]] = row } }
        NR == FNR { counted[$1] = $0; next }
        !($1 in counted) { print old[$1]; next }
        { split(counted[$1], field)
          most = field[2] * (1 + $4 / 100)
          printf "%s %s", $1, field[2] == "-" ? "-" : int(most) + (most > int(most))
          for (i = 3; i <= 4; i++)
              printf " %s", field[i] == "-" ? "-" : sprintf("%.2f", field[i] * (1 + $5 / 100))
          print "" }' "$1" - | awk 'NF { printf "%-20s %12s %8s %8s\n", $1, $2, $3, $4 }'
}

for tool in valgrind strace taskset chrt; do
    command -v $tool >/dev/null || skip "there is no $tool"
done
this=$("$paths" build) || exit
wanted=$(sed -n 's/^# Counted with //p' "$limits")
if [ -z "$write" ] && [ "$this" != "$wanted" ]; then
    skip "the limits are for $wanted; this is $this"
fi
strace -qq -o /dev/null true 2>"$work/log" || skip "strace may not trace here: $(cat "$work/log")"

all=$("$paths" list | awk '{ print $1 }')
for name in "$@" $(sed 's/#.*//' "$limits" | awk '{ print $1 }'); do
    if [ -z "$write" ] && ! grep -qxF -- "$name" <<<"$all"; then
        echo "FAILED: there is no path $name"
        exit 1
    fi
done

# Some paths go by whom the kernel runs when: of several counts the least is that of the code. Print it for each path.
least()
{
    awk '{ for (i = 2; i <= 4; i++) if (!(($1, i) in least) || $i < least[$1, i]) least[$1, i] = $i }
        !($1 in seen) { seen[$1]; names[++count] = $1 }
        END { for (k = 1; k <= count; k++) print names[k], least[names[k], 2], least[names[k], 3], least[names[k], 4] }'
}

# shellcheck disable=SC2086 # lists of names
count ${*:-$all} >"$work/counted"
if [ "$write" ]; then
    # shellcheck disable=SC2046 # a list of names
    inexact=$(list_of $(awk '{ print $1 }' "$work/counted") | awk '$5 > 0 { print $1 }')
    for ((again = 0; again < 2; again++)); do
        # shellcheck disable=SC2086 # a list of names
        [ -z "$inexact" ] || count $inexact >>"$work/counted"
    done
    least <"$work/counted" >"$work/least"
    {
        echo "# What a step of each path may take at most; see docs/benchmarks.md, Without a clock. Made by test_limits.sh"
        echo "# --write. Columns: path, instructions, system calls of its own, system calls of other processes."
        echo "# Counted with $this"
        limits_of "$work/least"
    } >"$work/limits"
    cp "$work/limits" "$limits"
    exit
fi
cat "$work/counted"
compare <"$work/counted" >"$work/above"
for ((again = 0; again < 4; again++)); do
    [ -s "$work/above" ] || exit 0
    # shellcheck disable=SC2046 # a list of names
    count $(awk -F'[ :]' '{ print $1 }' "$work/above" | sort -u) >>"$work/counted"
    least <"$work/counted" | compare >"$work/above"
done
sed 's/^/FAILED: /' "$work/above"
echo "Where that is meant to be, renew the limits: test/guard/test_limits.sh --write [PATH...]"
exit 1
