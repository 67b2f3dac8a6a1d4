#!/bin/sh
# Install into a folder of the build and use what is there: by pkg-config, by find_package, shared, static, from C++.
set -eu

here=$(dirname "$0")
stage=$MPROC_BUILD/test/install
prefix=$stage/root/opt/mproc
rm -rf "$stage"
mkdir -p "$stage"
DESTDIR=$stage/root cmake --install "$MPROC_BUILD" --prefix /opt/mproc >"$stage/install.log"

PKG_CONFIG_LIBDIR=$(dirname "$(find "$prefix" -name mproc.pc)")
export PKG_CONFIG_LIBDIR
libdir=$(pkg-config --variable=libdir mproc)
flags=$(pkg-config --cflags mproc)
libs=$(pkg-config --libs mproc)
version=$(pkg-config --modversion mproc)
minor=${version%.*}

# Until 1.0 the soname has the minor version, and only versions of that are as good as this one.
soversion=$minor
older=${minor%.*}.$((${minor#*.} - 1))
case $version in
[1-9]*)
    soversion=${version%%.*}
    older=$((soversion - 1)).0
    ;;
esac
libs_static=$(pkg-config --static --libs mproc)

# Run a program and say which; it must or must not need the shared library.
run()
{
    needs=$(LD_LIBRARY_PATH=$libdir ldd "$1" | grep -c "libmproc\.so\.$soversion " || :)
    if [ "$needs" != "$2" ]; then
        echo "$1 needs the shared library: $needs, expected $2" >&2
        exit 1
    fi
    echo "$1"
    LD_LIBRARY_PATH=$libdir "$1"
}

# README's own command lines, in a folder that has the program by each of their names.
mkdir "$stage/readme"
cp "$here/main.c" "$stage/readme/first.c"
cp "$here/main.c" "$stage/readme/program.c"
# shellcheck disable=SC2016 # as it stands there
grep -o 'eval "cc [a-z]*.c $(pkg-config [^)]*)"' "$MPROC_SOURCE/README.md" >"$stage/readme/lines"
[ "$(wc -l <"$stage/readme/lines")" = 2 ] || { echo 'README has other command lines' >&2 && exit 1; }
as_in_readme()
{
    (
        cd "$stage/readme"
        # shellcheck disable=SC2317 # called by the lines
        cc()
        {
            command "$CC" "$@"
        }
        while read -r line; do
            rm -f a.out
            eval "$line"
            run ./a.out 1
        done <lines
    )
}
as_in_readme

# shellcheck disable=SC2086 # lists of options
{
    "$CC" -o "$stage/pc_shared" "$here/main.c" $flags $libs
    "$CC" -o "$stage/pc_static" "$here/main.c" $flags -Wl,-Bstatic $libs_static -Wl,-Bdynamic
    "$CC" -static -o "$stage/pc_all_static" "$here/main.c" $flags $libs_static
    g++ -o "$stage/pc_cxx" -x c++ "$here/main.c" -x none $flags $libs
}
run "$stage/pc_shared" 1
run "$stage/pc_static" 0
run "$stage/pc_all_static" 0
run "$stage/pc_cxx" 1

# Where there is Python each function has a man page.
if [ -x /usr/bin/python3 ]; then
    page=$prefix/share/man/man3/mproc_queue_put.3
    grep -q '^\.SH RETURN VALUE' "$page" || { echo "no man page: $page" >&2 && exit 1; }
    if command -v man >/dev/null && [ "$(man -M "$prefix/share/man" -w mproc_queue_put)" != "$page" ]; then
        echo "man does not find $page" >&2
        exit 1
    fi
fi

cmake -G Ninja -S "$here" -B "$stage/build" -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$prefix" \
    -DNEEDED="$version" -DOLDER="$older" >"$stage/build.log"
cmake --build "$stage/build" >>"$stage/build.log"
run "$stage/build/user_shared" 1
run "$stage/build/user_static" 0
run "$stage/build/user_cxx" 1

# The same with spaces in both paths, and nothing is left when it is taken away.
spaced="$stage/root of all/opt/my mproc"
PREFIX='/opt/my mproc' DESTDIR="$stage/root of all" "$MPROC_SOURCE/scripts/install" "$MPROC_BUILD" >"$stage/install.log"
PKG_CONFIG_LIBDIR=$(dirname "$(find "$spaced" -name mproc.pc)")
libdir=$(dirname "$PKG_CONFIG_LIBDIR")
as_in_readme
PREFIX='/opt/my mproc' DESTDIR="$stage/root of all" "$MPROC_SOURCE/scripts/install" --remove "$MPROC_BUILD"
left=$(find "$stage/root of all" ! -type d -o -name mproc)
[ -z "$left" ] || { echo "left behind: $left" >&2 && exit 1; }

# Where the loader does not look, an installation that is not staged says what to do.
PREFIX="$stage/of a user" "$MPROC_SOURCE/scripts/install" "$MPROC_BUILD" >"$stage/install.log"
grep -q "LD_LIBRARY_PATH='$stage/of a user/lib" "$stage/install.log" || { echo 'no word about the loader' >&2 && exit 1; }
PREFIX="$stage/of a user" "$MPROC_SOURCE/scripts/install" --remove "$MPROC_BUILD"
