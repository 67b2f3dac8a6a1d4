/* The loop over the items of a chunk: all that is done for a tiny item. */
#ifndef MPROC_POOL_WORKER_LOOP_H
#define MPROC_POOL_WORKER_LOOP_H

#include <mproc/pool.h>
#include <stdatomic.h>

/* Where it is. The caller sets all; the loop moves mark, in and out. */
struct loop {
    uint64_t mark;     /* what current is at the next item: item << 1 | 1 */
    uint64_t end_mark; /* and behind the last one */
    uintptr_t in, out;
    size_t in_size, out_size;
    mproc_task *task;
    void *ctx;
    _Atomic(uint64_t) *current;              /* of the worker's slot */
    const _Atomic(uint32_t) *volatile flags; /* looked at after each item, and changed in a copy that a task forks */
};

typedef int loop_function(struct loop *loop);

/* Run items until the last one, until one has not returned 0, or until the flags have the bit 1 (JOB_STOPPED). Returns
 * what the last one has returned. The release stores to current order the outcome of each item before the begin of the
 * next. */
loop_function loop_run;

/* The same loop where it is best called with this task. A call to code that is more than 2 GiB away, as a program's is
 * from a shared library, costs more than all the rest of the loop, on processors that predict such jumps less well. So
 * there is a copy of the loop beside the first task that is so far; where there can be none, the loop itself does. The
 * copy is announced to the unwinder and gdb, see os/code_frames.h, so that stacks of tasks are whole. */
loop_function *loop_for(mproc_task *task);

#endif
