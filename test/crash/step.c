/* Stepping a victim by ptrace, and what the cases have in common. Called by run.c and the cases. */
#include "arena/heap.h"
#include "arena/member.h"
#include "crash.h"
#include <errno.h>
#include <mproc/memory.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

/* The victim of a case without operate, see crash.h; pid 0 when there is none. */
static struct {
    pid_t pid;
    bool (*over)(void *world);
    void *world;
    bool kept;
} named;

/* A signal that the victim was stopped for, to be delivered when it goes on. */
static int due;

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
    raise(SIGUSR1);
}

static pid_t fork_victim(const struct crash_case *subject, void *world)
{
    pid_t victim = fork();
    if (victim < 0)
        give_up("fork");
    if (victim == 0) {
        member_self();
        if (subject->prepare)
            subject->prepare(world);
        victim_stop_here();
        subject->operate(world);
        raise(SIGUSR1);
        _exit(0);
    }
    int status;
    if (waitpid(victim, &status, 0) != victim || !WIFSTOPPED(status))
        give_up("the victim did not begin");
    return victim;
}

pid_t victim_start(const struct crash_case *subject, void *world)
{
    victim_name(0, NULL, NULL, false);
    due = 0;
    if (subject->operate)
        return fork_victim(subject, world);
    subject->prepare(world);
    return named.pid;
}

/* Let it go on, and wait until it stops. What it stopped for, or 0 when it is at its end. A victim that has ended is
 * not reaped here. */
static int proceed(int request, pid_t victim)
{
    siginfo_t info;
    if (ptrace(request, victim, NULL, (void *)(intptr_t)due))
        give_up("step");
    due = 0;
    info.si_status = 0;
    if (waitid(P_PID, (id_t)victim, &info, WSTOPPED | __WALL))
        return errno == ECHILD ? 0 : (give_up("waitid"), 0);
    if (info.si_status == SIGUSR1 || (named.over && named.over(named.world)))
        return 0;
    if ((info.si_status & ~0x80) != SIGTRAP && info.si_status >> 8 == 0)
        due = info.si_status;
    return info.si_status;
}

bool victim_step(pid_t victim)
{
    return proceed(PTRACE_SINGLESTEP, victim) != 0;
}

/* Whether its next step is a system call. On machines that this does not know every step is taken by itself. */
static bool is_at_call(pid_t victim)
{
#ifdef __x86_64__
    long at = ptrace(PTRACE_PEEKUSER, victim, (void *)offsetof(struct user, regs.rip), NULL);
    return !due && (ptrace(PTRACE_PEEKTEXT, victim, (void *)at, NULL) & 0xffff) == 0x050f;
#else
    (void)victim;
    return false;
#endif
}

void trace_take(struct trace *trace, pid_t victim)
{
    size_t room = 0;
    *trace = (struct trace){0};
    for (;;) {
        bool call = is_at_call(victim);
        if (!victim_step(victim))
            return;
        trace->steps++;
        if (!call)
            continue;
        if (trace->call_count == room) {
            room = room * 2 + 64;
            trace->calls = realloc(trace->calls, room * sizeof *trace->calls);
        }
        trace->calls[trace->call_count++] = trace->steps;
    }
}

void trace_drop(struct trace *trace)
{
    free(trace->calls);
    *trace = (struct trace){0};
}

/* Run through so many system calls. A call stops it twice. False when it is at its end. */
static bool run_through_calls(pid_t victim, size_t count)
{
    ptrace(PTRACE_SETOPTIONS, victim, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    for (size_t stops = 0; stops < 2 * count;) {
        int stop = proceed(PTRACE_SYSCALL, victim);
        if (stop == 0)
            return false;
        stops += stop == (SIGTRAP | 0x80);
    }
    return true;
}

bool victim_advance(pid_t victim, const struct trace *trace, long steps)
{
    size_t calls = 0;
    while (trace && calls < trace->call_count && trace->calls[calls] <= steps)
        calls++;
    if (!run_through_calls(victim, calls))
        return true;
    for (long step = calls ? trace->calls[calls - 1] : 0; step < steps; step++)
        if (!victim_step(victim))
            return true;
    return false;
}

void victim_kill(pid_t victim)
{
    kill(victim, SIGKILL);
    if (!named.kept && waitpid(victim, NULL, __WALL) != victim)
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
