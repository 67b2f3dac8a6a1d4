#!/bin/sh
# With MPROC_DEBUG=leaks the first process of a family says at its end what nobody has freed, and where it was taken;
# without it nothing is said. With the shared library and with the static one.
set -u

. "$(dirname "$0")/begin.sh"

# Whether each of these is said, so many times.
expect()
{
    count=$1
    shift
    [ "$(grep -c -- "$*" "$said")" = "$count" ] || fail "$kind: expected $count of: $*"
}

# Build with these libraries, and look at what is said.
check()
{
    kind=$1
    shift
    gcc -std=gnu11 -O0 -g -I"$MPROC_SOURCE/include" "$here/leaking.c" -o "$work/leaking" "$@" || exit 2
    "$work/leaking" 2>"$said" || fail "$kind: exit code $?"
    [ -s "$said" ] && fail "$kind: something is said without being asked for"
    MPROC_DEBUG=leak, "$work/leaking" 2>"$said" || fail "$kind, misspelt: exit code $?"
    expect 1 'MPROC_DEBUG has the unknown word leak; the known words are: leaks'
    expect 0 'not freed'
    MPROC_DEBUG=other,leaks "$work/leaking" 2>"$said" || fail "$kind, traced: exit code $?"
    expect 1 'unknown word other;'
    expect 1 '6 blocks of shared memory were not freed'
    expect 1 '3 blocks of'
    expect 1 'leave_block+0x[0-9a-f]* (leaking)'
    expect 2 'leave_in_child+0x[0-9a-f]* (leaking)'
    expect 1 'mproc_queue_create+0x'
    expect 0 'mproc_dict_'
}

check shared -L"$library" -Wl,-rpath,"$library" -lmproc
check static "$library/libmproc.a"
exit "$failed"
