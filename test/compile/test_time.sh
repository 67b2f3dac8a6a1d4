#!/bin/bash
# A timeout without its unit does not compile, in C and in C++; one with it does, without a warning. In options a bare
# number is a warning: -Wmissing-braces, which -Wall has in C.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
c="${CC:-cc} -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror"
cxx="g++ -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast -Wno-missing-field-initializers -Wmissing-braces -Werror"

# Compile one statement: compile COMPILER NAME STATEMENT.
compile()
{
    printf '#include <mproc.h>\nvoid f(mproc_lock *lock, double n);\nvoid f(mproc_lock *lock, double n)\n{\n%s\n(void)lock;\n(void)n;\n}\n' \
        "$3" >"$folder/$2"
    # shellcheck disable=SC2086 # a list of options
    $1 -fsyntax-only -I"$MPROC_SOURCE/include" "$folder/$2" 2>"$folder/words"
}

accept()
{
    compile "$1" "$2" "$3" || { echo "refused by $1: $3" && cat "$folder/words" && exit 1; }
}

refuse()
{
    ! compile "$1" "$2" "$3" || { echo "accepted by $1: $3" && exit 1; }
}

for compiler in "$c" "$c -Wpedantic" "$cxx"; do
    name=t.c
    [[ $compiler != g++* ]] || name=t.cc
    for time in MPROC_FOREVER MPROC_NOWAIT 'MPROC_NS(5)' 'MPROC_US(5)' 'MPROC_MS(250)' 'MPROC_SEC(0.5)' 'MPROC_SEC(n)'; do
        accept "$compiler" $name "mproc_lock_acquire(lock, $time);"
        accept "$compiler" $name "mproc_pool_options options; options.grace = $time; (void)options;"
        accept "$compiler" $name "mproc_pool_options options = { .workers = 1, .grace = $time }; (void)options;"
    done
    for number in 0 5 1000L -1 0.5 n 'INT64_C(5)'; do
        refuse "$compiler" $name "mproc_lock_acquire(lock, $number);"
        refuse "$compiler" $name "mproc_pool_options options; options.grace = $number; (void)options;"
        [ $number = 0 ] || refuse "$compiler" $name "mproc_pool_options options = { .grace = $number }; (void)options;"
    done
done

accept "$c" t.c 'static const mproc_pool_options options = { .workers = 2, .grace = MPROC_MS(5) }; (void)options;'
accept "$c" t.c 'static const mproc_time half = MPROC_SEC(0.5); (void)half;'
accept "$cxx" t.cc 'constexpr mproc_time half = MPROC_SEC(0.5); (void)half;'
accept "$cxx" t.cc 'static const mproc_pool_options options = { .workers = 2, .grace = MPROC_MS(5) }; (void)options;'
