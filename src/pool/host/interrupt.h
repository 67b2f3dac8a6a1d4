/* Ctrl-C: what pools of this process do at SIGINT. */
#ifndef MPROC_POOL_HOST_INTERRUPT_H
#define MPROC_POOL_HOST_INTERRUPT_H

#include <mproc/pool.h>
#include <stdatomic.h>
#include <stdint.h>

/* Of a pool; memory of the host alone. */
struct interrupt {
    enum mproc_interrupt kind;  /* constant once it is added */
    uint64_t before;            /* interrupts that came before the pool; constant once it is added */
    _Atomic(uint64_t) answered; /* those since then that it has acted upon */
    struct interrupt *next;     /* the list of all that are not MPROC_INTERRUPT_DEFAULT; under the mutex of the file */
};

/* Let a pool answer interrupts, and end that. If no pool has answered the last interrupt, it takes effect when the last
 * pool has gone. */
void interrupt_add(mproc_pool *pool, enum mproc_interrupt kind);
void interrupt_remove(mproc_pool *pool);

/* Act upon what came. To be called wherever the host waits for something of the pool or gives it work, without its
 * mutex. */
void interrupt_look(mproc_pool *pool);

#endif
