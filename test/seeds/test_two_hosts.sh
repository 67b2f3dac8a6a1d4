#!/bin/sh
# Two programs that share nothing but an address of the loopback network and a key count together.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(umask 077 && head -c 32 /dev/urandom >"$work/key")
(umask 077 && head -c 32 /dev/urandom >"$work/other")
address=tls:127.0.0.2:$((20000 + $$ % 20000))

"$EXAMPLES/two_hosts" serve "$address" "$work/key" &
server=$!
tries=0
until "$EXAMPLES/two_hosts" count "$address" "$work/key" first 10 >"$work/first" 2>"$work/error"; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ]; then
        cat "$work/error"
        exit 1
    fi
    sleep 0.1
done
"$EXAMPLES/two_hosts" count "$address" "$work/key" second 100 >"$work/second" &
second=$!
"$EXAMPLES/two_hosts" count "$address" "$work/key" first 90 >"$work/first"
wait $second
grep -qx 'first: 100' "$work/first"
grep -qx 'second: 100' "$work/second"
if "$EXAMPLES/two_hosts" count "$address" "$work/other" first 1 2>"$work/error"; then
    echo 'another key was let in'
    exit 1
fi
"$EXAMPLES/two_hosts" stop "$address" "$work/key"
wait $server
