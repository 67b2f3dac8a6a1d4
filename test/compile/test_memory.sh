#!/bin/sh
# Shared memory that other processes write, in programs that the compilers optimize as they can: see memory.c.
set -u

. "$(dirname "$0")/begin.sh"

# Build memory.c with a compiler and options, and run it.
check()
{
    "$@" -std=gnu11 -I"$MPROC_SOURCE/include" "$here/memory.c" -o "$work/memory" -L"$library" -Wl,-rpath,"$library" \
        -lmproc || failed=1
    "$work/memory"
    seen=$?
    [ "$seen" = 0 ] && return
    echo "$*: look $seen saw an old value" >&2
    failed=1
}

for level in -O0 -O1 -O2 -O3 '-O3 -flto'; do
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        # shellcheck disable=SC2086 # options
        case $compiler$level in *clang*flto) ;; *) check "$compiler" $level ;; esac
    done
done
exit "$failed"
