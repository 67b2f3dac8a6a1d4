# shellcheck shell=sh disable=SC2034 # for those that read it in
# How the scripts begin that build programs with the library and run them.

here=$(dirname "$0")
library=$MPROC_BUILD
work=$MPROC_BUILD/test/compile
said=$work/$(basename "$0" .sh).txt # what the program that ran last has said on stderr
failed=0
mkdir -p "$work"

fail()
{
    echo "$*"
    cat "$said"
    failed=1
}
