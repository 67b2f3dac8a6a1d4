#!/bin/sh
# The example wordcount against counts by tr, sort and uniq: on a small tree with every kind of file, with workers that
# crash, with files that change meanwhile, and with wrong options.
set -u

wordcount=$EXAMPLES/wordcount
work=$(mktemp -d)
helper=
trap '[ -z "$helper" ] || kill "$helper"; rm -rf "$work"' EXIT
tree=$work/tree
failures=0

# A sanitizer's own handler would turn the crash into an exit.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0" TSAN_OPTIONS="${TSAN_OPTIONS:+$TSAN_OPTIONS:}handle_segv=0"

fail() {
    echo "$*"
    tail -n 7 "$work/output"
    head -n 7 "$work/errors"
    failures=$((failures + 1))
}

# Run wordcount; want STATUS ARGUMENT...
want() {
    expected_status=$1
    shift
    status=0
    timeout 60 "$wordcount" "$@" >"$work/output" 2>"$work/errors" || status=$?
    [ "$status" -eq "$expected_status" ] || fail "wordcount $*: exit status $status, not $expected_status"
}

has() {
    grep -q -- "$2" "$work/$1" || fail "there is no \"$2\" in the $1"
}

# Compare the words that were shown with those of the files named.
same_counts_as() {
    awk 1 "$@" | LC_ALL=C tr 'A-Z' 'a-z' | LC_ALL=C tr -cs 'a-z0-9\200-\377' '\n' | sed '/^$/d' | LC_ALL=C sort |
        uniq -c | sed 's/^ *//' | LC_ALL=C sort >"$work/want"
    sed -n 's/^ *\([0-9][0-9]*\)  /\1 /p' "$work/output" | LC_ALL=C sort >"$work/got"
    diff "$work/want" "$work/got" >"$work/diff" || fail "the counts differ: $(head -n 5 "$work/diff")"
}

mkdir -p "$tree/deep/er"
printf 'One two two, THREE three-Three\n' >"$tree/small.txt"
printf 'caf\303\251 caf\303\251 x_y 42 no newline at the end' >"$tree/deep/bytes.txt"
printf '' >"$tree/deep/empty.txt"
printf 'text and \000 a zero\n' >"$tree/deep/er/binary.txt"
# Larger than a slice, with a word across each of its bounds; and a word that is longer than any slice's look ahead.
awk 'BEGIN { for (i = 0; i < 120000; i++) printf "w%d%s", i % 97, i % 11 ? " " : "\n" }' >"$tree/large.txt"
awk 'BEGIN { for (i = 0; i < 60000; i++) printf "across%d.", i % 13 }' >"$tree/deep/er/larger.txt"
for i in 1 2 3 4 5 6 7 8 9; do
    echo "file $i of many is bad or good" >"$tree/deep/er/many$i.txt"
done
ln -s .. "$tree/deep/loop"
ln -s small.txt "$tree/link.txt"
texts=$(find "$tree" -type f ! -name binary.txt)

for workers in 1 2 5; do
    want 0 --top 10000 --workers $workers "$tree"
    same_counts_as $texts
    has output '^agreement    on the count of every word$'
    has output '^files        14 of 15: 1 are no text, 0 unreadable, 0 crashed$'
    [ ! -s "$work/errors" ] || fail "something is on stderr, which is no terminal"
done

want 0 --top 2 "$tree/small.txt" "$tree/deep/er/many1.txt"
has output '^ *3  three$'
has output '^ *2  two$'

awk 'BEGIN { for (i = 0; i < 300000; i++) printf "x" }' >"$work/long"
want 0 "$work/long"
has output "^ *1  x\\{255\\}$"

# One file of many, and one of several slices, kill their workers: both are named, and all others are counted.
for bad in many4.txt larger.txt; do
    want 3 --top 10000 --crash "$bad" "$tree"
    has errors "/$bad: left out, its worker died of SIGSEGV$"
    [ "$(wc -l <"$work/errors")" -eq 1 ] || fail "more than one file is named"
    has output ' 1 crashed$'
    has output '^agreement    on the count of every word$'
    same_counts_as $(find "$tree" -type f ! -name binary.txt ! -name "$bad")
done
# All but the empty file.
want 3 --crash / "$tree"
has output '^files        1 of 15: '

# A file that grows counts as long as it was when it was found.
(while :; do echo more words; done >>"$tree/large.txt") &
helper=$!
want 0 "$tree"
kill $helper
wait $helper 2>"$work/ignored"
# Files that come and go may be counted by one run and not by the other, but must not end the program.
(while :; do rm -f "$tree/many"*; for i in 1 2 3 4 5 6 7 8; do echo "$i" >"$tree/many$i"; done; done) &
helper=$!
for i in 1 2 3 4 5; do
    status=0
    timeout 60 "$wordcount" "$tree" >"$work/output" 2>"$work/errors" || status=$?
    [ "$status" -le 1 ] || fail "files that come and go: exit status $status"
done
kill $helper
wait $helper 2>"$work/ignored"
helper=

want 0 --help
has output '^usage: wordcount '
mkdir "$work/nothing"
want 0 "$work/nothing"
want 2
has errors 'name at least one folder'
want 2 --top ten "$tree"
has errors "'ten'"
want 2 --workers 0 "$tree"
has errors 'from 1 to 1024'
want 2 --unknown "$tree"
has errors 'usage: wordcount'
want 2 "$tree" "$work/missing"
has errors 'missing: No such file or directory'

[ "$failures" -eq 0 ]
