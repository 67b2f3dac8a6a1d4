#!/bin/sh
# A program that shares memory with a child, under memcheck with its search for leaks: that reads all that is mapped, so it
# must not take all of the machine's memory.
set -u

if ! command -v valgrind >/dev/null; then
    echo "skipped: there is no valgrind"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/share.c" <<'END'
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char *lives = malloc(100); /* without a block in use there is no search */
    int *shared = mproc_calloc(1, sizeof *shared);
    mproc_memory_statistics usage;

    if (!lives || !shared)
        return 1;
    pid_t child = fork();
    if (child == 0)
        _exit(mproc_alloc(100) ? 0 : 1);
    if (waitpid(child, NULL, 0) != child || mproc_memory_usage(&usage))
        return 1;
    printf("%zu\n", usage.address_space >> 20);
    return 0;
}
END
library=$MPROC_BUILD/libmproc.so
if ldd "$library" | grep -q 'asan\|tsan'; then
    echo "skipped: a library with a sanitizer does not run under valgrind"
    exit 0
fi
"$CC" -g -I"$MPROC_SOURCE/include" "$work/share.c" -L"$MPROC_BUILD" -Wl,-rpath,"$MPROC_BUILD" -lmproc -o "$work/share" || exit 1
size=$(ulimit -t 120 && timeout -k 5 200 valgrind -q --leak-check=full "$work/share" 2>"$work/said") ||
    { cat "$work/said" >&2; echo "failed under memcheck" >&2; exit 1; }
[ "$size" -le 1024 ] || { echo "$size MiB of shared memory are mapped" >&2; exit 1; }
