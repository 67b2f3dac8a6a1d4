/* The named victim, see named.h. One at a time. */
#include "named.h"

#include "crash.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static struct {
    pid_t pid; /* 0: none */
    bool (*over)(void *world);
    void *world;
    bool kept;
} named;

void victim_name(pid_t victim, bool (*over)(void *world), void *world, bool kept)
{
    named.pid = victim;
    named.over = over;
    named.world = world;
    named.kept = kept;
}

void victim_stop_here(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
}

static bool next_fork_stops;

void victim_stop_next_fork(bool stops)
{
    next_fork_stops = stops;
}

static void stop_in_child(void)
{
    if (next_fork_stops)
        victim_stop_here();
    next_fork_stops = false;
}

/* Before the library's own constructors and handlers: so all that they do in a child is stepped. */
__attribute__((constructor(101))) static void stop_at_once(void)
{
    pthread_atfork(NULL, NULL, stop_in_child);
    if (getenv(VICTIM_VARIABLE))
        victim_stop_here();
}

void victim_await_stop(pid_t victim)
{
    int status;
    if (waitpid(victim, &status, __WALL) != victim || !WIFSTOPPED(status))
        abort();
}

void victim_seize(pid_t victim, long options)
{
    if (ptrace(PTRACE_SEIZE, victim, NULL, (void *)options) || ptrace(PTRACE_INTERRUPT, victim, NULL, NULL))
        abort();
    victim_await_stop(victim);
}

pid_t named_victim(void)
{
    return named.pid;
}

void named_forget(void)
{
    named.pid = 0;
}

bool named_is_kept(pid_t victim)
{
    return named.pid == victim && named.kept;
}

bool named_is_over(pid_t victim)
{
    return named.pid == victim && named.over && named.over(named.world);
}
