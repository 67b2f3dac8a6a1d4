/* Many processes of mproc at the same time, started by fork: see crowd.h. */
#include "crowd.h"
#include "check.h"

#include <mproc/memory.h>
#include <mproc/process.h>
#include <mproc/sync.h>

struct meeting {
    mproc_semaphore arrived;
    mproc_event over;
};

static struct meeting *meeting;
static mproc_process *processes[LARGEST_CROWD];

static int attend(void *arg)
{
    (void)arg;
    check(mproc_semaphore_release(&meeting->arrived, 1), "mproc_semaphore_release");
    check(mproc_event_wait(&meeting->over, MPROC_FOREVER), "mproc_event_wait");
    return 0;
}

static void gather(size_t count)
{
    check(mproc_event_clear(&meeting->over), "mproc_event_clear");
    for (size_t i = 0; i < count; i++)
        check(mproc_process_start(&processes[i], attend, NULL, NULL), "mproc_process_start");
    for (size_t i = 0; i < count; i++)
        check(mproc_semaphore_acquire(&meeting->arrived, MPROC_FOREVER), "mproc_semaphore_acquire");
}

static pid_t pid_at(size_t place)
{
    return mproc_process_pid(processes[place]);
}

static void disperse(size_t count)
{
    check(mproc_event_set(&meeting->over), "mproc_event_set");
    for (size_t i = 0; i < count; i++) {
        int exitcode = -1;
        check(mproc_process_join(processes[i], MPROC_FOREVER), "mproc_process_join");
        check(mproc_process_exitcode(processes[i], &exitcode), "mproc_process_exitcode");
        must(exitcode == 0, "a process failed");
        processes[i] = mproc_process_free(processes[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct crowd_kind kind = {gather, pid_at, disperse};

    check(mproc_init(), "mproc_init");
    meeting = mproc_alloc(sizeof *meeting);
    must(meeting != NULL, "mproc_alloc");
    check(mproc_semaphore_init(&meeting->arrived, 0, MPROC_SEMAPHORE_SIGNAL), "mproc_semaphore_init");
    check(mproc_event_init(&meeting->over), "mproc_event_init");
    return measure_crowd(argc, argv, &kind);
}
