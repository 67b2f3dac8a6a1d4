#!/bin/bash
# The public headers, together and each alone, in each language that they are for, with the warnings that careful programs
# turn on. Run by CTest and by scripts/lint.
set -u

cd "$(dirname "$0")/../../include" || exit 2
failed=0
common='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Wundef'
noise='-Wno-padded -Wno-declaration-after-statement -Wno-reserved-identifier -Wno-documentation-unknown-command'
noise_cxx="$noise -Wno-unknown-warning-option -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-c++20-compat -Wno-unsafe-buffer-usage"

# What is inline and what is a macro is compiled in the program, with its warnings.
use='
int main(void)
{
    mproc_value items[2];
    items[0] = mproc_int(1);
    items[1] = mproc_string("text");
    mproc_value all[] = {mproc_nil(), mproc_bool(true), mproc_double(0.5), mproc_bytes("b", 1), mproc_list_of(items, 2)};
    const mproc_time times[] = {MPROC_FOREVER, MPROC_NOWAIT, MPROC_US(1), MPROC_MS(20), MPROC_SEC(3)};
    mproc_log(MPROC_LOG_DEBUG, "%d", MPROC_VERSION_MAJOR);
    return all[0].kind == MPROC_LIST || sizeof times == 0;
}'

# Compile all headers in one program that uses them: check LANGUAGE COMPILER OPTION...
check()
{
    local language=$1
    shift
    command -v "$1" >/dev/null || return
    printf '#include <mproc.h>\n%s\n' "$use" | "$@" -Werror -fsyntax-only -I. -x "$language" - && return
    echo "headers: not clean with $*" >&2
    failed=1
}

# Each header alone, and twice.
check_alone()
{
    local language=$1 header
    shift
    command -v "$1" >/dev/null || return
    for header in mproc.h mproc/*.h; do
        printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
            "$@" -Werror -fsyntax-only -I. -x "$language" - && continue
        echo "headers: $header alone is not clean with $*" >&2
        failed=1
    done
}

# shellcheck disable=SC2086 # lists of options
{
    for standard in c11 gnu11 gnu17 c2x; do
        check c gcc -std=$standard $common -Wstrict-prototypes
    done
    check c gcc -std=c99 -Wall
    check c gcc -std=c11 -O2 $common -D_GNU_SOURCE -D_FORTIFY_SOURCE=2
    check c clang -std=c11 -Weverything $noise
    check c clang -std=gnu17 -Weverything $noise
    for standard in c++14 c++17 c++20 c++23; do
        check c++ g++ -std=$standard $common -Wold-style-cast -Wzero-as-null-pointer-constant
    done
    check c++ g++ -std=c++23 $common -fno-exceptions -fno-rtti
    check c++ clang++ -std=c++17 -Weverything $noise_cxx
    check c++ clang++ -std=c++20 -Weverything $noise_cxx
    check_alone c gcc -std=c11 $common
    check_alone c clang -std=c11 $common
    check_alone c++ g++ -std=c++17 $common -Wold-style-cast
}
exit "$failed"
