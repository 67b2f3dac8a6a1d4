#!/bin/sh
# Without cmake each target says what is missing and how to get it, and only `make deps` calls apt. Here apt-get only
# notes what it was asked for.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for command in sh env make nproc id find gcc g++ ninja sudo; do
    path=$(command -v "$command") && ln -s "$path" "$work/bin/$command"
done
printf '#!/bin/sh\necho "$*" >>"%s/asked"\n' "$work" >"$work/bin/apt-get"
chmod +x "$work/bin/apt-get"
: >"$work/asked"
if [ "$(id -u)" != 0 ]; then
    rm -f "$work/bin/sudo" # nobody is asked for a password
fi

fail()
{
    echo "$1" >&2
    cat "$work/said" "$work/asked" >&2
    exit 1
}

for target in demo build test examples man lint coverage bench install uninstall; do
    if PATH="$work/bin" make -C "$MPROC_SOURCE" "$target" >"$work/said" 2>&1; then
        fail "make $target went on without cmake"
    fi
    grep -q 'missing Debian packages:.* cmake' "$work/said" || fail "make $target does not say what is missing"
    grep -q 'make deps' "$work/said" || fail "make $target does not say how to get it"
    [ ! -s "$work/asked" ] || fail "make $target called apt-get"
done

[ "$(id -u)" = 0 ] || exit 0
PATH="$work/bin" make -C "$MPROC_SOURCE" deps FOR=build >"$work/said" 2>&1 || fail 'make deps failed'
grep -q 'install .* cmake' "$work/asked" || fail 'make deps did not ask apt-get for cmake'
