/* The killer: a process that sends SIGKILL to a random victim about world->rate times a second, and now and then
 * SIGSTOP and a little later SIGCONT or SIGKILL. It is the watch over the hunted too: when nobody gets anything done at
 * a subject for long, it says who stands where and ends the run. It touches no object of the library, so it cannot hang
 * with them.
 *
 * A signal goes by a pidfd that was looked at after it was opened, so it never reaches a process that got the number of
 * a dead one. */
#include "soak.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STOP_ONE_IN  20                   /* signals */
#define LONG_STOP_US 150000               /* longer than a tick; one stop in twenty is so long */
#define CATCH_UP_NS  INT64_C(100000000)   /* how far the kills may lag behind their rate, to be made up for */
#define PATIENCE_NS  INT64_C(30000000000) /* without any progress at a subject */

/* Somebody to send signals to. */
struct target {
    int fd;
    pid_t pid;
    struct seat *seat;        /* NULL: a process of the pool */
    _Atomic(uint64_t) *kills; /* where a kill is counted */
    unsigned subject;         /* where it is missed; SUBJECTS: nowhere, nobody else is at it */
};

/* Who is stopped, and until when. fd -1: nobody. */
static struct target stopped = {.fd = -1};
static int64_t stop_until;

static int open_process(pid_t pid)
{
    return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static void send_signal(int fd, int signal)
{
    syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
}

static pid_t parent_of(pid_t pid)
{
    char path[32];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return parent;
}

/* A process of the pool, proven to be one by its parent after the descriptor was had. */
static bool aim_at_pool(struct target *target, pid_t pid, pid_t parent, _Atomic(uint64_t) *kills, unsigned subject)
{
    *target = (struct target){.pid = pid, .kills = kills, .subject = subject, .fd = open_process(pid)};
    if (target->fd >= 0 && parent > 0 && parent_of(pid) == parent)
        return true;
    if (target->fd >= 0)
        close(target->fd);
    return false;
}

static bool aim_at_seat(struct target *target, struct seat *seat)
{
    pthread_mutex_lock(&world->kill_lock);
    pid_t pid = atomic_load(&seat->pid);
    int fd = atomic_load(&seat->killed) ? -1 : open_process(pid);
    pthread_mutex_unlock(&world->kill_lock);
    *target = (struct target){.pid = pid, .seat = seat, .kills = &seat->kills, .fd = fd};
    return fd >= 0;
}

/* Of the pool mostly the workers, sometimes their server, sometimes the host with all of it. */
static bool aim(struct target *target)
{
    struct seat *seat = &world->seats[random_below(SEATS)];
    uint64_t whom = random_below(100);
    pid_t server = atomic_load(&world->server);
    if (seat->trade != &hosts || whom < 4)
        return aim_at_seat(target, seat);
    if (whom < 10)
        return aim_at_pool(target, server, atomic_load(&seat->pid), &world->server_kills, SUBJECTS);
    pid_t worker = atomic_load(&world->workers[random_below(sizeof world->workers / sizeof *world->workers)]);
    return aim_at_pool(target, worker, server, &world->worker_kills, SUBJECT_POOL);
}

static void strike(struct target *target)
{
    if (target->seat)
        target->subject = target->seat->trade == &hosts ? SUBJECTS : atomic_load(&target->seat->subject);
    if (target->seat)
        atomic_store(&target->seat->killed, true);
    atomic_fetch_add(target->kills, 1);
    int64_t at = now_ns();
    send_signal(target->fd, SIGKILL);
    if (target->subject < SUBJECTS)
        mark_kill(target->subject, target->pid, at);
    close(target->fd);
}

static void stop(struct target *target)
{
    long most = one_in(20) ? LONG_STOP_US : 4000;
    atomic_store(&world->stopped, true);
    send_signal(target->fd, SIGSTOP);
    atomic_fetch_add(&world->stops, 1);
    stopped = *target;
    stop_until = now_ns() + (int64_t)random_below((uint64_t)most) * 1000;
}

static void end_stop(bool kill)
{
    if (kill) {
        atomic_fetch_add(&world->killed_while_stopped, 1);
        strike(&stopped);
    } else {
        send_signal(stopped.fd, SIGCONT);
        close(stopped.fd);
    }
    stopped.fd = -1;
    atomic_store(&world->stop_ended, now_ns());
    atomic_store(&world->stopped, false);
}

void print_seats(void)
{
    for (unsigned i = 0; i < SEATS; i++) {
        const struct seat *seat = &world->seats[i];
        const char *doing = atomic_load(&seat->doing);
        fprintf(stderr, "    %s %u: process %d, life %llu, %s%s\n", seat->trade->name, seat->number,
                (int)atomic_load(&seat->pid), (unsigned long long)atomic_load(&seat->life), doing ? doing : "not begun",
                atomic_load(&seat->killed) ? ", killed" : "");
    }
}

/* A hang is the end: what follows from it would only hide it. */
static void watch(void)
{
    int64_t now = now_ns();
    for (unsigned i = 0; i < SUBJECTS; i++) {
        if (now - atomic_load(&world->progress[i]) < PATIENCE_NS)
            continue;
        fprintf(stderr, "soak: FAILED: nobody got anything done at %s for %d s. Seed %llu. Who stands where:\n",
                subject_name(i), (int)(PATIENCE_NS / 1000000000), (unsigned long long)world->seed);
        print_seats();
        print_wrongs();
        kill(world->keeper, SIGKILL); /* the victims follow it */
        _exit(1);
    }
}

void killer_run(void)
{
    uint64_t mean_ns = 1000000000 / world->rate;
    int64_t next = now_ns();
    random_begin(world->seed);
    while (now_ns() < world->ends) {
        struct target target;
        next += (int64_t)random_below(2 * mean_ns);
        int64_t nap = next - now_ns();
        if (nap > 0)
            nap_us(nap / 1000);
        else if (nap < -CATCH_UP_NS)
            next = now_ns() - CATCH_UP_NS;
        if (stopped.fd >= 0 && now_ns() >= stop_until)
            end_stop(one_in(3));
        watch();
        if (!aim(&target))
            continue;
        if (target.pid == stopped.pid && stopped.fd >= 0)
            close(target.fd);
        else if (stopped.fd < 0 && one_in(STOP_ONE_IN))
            stop(&target);
        else
            strike(&target);
    }
    if (stopped.fd >= 0)
        end_stop(false);
}
