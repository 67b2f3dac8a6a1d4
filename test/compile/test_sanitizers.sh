#!/bin/sh
# A program built with a sanitizer uses the library that was built without.
set -u

. "$(dirname "$0")/begin.sh"

# Build a program with a compiler and options into $work/sanitized. False where there is no such sanitizer.
build()
{
    program=$1
    shift
    "$@" -std=gnu11 -g -I"$MPROC_SOURCE/include" "$here/$program.c" -o "$work/$program" -L"$library" \
        -Wl,-rpath,"$library" -lmproc 2>"$work/build.txt"
}

for options in 'gcc -fsanitize=address' 'clang -fsanitize=address' 'gcc -fsanitize=thread'; do
    # shellcheck disable=SC2086 # options
    build sanitized $options || continue
    "$work/sanitized" 2>"$said" || fail "$options: exit code $?"
    grep -q 'no memory_limit, for .*Sanitizer' "$said" || fail "$options: the log does not say it"
done

# What a process has freed it may not use; what others have freed and it was given it may.
for options in 'gcc -fsanitize=address' 'clang -fsanitize=address'; do
    # shellcheck disable=SC2086 # options
    build freed $options || continue
    "$work/freed" >/dev/null 2>"$said" || fail "$options: nothing wrong: exit code $?"
    "$work/freed" use >/dev/null 2>"$said" && fail "$options: a use after free is not reported"
    grep -q 'use-after-poison.*\|AddressSanitizer: use' "$said" || fail "$options: it is not what is reported"
done

# shellcheck disable=SC2086
build sanitized gcc
"$work/sanitized" 2>"$said" || fail "none: exit code $?"
[ -s "$said" ] && fail "none: the limit holds, and nothing is said"
exit "$failed"
