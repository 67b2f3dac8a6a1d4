/* The pool's server: a child of the host with one thread, which forks the workers, reaps them, settles what the dead
 * ones held, replaces them, and kills those that the host wants gone. It runs no task and waits for nothing but its
 * wait cell, which the host, the workers and its own SIGCHLD handler wake.
 *
 * It may die at any instruction: the kernel then kills the workers, and the host settles all (host.c) and starts
 * another. What it does to the pool is therefore either a single store or done again from the start: a worker's exit is
 * noted in its slot, and only then is the slot settled. */
#include "os/allocate.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/process.h"
#include "os/signal.h"
#include "os/supervise.h"
#include "pool/shared/pool.h"
#include "process/oom.h"
#include "util/atomic.h"
#include <errno.h>
#include <mproc/log.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* When the server runs later than it was due by this much, it was stopped. */
#define STOP_LEAST OS_MS(50)
#define STOP_LONG  OS_MS(300)

/* Workers that end before they began an item are replaced at once as long as they are few in a row; then after a pause,
 * which doubles from the first to the last with each. */
#define FEW_IN_A_ROW 16
#define FIRST_PAUSE  OS_MS(1)
#define LAST_PAUSE   OS_MS(500)
#define FAILURE_AGE  OS_SEC(1) /* they are forgotten after this time without another */

/* What the server keeps of a slot. */
struct watch {
    int64_t kill_at; /* when SIGKILL follows SIGTERM, or 0 */
    int64_t item_at; /* the begin of the item to which the next belongs */
    int64_t stopped; /* how long this server was stopped since then, and most likely the worker too */
};

struct server {
    struct pool *pool;
    pid_t pid;
    uint32_t cancels;      /* the value of pool->cancels up to which jobs were looked at */
    unsigned alive;        /* slots whose process was not reaped and settled */
    int failures;          /* starts in a row that failed or were in vain */
    int64_t pause;         /* the last one */
    int64_t start_at;      /* no worker is started before */
    int64_t look_at;       /* when it must look again, though nobody wakes it */
    int64_t now;           /* when the present look began */
    struct watch *watches; /* one for each slot */
    struct oom_watch oom;
    int reason;      /* why the last worker ended in its initializer */
    bool was_broken; /* at the last look */
    int failure;     /* why the first workers could not be started, or 0 */
    int refusal;     /* why the last process for a worker could not be had, or 0 */
};

static struct pool *own_pool; /* for the handler */

static void on_child(int number)
{
    int error = errno;
    (void)number;
    wait_cell_wake(&own_pool->server, WAIT_CELL_ALL);
    errno = error;
}

static bool is_starting(const struct server *server)
{
    return load_relaxed(&server->pool->started) == POOL_STARTING;
}

static uint64_t word_of(struct worker_slot *slot)
{
    return load_acquire(&slot->word);
}

static void forget_failures(struct server *server)
{
    server->failures = 0;
    server->pause = 0;
    server->start_at = 0;
}

/* A start has failed, or was in vain. */
static void note_failure(struct server *server)
{
    int64_t now = os_now();
    if (server->pause && now - server->start_at > FAILURE_AGE)
        forget_failures(server);
    if (++server->failures <= FEW_IN_A_ROW)
        return;
    server->pause = server->pause == 0 ? FIRST_PAUSE : server->pause * 2 < LAST_PAUSE ? server->pause * 2 : LAST_PAUSE;
    server->start_at = now + server->pause;
}

/* ---- deaths ---- */

/* Why the pool cannot be started when a worker ends with this exit code before it is ready; 0 when another is to be
 * tried. Before it has taken its slot a worker exits with an errno. */
static int why_not_ready(const struct server *server, struct worker_slot *slot, int exit)
{
    if (exit > 0 && !pool_word_is_owner(word_of(slot)))
        return -exit;
    if (!server->pool->initializer)
        return 0;
    if (exit == POOL_INITIALIZER_LOST)
        return MPROC_NO_FUNCTION;
    return exit == POOL_INITIALIZER_FAILED ? MPROC_TASK_FAILED : MPROC_WORKER_DIED;
}

/* A worker has ended before it was ready. */
static void note_vain_start(struct server *server, struct worker_slot *slot, int exit)
{
    int reason = why_not_ready(server, slot, exit);
    if (is_starting(server))
        server->failure = reason;
    if (is_starting(server) || pool_state(server->pool) == POOL_TERMINATED)
        return;
    if (reason > 0) {
        server->reason = reason;
        pool_note_vain(server->pool);
    }
    if (reason)
        pool_note_trouble(server->pool, reason);
}

/* For the post-mortem. */
static void pool_server_note_costs(struct server *server, struct worker_slot *slot, const struct os_end *end)
{
    struct crash_report *words = pool_crash_report(server->pool, (unsigned)(slot - server->pool->workers));
    bool is_ours = load_relaxed(&slot->kill) == POOL_KILL_SENT || pool_state(server->pool) == POOL_TERMINATED;
    store_relaxed(&words->ended_cpu, end->cpu);
    store_relaxed(&words->peak_memory, end->peak_memory);
    store_relaxed(&words->ended_at, os_now());
    if (end->exit == -SIGKILL && !is_ours && oom_has_killed(&server->oom))
        store_relaxed(&words->by_oom_killer, true);
}

static void pool_server_note_end(struct server *server, struct worker_slot *slot, int exit)
{
    store_relaxed(&slot->exit, exit);
    store_release(&slot->ended, 1);
    if (exit != 0)
        fetch_add_relaxed(&server->pool->deaths, 1);
    bool was_ready = load_relaxed(&slot->ready);
    if (load_relaxed(&slot->served))
        forget_failures(server);
    else if (exit != 0 || !was_ready)
        note_failure(server);
    if (!was_ready && !server->failure) /* once there is one, the others are killed */
        note_vain_start(server, slot, exit);
}

static void pool_server_reap(struct server *server)
{
    struct os_end end;
    while (server->alive && os_reap_any(&end) == 1) {
        for (unsigned i = 0; i < server->pool->worker_count; i++) {
            struct worker_slot *slot = &server->pool->workers[i];
            if (word_of(slot) && load_relaxed(&slot->pid) == end.pid) {
                pool_server_note_costs(server, slot, &end);
                pool_server_note_end(server, slot, end.exit);
            }
        }
    }
}

static void settle_ended(struct server *server)
{
    for (unsigned i = 0; i < server->pool->worker_count; i++) {
        struct worker_slot *slot = &server->pool->workers[i];
        if (word_of(slot) && load_relaxed(&slot->ended) &&
            pool_settle_worker(server->pool, i, load_relaxed(&slot->exit)) == 0)
            server->alive--;
    }
}

/* ---- killing ---- */

static bool may_signal(struct worker_slot *slot)
{
    return word_of(slot) && !load_relaxed(&slot->ended);
}

static int pool_server_send(struct worker_slot *slot, int signal)
{
    return os_signal_child(load_relaxed(&slot->pid), signal);
}

static void pool_server_kill_all(struct server *server)
{
    for (unsigned i = 0; i < server->pool->worker_count; i++)
        if (may_signal(&server->pool->workers[i]))
            pool_server_send(&server->pool->workers[i], SIGKILL);
}

static void set_kill(struct worker_slot *slot, enum pool_kill kill)
{
    store_seq_cst(&slot->kill, kill);
}

static void look_again_at(struct server *server, int64_t moment)
{
    if (moment < server->look_at)
        server->look_at = moment;
}

/* Begin to end a worker: SIGTERM, and SIGKILL after the grace. False: try again. */
static bool end_worker(struct server *server, struct worker_slot *slot)
{
    if (pool_server_send(slot, SIGTERM))
        return false;
    set_kill(slot, POOL_KILL_SENT);
    server->watches[slot - server->pool->workers].kill_at = os_now() + server->pool->grace;
    return true;
}

/* Kill those that SIGTERM did not end. */
static void kill_overdue(struct server *server)
{
    for (unsigned i = 0; i < server->pool->worker_count; i++) {
        struct worker_slot *slot = &server->pool->workers[i];
        struct watch *watch = &server->watches[i];
        if (!watch->kill_at || !may_signal(slot)) {
            watch->kill_at = 0;
        } else if (watch->kill_at > server->now) {
            look_again_at(server, watch->kill_at);
        } else {
            pool_server_send(slot, SIGKILL);
            watch->kill_at += OS_TICK;
            look_again_at(server, watch->kill_at);
        }
    }
}

static bool is_at_killed_job(struct worker_slot *slot)
{
    const struct job *job = load_seq_cst(&slot->job);
    return job && (job_flags(job) & JOB_KILL);
}

/* Let it go on. */
static void spare(struct worker_slot *slot)
{
    set_kill(slot, POOL_KILL_NOT);
    os_futex_wake(&slot->kill, 1);
}

/* Kill a worker if it is at a job that is to be killed, and none that has just gone on to another job: it begins none
 * while kill is set. The pool's lock is held, so the jobs that slots name are not freed. False: try again. */
static bool kill_if_wanted(struct server *server, struct worker_slot *slot)
{
    uint32_t kill = load_relaxed(&slot->kill);
    if (kill == POOL_KILL_SENT || (kill == POOL_KILL_NOT && !is_at_killed_job(slot)))
        return true;
    set_kill(slot, POOL_KILL_ASKED);
    if (is_at_killed_job(slot))
        return end_worker(server, slot);
    spare(slot);
    return true;
}

static void kill_wanted(struct server *server)
{
    uint32_t cancels = load_acquire(&server->pool->cancels);
    bool done = true;
    if (cancels == server->cancels || pool_lock(server->pool))
        return;
    for (unsigned i = 0; i < server->pool->worker_count; i++)
        if (may_signal(&server->pool->workers[i]))
            done = kill_if_wanted(server, &server->pool->workers[i]) && done;
    pool_unlock(server->pool);
    if (done)
        server->cancels = cancels;
}

/* How long all was stopped since the item began. */
static int64_t time_stopped(const struct server *server, const struct worker_slot *slot, int64_t began)
{
    const struct watch *watch = &server->watches[slot - server->pool->workers];
    return watch->item_at == began ? watch->stopped : 0;
}

/* From a moment on this server did not run, though it should have looked then: it was stopped, as by Ctrl-Z, and with
 * it the workers. That time does not count for items. If only the server was held up, some items may take that much
 * longer. */
static void excuse_stop(struct server *server, int64_t from)
{
    for (unsigned i = 0; i < server->pool->worker_count; i++) {
        struct watch *watch = &server->watches[i];
        int64_t began = load_relaxed(&server->pool->workers[i].item_at);
        int64_t stopped = server->now - (began > from ? began : from);
        if (watch->item_at != began)
            watch->stopped = 0;
        watch->item_at = began;
        watch->stopped += stopped > 0 ? stopped : 0;
        if (watch->kill_at)
            watch->kill_at += server->now - from;
    }
}

/* When an item with a limit began, at the earliest, or now. */
static int64_t first_limited(const struct server *server)
{
    int64_t first = server->now;
    for (unsigned i = 0; i < server->pool->worker_count; i++) {
        struct worker_slot *slot = &server->pool->workers[i];
        if (!may_signal(slot) || !load_seq_cst(&slot->limit) || !(load_seq_cst(&slot->current) & 1))
            continue;
        int64_t began = load_relaxed(&slot->item_at);
        first = began < first ? began : first;
    }
    return first;
}

/* Begin to look: note the time, and whether it has stood still since the last look, which said when this one was due.
 * Where no moment was waited for, a worker has woken this server before it began its first item with a limit. A long
 * stop began most likely right after the last look; where looks come late for want of a CPU, items must become late
 * some time all the same. */
static void pool_server_begin_look(struct server *server)
{
    int64_t last = server->now;
    int64_t due = server->look_at;
    server->now = os_now();
    if (due == OS_NEVER)
        last = due = first_limited(server);
    if (server->now - due > STOP_LEAST)
        excuse_stop(server, server->now - due > STOP_LONG ? last : due);
    server->look_at = OS_NEVER;
}

/* While a moment is waited for the server looks each tick, so that it sees when time stands still. */
static int64_t end_look(struct server *server)
{
    if (server->look_at != OS_NEVER)
        look_again_at(server, server->now + OS_TICK);
    return server->look_at;
}

/* End a worker whose item takes too long, unless it is done with it just now: then it waits, while kill is set, before
 * it begins another one. */
static void end_if_late(struct server *server, struct worker_slot *slot)
{
    int64_t limit = load_seq_cst(&slot->limit);
    uint64_t current = load_seq_cst(&slot->current);
    int64_t began = load_relaxed(&slot->item_at);
    if (!limit || load_relaxed(&slot->kill) == POOL_KILL_SENT)
        return;
    int64_t left = current & 1 ? began + limit + time_stopped(server, slot, began) - server->now : limit;
    if (left > 0) {
        look_again_at(server, server->now + left);
        return;
    }
    set_kill(slot, POOL_KILL_ASKED);
    if (load_seq_cst(&slot->current) != current || load_relaxed(&slot->item_at) != began) {
        spare(slot);
        look_again_at(server, server->now);
        return;
    }
    store_release(&slot->late, current);
    if (!end_worker(server, slot))
        look_again_at(server, server->now + OS_TICK);
}

static void end_late(struct server *server)
{
    for (unsigned i = 0; i < server->pool->worker_count; i++)
        if (may_signal(&server->pool->workers[i]))
            end_if_late(server, &server->pool->workers[i]);
}

/* ---- starting ---- */

static int start_worker(struct server *server, unsigned index)
{
    struct worker_slot *slot = &server->pool->workers[index];
    pool_clear_slot(server->pool, index);
    uint32_t serial = pool_reserve(server->pool, &slot->word);
    pid_t pid = os_fork();
    if (pid == 0)
        pool_worker(server->pool, index, serial, server->pid);
    if (pid < 0) {
        store_release(&slot->word, 0);
        return pid;
    }
    store_release(&slot->pid, pid);
    server->alive++;
    return 0;
}

/* Whether a slot that should have a worker has none, and one is to be tried. */
static bool is_short(const struct server *server)
{
    if (pool_broken(server->pool))
        return false;
    for (unsigned i = 0; i < pool_wanted(server->pool); i++)
        if (!word_of(&server->pool->workers[i]))
            return true;
    return false;
}

/* No call returns this, so it is logged when it begins and when it is over. */
static void note_start(struct server *server, unsigned index, int result)
{
    if (result && result != server->refusal)
        mproc_log(MPROC_LOG_WARNING, "the pool has no process for worker %u, and goes on trying: %s", index + 1,
                  mproc_strerror(result));
    if (!result && server->refusal)
        mproc_log(MPROC_LOG_WARNING, "the pool has a process for worker %u again", index + 1);
    server->refusal = result;
}

static void pool_server_start_missing(struct server *server)
{
    struct pool *pool = server->pool;
    if (!is_short(server) || !pool_wants_workers(pool) || os_now() < server->start_at)
        return;
    for (unsigned i = 0; i < pool_wanted(pool); i++) {
        if (word_of(&pool->workers[i]))
            continue;
        int result = start_worker(server, i);
        note_start(server, i, result);
        if (result == 0)
            continue;
        note_failure(server);
        if (is_starting(server))
            server->failure = result;
        else
            pool_note_trouble(pool, result);
        return;
    }
}

/* Tell the host that the first workers run, when they do. */
static void tell_started(struct server *server)
{
    struct pool *pool = server->pool;
    if (!is_starting(server))
        return;
    for (unsigned i = 0; i < pool_wanted(pool); i++)
        if (!load_acquire(&pool->workers[i].ready))
            return;
    store_release(&pool->started, 0);
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
}

/* Break the pool when all tries are used up. A broken pool that gets another job has one more try. */
static void look_if_broken(struct server *server)
{
    if (server->alive == 0 && !is_starting(server) && !server->was_broken)
        pool_break_if_vain(server->pool, server->reason);
    bool is_broken = pool_broken(server->pool);
    if (server->was_broken && !is_broken)
        server->start_at = 0;
    server->was_broken = is_broken;
}

/* ---- the end ---- */

static bool all_is_done(struct server *server)
{
    struct pool *pool = server->pool;
    if (server->alive || pool_expects_jobs(pool))
        return false;
    if (pool_state(pool) == POOL_TERMINATED)
        return true;
    if (pool_lock(pool))
        return false;
    bool done = pool_first_job(pool) == NULL;
    pool_unlock(pool);
    return done;
}

/* Tell the host why its pool cannot be started. */
static void pool_server_refuse(struct pool *pool, int result)
{
    int32_t starting = POOL_STARTING;
    compare_exchange_release(&pool->started, &starting, result);
}

static void pool_server_end(struct server *server)
{
    struct pool *pool = server->pool;
    if (server->failure)
        pool_server_refuse(pool, server->failure);
    store_release(&pool->ended, 1);
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
}

/* One look at everything. Returns whether the server's work is over. */
static bool pool_server_look(struct server *server)
{
    pool_server_begin_look(server);
    pool_server_reap(server);
    settle_ended(server);
    if (pool_state(server->pool) == POOL_TERMINATED || server->failure || member_is_dead(server->pool->host)) {
        pool_server_kill_all(server);
        return server->alive == 0;
    }
    kill_wanted(server);
    end_late(server);
    kill_overdue(server);
    look_if_broken(server);
    pool_server_start_missing(server);
    tell_started(server);
    return all_is_done(server);
}

int pool_server(void *arg)
{
    const struct pool_server_start *start = arg;
    struct server server = {.pool = start->pool, .pid = getpid(), .look_at = OS_NEVER};
    int result = member_join();
    server.watches = os_malloc(start->pool->worker_count * sizeof *server.watches);
    if (!result && !server.watches)
        result = -ENOMEM;
    if (result)
        pool_server_refuse(start->pool, result);
    if (result || !pool_take_place(&start->pool->server_word, start->serial)) {
        free(server.watches);
        return EXIT_FAILURE;
    }
    memset(server.watches, 0, start->pool->worker_count * sizeof *server.watches);
    oom_begin(&server.oom);
    crash_report_prepare();
    own_pool = start->pool;
    os_signal_disarm(SIGINT); /* the host alone answers Ctrl-C; what a worker executes has the default again */
    if (start->pool->leaves_signals) {
        os_signal_disarm(SIGTERM);
        os_signal_disarm(SIGHUP);
    }
    os_on_child(on_child);
    for (;;) {
        uint32_t seen = wait_cell_prepare(&server.pool->server);
        if (pool_server_look(&server))
            break;
        bool waits = is_short(&server) && pool_wants_workers(server.pool);
        if (waits)
            look_again_at(&server, server.start_at);
        wait_cell_sleep(&server.pool->server, seen, end_look(&server));
    }
    pool_server_end(&server);
    free(server.watches);
    return 0;
}
