/* Runs the cases of the crash harness and prints, for each, how many kill points there were and how many failed.
 *
 *     crash [quick] [NAME]      quick takes a sample of the steps of long operations; NAME: only cases whose operation
 *                               begins so
 *
 * Exit status 0 when every case held and every broken variant was found out. */
#include "arena/member.h"
#include "crash.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How many kill points of one case are tried at most in the quick form. */
#define QUICK_POINTS 30

/* Of repairs: at so many points the first victim is killed, and each time the repairer at every so manieth step. */
#define REPAIR_VICTIMS (quick ? 4 : 40)
#define REPAIR_STRIDE  (quick ? 83 : 11)
#define REPAIR_POINTS  (quick ? 10 : 120)

#define STOP_POINTS (quick ? 2 : 8)

static bool quick;

struct tally {
    long points;
    long failures;
    const char *wrong; /* of the first failure */
    long wrong_at;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void note(struct tally *tally, const char *wrong, long point)
{
    tally->points++;
    if (!wrong)
        return;
    if (tally->failures++ == 0) {
        tally->wrong = wrong;
        tally->wrong_at = point;
    }
}

/* The operation from begin to end. */
static void trace_operation(const struct crash_case *subject, struct trace *trace)
{
    void *world = subject->build();
    pid_t victim = victim_start(subject, world);
    trace_take(trace, victim);
    victim_kill(victim);
    subject->check(world, true);
    subject->destroy(world);
}

static const char *check_in_time(const struct crash_case *subject, void *world, bool finished)
{
    double start = now();
    const char *wrong = subject->check(world, finished);
    if (!wrong && now() - start > SURVIVORS_MS / 1000.0)
        wrong = "the survivors took too long";
    return wrong;
}

static void kill_at(const struct crash_case *subject, const struct trace *trace, long point, struct tally *tally)
{
    void *world = subject->build();
    pid_t victim = victim_start(subject, world);
    bool finished = victim_advance(victim, trace, point);
    victim_kill(victim);
    note(tally, check_in_time(subject, world, finished), point);
    subject->destroy(world);
}

static void kill_the_repairer(const struct crash_case *subject, const struct trace *trace, struct tally *tally)
{
    const struct crash_case repairer = {.operate = subject->repair};
    for (long i = 1; i <= REPAIR_VICTIMS; i++) {
        long point = trace->steps * i / (REPAIR_VICTIMS + 1);
        bool more = true;
        for (long j = 0; j < REPAIR_POINTS && more; j++) {
            void *world = subject->build();
            pid_t victim = victim_start(subject, world);
            victim_advance(victim, trace, point);
            victim_kill(victim);
            pid_t second = victim_start(&repairer, world);
            more = !victim_advance(second, NULL, j * REPAIR_STRIDE);
            victim_kill(second);
            note(tally, check_in_time(subject, world, false), point);
            subject->destroy(world);
        }
    }
}

static struct tally run(const struct crash_case *subject, const struct trace *trace)
{
    struct tally tally = {0};
    long stride = quick && trace->steps > QUICK_POINTS ? trace->steps / QUICK_POINTS : 1;
    for (long point = 0; point <= trace->steps + stride; point += stride)
        kill_at(subject, trace, point, &tally);
    return tally;
}

/* A victim that is stopped and goes on later: meanwhile the others work or wait, and afterwards everything is as if it
 * had been slow. The stop is longer than a tick. */
static void stop_the_victim(const struct crash_case *subject, const struct trace *trace, struct tally *tally)
{
    for (long i = 1; i <= STOP_POINTS; i++) {
        void *world = subject->build();
        pid_t victim = victim_start(subject, world);
        victim_advance(victim, trace, trace->steps * i / (STOP_POINTS + 1));
        pid_t other = subject->repair ? bystander_start(subject->repair, world) : 0;
        nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
        bool finished = victim_advance(victim, NULL, LONG_MAX);
        if (other)
            waitpid(other, NULL, 0);
        victim_kill(victim);
        note(tally, check_in_time(subject, world, finished), i);
        subject->destroy(world);
    }
}

static void report(const struct crash_case *subject, const char *kind, const struct tally *tally)
{
    printf("%-24s %-24s %-8s %7ld %5ld", subject->operation, subject->state, kind, tally->points, tally->failures);
    if (tally->failures)
        printf("   step %ld: %s", tally->wrong_at, tally->wrong);
    putchar('\n');
    fflush(stdout);
}

/* One case with all its kinds of death. Returns its failures. */
static long run_case(const struct crash_case *subject, long *points)
{
    struct trace trace;
    trace_operation(subject, &trace);
    struct tally tally = run(subject, &trace);
    long failures = tally.failures;
    report(subject, "victim", &tally);
    *points += tally.points;
    if (subject->repair) {
        tally = (struct tally){0};
        kill_the_repairer(subject, &trace, &tally);
        report(subject, "repairer", &tally);
        failures += tally.failures;
        *points += tally.points;
    }
    tally = (struct tally){0};
    stop_the_victim(subject, &trace, &tally);
    trace_drop(&trace);
    report(subject, "stopped", &tally);
    *points += tally.points;
    return failures + tally.failures;
}

/* The variants that must be found out. Returns how many were not. */
static long run_broken(void)
{
    long missed = 0;
    for (const struct crash_case *subject = broken_cases; subject->operation; subject++) {
        struct trace trace;
        trace_operation(subject, &trace);
        struct tally tally = run(subject, &trace);
        trace_drop(&trace);
        printf("%-24s %-24s %s\n", subject->operation, subject->state, tally.failures ? "found out" : "NOT FOUND OUT");
        missed += tally.failures == 0;
    }
    return missed;
}

int main(int argc, char **argv)
{
    const struct crash_case *const lists[] = {heap_cases, member_cases, sync_cases, queue_cases};
    const char *only = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "quick") == 0)
            quick = true;
        else
            only = argv[i];
    }
    long points = 0;
    long failures = 0;
    printf("%-24s %-24s %-8s %7s %5s\n", "operation", "state", "kill", "points", "fail");
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++) {
        for (const struct crash_case *subject = lists[list]; subject->operation; subject++) {
            if (strncmp(subject->operation, only, strlen(only)) == 0)
                failures += run_case(subject, &points);
        }
    }
    long missed = run_broken();
    printf("total: %ld kill points, %ld failures, %ld broken variants missed\n", points, failures, missed);
    return failures != 0 || missed != 0;
}
