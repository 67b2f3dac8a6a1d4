/* The process of a worker, from its fork by the pool's server to its end. It is killed by the server, or by the kernel
 * when the server is gone; it may die at any instruction. Its work is in worker.c. */
#include "os/cpu.h"
#include "os/proc.h"
#include "os/signal.h"
#include "os/supervise.h"
#include "pool/worker/worker.h"
#include "process/self.h"
#include "util/atomic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the process is called from now on. Its tasks may start processes of any kind; it joins them when it ends. */
static void worker_take_name(unsigned index)
{
    char name[PROCESS_NAME_SIZE];
    snprintf(name, sizeof name, "Worker-%u", index + 1);
    self_copy_name(self.process.name, name);
    self.process.daemon = false;
    self_show_name();
    memcpy(member_identity.name, self.process.name, MEMBER_NAME_SIZE);
}

/* Take what the pool's options take from its workers. */
static int confine(const struct worker *worker)
{
    const struct pool *pool = worker->pool;
    int result = pool->pin ? os_cpu_pin(worker->index) : 0;
    return result || !pool->memory_limit ? result : os_limit_memory(pool->memory_limit);
}

/* Take the slot that the server forked this process for. Before that the slot may be somebody else's. */
static int take_slot(struct worker_slot *slot, uint32_t serial)
{
    int result = member_join();
    if (result)
        return result;
    if (!pool_take_place(&slot->word, serial))
        return -ESRCH;
    store_relaxed(&slot->pid, (int32_t)getpid());
    return 0;
}

_Noreturn void pool_worker(struct pool *pool, unsigned index, uint32_t serial, pid_t parent)
{
    struct worker worker = {
        .pool = pool, .slot = &pool->workers[index], .words = pool_crash_report(pool, index), .index = index};
    worker_become(&worker);
    os_forget_children();
    worker_take_name(index);
    if (pool->leaves_signals)
        os_signal_obey_parent(SIGTERM); /* by which the server ends it */
    int result = os_die_with_parent(parent);
    if (!result)
        result = confine(&worker);
    if (!result)
        result = take_slot(worker.slot, serial);
    if (result)
        _exit(-result); /* for the server to read */
    crash_report_listen(worker.words, __builtin_frame_address(0));
    result = worker_initialize(&worker);
    if (result)
        _exit(result);
    worker_serve(&worker);
    exit(0);
}
