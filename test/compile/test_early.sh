#!/bin/sh
# A program in C++ that makes a pool before main(), with the shared library, with the static one, and fully static: such
# a program has no tables for the unwinder yet.
set -u

. "$(dirname "$0")/begin.sh"

check()
{
    kind=$1
    shift
    g++ -I"$MPROC_SOURCE/include" "$here/early.cc" -o "$work/early" "$@" 2>"$said" || fail "$kind: does not link"
    timeout 120 "$work/early" 2>"$said" || fail "$kind: exit code $?"
}

check shared -L"$library" -Wl,-rpath,"$library" -lmproc
check static "$library/libmproc.a"
check 'all static' -static "$library/libmproc.a"
exit "$failed"
