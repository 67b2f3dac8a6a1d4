/* A program as test_program.sh runs it: it starts children by every method and pools and managers by fresh runs, and
 * says whether that worked, or was refused as the first argument says. A fresh run of it does what $FRESH says.
 *
 *     child_program works | uninitialized | privileged | gone [PLUGIN [FOLDER [late]]]
 *
 * With a plugin the children run its function; with a folder the program goes there before it starts them. */
#include <dlfcn.h>
#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is said of a start that the library refuses. */
static int expected;

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

static int nothing(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static int complain(const char *what, int result)
{
    if (result)
        fprintf(stderr, "%s: %d, %s\n", what, result, mproc_strerror(result));
    return result != 0;
}

static int check_start(const char *name, enum mproc_start_method method, mproc_target *fn)
{
    mproc_process *process;
    int code = -1;
    int result = mproc_process_start(&process, fn, NULL, &(mproc_process_options){.method = method});
    if (result || (expected && method != MPROC_START_FORK))
        return complain(name, result == expected ? 0 : result ? result : 999);
    mproc_process_join(process, MPROC_FOREVER);
    mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    return complain(name, code == 7 ? 0 : 1000 + code);
}

/* A pool chooses to fork where it is known beforehand that a fresh run would not do. */
static int check_pool(mproc_task *task, int at_make, int at_task)
{
    mproc_pool *pool;
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1});
    if (result != at_make)
        return complain("pool", result ? result : 999);
    if (result)
        return 0;
    result = mproc_pool_call(pool, task, NULL, NULL, 0, NULL, 0, MPROC_FOREVER);
    mproc_pool_free(pool);
    return complain("task", result == at_task ? 0 : result ? result : 999);
}

static int check_manager(void)
{
    mproc_manager *manager;
    int result = mproc_manager_create(&manager, &(mproc_manager_options){.method = MPROC_START_SPAWN});
    if (!result)
        mproc_manager_free(manager);
    return complain("manager", result == expected ? 0 : result ? result : 999);
}

/* In a fresh run, which has a comment for an argument: whatever comes before mproc_init() in a program. */
static int misbehave(const char *how)
{
    if (strcmp(how, "returns") == 0)
        return 0;
    if (strcmp(how, "leaves") == 0)
        _exit(3);
    if (strcmp(how, "crashes") == 0)
        abort();
    exit(4);
}

static int load(const char *path, mproc_target **target, mproc_task **task)
{
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *target = (mproc_target *)dlsym(plugin, "plugin_target");
    *task = (mproc_task *)dlsym(plugin, "plugin_task");
    return 0;
}

int main(int argc, char **argv)
{
    const char *how = getenv("FRESH");
    mproc_target *target = seven;
    mproc_task *task = nothing;
    if (how && argv[argc - 1][0] == '[')
        return misbehave(how);
    mproc_init();
    if (argc < 2)
        return 2;
    bool is_gone = strcmp(argv[1], "gone") == 0;
    bool is_privileged = strcmp(argv[1], "privileged") == 0;
    if (strcmp(argv[1], "uninitialized") == 0)
        expected = MPROC_NOT_INITIALIZED;
    if (is_privileged)
        expected = -EPERM;
    if (is_gone)
        expected = MPROC_NO_FUNCTION;
    if (argc > 2 && load(argv[2], &target, &task))
        return 2;
    if (argc > 3 && chdir(argv[3]))
        return 2;
    if (is_gone && remove("plugin.so"))
        return 2;
    int failed = check_start("fork", MPROC_START_FORK, target);
    failed += check_start("spawn", MPROC_START_SPAWN, target);
    failed += check_start("forkserver", MPROC_START_FORKSERVER, target);
    failed += check_pool(task, expected == MPROC_NOT_INITIALIZED ? expected : 0, is_gone ? expected : 0);
    if (!is_gone)
        failed += check_manager();
    return failed != 0;
}
