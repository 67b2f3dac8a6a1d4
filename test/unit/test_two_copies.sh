#!/bin/sh
# A program that has the library by its static form loads a plugin that has it by its shared one, and once more into a
# namespace of the loader: each copy works for itself, in the program and in the children of each.
set -u

include=$MPROC_SOURCE/include
static=$(find "$MPROC_BUILD" -maxdepth 1 -name libmproc.a)
shared=$(find "$MPROC_BUILD" -maxdepth 1 -name libmproc.so)
if grep -q '^MPROC_SANITIZE:STRING=..*' "$MPROC_BUILD/CMakeCache.txt"; then
    echo "SKIPPED: a sanitizer's runtime cannot be there twice"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2

cat >use.c <<'END'
#include <mproc.h>
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>

static int answer(void *arg)
{
    return mproc_queue_put(arg, "yes", 4, MPROC_SEC(60));
}

static int take_and_die(void *arg)
{
    mproc_lock_acquire(arg, MPROC_SEC(60));
    raise(SIGKILL);
    return 0;
}

static int twice(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(int *)out = *(const int *)in * 2;
    return 0;
}

static int use_processes(void)
{
    mproc_queue *queue;
    mproc_process *process;
    char text[4];
    int code = -1;
    if (mproc_queue_create(&queue, NULL) || mproc_process_start(&process, answer, queue, NULL) ||
        mproc_queue_get(queue, text, sizeof text, NULL, MPROC_SEC(60)) ||
        mproc_process_join(process, MPROC_SEC(60)) || mproc_process_exitcode(process, &code) || code)
        return 1;
    mproc_process_free(process);
    mproc_lock *lock = mproc_calloc(1, sizeof *lock);
    if (!lock || mproc_lock_init(lock) || mproc_process_start(&process, take_and_die, lock, NULL) ||
        mproc_process_join(process, MPROC_SEC(60)) || mproc_lock_acquire(lock, MPROC_SEC(60)) != MPROC_OWNER_DIED)
        return 2;
    mproc_process_free(process);
    return mproc_lock_release(lock);
}

static int use_pool(void)
{
    mproc_pool *pool;
    int in = 21, out = 0;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = MPROC_START_FORK}) ||
        mproc_pool_call(pool, twice, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(60)))
        return 3;
    mproc_pool_free(pool);
    return out == 42 ? 0 : 4;
}

int use(void);
int use(void)
{
    int result = use_processes();
    return result ? result : use_pool();
}
END
cat >main.c <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int use(void);

static int use_plugin(void *plugin)
{
    int (*fn)(void) = plugin ? (int (*)(void))dlsym(plugin, "use") : NULL;
    return fn ? fn() : 100;
}

int main(void)
{
    alarm(250);
    int own = use();
    void *plugin = dlopen("./plugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    int theirs = use_plugin(plugin);
    void *apart = dlmopen(LM_ID_NEWLM, "./plugin.so", RTLD_NOW | RTLD_LOCAL);
    int third = use_plugin(apart);
    int again = use();
    printf("program %d, plugin %d, in a namespace %d, program again %d\n", own, theirs, third, again);
    return own || theirs || third || again;
}
END
"$CC" -std=gnu11 -fPIC -shared -I"$include" use.c -o plugin.so -L"$(dirname "$shared")" \
    -Wl,-rpath,"$(dirname "$shared")" -lmproc || exit 2
"$CC" -std=gnu11 -D_GNU_SOURCE -I"$include" main.c use.c -o program "$static" -lpthread -ldl || exit 2
./program
