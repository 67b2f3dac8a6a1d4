#!/bin/sh
# Programs that are started, loaded or placed so that a fresh run of them is not what it seems: it works, or the start
# says why it cannot. See child_program.c.
set -u

program=$(find "$MPROC_BUILD" -name child_program -type f | head -n 1)
library=$MPROC_BUILD/libmproc.so
loader=$(ldd "$program" | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work" || exit 2
cp "$program" program
failed=0

# expect NAME COMMAND...: the command ends with 0 within a minute.
expect()
{
    name=$1
    shift
    timeout -k 5 60 "$@" >out 2>err && return
    echo "failed: $name" >&2
    cat out err >&2
    failed=1
}

# says NAME TEXT: the last command said it on stderr.
says()
{
    grep -q "$2" err && return
    echo "failed: $1: stderr lacks: $2" >&2
    cat err >&2
    failed=1
}

build_plugin()
{
    cat >plugin.c <<'END'
int plugin_target(void *arg) { (void)arg; return 7; }
int plugin_task(void *ctx, const void *in, void *out) { (void)ctx; (void)in; (void)out; return 0; }
END
    "$CC" -fPIC -shared "$@" plugin.c -o plugin.so
}

expect "a program by its relative path" ./program works

for value in '' leaks 5x 2 5: 5:x; do
    expect "MPROC_SPAWN is '$value'" env MPROC_SPAWN="$value" ./program works
    says "MPROC_SPAWN is '$value'" "MPROC_SPAWN is ignored"
done

if [ -n "$loader" ]; then
    expect "a program through the loader" "$loader" ./program works
    expect "a program through the loader with options" "$loader" --library-path /nowhere --inhibit-cache ./program works
fi

build_plugin
mkdir -p elsewhere
expect "a plugin by a relative path, from another folder" ./program works ./plugin.so elsewhere
expect "the same through the loader" "$loader" ./program works ./plugin.so elsewhere
build_plugin -Wl,--build-id=none
expect "a plugin without a build id" ./program works ./plugin.so elsewhere
build_plugin
expect "a plugin that was deleted" ./program gone ./plugin.so .

for how in returns leaves crashes exits; do
    expect "a fresh run that $how before mproc_init()" env FRESH=$how ./program uninitialized
    says "a fresh run that $how before mproc_init()" "did not get to mproc_init()"
done

# An interpreter calls mproc_init(), of a library that it has loaded.
cat >interpreter.c <<'END'
#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>
#include <mproc.h>

static int nothing(void *arg) { (void)arg; return 0; }

int main(int argc, char **argv)
{
    if (argc < 2)
        return 20; /* no script */
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        return 21;
    int (*init)(void) = (int (*)(void))dlsym(library, "mproc_init");
    int (*make)(mproc_pool **, const mproc_pool_options *) = (int (*)(mproc_pool **, const mproc_pool_options *))dlsym(library, "mproc_pool_create");
    int (*start)(mproc_process **, mproc_target *, const void *, const mproc_process_options *) = (int (*)(mproc_process **, mproc_target *, const void *, const mproc_process_options *))dlsym(library, "mproc_process_start");
    int (*choose)(const char *) = (int (*)(const char *))dlsym(library, "mproc_executable_set");
    mproc_pool *pool;
    mproc_process *process;
    if (init() || make(&pool, &(mproc_pool_options){.workers = 1}))
        return 22;
    if (start(&process, nothing, NULL, &(mproc_process_options){.method = MPROC_START_SPAWN}) != MPROC_NOT_INITIALIZED ||
        start(&process, nothing, NULL, &(mproc_process_options){.method = MPROC_START_FORKSERVER}) != MPROC_NOT_INITIALIZED)
        return 23;
    if (choose("/bin/true") || start(&process, nothing, NULL, &(mproc_process_options){.method = MPROC_START_SPAWN}) != MPROC_NOT_INITIALIZED)
        return 24;
    return 0;
}
END
"$CC" -I"$MPROC_SOURCE/include" interpreter.c -o interpreter -ldl
expect "an interpreter" ./interpreter "$library"
says "an interpreter" "a fresh run of /bin/true ended with code 0"

# Rights of its own, which only root can give.
if [ "$(id -u)" = 0 ] && setcap cap_net_bind_service+ep program 2>err && command -v setpriv >/dev/null; then
    expect "a program with capabilities of its file" setpriv --reuid 65534 --regid 65534 --clear-groups \
        ./program privileged
else
    echo "skipped: a program with capabilities of its file: not root, or no setcap and setpriv"
fi
exit "$failed"
