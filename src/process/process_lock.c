/* The lock on this process's own state, kept whole over fork(). The child of any fork, by the library or by the
 * program, forgets here what is the parent's alone. */
#include "process/process_lock.h"

#include "connection/connection.h"
#include "os/fork.h"
#include "os/leave.h"
#include "process/forkserver.h"
#include "process/handle.h"
#include "process/parent_tie.h"
#include "util/atomic.h"
#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned generation; /* under the lock */

static void process_before_fork(void);
static void process_after_fork_in_parent(void);
static void process_after_fork_in_child(void);
static _Atomic(bool) is_watching;

/* After those of the floors below, see connection.c. */
static void process_register_handlers(void)
{
    connection_watch_forks();
    pthread_atfork(process_before_fork, process_after_fork_in_parent, process_after_fork_in_child);
    store_release(&is_watching, true);
}

/* By the constructor, or with the first lock where the library is used before that has run. */
__attribute__((constructor)) static void watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, process_register_handlers);
}

OS_FORK_PATH void process_lock(void)
{
    if (!load_acquire(&is_watching))
        watch_forks();
    os_mutex_lock(&lock);
}

OS_FORK_PATH void process_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

OS_FORK_PATH unsigned process_generation(void)
{
    return generation;
}

static void process_before_fork(void)
{
    forkserver_before_fork();
    process_lock();
}

static void process_after_fork_in_parent(void)
{
    process_unlock();
    forkserver_after_fork_in_parent();
}

/* Only async-signal-safe calls. */
static OS_FORK_PATH void process_after_fork_in_child(void)
{
    generation++;
    handle_forget();
    parent_tie_forget();
    os_leave_forget();
    os_mutex_reset(&lock, true);
    forkserver_after_fork_in_child();
}
