#!/bin/sh
# Programs under valgrind's memcheck, they and the children that they fork: no error. Leaks are
# not looked for: that is slow in a process with so much address space.
set -u

program=$(find "$MPROC_BUILD" -name child_memcheck -type f | head -n 1)
failed=0
if ! command -v valgrind >/dev/null; then
    echo "skipped: there is no valgrind"
    exit 0
fi
case $(ldd "$program") in *asan* | *tsan*)
    echo "skipped: a program with a sanitizer does not run under valgrind"
    exit 0
    ;;
esac
for what in processes queue pool; do
    out=$(timeout -k 5 100 valgrind -q --error-exitcode=99 --leak-check=no "$program" "$what" 2>&1)
    seen=$?
    out=$(printf '%s\n' "$out" | grep -v -e 'unhandled amd64-linux syscall' -e 'You may be able to write' \
        -e 'Nevertheless' -e 'README_MISSING_SYSCALL' -e 'valgrind.org/support')
    [ "$seen" = 0 ] && [ -z "$out" ] && continue
    printf 'failed under memcheck: %s (%s)\n%s\n' "$what" "$seen" "$out" >&2
    failed=1
done
exit "$failed"
