#!/bin/sh
# What the larger examples print.
set -u

failures=0

# is NAME PRINTED EXPECTED
is() {
    [ "$2" = "$3" ] && return
    printf '%s printed\n%s\nand not\n%s\n' "$1" "$2" "$3"
    failures=$((failures + 1))
}

# A sanitizer's own handler would turn the crashes into exits, and its checks find the bugs before they strike.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_sigfpe=0"
export TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}handle_segv=0:handle_sigfpe=0"

is montecarlo_pi "$("$EXAMPLES/montecarlo_pi" 3000000)" '3.140476 from 3000000 points'
is 'one point' "$("$EXAMPLES/montecarlo_pi" 1)" '0.000000 from 1 points'
is 'three workers' "$("$EXAMPLES/montecarlo_pi" 3000000 3)" '3.140476 from 3000000 points'
is 'no point' "$("$EXAMPLES/montecarlo_pi" 0 2>&1)" \
    "montecarlo_pi: POINTS needs a whole number from 1 to 1000000000000, not '0'; see --help"
for arguments in '1x' '1 0' '1 2 3'; do
    # shellcheck disable=SC2086 # words
    "$EXAMPLES/montecarlo_pi" $arguments >/dev/null 2>&1
    is "montecarlo_pi $arguments" "status $?" 'status 2'
done

# UBSan sees the division before the processor does.
case $(ldd "$EXAMPLES/crashproof") in
*libubsan*) by_zero='The worker died at this task' ;;
*) by_zero='Floating point exception' ;;
esac

deep=$(head -c 200000 /dev/zero | tr '\0' '(')
printed=$(printf '%s\n' '1 + 2 * 3' '1 / 0' "$deep" '(2 + 3) ^ 2' '2 ^ 9999999999999' '2 +* x' '-4 - 5' |
    "$EXAMPLES/crashproof")
is crashproof "$printed" "line 1: 7
line 2: $by_zero
line 3: Segmentation fault
line 4: 25
line 5: took too long
line 6: is no expression
line 7: -9"
# Half an expression is none, nor is a line that is longer than any may be.
printed=$({
    printf '%s\n' '1 +' '' '(2' '()' '2 ^ (1 + '
    head -c 1500000 /dev/zero | tr '\0' 1
    printf '\n1 + 1'
} | "$EXAMPLES/crashproof")
is 'crashproof of no expressions' "$printed" "line 1: is no expression
line 2: is no expression
line 3: is no expression
line 4: is no expression
line 5: is no expression
line 6: is no expression
line 7: 2"
"$EXAMPLES/crashproof" file >/dev/null 2>&1
is 'crashproof with an argument' "status $?" 'status 2'
is 'crashproof of nothing' "$("$EXAMPLES/crashproof" </dev/null)" ''

[ $failures -eq 0 ]
