#!/bin/sh
# Run a program that works for as long as it is told, for $STORM seconds: storm.sh PROGRAM [ARGUMENT...], where an argument
# may hold the word SECONDS.
set -eu

seconds=${STORM:-180}
MPROC_TEST_SECONDS=$((seconds + 250))
export MPROC_TEST_SECONDS
count=$#
while [ "$count" -gt 0 ]; do
    set -- "$@" "$(printf '%s' "$1" | sed "s/SECONDS/$seconds/")"
    shift
    count=$((count - 1))
done
exec "$@"
