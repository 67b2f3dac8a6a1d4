/* What the cases of the crash harness have in common: worlds, bystanders, and the books of the heap. Called by the
 * cases and by run.c. */
#include "arena/chunks.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void give_up(const char *what)
{
    perror(what);
    exit(2);
}

double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* How long a sleep of BEAT has ever taken too long, in nanoseconds: kept by a process that does nothing but sleep. */
static _Atomic(int64_t) *stalled;

#define BEAT 50000000

/* Who waits for a CPU for so many times the time that it is given will hang all the same. */
#define PATIENCE_MOST 10

static void beat(void)
{
    for (;;) {
        double begin = seconds_now();
        nanosleep(&(struct timespec){.tv_nsec = BEAT}, NULL);
        int64_t late = (int64_t)((seconds_now() - begin) * 1e9) - 2 * BEAT;
        if (late > 0)
            atomic_fetch_add(stalled, late);
    }
}

void stalls_watch(void)
{
    void *memory = mmap(NULL, sizeof *stalled, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        give_up("mmap");
    stalled = memory;
    pid_t watch = fork();
    if (watch < 0)
        give_up("fork");
    if (watch == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        beat();
    }
}

double seconds_of_work(void)
{
    return seconds_now() - (stalled ? (double)atomic_load(stalled) / 1e9 : 0) - starved_seconds();
}

bool is_too_late(double begin)
{
    double pause = 3.0 * BEAT / 1e9;
    if (seconds_of_work() - begin <= SURVIVORS_MS / 1000.0)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = 3 * BEAT}, NULL); /* a stall is told when it is over */
    return seconds_of_work() - begin - pause > SURVIVORS_MS / 1000.0;
}

struct patience patience_for(double seconds)
{
    double now = seconds_of_work();
    return (struct patience){.left = seconds, .most = PATIENCE_MOST * seconds, .looked = now};
}

bool patience_is_over(struct patience *patience)
{
    double now = seconds_of_work();
    double gone = now - patience->looked;
    patience->looked = now;
    patience->most -= gone;
    if (patience->most > 0 && somebody_starves())
        return false;
    patience->left -= gone;
    if (patience->left > 0)
        return false;
    double pause = 3.0 * BEAT / 1e9;
    nanosleep(&(struct timespec){.tv_nsec = 3 * BEAT}, NULL); /* a stall is told when it is over */
    now = seconds_of_work();
    patience->left += pause - (now - patience->looked);
    patience->looked = now;
    return patience->left <= 0;
}

void *world_alloc(size_t size)
{
    void *world = mproc_calloc(1, size);
    if (!world)
        give_up("mproc_calloc");
    return world;
}

pid_t bystander_start(void (*run)(void *world), void *world)
{
    pid_t bystander = fork();
    if (bystander < 0)
        give_up("fork");
    if (bystander == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(world);
        _exit(0);
    }
    return bystander;
}

void bystander_end(pid_t bystander)
{
    if (bystander <= 0)
        return;
    kill(bystander, SIGKILL);
    waitpid(bystander, NULL, 0);
}

void bystander_die_in(void (*run)(void *world), void *world)
{
    waitpid(bystander_start(run, world), NULL, 0);
}

bool within_time(bool (*condition)(void *world), void *world)
{
    struct patience patience = patience_for(SURVIVORS_MS / 1000.0);
    while (!condition(world)) {
        if (patience_is_over(&patience))
            return condition(world);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return true;
}

static size_t noted;

void heap_note(void)
{
    noted = member_self() ? heap_allocated() : 0;
}

void heap_note_less(size_t less)
{
    noted -= less;
}

const char *heap_balance(size_t more)
{
    member_sweep_all();
    const char *wrong = heap_audit();
    if (wrong)
        return wrong;
    size_t now = heap_allocated();
    if (now > noted + more)
        return "bytes leaked";
    return now < noted + more ? "bytes lost" : NULL;
}

struct inventory {
    unsigned runs[1024];
    size_t count;
};

static void note_run(void *arg, unsigned index, uint64_t word)
{
    struct inventory *inventory = arg;
    (void)word;
    if (inventory->count < sizeof inventory->runs / sizeof *inventory->runs)
        inventory->runs[inventory->count++] = index;
}

/* Of a run each address that may be a block's is tried. */
size_t heap_inventory(void **blocks, size_t most)
{
    static struct inventory inventory;
    size_t count = 0;
    inventory.count = 0;
    chunks_walk(note_run, &inventory);
    for (size_t i = 0; i < inventory.count; i++) {
        unsigned char *begin = chunk_address(inventory.runs[i]);
        for (size_t at = 0; at < REGION_CHUNK; at += 16) {
            if (count < most && heap_usable_size(begin + at) > 0)
                blocks[count++] = begin + at;
        }
    }
    return count;
}
