/* What test_memcheck.sh runs under valgrind: processes, a queue and a pool, from beginning to end. */
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOON MPROC_SEC(100)

static int fail(const char *what, int result)
{
    fprintf(stderr, "%s: %d, %s\n", what, result, mproc_strerror(result));
    return 1;
}

/* ---- processes ---- */

static int seven(void *arg)
{
    char *text = malloc(100);
    strcpy(text, arg ? arg : "");
    free(text);
    return 7;
}

static int try_process(enum mproc_start_method method)
{
    mproc_process *process;
    int code = -1;
    const mproc_process_options options = {.method = method, .arg_size = 5, .daemon = method == MPROC_START_SPAWN};
    int result = mproc_process_start(&process, seven, "text", &options);
    if (result)
        return fail("start", result);
    result = mproc_process_join(process, SOON);
    if (!result)
        result = mproc_process_exitcode(process, &code);
    process = mproc_process_free(process);
    return result || code != 7 ? fail("end", result ? result : code) : 0;
}

static int try_group(void)
{
    mproc_group *group;
    mproc_process *process;
    int result = mproc_group_create(&group, NULL);
    for (int i = 0; i < 3 && !result; i++)
        result = mproc_group_start(group, &process, seven, NULL, NULL);
    mproc_wait_item item = {.kind = MPROC_WAIT_PROCESS, .on.process = process};
    if (!result)
        result = mproc_wait(&item, 1, NULL, SOON);
    if (!result)
        result = mproc_group_wait_all(group, SOON) == MPROC_TASK_FAILED ? 0 : 1;
    mproc_group_free(group);
    return result ? fail("group", result) : 0;
}

static int processes(void)
{
    return try_process(MPROC_START_FORK) || try_process(MPROC_START_SPAWN) || try_process(MPROC_START_FORKSERVER) ||
           try_group();
}

/* ---- a queue ---- */

static int puts_many(void *arg)
{
    static char large[100000];
    for (size_t i = 0; i < 100; i++)
        if (mproc_queue_put(arg, large, i * 1000, SOON))
            return 1;
    return 0;
}

static int queue(void)
{
    static char message[100000];
    mproc_queue *queue;
    mproc_process *process;
    size_t size;
    int result = mproc_queue_create(&queue, NULL);
    if (!result)
        result = mproc_process_start(&process, puts_many, queue, NULL);
    for (size_t i = 0; i < 100 && !result; i++) {
        result = mproc_queue_get(queue, message, sizeof message, &size, SOON);
        if (!result && size != i * 1000)
            result = 1;
    }
    if (result)
        return fail("queue", result);
    mproc_process_join(process, SOON);
    mproc_process_free(process);
    mproc_queue_free(queue);
    return 0;
}

/* ---- a pool ---- */

static int doubles(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static int pool(void)
{
    enum {
        COUNT = 1000
    };
    static int in[COUNT], out[COUNT];
    mproc_pool *pool;
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = MPROC_START_FORK});
    if (result)
        return fail("pool", result);
    for (int i = 0; i < COUNT; i++)
        in[i] = i;
    const mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    result = mproc_pool_map(pool, doubles, NULL, &map, SOON);
    for (int i = 0; i < COUNT && !result; i++)
        result = out[i] != 2 * i;
    mproc_pool_free(pool);
    return result ? fail("map", result) : 0;
}

int main(int argc, char **argv)
{
    mproc_init();
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "processes") == 0)
        return processes();
    if (strcmp(what, "queue") == 0)
        return queue();
    if (strcmp(what, "pool") == 0)
        return pool();
    return 2;
}
