/* The killer: kills the workers of the present pool, and now and then its server. */
#include "storm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One kill in so many is of the server. */
#define SERVER_ONE_IN 12

pid_t parent_of(pid_t pid)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    const char *end = strrchr(text, ')');
    int parent = -1;
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : -1;
}

/* The number may have gone to another process since it was told. What is killed is a child or grandchild of this one.
 */
static bool kill_if_ours(pid_t pid, pid_t parent)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool is_ours = fd >= 0 && parent_of(pid) == parent;
    if (is_ours)
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    if (fd >= 0)
        close(fd);
    return is_ours;
}

/* Wait until there are workers of another server, and note how long that took. */
static void measure_recovery(struct user *self, pid_t server)
{
    pid_t pids[MOST_WORKERS];
    begin_call(self, KIND_RECOVERY);
    while (!atomic_load(&storm.ends) && !atomic_load(&storm.swaps)) {
        int count = mproc_pool_workers(storm.pool, pids, MOST_WORKERS);
        pid_t parent = count > 0 ? parent_of(pids[0]) : -1;
        if (parent > 0 && parent != server && parent_of(parent) == getpid()) {
            int64_t waited = waited_by(parent);
            self->newcomer_waited = waited_by(pids[0]);
            if (waited > self->newcomer_waited)
                self->newcomer_waited = waited;
            end_call(self);
            return;
        }
        nap_us(1000);
    }
    atomic_store(&self->since, 0);
}

static void kill_one(struct user *self)
{
    pid_t pids[MOST_WORKERS];
    pthread_rwlock_rdlock(&storm.swap);
    int count = mproc_pool_workers(storm.pool, pids, MOST_WORKERS);
    if (count > MOST_WORKERS)
        count = MOST_WORKERS;
    pid_t worker = count > 0 ? pids[random_below(&self->random, (uint64_t)count)] : 0;
    pid_t server = worker > 0 ? parent_of(worker) : -1;
    if (server > 0 && parent_of(server) == getpid()) {
        if (random_below(&self->random, SERVER_ONE_IN) == 0) {
            bool is_killed = kill_if_ours(server, getpid());
            atomic_fetch_add(&storm.server_kills, is_killed);
            if (is_killed && random_below(&self->random, 2))
                measure_recovery(self, server);
        } else
            atomic_fetch_add(&storm.worker_kills, kill_if_ours(worker, server));
    }
    pthread_rwlock_unlock(&storm.swap);
}

void *kill_processes(void *arg)
{
    struct user *self = arg;
    while (!atomic_load(&storm.ends)) {
        int64_t shortest = storm.kill_ms * 1000 / 3;
        nap_us(shortest + (int64_t)random_below(&self->random, (uint64_t)(shortest * 2)));
        kill_one(self);
        self->rounds++;
    }
    return NULL;
}
