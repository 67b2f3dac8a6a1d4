#!/bin/sh
# A program built with a sanitizer uses the library that was built without.
set -u

here=$(dirname "$0")
work=$MPROC_BUILD/test/compile
library=$(dirname "$(find "$MPROC_BUILD" -name libmproc.so | head -n 1)")
mkdir -p "$work"
failed=0

# Build a program with a compiler and options into $work/sanitized. False where there is no such sanitizer.
build()
{
    program=$1
    shift
    "$@" -std=gnu11 -g -I"$MPROC_SOURCE/include" "$here/$program.c" -o "$work/$program" -L"$library" \
        -Wl,-rpath,"$library" -lmproc 2>"$work/build.txt"
}

fail()
{
    echo "$*"
    cat "$work/said.txt"
    failed=1
}

for options in 'gcc -fsanitize=address' 'clang -fsanitize=address' 'gcc -fsanitize=thread'; do
    # shellcheck disable=SC2086 # options
    build sanitized $options || continue
    "$work/sanitized" 2>"$work/said.txt" || fail "$options: exit code $?"
    grep -q 'no memory_limit, for .*Sanitizer' "$work/said.txt" || fail "$options: the log does not say it"
done
# shellcheck disable=SC2086
build sanitized gcc
"$work/sanitized" 2>"$work/said.txt" || fail "none: exit code $?"
[ -s "$work/said.txt" ] && fail "none: the limit holds, and nothing is said"
exit "$failed"
