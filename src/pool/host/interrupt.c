/* Ctrl-C: what pools of this process do at SIGINT. The handler only counts; a thread that gives a pool work, or waits
 * for it, finds the count higher than what the pool has answered, and closes or terminates it. So the signal may come
 * to any thread at any instruction, and each pool acts once upon each.
 *
 * The handler stands while there are pools that want it, unless the program ignores SIGINT, as one does that was
 * started in the background. An interrupt beyond the last step of every pool does what SIGINT does by default, in the
 * handler: so a program that never calls its pools again can be ended too. */
#include "pool/host/interrupt.h"

#include "os/fork.h"
#include "os/listed.h"
#include "os/signal.h"
#include "pool/host/host.h"
#include "util/atomic.h"
#include <errno.h>
#include <unistd.h>

/* By the handler, and read by anybody. */
static _Atomic(uint64_t) interrupts;

/* Read by the handler: the process that installed it, and the last interrupt that a pool will answer. */
static _Atomic(pid_t) owner;
static _Atomic(uint64_t) last;

/* Between the threads of this process, for what follows. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct interrupt *first;
static uint64_t answered; /* the last interrupt upon which any pool has acted */
static bool is_caught;
static struct sigaction former;

static OS_FORK_PATH void forget_pools(void)
{
    os_mutex_reset(&mutex, false);
    first = NULL;
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = forget_pools;

/* A child that the program forks has the handler too, and no pools. */
static void on_interrupt(int number)
{
    int error = errno;
    uint64_t count = fetch_add_acq_rel(&interrupts, 1) + 1;
    bool is_own = getpid() == load_relaxed(&owner);
    if (!is_own || count > load_acquire(&last))
        os_signal_by_default(number);
    errno = error;
}

static uint64_t steps(enum mproc_interrupt kind)
{
    return kind == MPROC_INTERRUPT_DRAIN ? 2 : 1;
}

/* With the mutex. */
static void interrupt_find_last(void)
{
    uint64_t end = 0;
    for (const struct interrupt *each = first; each; each = each->next)
        if (each->before + steps(each->kind) > end)
            end = each->before + steps(each->kind);
    store_release(&last, end);
}

void interrupt_add(mproc_pool *pool, enum mproc_interrupt kind)
{
    struct interrupt *own = &pool->interrupt;
    if (kind == MPROC_INTERRUPT_DEFAULT)
        return;
    pthread_mutex_lock(&mutex);
    bool is_first = first == NULL;
    own->kind = kind;
    own->before = load_acquire(&interrupts);
    own->next = first;
    first = own;
    interrupt_find_last();
    if (is_first) {
        struct sigaction before;
        answered = own->before;
        store_relaxed(&owner, getpid());
        is_caught = os_signal_catch(SIGINT, on_interrupt, &before);
        if (is_caught && before.sa_handler != on_interrupt) /* else it is left from the process that forked this one */
            former = before;
    }
    pthread_mutex_unlock(&mutex);
}

void interrupt_remove(mproc_pool *pool)
{
    struct interrupt **place = &first;
    bool is_open = false;
    pthread_mutex_lock(&mutex);
    while (*place && *place != &pool->interrupt)
        place = &(*place)->next;
    if (*place) {
        *place = pool->interrupt.next;
        interrupt_find_last();
        if (!first && is_caught) {
            os_signal_put_back(SIGINT, on_interrupt, &former);
            is_open = load_acquire(&interrupts) > answered;
        }
    }
    pthread_mutex_unlock(&mutex);
    if (is_open)
        os_signal_raise(SIGINT);
}

static void note_answer(uint64_t number)
{
    pthread_mutex_lock(&mutex);
    if (number > answered)
        answered = number;
    pthread_mutex_unlock(&mutex);
}

/* One of several threads takes the step. A pool that the program has ended itself answers nothing. */
void interrupt_look(mproc_pool *pool)
{
    struct interrupt *own = &pool->interrupt;
    if (own->kind == MPROC_INTERRUPT_DEFAULT)
        return;
    uint64_t count = load_acquire(&interrupts) - own->before;
    uint64_t done = load_relaxed(&own->answered);
    uint64_t step = count < steps(own->kind) ? count : steps(own->kind);
    if (step <= done || !compare_exchange_acq_rel(&own->answered, &done, step))
        return;
    enum pool_state wanted = step == steps(own->kind) ? POOL_TERMINATED : POOL_DRAINED;
    if (pool_state(pool->shared) >= wanted)
        return;
    if (host_set_state(pool, wanted)) /* to be tried again */
        compare_exchange_acq_rel(&own->answered, &step, done);
    else
        note_answer(own->before + step);
}
