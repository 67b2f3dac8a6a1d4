/* One run of the storm with mproc: some processes work, one of them is killed at a random moment, and then the rest
 * should finish. bench/peers/storm.py does the same works, with the same numbers, by CPython's own means.
 *
 *     storm queue|lock|pool|executor SEED
 *
 * Prints one line: ok; hang when the rest does not finish; or "lost N" when N pieces of work are gone beside the one
 * that the killed process was at. The executor's work is a pool to which each task is submitted alone. scripts/storm
 * runs this many times. */
#include "check.h"
#include "measure.h"
#include <dirent.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKERS 4
#define HANG_S  3.0 /* so long without any progress; all that is left to do takes a twentieth of that */

#define JOBS          100
#define JOB_PAUSE_S   0.001 /* between two jobs that are handed out */
#define JOB_S         0.002
#define QUEUE_KILL_S  0.15
#define SECTIONS      500
#define INSIDE_S      0.00005
#define OUTSIDE_S     0.0002
#define LOCK_KILL_S   0.1
#define TASKS         200
#define TASK_S        0.002
#define POOL_KILL_S   0.08
#define END_OF_WORKER (-1)

static mproc_process *workers[WORKERS];
static pid_t watched; /* in the process that watches a pool's host */

/* Say how it went and end at once, with all children, whatever state they are in. */
__attribute__((noreturn)) static void verdict(const char *word, long number)
{
    printf(number > 0 ? "%s %ld\n" : "%s\n", word, number);
    fflush(stdout);
    for (int i = 0; i < WORKERS; i++) {
        if (workers[i])
            mproc_process_kill(workers[i]);
    }
    if (watched)
        kill(watched, SIGKILL);
    _exit(0);
}

static void verdict_on_loss(long lost)
{
    verdict(lost > 0 ? "lost" : "ok", lost);
}

/* Whether a process of this run wants a CPU, and so is slow and does not hang. */
static bool wants_cpu(const char *pid)
{
    char path[64], state = 0;
    int group = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fscanf(file, "%*d (%*[^)]) %c %*d %d", &state, &group) == 2;
    fclose(file);
    return read && group == getpgrp() && (state == 'R' || state == 'D');
}

static bool anybody_runs(void)
{
    bool runs = false;
    DIR *folder = opendir("/proc");
    must(folder, "/proc");
    for (struct dirent *entry; !runs && (entry = readdir(folder));)
        runs = atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid() && wants_cpu(entry->d_name);
    closedir(folder);
    return runs;
}

/* Calls it a hang when a number does not change for long, and nobody is about to change it. */
struct watch {
    long value;
    double since;
};

static void look(struct watch *watch, long value)
{
    if (value != watch->value)
        *watch = (struct watch){.value = value, .since = seconds_now()};
    else if (seconds_now() - watch->since > HANG_S && !anybody_runs())
        verdict("hang", 0);
}

static void sleep_s(double seconds)
{
    if (seconds > 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL);
}

static void busy(double seconds)
{
    double end = seconds_now() + seconds;
    while (seconds_now() < end) {
    }
}

static double random_moment(double most)
{
    return drand48() * most;
}

static void start_workers(mproc_target *target, const void *arg)
{
    for (int i = 0; i < WORKERS; i++)
        check(mproc_process_start(&workers[i], target, arg, NULL), "mproc_process_start");
}

static mproc_process *choose_victim(void)
{
    return workers[lrand48() % WORKERS];
}

/* ---- a queue of jobs and a queue of results ---- */

struct result {
    long job; /* or END_OF_WORKER */
    pid_t from;
};

struct office {
    mproc_queue *jobs, *results;
    char put[JOBS]; /* whether the put of its result has returned */
};

static int queue_worker(void *arg)
{
    struct office *office = arg;
    struct result result = {.from = getpid()};
    for (;;) {
        check(mproc_queue_get(office->jobs, &result.job, sizeof result.job, NULL, MPROC_FOREVER), "get");
        if (result.job != END_OF_WORKER)
            sleep_s(JOB_S);
        check(mproc_queue_put(office->results, &result, sizeof result, MPROC_FOREVER), "put");
        if (result.job == END_OF_WORKER)
            return 0;
        office->put[result.job] = 1;
    }
}

static void hand_out(struct office *office, mproc_process *victim, double moment)
{
    double begin = seconds_now();
    for (long job = 0; job < JOBS; job++) {
        if (victim && seconds_now() - begin >= moment) {
            check(mproc_process_kill(victim), "kill");
            victim = NULL;
        }
        check(mproc_queue_put(office->jobs, &job, sizeof job, MPROC_FOREVER), "put");
        sleep_s(JOB_PAUSE_S);
    }
    if (victim) {
        sleep_s(begin + moment - seconds_now());
        check(mproc_process_kill(victim), "kill");
    }
    for (int i = 0; i < WORKERS; i++)
        check(mproc_queue_put(office->jobs, &(long){END_OF_WORKER}, sizeof(long), MPROC_FOREVER), "put");
}

/* Lost: a result whose put has returned, and more than one job that has no result. */
static void storm_queue(void)
{
    struct office *office = mproc_calloc(1, sizeof *office);
    struct result result;
    bool got[JOBS] = {false};
    must(office, "mproc_calloc");
    check(mproc_queue_create(&office->jobs, NULL), "queue");
    check(mproc_queue_create(&office->results, NULL), "queue");
    start_workers(queue_worker, office);
    mproc_process *victim = choose_victim();
    hand_out(office, victim, random_moment(QUEUE_KILL_S));
    struct watch watch = {.since = seconds_now()};
    long messages = 0;
    for (int at_work = WORKERS - 1; at_work > 0;) {
        look(&watch, messages);
        if (mproc_queue_get(office->results, &result, sizeof result, NULL, MPROC_MS(50)))
            continue;
        messages++;
        if (result.job >= 0)
            got[result.job] = true;
        else
            at_work -= result.from != mproc_process_pid(victim);
    }
    while (mproc_queue_get(office->results, &result, sizeof result, NULL, MPROC_MS(50)) == 0) {
        if (result.job >= 0)
            got[result.job] = true;
    }
    long lost = 0, in_hand = 0;
    for (int job = 0; job < JOBS; job++) {
        lost += !got[job] && office->put[job];
        in_hand += !got[job] && !office->put[job];
    }
    verdict_on_loss(lost + (in_hand > 1 ? in_hand - 1 : 0));
}

/* ---- a lock ---- */

struct desk {
    mproc_lock lock;
    mproc_barrier start;
    long left, right;
    long done[WORKERS];
    _Atomic(int) places;
};

static int lock_worker(void *arg)
{
    struct desk *desk = arg;
    int place = atomic_fetch_add(&desk->places, 1);
    check(mproc_barrier_wait(&desk->start, NULL, MPROC_FOREVER), "barrier");
    for (int i = 0; i < SECTIONS; i++) {
        int result = mproc_lock_acquire(&desk->lock, MPROC_FOREVER);
        if (result == MPROC_OWNER_DIED)
            desk->right = desk->left;
        else
            check(result, "acquire");
        desk->left++;
        busy(INSIDE_S);
        desk->right++;
        desk->done[place]++;
        check(mproc_lock_release(&desk->lock), "release");
        sleep_s(OUTSIDE_S);
    }
    return 0;
}

/* Lost: sections that were gone through and are not counted. */
static void storm_lock(void)
{
    struct desk *desk = mproc_calloc(1, sizeof *desk);
    must(desk, "mproc_calloc");
    check(mproc_lock_init(&desk->lock), "lock");
    check(mproc_barrier_init(&desk->start, WORKERS + 1, NULL, NULL), "barrier");
    start_workers(lock_worker, desk);
    check(mproc_barrier_wait(&desk->start, NULL, MPROC_FOREVER), "barrier");
    mproc_process *victim = choose_victim();
    sleep_s(random_moment(LOCK_KILL_S));
    check(mproc_process_kill(victim), "kill");
    struct watch watch = {.since = seconds_now()};
    for (int i = 0; i < WORKERS; i++) {
        while (mproc_process_join(workers[i], MPROC_MS(5)) == MPROC_TIMEOUT)
            look(&watch, desk->left);
    }
    long lost = -desk->right;
    for (int i = 0; i < WORKERS; i++)
        lost += desk->done[i];
    verdict_on_loss(lost);
}

/* ---- a pool ---- */

/* ctx: how many tasks were done, in shared memory. */
static int square(void *ctx, const void *in, void *out)
{
    long number = *(const long *)in;
    sleep_s(TASK_S);
    atomic_fetch_add((_Atomic(long) *)ctx, 1);
    *(long *)out = number * number;
    return 0;
}

/* The killer is another process, for a map keeps its caller. After the kill it watches. */
static void kill_later(mproc_pool *pool, _Atomic(long) *done)
{
    pid_t parent = getpid();
    pid_t pids[WORKERS];
    must(mproc_pool_workers(pool, pids, WORKERS) == WORKERS, "there are four workers");
    double moment = random_moment(POOL_KILL_S);
    pid_t victim = pids[lrand48() % WORKERS];
    pid_t killer = fork();
    must(killer >= 0, "fork");
    if (killer > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    watched = parent;
    sleep_s(moment);
    kill(victim, SIGKILL);
    struct watch watch = {.since = seconds_now()};
    while (getppid() == parent) {
        sleep_s(0.05);
        look(&watch, atomic_load(done));
    }
    _exit(0);
}

static mproc_pool *open_pool(long *in, _Atomic(long) **done)
{
    mproc_pool *pool;
    *done = mproc_calloc(1, sizeof **done);
    must(*done, "mproc_calloc");
    check(mproc_pool_create(&pool, &(mproc_pool_options){.workers = WORKERS}), "pool");
    for (long i = 0; i < TASKS; i++)
        in[i] = i;
    return pool;
}

/* Lost: more than one item without its result. */
static void storm_pool(void)
{
    long in[TASKS], out[TASKS], lost = -1;
    _Atomic(long) *done;
    mproc_pool *pool = open_pool(in, &done);
    kill_later(pool, done);
    int result = mproc_pool_map(
        pool, square, done,
        &(mproc_map){.count = TASKS, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out},
        MPROC_FOREVER);
    if (result != MPROC_WORKER_DIED)
        check(result, "map");
    for (long i = 0; i < TASKS; i++)
        lost += out[i] != i * i;
    verdict_on_loss(lost);
}

/* Lost: more than one future without its result. */
static void storm_executor(void)
{
    long in[TASKS], out, lost = -1;
    mproc_future *futures[TASKS];
    _Atomic(long) *done;
    mproc_pool *pool = open_pool(in, &done);
    for (int i = 0; i < TASKS; i++)
        check(mproc_pool_submit(pool, &futures[i], square, done, &in[i], sizeof *in, sizeof out), "submit");
    kill_later(pool, done);
    for (long i = 0; i < TASKS; i++) {
        int result = mproc_future_get(futures[i], &out, MPROC_FOREVER);
        lost += result != 0 || out != i * i;
    }
    verdict_on_loss(lost);
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "";
    mproc_init();
    srand48((long)argument(argc, argv, 2, 1));
    if (strcmp(work, "queue") == 0)
        storm_queue();
    else if (strcmp(work, "lock") == 0)
        storm_lock();
    else if (strcmp(work, "pool") == 0)
        storm_pool();
    else if (strcmp(work, "executor") == 0)
        storm_executor();
    fprintf(stderr, "usage: storm queue|lock|pool|executor SEED\n");
    return 2;
}
