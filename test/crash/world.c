/* What the cases of the crash harness have in common: worlds, bystanders, and the books of the heap. Called by the
 * cases and by run.c. */
#include "arena/chunks.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
    double end = seconds_now() + SURVIVORS_MS / 1000.0;
    while (!condition(world)) {
        if (seconds_now() > end)
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
