/* Post-mortems of processes, as process_postmortem.h says; a pool has its own.
 *
 * The last words are in a file in memory, which parent and child map. It belongs to the kernel: neither of the two
 * leaves anything behind when it dies. Written by the child alone, see crash_report.h; read when it was reaped. */
#include "process/process_postmortem.h"

#include "os/clock.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "os/memory.h"
#include "process/crash_report.h"
#include "process/oom.h"
#include "process/process_lock.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

/* The kills of the OOM killer since the first such process was started; under the process lock. */
static struct oom_watch oom;
static bool watches_oom;

static void watch_oom(void)
{
    process_lock();
    if (!watches_oom)
        oom_begin(&oom);
    watches_oom = true;
    process_unlock();
}

static int process_postmortem_make_place(struct start *start)
{
    void *memory;
    int fd;
    do {
        fd = os_memory_create("mproc-last-words", sizeof(struct crash_report));
    } while (fd == -EINTR);
    if (fd < 0)
        return fd;
    int result = os_memory_back(fd, 0, sizeof(struct crash_report));
    if (!result)
        result = os_map_shared(fd, sizeof(struct crash_report), &memory);
    if (result) {
        os_close(fd);
        return result;
    }
    start->words_file = fd;
    start->words = memory;
    return 0;
}

int process_postmortem_prepare(struct start *start)
{
    int result = process_postmortem_make_place(start);
    if (!result) {
        crash_report_prepare();
        watch_oom();
    }
    return result;
}

/* Without its place the process runs all the same, and its parent knows less. */
void process_postmortem_listen(const struct start *start, const void *bottom)
{
    void *memory = start->words;
    if (!memory && os_map_shared(start->words_file, sizeof(struct crash_report), &memory))
        memory = NULL;
    os_close(start->words_file);
    if (!memory)
        return;
    crash_report_prepare();
    crash_report_listen(memory, bottom);
}

static enum mproc_cause process_postmortem_cause_of(const struct mproc_process *handle)
{
    if (handle->exitcode >= 0)
        return MPROC_CAUSE_EXIT;
    bool is_oom = handle->words && handle->exitcode == -SIGKILL && !handle->was_killed && oom_has_killed(&oom);
    return is_oom ? MPROC_CAUSE_OOM_KILLER : MPROC_CAUSE_SIGNAL;
}

void process_postmortem_note(struct mproc_process *handle, const struct os_end *end)
{
    handle->ended_at = os_now();
    handle->cpu = end->cpu;
    handle->peak_memory = end->peak_memory;
    handle->cause = process_postmortem_cause_of(handle);
}

void process_postmortem_forget(struct mproc_process *handle)
{
    if (handle->words)
        os_memory_unmap(handle->words, sizeof(struct crash_report));
    handle->words = NULL;
}

static void process_postmortem_tell(const struct mproc_process *handle, mproc_postmortem *postmortem)
{
    postmortem->pid = handle->pid;
    memcpy(postmortem->name, handle->name, sizeof postmortem->name);
    postmortem->exit = handle->exitcode;
    postmortem->cause = handle->cause;
    postmortem->wall = MPROC_NS(handle->ended_at - handle->started_at);
    postmortem->cpu = MPROC_NS(handle->cpu);
    postmortem->peak_memory = handle->peak_memory;
    if (handle->words)
        crash_report_tell(handle->words, postmortem);
}

static int read_end(mproc_process *process, mproc_postmortem *postmortem)
{
    if (process && process == mproc_current_process())
        return MPROC_RUNNING;
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return failure(-EINVAL, "process is NULL, or no handle that is in use");
    bool is_own = handle_is_own(handle);
    enum handle_state state = is_own ? handle_look(handle) : HANDLE_LOST;
    if (state == HANDLE_ENDED) {
        memset(postmortem, 0, sizeof *postmortem);
        process_postmortem_tell(handle, postmortem); /* nothing of it changes any more */
    }
    handle_put(handle);
    if (!is_own)
        return handle_foreign();
    if (state == HANDLE_LOST)
        return failure(-ECHILD, "somebody else reaped process, and the kernel does not tell how it ended");
    return state == HANDLE_ENDED ? 0 : MPROC_RUNNING;
}

int mproc_process_postmortem(mproc_process *process, mproc_postmortem *postmortem)
{
    if (!postmortem)
        return refuse(__func__, "postmortem is NULL");
    return outcome(__func__, read_end(process, postmortem));
}
