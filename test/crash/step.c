/* Stepping a victim by ptrace, and what the cases have in common. Called by run.c and the cases. */
#include "arena/heap.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

pid_t victim_start(const struct crash_case *subject, void *world)
{
    pid_t victim = fork();
    if (victim < 0)
        give_up("fork");
    if (victim == 0) {
        member_self();
        if (subject->prepare)
            subject->prepare(world);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        subject->operate(world);
        raise(SIGUSR1);
        _exit(0);
    }
    int status;
    if (waitpid(victim, &status, 0) != victim || !WIFSTOPPED(status))
        give_up("the victim did not begin");
    return victim;
}

bool victim_step(pid_t victim)
{
    int status = 0;
    if (ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL) || waitpid(victim, &status, 0) != victim)
        give_up("step");
    return WIFSTOPPED(status) && WSTOPSIG(status) != SIGUSR1;
}

void victim_kill(pid_t victim)
{
    kill(victim, SIGKILL);
    if (waitpid(victim, NULL, 0) != victim)
        give_up("waitpid");
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

bool within_time(bool (*condition)(void *world), void *world)
{
    for (int i = 0; i < SURVIVORS_MS * 10; i++) {
        if (condition(world))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return condition(world);
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
