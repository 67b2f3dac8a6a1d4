/* The thread that looks, as watch.h says. */
#include "process/watch.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "os/crash.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/procfd.h"
#include "os/thread.h"
#include "process/process_lock.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define LOOK_TIME OS_MS(5)

struct watched {
    struct watched *next;
    int procfd;
    int fd; /* to be rung */
};

/* Under the process lock. After a fork they are the parent's: the list is given up, and the thread is not here. */
static struct watched *first;
static bool running;
static unsigned generation;

/* Ring for those that have ended, and forget them. Returns whether any are left. */
static bool watch_look(void)
{
    struct watched **at = &first;
    while (*at) {
        struct watched *watched = *at;
        if (os_procfd_has_ended(watched->procfd)) {
            os_eventfd_ring(watched->fd);
            *at = watched->next;
            free(watched);
        } else {
            at = &watched->next;
        }
    }
    return first != NULL;
}

static void *watch_run(void *unused)
{
    bool some = true;
    while (some) {
        process_lock();
        some = watch_look();
        running = some;
        process_unlock();
        if (some)
            os_sleep(LOOK_TIME);
    }
    return unused;
}

static int start_thread(void)
{
    pthread_t thread;
    if (running)
        return 0;
    int result = os_thread_create(&thread, watch_run, NULL);
    if (result)
        return result;
    running = true;
    pthread_detach(thread);
    return 0;
}

static int watch_add(int procfd, int fd)
{
    struct watched *watched = os_malloc(sizeof *watched);
    if (!watched)
        return -ENOMEM;
    *watched = (struct watched){.next = first, .procfd = procfd, .fd = fd};
    first = watched;
    int result = start_thread();
    if (result) {
        first = watched->next;
        free(watched);
    }
    return result;
}

int watch_begin(int procfd)
{
    if (generation != process_generation()) {
        generation = process_generation();
        first = NULL;
        running = false;
    }
    int fd = os_eventfd_create();
    if (fd < 0)
        return fd;
    int result = watch_add(procfd, fd);
    if (!result)
        return fd;
    os_close(fd);
    return result;
}

void watch_end(int fd)
{
    struct watched **at = generation == process_generation() ? &first : NULL;
    while (at && *at && (*at)->fd != fd)
        at = &(*at)->next;
    if (!at || !*at)
        return;
    struct watched *watched = *at;
    *at = watched->next;
    free(watched);
}
