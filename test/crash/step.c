/* Stepping a victim by ptrace. Called by run.c.
 *
 * A single step costs two switches of process, and to do k of them for each k is too much. So the way through the
 * operation is stepped once and noted, instruction by instruction; afterwards a point is reached by a breakpoint at its
 * address, on the pass that was noted, and the victim must then stand at the address that was noted. When it took
 * another way, for once, the caller does the single steps.
 *
 * A single step stops before and after each system call: the instruction that makes it is one step. A death between the
 * entry into the kernel and the call's first effect leaves what a death before the instruction leaves; one between the
 * last effect and the return, what a death after it leaves. Calls are counted by that instruction. */
#include "arena/member.h"
#include "breakpoint.h"
#include "named.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POINTS_MOST      1000000
#define KERNEL_CODE_SIZE 8192

/* A victim that was stopped is no survivor: on a machine with much to do it may take longer than they. */
#define END_SECONDS 10

/* Of a loop's passes so many are tried, and after them the passes 2^n. */
#define PASSES_TRIED 64

/* ---- going on, and stopping ---- */

static long peek_user(const struct victim *victim, size_t offset)
{
    return ptrace(PTRACE_PEEKUSER, victim->pid, offset, NULL);
}

/* The address of its next instruction; 0 when it has exited. */
static uintptr_t address_of(const struct victim *victim)
{
    return victim->gone ? 0 : (uintptr_t)peek_user(victim, offsetof(struct user, regs.rip));
}

/* Where a function that was just entered returns to. */
static uintptr_t return_address(const struct victim *victim)
{
    long stack = peek_user(victim, offsetof(struct user, regs.rsp));
    return (uintptr_t)ptrace(PTRACE_PEEKDATA, victim->pid, stack, NULL);
}

/* Let it go on to the next stop, or to its exit, after which it is still to be reaped. Signals that come are delivered.
 * What it stopped for, or 0. */
static int go_on(struct victim *victim, int how)
{
    siginfo_t info = {0};
    uintptr_t signal = 0;
    for (;;) {
        if (ptrace(how, victim->pid, NULL, signal))
            give_up("ptrace");
        if (waitid(P_PID, (id_t)victim->pid, &info, WSTOPPED | __WALL)) {
            if (errno != ECHILD)
                give_up("waitid");
            victim->gone = true;
            return 0;
        }
        if ((info.si_status & ~0x80) == SIGTRAP || info.si_status >> 8)
            return info.si_status;
        signal = (uintptr_t)info.si_status;
    }
}

/* Whether this is an instruction for strings that repeats itself (rep movs, rep stos), and its length. */
static uintptr_t repeated_length(const struct victim *victim, uintptr_t address)
{
    unsigned long code = (unsigned long)ptrace(PTRACE_PEEKTEXT, victim->pid, address, NULL);
    if ((code & 0xff) != 0xf3 && (code & 0xff) != 0xf2)
        return 0;
    bool wide = (code >> 8 & 0xf8) == 0x48;
    unsigned long operation = (wide ? code >> 16 : code >> 8) & 0xfc;
    return operation == 0xa4 || operation == 0xa8 ? (wide ? 3 : 2) : 0;
}

/* From an instruction that repeats itself to the one behind it: to step a long one takes seconds. */
static void finish_repeating(struct victim *victim, uintptr_t address)
{
    struct victim same = {.pid = victim->pid};
    breakpoints_set(&same, address + repeated_length(victim, address));
    if (go_on(&same, PTRACE_CONT) == SIGTRAP)
        breakpoints_step_back(&same);
    breakpoints_clear(&same);
    victim->gone = same.gone;
}

/* The same from a breakpoint on, and to the next. */
static int resume(struct victim *victim, int how)
{
    if (how == PTRACE_SINGLESTEP)
        return go_on(victim, how);
    uintptr_t from = address_of(victim);
    if (breakpoints_step_over(victim)) {
        go_on(victim, PTRACE_SINGLESTEP);
        if (address_of(victim) == from && repeated_length(victim, from))
            finish_repeating(victim, from);
        breakpoints_restore(victim);
        if (victim->gone || breakpoints_reached(victim))
            return victim->gone ? 0 : SIGTRAP;
    }
    int stop = go_on(victim, how);
    if (stop == SIGTRAP)
        breakpoints_step_back(victim);
    return stop;
}

/* Where the kernel's own code lies in a process (the vdso). */
static uintptr_t kernel_code_of(pid_t pid)
{
    char path[64];
    uintptr_t entry[2];
    uintptr_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/auxv", (int)pid);
    FILE *file = fopen(path, "r");
    while (file && !found && fread(entry, sizeof entry, 1, file) == 1)
        found = entry[0] == AT_SYSINFO_EHDR ? entry[1] : 0;
    if (file)
        fclose(file);
    return found;
}

static void run_to_address(struct victim *victim, uintptr_t address)
{
    breakpoints_set(victim, address);
    resume(victim, PTRACE_CONT);
    breakpoints_clear(victim);
}

/* One step: an instruction, with two exceptions. One that repeats itself is two steps, its first round and all others.
 * And a call into the kernel's code in the process is one step together with the instruction that calls: that code
 * reads the clock, and begins again when it ticks, which it does all the time for one that goes by single steps. It
 * writes nothing shared. */
static void step(struct victim *victim)
{
    uintptr_t before = address_of(victim);
    if (victim->repeats) {
        victim->repeats = false;
        run_to_address(victim, before + repeated_length(victim, before));
        return;
    }
    resume(victim, PTRACE_SINGLESTEP);
    uintptr_t address = address_of(victim);
    victim->repeats = address == before && repeated_length(victim, address) > 0;
    if (victim->kernel_code && address - victim->kernel_code < KERNEL_CODE_SIZE)
        run_to_address(victim, return_address(victim));
}

bool victim_has_finished(const struct victim *victim)
{
    return victim->gone || (victim->end && address_of(victim) == victim->end) || named_is_over(victim->pid);
}

/* ---- its life ---- */

static void become_victim(const struct crash_case *subject, void *world)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    member_self();
    if (subject->prepare)
        subject->prepare(world);
    victim_stop_here();
    subject->operate(world);
    _exit(0);
}

static struct victim fork_victim(const struct crash_case *subject, void *world)
{
    struct victim victim = {.pid = fork()};
    if (victim.pid < 0)
        give_up("fork");
    if (victim.pid == 0)
        become_victim(subject, world);
    int status;
    if (waitpid(victim.pid, &status, 0) != victim.pid || !WIFSTOPPED(status))
        give_up("the victim did not begin");
    breakpoints_set(&victim, (uintptr_t)subject->operate);
    resume(&victim, PTRACE_CONT);
    if (address_of(&victim) != (uintptr_t)subject->operate)
        give_up("the victim did not come to its operation");
    breakpoints_clear(&victim);
    victim.end = return_address(&victim);
    return victim;
}

struct victim victim_start(const struct crash_case *subject, void *world, bool divides)
{
    struct victim victim;
    named_forget();
    if (subject->operate) {
        victim = fork_victim(subject, world);
        victim.kernel_code = getauxval(AT_SYSINFO_EHDR);
    } else {
        subject->prepare(world);
        victim = (struct victim){.pid = named_victim(), .kept = named_is_kept(named_victim())};
        victim.kernel_code = kernel_code_of(victim.pid);
    }
    victim.divides = divides;
    ptrace(PTRACE_SETOPTIONS, victim.pid, NULL, (uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    return victim;
}

bool victim_step(struct victim *victim, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        if (victim_has_finished(victim))
            return false;
        step(victim);
    }
    return true;
}

void victim_run(struct victim *victim)
{
    if (victim->end)
        breakpoints_set(victim, victim->end);
    while (!victim_has_finished(victim))
        resume(victim, victim->end ? PTRACE_CONT : PTRACE_SYSCALL); /* whether one that was named is over is asked */
}

void victim_kill(struct victim *victim)
{
    kill(victim->pid, SIGKILL);
    if (!victim->kept && waitpid(victim->pid, NULL, __WALL) != victim->pid)
        give_up("waitpid");
}

void victim_pause(struct victim *victim)
{
    if (!victim->end)
        return;
    breakpoints_clear(victim);
    int status;
    if (ptrace(PTRACE_DETACH, victim->pid, NULL, (uintptr_t)SIGSTOP) ||
        waitpid(victim->pid, &status, WUNTRACED) != victim->pid)
        give_up("stop");
}

bool victim_continue(struct victim *victim)
{
    if (!victim->end) {
        victim_run(victim);
        victim_kill(victim);
        return true;
    }
    struct patience patience = patience_for(END_SECONDS);
    kill(victim->pid, SIGCONT);
    while (waitpid(victim->pid, NULL, WNOHANG) == 0) {
        if (patience_is_over(&patience)) {
            victim_kill(victim);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return true;
}

/* ---- what changes in shared memory ---- */

/* A copy of every page that the arena has. */
struct snapshot {
    struct extent {
        size_t offset;
        size_t size;
    } extents[512];
    size_t count;
    unsigned char *copy;
    size_t size;
};

static void take_snapshot(struct snapshot *snapshot)
{
    size_t total = 0;
    off_t at = 0;
    snapshot->count = 0;
    while (snapshot->count < 512 && (at = lseek(region.fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(region.fd, at, SEEK_HOLE);
        snapshot->extents[snapshot->count++] = (struct extent){(size_t)at, (size_t)(end - at)};
        total += (size_t)(end - at);
        at = end;
    }
    if (total > snapshot->size) {
        free(snapshot->copy);
        snapshot->copy = malloc(total);
        snapshot->size = total;
    }
    if (!snapshot->copy)
        give_up("malloc");
    unsigned char *copy = snapshot->copy;
    for (size_t i = 0; i < snapshot->count; copy += snapshot->extents[i++].size)
        memcpy(copy, region.base + snapshot->extents[i].offset, snapshot->extents[i].size);
}

/* Whether memory has changed since the last look. */
static bool has_changed(struct snapshot *snapshot)
{
    bool changed = false;
    unsigned char *copy = snapshot->copy;
    for (size_t i = 0; i < snapshot->count; copy += snapshot->extents[i++].size) {
        const unsigned char *now = region.base + snapshot->extents[i].offset;
        if (memcmp(copy, now, snapshot->extents[i].size) != 0) {
            memcpy(copy, now, snapshot->extents[i].size);
            changed = true;
        }
    }
    return changed;
}

/* ---- the way through an operation ---- */

/* Whether its next instruction is that which makes a system call. */
static bool is_at_call(const struct victim *victim, uintptr_t address)
{
    return (ptrace(PTRACE_PEEKTEXT, victim->pid, address, NULL) & 0xffff) == 0x050f;
}

static struct point *add_point(struct trace *trace, uintptr_t address)
{
    if ((trace->count & (trace->count - 1)) == 0) {
        trace->points = realloc(trace->points, (trace->count ? trace->count * 2 : 1) * sizeof *trace->points);
        if (!trace->points)
            give_up("realloc");
    }
    struct point *point = &trace->points[trace->count++];
    *point = (struct point){.address = address};
    return point;
}

/* Find for each point which pass it is, and whence it is best reached: by so many stops at a breakpoint, or by steps
 * from a point before it. An instruction that repeats itself stops twice when stepped, but once at a breakpoint. */
static void find_ways(struct trace *trace)
{
    size_t buckets = 1;
    while (buckets < trace->count * 2)
        buckets *= 2;
    struct passes {
        uintptr_t address;
        uint32_t count;
    } *passes = calloc(buckets, sizeof *passes);
    if (!passes)
        give_up("calloc");
    size_t cost = 0;
    for (size_t i = 1; i < trace->count; i++) {
        struct point *point = &trace->points[i];
        bool repeats = point->address == point[-1].address;
        size_t bucket = point->address * UINT64_C(0x9e3779b97f4a7c15) >> 20 & (buckets - 1);
        while (passes[bucket].count && passes[bucket].address != point->address)
            bucket = (bucket + 1) & (buckets - 1);
        passes[bucket].address = point->address;
        point->pass = passes[bucket].count += !repeats;
        point->passed_over = point->pass > PASSES_TRIED && (point->pass & (point->pass - 1)) != 0;
        cost++;
        point->anchor = point[-1].anchor;
        if (!repeats && point->address && point->pass <= cost) {
            cost = point->pass;
            point->anchor = (uint32_t)i;
        }
    }
    free(passes);
}

struct trace victim_trace(struct victim *victim)
{
    static struct snapshot snapshot;
    struct trace trace = {0};
    uintptr_t address = address_of(victim);
    take_snapshot(&snapshot);
    add_point(&trace, address)->new_state = true;
    while (!victim_has_finished(victim)) {
        bool calls = is_at_call(victim, address);
        step(victim);
        address = address_of(victim);
        bool changed = has_changed(&snapshot);
        if (calls)
            take_snapshot(&snapshot);
        trace.calls += calls;
        struct point *point = add_point(&trace, address);
        point->new_state = calls || changed;
        point->calls = (uint32_t)trace.calls;
        if (trace.count > POINTS_MOST)
            give_up("the operation does not end");
    }
    find_ways(&trace);
    return trace;
}

void trace_free(struct trace *trace)
{
    free(trace->points);
    *trace = (struct trace){0};
}

/* Run to an address, on a certain pass. False when the end comes before. */
static bool run_to(struct victim *victim, uintptr_t address, uint32_t pass)
{
    breakpoints_set(victim, address);
    for (uint32_t i = 0; i < pass; i++) {
        resume(victim, PTRACE_CONT);
        if (victim_has_finished(victim) && address != victim->end)
            return false;
    }
    breakpoints_clear(victim);
    return true;
}

/* Run through so many system calls, each of which stops it twice. */
static bool run_through_calls(struct victim *victim, uint32_t count)
{
    for (uint32_t stops = 0; stops < 2 * count;) {
        stops += resume(victim, PTRACE_SYSCALL) == (SIGTRAP | 0x80);
        if (victim_has_finished(victim))
            return false;
    }
    return true;
}

/* A process that the library has made need not have its code at the same addresses each time. So it goes from one
 * system call to the next, and then by steps. */
static bool go_by_calls(struct victim *victim, const struct trace *trace, size_t point)
{
    size_t at = point;
    while (at > 0 && trace->points[at - 1].calls == trace->points[point].calls)
        at--;
    return run_through_calls(victim, trace->points[point].calls) && victim_step(victim, point - at);
}

bool victim_go(struct victim *victim, const struct trace *trace, size_t point)
{
    if (!victim->end)
        return go_by_calls(victim, trace, point) || point == trace->count - 1;
    size_t anchor = victim->divides && breakpoints_are_instructions() ? 0 : trace->points[point].anchor;
    if (anchor > 0 && !run_to(victim, trace->points[anchor].address, trace->points[anchor].pass))
        return false;
    for (size_t i = anchor; i < point; i++) {
        step(victim);
        if (address_of(victim) != trace->points[i + 1].address)
            return false;
    }
    return true;
}
