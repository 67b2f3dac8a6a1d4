#!/bin/bash
# No function of the library is a cancellation point: see src/os/uncancelled.h. The C library's functions that are such
# points are called nowhere but there: neither what the built library refers to nor the sources may have others.
set -u
source=${MPROC_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
library=${MPROC_BUILD:-$source/build/release}/libmproc.so
one_call='accept4?|close|connect|creat|fsync|fdatasync|msync|clock_nanosleep|nanosleep|usleep|sleep|pause|open|openat|poll|ppoll|select|pselect|pread|pwrite|preadv2?|pwritev2?|read|readv|recv|recvfrom|recvmsg|send|sendto|sendmsg|sigwait|sigwaitinfo|sigtimedwait|wait|waitid|waitpid|write|writev|epoll_wait|epoll_pwait2?|getrandom|sem_wait|sem_timedwait|system'
more='fopen|fgets|fread|fclose|fflush|getaddrinfo|pthread_join|pthread_timedjoin_np|pthread_cond_wait|pthread_cond_timedwait|pthread_cond_clockwait'
failed=0

[ -e "$library" ] || { echo "there is no $library"; exit 1; }
if nm -D "$library" | grep -q ' U __tsan_init'; then
    echo 'ThreadSanitizer sees the calls of the C library; only the sources are looked at'
else
    found=$(nm -D --undefined-only "$library" | awk '{sub(/@.*/, "", $2); print $2}' | sort -u | grep -Ex "(__)?($one_call)(64|_chk|64_chk)?")
    if [ -n "$found" ]; then
        echo "the library calls what is a cancellation point:" $found
        failed=1
    fi
fi

found=$(cd "$source" && grep -rnE "(^|[^_A-Za-z0-9.>\"])($more)\(" src --include='*.c' | grep -vE '^[^:]*:[0-9]*: *(/\*|\*)')
if [ -n "$found" ]; then
    echo 'called without uncancelled_:'
    echo "$found"
    failed=1
fi
exit $failed
