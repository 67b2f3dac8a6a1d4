/* The host's side of a pool: the life of its server, and waiting. Any thread of the host may be here. What it promises:
 * whoever waits looks at the server's life every PATROL, and so does whoever only asks, if nobody did in the last
 * LOOK_PAUSE. So the death of the server, which takes all workers with it, delays the pool's work and does no more. */
#include "pool/host/host.h"

#include "os/clock.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/spin.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/log.h>
#include <signal.h>
#include <stdio.h>

/* Enough for what why_not_begun() writes. */
#define WHY_SIZE 64

/* How long a waiter looks before it sleeps. */
#define SPIN_TIME OS_US(20)

/* How often the server's life is looked at, at most, and how often by one that waits. */
#define LOOK_PAUSE OS_MS(20)
#define PATROL     OS_MS(50)

/* The same while the server is dead, and its workers end or another server has to wait. */
#define MEND_PAUSE OS_MS(5)

/* Between two lines of the log about processes that cannot be started. */
#define TELL_PAUSE OS_SEC(10)

/* How long to wait at a time, with the mutex, for workers whose server was killed to be gone. */
#define SETTLE_TIME OS_MS(20)

/* How long workers of a pool that is cut off may seem to live. */
#define SETTLE_CUT_OFF OS_MS(500)

bool host_can_pass(const mproc_pool *pool, const void *address)
{
    return !address || pool->sees_private || region_contains(address);
}

int host_check(const mproc_pool *pool)
{
    int result = tag_check(pool ? &pool->tag : NULL, TAG_POOL);
    if (result)
        return failure(result, result == -ESTALE ? "the pool was freed" : "pool is NULL, or no pool");
    if (pool->shared->host != member_current())
        return failure(MPROC_FOREIGN, "the pool belongs to the process that made it");
    return 0;
}

int host_check_privileges(mproc_pool *pool, bool often)
{
    struct os_privileges now;
    if (pool->shared->threads)
        return 0;
    int64_t moment = os_now_coarse();
    if (often && load_relaxed(&pool->rights_at) == moment)
        return 0;
    os_privileges(&now);
    pthread_mutex_lock(&pool->mutex);
    bool differ = os_privileges_differ(&pool->rights, &now);
    pthread_mutex_unlock(&pool->mutex);
    store_relaxed(&pool->rights_at, differ ? 0 : moment);
    if (differ)
        return failure(-EPERM, "the workers have the user, groups and capabilities that this process had before it "
                               "changed them: make the pool after that");
    return 0;
}

/* Why a worker could not be started or begin, as text for people. */
static const char *why_not_begun(struct pool *shared, int reason, char text[WHY_SIZE])
{
    if (reason != MPROC_TASK_FAILED)
        return mproc_strerror(reason);
    snprintf(text, WHY_SIZE, "the initializer returned %d", load_relaxed(&shared->initializer_code));
    return text;
}

int host_broken(mproc_pool *pool)
{
    char text[WHY_SIZE];
    struct pool *shared = pool->shared;
    int broken = pool_broken(shared);
    if (load_acquire(&pool->is_cut_off))
        return failure(MPROC_BROKEN, "the program has closed the library's descriptors, and the pool's processes went "
                                     "with them");
    return failure(MPROC_BROKEN, "%d workers in a row ended in their initializer, the last one with: %s", POOL_TRIES,
                   why_not_begun(shared, broken ? broken : load_relaxed(&shared->trouble), text));
}

void host_hold(mproc_pool *pool)
{
    fetch_add_relaxed(&pool->holders, 1);
}

void host_let_go(mproc_pool *pool)
{
    if (fetch_sub_acq_rel(&pool->holders, 1) == 1)
        tag_free(&pool->tag);
}

/* ---- the server ---- */

/* The server gets none of the host's connections: it would hide their end from the other side. */
static int host_start_server(mproc_pool *pool)
{
    static mproc_connection *const no_connections[1];
    struct pool *shared = pool->shared;
    struct pool_server_start start = {.pool = shared, .serial = pool_reserve(shared, &shared->server_word)};
    const mproc_process_options options = {.name = "PoolServer",
                                           .daemon = true,
                                           .method = pool->method,
                                           .arg_size = sizeof start,
                                           .connections = no_connections};
    pool->server = mproc_process_free(pool->server);
    os_privileges(&pool->rights);
    pool->begins = load_relaxed(&shared->begins);
    pool->started_at = os_now();
    int result = mproc_process_start(&pool->server, pool_server, &start, &options);
    if (result)
        store_release(&shared->server_word, 0);
    return result;
}

/* Kill a worker that outlived its server: it lives on for a moment, or a task has told the kernel to let it. */
static void kill_straggler(struct worker_slot *slot)
{
    int fd = member_pidfd(load_acquire(&slot->word));
    if (fd < 0)
        return;
    os_pidfd_signal(fd, SIGKILL);
    os_close(fd);
}

/* Settle what the workers of a dead server held. False when some of them still live. */
static bool settle_workers(struct pool *shared)
{
    bool all = true;
    for (unsigned i = 0; i < shared->worker_count; i++) {
        struct worker_slot *slot = &shared->workers[i];
        if (!pool_is_vacant(&slot->word)) {
            kill_straggler(slot);
            all = false;
            continue;
        }
        if (load_acquire(&slot->word) == 0)
            continue;
        bool known = load_acquire(&slot->ended);
        int exit = known ? load_relaxed(&slot->exit) : -SIGKILL;
        all = pool_settle_worker(shared, i, exit) == 0 && all;
    }
    return all;
}

/* Sleep for a moment. 0, or MPROC_TIMEOUT when the deadline has come. */
static int host_doze(struct pool *shared, int64_t deadline)
{
    int64_t end = os_now() + OS_MS(1);
    wait_cell_sleep(&shared->changed, wait_cell_prepare(&shared->changed), end < deadline ? end : deadline);
    return os_now() < deadline ? 0 : MPROC_TIMEOUT;
}

static bool wait_for_workers(struct pool *shared)
{
    int64_t end = os_now() + SETTLE_TIME;
    while (!settle_workers(shared))
        if (host_doze(shared, end) == MPROC_TIMEOUT)
            return false;
    return true;
}

static void set_ended(struct pool *shared)
{
    store_release(&shared->ended, 1);
    wait_cell_wake(&shared->changed, WAIT_CELL_ALL);
}

static bool host_has_ended(struct pool *shared)
{
    return load_acquire(&shared->ended);
}

/* Put every job with chunks that nobody has into the list. The oldest is put in front last. */
static bool offer_all(struct pool *shared)
{
    bool done = true;
    for (struct job *job = load_relaxed(&shared->newest); job; job = job->older)
        done = pool_offer_again(shared, job) == 0 && done;
    return done;
}

/* The proof of its life as a member counts where the program's own reaping has made the handle useless. */
static bool server_is_gone(const mproc_pool *pool)
{
    return !mproc_process_is_alive(pool->server) && pool_is_vacant(&pool->shared->server_word);
}

/* End the jobs of a pool in which no worker can begin. With the mutex. */
static void stop_if_broken(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    if (!pool_broken(shared) || pool_lock(shared))
        return;
    struct job *job = pool_broken(shared) ? load_relaxed(&shared->newest) : NULL;
    for (; job; job = job->older) {
        if (!load_relaxed(&job->published) || (job_flags(job) & JOB_STOPPED))
            continue;
        fetch_or_acq_rel(&job->flags, JOB_STOPPED | JOB_BROKEN);
        wait_cell_wake(job->waiter, WAIT_CELL_ALL);
    }
    pool_unlock(shared);
    callbacks_look(pool);
    wait_cell_wake(&shared->server, WAIT_CELL_ALL);
}

/* Whether the program has closed the descriptors of the library: the server went with them, there will be no other, and
 * the kernel cannot be asked for the workers. */
static bool is_cut_off(const mproc_pool *pool)
{
    return !mproc_process_is_alive(pool->server) && !member_confirm();
}

/* Whether all workers are gone, as far as it is known without the library's descriptors: nobody has their numbers. */
static bool workers_are_gone(const struct pool *shared)
{
    bool all = true;
    for (unsigned i = 0; all && i < shared->worker_count; i++) {
        pid_t pid = (pid_t)load_relaxed(&shared->workers[i].pid);
        int fd = pid > 0 ? os_pidfd_open(pid) : -ESRCH;
        all = fd < 0;
        if (fd >= 0)
            os_close(fd);
    }
    return all;
}

/* End a job of which nothing can be done any more. */
static void end_cut_off(struct job *job)
{
    fetch_or_acq_rel(&job->flags, JOB_STOPPED | JOB_BROKEN);
    for (size_t i = 0; i < job->chunk_count; i++) {
        uint64_t word = load_acquire(&job->chunks[i]);
        uint64_t cancelled = job_chunk_word(JOB_CANCELLED, 0, job_chunk_settled(word), 0);
        if (!job_chunk_is_settled(word))
            compare_exchange_acq_rel(&job->chunks[i], &word, cancelled);
    }
    wait_cell_wake(job->waiter, WAIT_CELL_ALL);
}

/* End all jobs of a pool that is cut off. The kernel kills the workers when the server is gone, so a number that is
 * still somebody's after a while is a stranger's. Done at each look: a job may have been launched since the last one.
 * Without the pool's lock, which a dead process may hold. With the mutex. */
static void end_all_cut_off(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    int64_t now = os_now();
    if (!pool->cut_off_at)
        pool->cut_off_at = now;
    if (!workers_are_gone(shared) && now - pool->cut_off_at < SETTLE_CUT_OFF)
        return;
    for (unsigned i = 0; i < shared->worker_count; i++)
        store_release(&shared->workers[i].job, NULL);
    store_release(&pool->is_cut_off, true);
    struct job *job = load_relaxed(&shared->newest);
    for (; job; job = job->older)
        end_cut_off(job);
    callbacks_look(pool);
}

static bool may_restart(const mproc_pool *pool)
{
    return load_relaxed(&pool->shared->begins) != pool->begins || os_now() - pool->started_at >= HOST_RESTART_PAUSE;
}

/* Settle all that a dead server and its workers left, and start another one. False: to be gone on with at the next
 * look. With the mutex. */
static bool replace_server(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    if (!wait_for_workers(shared) || !offer_all(shared))
        return false;
    if (pool_state(shared) == POOL_TERMINATED) {
        set_ended(shared);
        return true;
    }
    if (!may_restart(pool))
        return false;
    int result = host_start_server(pool);
    if (result)
        pool_note_trouble(shared, result);
    return result == 0;
}

/* With the mutex. */
static void mend_server(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    if (shared->threads) {
        threads_mend(pool);
        return;
    }
    if (host_has_ended(shared))
        return;
    if (is_cut_off(pool))
        end_all_cut_off(pool);
    bool is_gone = server_is_gone(pool) && !host_has_ended(shared);
    bool mends = is_gone && !replace_server(pool);
    store_relaxed(&pool->mends, mends);
}

/* Log what no call returns. Without the mutex: the program's own log function may be called. */
static void tell_log(mproc_pool *pool)
{
    char text[WHY_SIZE];
    struct pool *shared = pool->shared;
    bool is_lost = load_relaxed(&pool->is_cut_off);
    if (is_lost && !exchange_relaxed(&pool->told_cut_off, true))
        mproc_log(MPROC_LOG_ERROR, "pool: the program has closed the library's descriptors, and the pool's processes "
                                   "went with them. Its jobs end with MPROC_BROKEN");
    if (is_lost)
        return;
    int broken = pool_broken(shared);
    bool was_told = exchange_relaxed(&pool->told_broken, broken != 0);
    if (broken && !was_told)
        mproc_log(MPROC_LOG_ERROR,
                  "pool: %d workers in a row ended in their initializer, the last one with: %s. Its "
                  "jobs end with MPROC_BROKEN",
                  POOL_TRIES, why_not_begun(shared, broken, text));
    uint32_t troubles = load_acquire(&shared->troubles);
    uint32_t told = load_relaxed(&pool->troubles);
    if (troubles == told || os_now_coarse() < load_relaxed(&pool->tell_at) ||
        !compare_exchange_relaxed(&pool->troubles, &told, troubles))
        return;
    store_relaxed(&pool->tell_at, os_now_coarse() + TELL_PAUSE);
    mproc_log(MPROC_LOG_WARNING,
              "pool: %u processes could not be started or did not begin, the last one because of: %s. "
              "It is tried again",
              troubles - told, why_not_begun(shared, load_relaxed(&shared->trouble), text));
}

void host_mend(mproc_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    stop_if_broken(pool);
    mend_server(pool);
    pthread_mutex_unlock(&pool->mutex);
    tell_log(pool);
}

/* A pause between two looks. */
static int64_t look_pause(mproc_pool *pool, int64_t otherwise)
{
    return load_relaxed(&pool->mends) ? MEND_PAUSE : otherwise;
}

void host_look(mproc_pool *pool)
{
    interrupt_look(pool);
    int64_t now = os_now_coarse();
    int64_t look_at = load_relaxed(&pool->look_at);
    if (now < look_at || !compare_exchange_relaxed(&pool->look_at, &look_at, now + look_pause(pool, LOOK_PAUSE)))
        return;
    host_mend(pool);
}

int host_start(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    if (shared->threads)
        return threads_start(pool);
    int result = host_start_server(pool);
    while (!result) {
        uint32_t seen = wait_cell_prepare(&shared->changed);
        bool lives = mproc_process_is_alive(pool->server); /* before the look, so that nothing more is said after it */
        result = load_acquire(&shared->started);
        if (result != POOL_STARTING)
            return result;
        result = lives ? 0 : failure(-EAGAIN, "the server of the pool ended before it was ready: see stderr");
        if (!result)
            wait_cell_sleep(&shared->changed, seen, OS_NEVER);
    }
    return result;
}

/* Wait for the end of a server that has said that it is about to end, and reap it. */
static int wait_for_server(mproc_pool *pool, int64_t deadline)
{
    pthread_mutex_lock(&pool->mutex);
    int result = mproc_process_join(pool->server, os_timeout_left(deadline));
    while (result != MPROC_TIMEOUT && !server_is_gone(pool))
        result = host_doze(pool->shared, deadline);
    pthread_mutex_unlock(&pool->mutex);
    return result == MPROC_TIMEOUT ? result : 0;
}

bool host_sleep(mproc_pool *pool, struct wait_cell *cell, uint32_t seen, int64_t deadline)
{
    int64_t patrol = deadline == 0 ? 0 : os_now() + look_pause(pool, PATROL);
    wait_cell_sleep(cell, seen, patrol < deadline ? patrol : deadline);
    host_look(pool);
    return deadline == OS_NEVER || os_until(deadline) > 0;
}

int host_wait_end(mproc_pool *pool, int64_t deadline)
{
    struct pool *shared = pool->shared;
    if (shared->threads)
        return threads_wait_end(pool, deadline);
    while (!host_has_ended(shared)) {
        uint32_t seen = wait_cell_prepare(&shared->changed);
        if (host_has_ended(shared))
            break;
        if (!host_sleep(pool, &shared->changed, seen, deadline) && !host_has_ended(shared))
            return MPROC_TIMEOUT;
        if (is_cut_off(pool))
            return failure(-EBADF, "the program has closed the library's descriptors, and the pool's server went with "
                                   "them");
    }
    return wait_for_server(pool, deadline);
}

/* Stop all jobs; with the mutex. It is done before the server can see that the pool is terminated, which then kills: so
 * an item that it kills is known to be cancelled. A job that is made later finds the pool's state when it is launched.
 */
static void stop_all(mproc_pool *pool, void (*stop)(mproc_pool *pool, struct job *job))
{
    struct job *job = load_relaxed(&pool->shared->newest);
    for (; job; job = job->older)
        stop(pool, job);
}

int host_set_state(mproc_pool *pool, enum pool_state state)
{
    struct pool *shared = pool->shared;
    pthread_mutex_lock(&pool->mutex);
    if (state >= POOL_DRAINED)
        stop_all(pool, state == POOL_DRAINED ? host_begin_no_more : host_stop);
    int result = pool_lock(shared);
    if (!result) {
        pool_raise_state(shared, state);
        pool_unlock(shared);
    }
    pthread_mutex_unlock(&pool->mutex);
    wait_cell_wake(&shared->work, WAIT_CELL_ALL);
    wait_cell_wake(&shared->server, WAIT_CELL_ALL);
    return result;
}

/* ---- waiting ---- */

static bool host_spin(bool (*condition)(void *arg), void *arg)
{
    struct os_spin spin = os_spin_begin_for(SPIN_TIME);
    while (os_spin_pause(&spin))
        if (condition(arg))
            return true;
    return false;
}

int host_wait(mproc_pool *pool, struct wait_cell *cell, bool (*condition)(void *arg), void *arg, int64_t deadline)
{
    interrupt_look(pool);
    if (condition(arg) || (deadline != 0 && !load_relaxed(&pool->woke) && host_spin(condition, arg)))
        return 0;
    for (;;) {
        uint32_t seen = wait_cell_prepare(cell);
        if (condition(arg))
            return 0;
        if (!host_sleep(pool, cell, seen, deadline))
            return condition(arg) ? 0 : MPROC_TIMEOUT;
    }
}

void host_nap(mproc_pool *pool)
{
    host_doze(pool->shared, OS_NEVER);
    host_look(pool);
}
