#!/bin/sh
# The lines that ran in children are counted in a program built by gcc --coverage, with the shared library and with the
# static one.
set -u

here=$(cd "$(dirname "$0")" && pwd)
library=$MPROC_BUILD
command -v gcov >/dev/null || { echo "no gcov"; exit 77; }
failed=0

# Build with these libraries, run, and look at each line that should be counted.
check()
{
    work=$MPROC_BUILD/test/compile/coverage-$1
    shift
    rm -rf "$work"
    mkdir -p "$work"
    cd "$work" || exit 2
    gcc -std=gnu11 --coverage -g -O0 -I"$MPROC_SOURCE/include" -c "$here/covered.c" -o covered.o || exit 2
    gcc --coverage covered.o -o covered "$@" || exit 2
    ./covered || { echo "covered $*: exit code $?"; failed=1; }
    gcov covered.c >gcov.txt 2>&1 || gcov -o . covered.o >gcov.txt 2>&1
    grep 'COUNTED' covered.c.gcov | grep -v 'here/' >lines.txt
    [ "$(wc -l <lines.txt)" = 6 ] || { echo "$*: not all lines are there"; failed=1; }
    if grep '#####' lines.txt; then
        echo "$*: these were not counted"
        failed=1
    fi
}

check shared -L"$library" -Wl,-rpath,"$library" -lmproc
check static "$library/libmproc.a" -lpthread -ldl
exit "$failed"
