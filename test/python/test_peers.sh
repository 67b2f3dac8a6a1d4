#!/bin/bash
# Python programs at the other end: as clients and as listeners, over unix and tcp, with the handshake of Python up to
# 3.11 and with the newer one, with right and wrong keys, and a message of 3 GiB where there is the memory for it.
# $PYTHON says which Python; without one there is nothing to test.
set -u

here=$(dirname "$0")
ours=$MPROC_BUILD/test/python/child_peer
python=${PYTHON:-/usr/bin/python3}
status=0

if ! "$python" -c 'import multiprocessing.connection'; then
    echo "There is no $python: nothing was tested with it"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077
printf 'the right key' >"$work/right"
printf 'another key' >"$work/wrong"
md5=md5
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && md5=sha256
echo "$python: $("$python" --version), whose own handshake is by $md5"

# The command of one side: side ours|python ROLE ADDRESS KEY [OPTION...]
side()
{
    local which=$1
    shift
    if [ "$which" = ours ]; then
        "$ours" "$@"
    else
        "$python" -B "$here/peer.py" "$@"
    fi
}

# Whether a listener and a client end as expected: pair NAME LISTENER CLIENT ADDRESS EXPECTED, where the sides are lists
# of which side, key and options, and EXPECTED their two exit codes; "?" is any.
pair()
{
    local name=$1 address=$4 expected=$5 listener client place='' got
    read -ra listener <<<"$2"
    read -ra client <<<"$3"
    : >"$work/address"
    side "${listener[0]}" listen "$address" "${listener[@]:1}" >"$work/address" 2>"$work/listener" &
    local pid=$!
    for ((i = 0; i < 1000; i++)); do
        place=$(cat "$work/address")
        [ -n "$place" ] && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.02
    done
    side "${client[0]}" connect "$place" "${client[@]:1}" 2>"$work/client"
    got=$?
    wait $pid
    got="$? $got"
    # shellcheck disable=SC2053 # a pattern
    if [[ $got == $expected ]]; then
        echo "ok: $name"
        return
    fi
    echo "FAILED: $name: the exit codes are $got, and should be $expected"
    sed 's/^/    listener: /' "$work/listener"
    sed 's/^/    client: /' "$work/client"
    status=1
}

R=$work/right
W=$work/wrong
allow=
[ $md5 = md5 ] && allow=md5

for address in unix: tcp:127.0.0.1:0; do
    pair "$address, Python connects" "ours $R $allow" "python $R" $address '0 0'
    pair "$address, Python listens" "python $R" "ours $R $allow" $address '0 0'
    pair "$address, Python connects by sha256" "ours $R" "python $R sha256" $address '0 0'
    pair "$address, Python listens by sha256" "python $R sha256" "ours $R" $address '0 0'
done
pair "Python connects without a key" "ours -" "python -" unix: '0 0'
pair "Python listens without a key" "python -" "ours -" unix: '0 0'
pair "Python connects with the wrong key" "ours $R $allow" "python $W" unix: '1 3'
pair "Python listens with the wrong key" "python $W" "ours $R $allow" unix: '3 3'
pair "Python connects by sha256 with the wrong key" "ours $R md5" "python $W sha256" unix: '1 3'
pair "Python listens by sha256 with the wrong key" "python $W sha256" "ours $R md5" unix: '3 3'
pair "Python stops half-way" "ours $R" "python $R stop" unix: '1 0'
if [ $md5 = md5 ]; then
    pair "MD5 is not taken unless it is allowed" "ours $R" "python $R" unix: '1 3'
    pair "MD5 is not given unless it is allowed" "python $R" "ours $R" unix: '? 3'
fi

free=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
if [ "${MPROC_TEST_SECONDS:-120}" -gt 200 ] || [ "$free" -lt 11 ]; then
    echo "SKIPPED: messages of 3 GiB, which need 11 GiB of free memory ($free are free) and a build without sanitizers"
else
    pair "Python sends 3 GiB" "ours $R $allow" "python $R huge" unix: '0 0'
    pair "Python receives 3 GiB" "python $R" "ours $R $allow huge" unix: '0 0'
fi
exit $status
