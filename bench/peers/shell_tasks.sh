#!/bin/bash
# Microseconds a task for programs that start other programs: each task is /bin/true, and as many run at the same time as
# there are CPUs: shell_tasks.sh parallel|xargs [TASKS]. A task that fails makes the whole fail.
set -eu -o pipefail

tasks=${2:-200}
jobs=$(nproc)
begin=$(date +%s%N)
case $1 in
parallel) seq "$tasks" | parallel --will-cite -j "$jobs" --halt now,fail=1 -n 1 "/bin/true {}" ;;
xargs) seq "$tasks" | xargs -P "$jobs" -n 1 /bin/true ;;
*) exit 2 ;;
esac
end=$(date +%s%N)
awk "BEGIN { printf \"%.3f\\n\", ($end - $begin) / 1000 / $tasks }"
