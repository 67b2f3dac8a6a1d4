#!/bin/bash
# A timeout without its unit does not compile, in C and in C++; one with it does, without a warning. In options a bare
# number is an error in C++, and in C at least a warning that no option has to ask for.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
c="${CC:-cc} -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror"
cxx="g++ -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast -Wno-missing-field-initializers -Werror"

# Compile one statement: compile COMPILER NAME STATEMENT.
compile()
{
    printf '#include <mproc.h>\n%s\nvoid f(mproc_lock *lock, double n);\nvoid f(mproc_lock *lock, double n)\n{\n%s\n(void)lock;\n(void)n;\n}\n' \
        "$([[ $2 != *.cc ]] || echo '#include <type_traits>')" "$3" >"$folder/$2"
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

# With no other option than these.
for number in 500000 n; do
    for compiler in "${CC:-cc} -std=c11 -Werror" 'gcc -std=gnu17 -Werror=int-conversion' 'g++ -std=c++20' 'g++ -std=c++17'; do
        name=t.c
        [[ $compiler != g++* ]] || name=t.cc
        for bare in "$number" "{$number}"; do
            refuse "$compiler" $name "mproc_pool_options options = { .grace = $bare }; (void)options;"
        done
    done
    refuse 'g++ -std=c++17' t.cc "mproc_lock_acquire(lock, {$number});"
    refuse 'g++ -std=c++17' t.cc "mproc_pool_options options; options.grace = {$number}; (void)options;"
done

accept "$c" t.c 'static const mproc_pool_options options = { .workers = 2, .grace = MPROC_MS(5) }; (void)options;'
accept "$c" t.c 'static const mproc_time half = MPROC_SEC(0.5); (void)half;'
accept "$cxx" t.cc 'constexpr mproc_time half = MPROC_SEC(0.5); (void)half;'
accept "$cxx" t.cc 'static const mproc_pool_options options = { .workers = 2, .grace = MPROC_MS(5) }; (void)options;'
accept "$cxx" t.cc 'mproc_pool_options options = {}; options.grace = MPROC_MS(5); (void)options;'
accept "$cxx" t.cc 'static_assert(std::is_trivial<mproc_time>::value && sizeof(mproc_time) == 8, "as an int64_t");'
