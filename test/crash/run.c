/* Does one piece of the crash harness's work: one case, one kind of death, and a share of its points. Started by
 * drive.c, which adds up what the pieces report.
 *
 *     crash_O2 cases                                      a line per case and kind of death
 *     crash_O2 CASE KIND quick|whole SHARE SHARES         do the share, and print one line of results;
 *                                                         KIND all: of each kind one after the other
 *
 * The program and its victims share one CPU: a step is a switch between the two. */
#include "arena/heap.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Every list. keeps: what these cases use keeps memory or members for the life of the process, so that the books of the
 * whole heap do not balance, and are the matter of the check. */
static const struct {
    const struct crash_case *cases;
    bool keeps;
} lists[] = {
    {heap_cases, false},
    {member_cases, false},
    {lock_cases, false},
    {semaphore_cases, false},
    {condition_cases, false},
    {sync_cases, false},
    {queue_cases, false},
    {queue_end_cases, false},
    {connection_cases, true},
    {process_cases, true},
    {list_cases, false},
    {settle_cases, false},
    {pool_cases, true},
    {worker_cases, true},
    {call_cases, true},
    {elastic_cases, true},
    {job_cases, true},
    {result_cases, true},
    {container_cases, false},
    {small_container_cases, false},
    {free_container_cases, false},
    {make_container_cases, false},
    {broken_cases, false},
};

#define LISTS (sizeof lists / sizeof *lists)

/* How many points of one case are tried in the quick form: of its victim; of its victim when there is a repairer, and
 * of that one; of those at which it is stopped. */
#define QUICK_VICTIMS   20
#define QUICK_REPAIRED  3
#define QUICK_REPAIRERS 5
#define QUICK_STOPS     2

/* In the whole form every point is one for the victim, and every state of shared memory for the two of a double death,
 * up to these numbers; beyond them, every so manieth. */
#define WHOLE_VICTIMS   8000
#define WHOLE_REPAIRED  60
#define WHOLE_REPAIRERS 100
#define WHOLE_STOPS     60

/* Instead, where a world is made of processes. All states are among the points, and are about a hundred at most. */
#define PROCESS_VICTIMS 250
#define PROCESS_STOPS   20

/* Longer than every tick of the library. */
#define STOP_MS 150

/* A piece of work that does not get on for so long has found that somebody hangs. */
#define HANG_SECONDS 20

/* Where it has no CPU most of that time, it gets the time once more, so many times. */
#define AGAIN_MOST 10

/* Or, while an operation is traced: tens of thousands of steps, each with a look at all shared memory. */
#define TRACE_SECONDS 100

enum kind {
    KIND_VICTIM,
    KIND_REPAIRER,
    KIND_STOPPED,
    KINDS
};

static const char *const kind_names[KINDS] = {"killed", "twice", "stopped"};

/* What has been found so far of one kind of death; printed at its end, or by the alarm. */
static struct {
    enum kind kind;
    size_t steps;
    size_t calls;
    bool is_sample; /* not all points */
    size_t points;
    size_t failures;
    size_t strays; /* points that were reached by single steps after all */
    const char *wrong;
    size_t wrong_at;
    size_t at;
} found;

static bool quick;
static bool keeps;
static size_t share;
static size_t shares;

/* The alarm's handler calls it too: it strikes in a wait, and what it prints is the last thing that is printed. */
static void print_found(void)
{
    /* NOLINTBEGIN(bugprone-signal-handler) */
    printf("%d %zu %zu %d %zu %zu %zu %zu %s\n", (int)found.kind, found.steps, found.calls, found.is_sample,
           found.points, found.failures, found.strays, found.wrong_at, found.wrong ? found.wrong : "-");
    fflush(stdout);
    /* NOLINTEND(bugprone-signal-handler) */
}

static void note(const char *wrong, size_t point)
{
    found.points++;
    if (wrong && found.failures++ == 0) {
        found.wrong = wrong;
        found.wrong_at = point;
    }
}

/* The alarm that is set, and how often it has been set anew. */
static struct {
    unsigned seconds;
    unsigned again;
    double starved;
} watch;

static void watch_for(unsigned seconds)
{
    watch.seconds = seconds;
    watch.again = 0;
    watch.starved = family_starved_seconds();
    alarm(seconds);
}

/* Where the processes were ready and waited for a CPU most of the time, nothing has been found yet: where all sleep,
 * they wait for none. */
static bool was_starved(void)
{
    double starved = family_starved_seconds(); /* NOLINT(bugprone-signal-handler): the signal came to a wait */
    double grown = starved - watch.starved;
    watch.starved = starved;
    return watch.again++ < AGAIN_MOST && grown > watch.seconds / 2.0;
}

static void on_alarm(int signal)
{
    (void)signal;
    if (was_starved()) {
        alarm(watch.seconds);
        return;
    }
    note("somebody hangs", found.at);
    print_found();
    _exit(0);
}

/* ---- the books of a whole world ---- */

static size_t books_bytes;
static unsigned books_members;

static unsigned count_members(void)
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < 64; slot++)
        count += atomic_load_explicit(&member_at(slot)->word, memory_order_relaxed) & 1;
    return count;
}

static void open_books(void)
{
    member_sweep_all();
    books_bytes = heap_allocated();
    books_members = count_members();
}

/* After destroy: all is as it was. */
static const char *check_books(void)
{
    member_sweep_all();
    const char *wrong = heap_audit();
    if (!wrong && !keeps && heap_allocated() != books_bytes)
        wrong = heap_allocated() > books_bytes ? "bytes leaked" : "bytes lost";
    if (!wrong && !keeps && count_members() != books_members)
        wrong = "a slot of the dead stays used";
    if (wrong)
        open_books(); /* the next world is not to blame */
    return wrong;
}

/* Let the survivors work, and take the world down. */
static const char *settle(const struct crash_case *subject, void *world, bool finished)
{
    double begin = seconds_of_work();
    const char *wrong = subject->check(world, finished);
    if (!wrong && is_too_late(begin))
        wrong = "the survivors took too long";
    subject->destroy(world);
    const char *unbalanced = check_books();
    return wrong ? wrong : unbalanced;
}

/* ---- the points of one operation ---- */

/* A world with a victim at a point. */
struct scene {
    void *world;
    struct victim victim;
};

static void begin_point(size_t point)
{
    found.at = point;
    watch_for(HANG_SECONDS);
}

static struct scene set_scene(const struct crash_case *subject, const struct trace *trace, size_t point)
{
    struct scene scene = {.world = subject->build()};
    scene.victim = victim_start(subject, scene.world, keeps);
    if (victim_go(&scene.victim, trace, point))
        return scene;
    bool finished = victim_has_finished(&scene.victim);
    victim_kill(&scene.victim);
    note(settle(subject, scene.world, finished), point);
    found.strays++;
    scene.world = subject->build();
    scene.victim = victim_start(subject, scene.world, keeps);
    victim_step(&scene.victim, point);
    return scene;
}

/* Go through all of a case without a kill: the first world finds the heap otherwise than those after it. */
static void rehearse(const struct crash_case *subject)
{
    void *world = subject->build();
    struct victim victim = victim_start(subject, world, keeps);
    victim_run(&victim);
    victim_kill(&victim);
    subject->check(world, true);
    subject->destroy(world);
    member_sweep_all();
}

static struct trace trace_operation(const struct crash_case *subject)
{
    watch_for(TRACE_SECONDS);
    rehearse(subject);
    void *world = subject->build();
    struct victim victim = victim_start(subject, world, keeps);
    struct trace trace = victim_trace(&victim);
    victim_kill(&victim);
    subject->check(world, true);
    subject->destroy(world);
    open_books();
    return trace;
}

/* A choice of points: all, or those with a new state of shared memory, thinned out to a number with the first and the
 * last among them. */
struct choice {
    size_t *points;
    size_t count;
    bool is_sample; /* some of them were passed over */
};

/* Keep all states, and of the rest as many as make up the number, evenly spread. False when there are more states. */
static bool keep_states(struct choice *choice, const struct trace *trace, size_t most)
{
    size_t states = 0, others = 0, kept = 0;
    for (size_t i = 0; i < choice->count; i++)
        states += trace->points[choice->points[i]].new_state;
    if (states >= most)
        return false;
    size_t rest = choice->count - states;
    for (size_t i = 0; i < choice->count; i++) {
        bool keep = trace->points[choice->points[i]].new_state;
        if (!keep) {
            keep = (others + 1) * (most - states) / rest > others * (most - states) / rest;
            others++;
        }
        if (keep)
            choice->points[kept++] = choice->points[i];
    }
    choice->count = kept;
    return true;
}

static struct choice choose(const struct trace *trace, bool states_only, size_t most)
{
    struct choice choice = {.points = malloc(trace->count * sizeof *choice.points)};
    if (!choice.points)
        give_up("malloc");
    for (size_t i = 0; i < trace->count; i++) {
        const struct point *point = &trace->points[i];
        bool tried = !point->passed_over && (point->new_state || !states_only);
        if (tried || i == trace->count - 1)
            choice.points[choice.count++] = i;
        choice.is_sample |= point->passed_over;
    }
    choice.is_sample |= choice.count > most;
    if (choice.count > most && !keep_states(&choice, trace, most)) {
        for (size_t i = 0; i < most; i++)
            choice.points[i] = choice.points[i * (choice.count - 1) / (most - 1)];
        choice.count = most;
    }
    return choice;
}

static void kill_victims(const struct crash_case *subject, const struct trace *trace)
{
    struct choice choice = choose(trace, quick, quick ? QUICK_VICTIMS : keeps ? PROCESS_VICTIMS : WHOLE_VICTIMS);
    found.is_sample = choice.is_sample;
    for (size_t i = share; i < choice.count; i += shares) {
        begin_point(choice.points[i]);
        struct scene scene = set_scene(subject, trace, choice.points[i]);
        bool finished = victim_has_finished(&scene.victim);
        victim_kill(&scene.victim);
        note(settle(subject, scene.world, finished), choice.points[i]);
    }
    free(choice.points);
}

/* ---- the death of the one that repairs ---- */

static struct scene dead_scene(const struct crash_case *subject, const struct trace *trace, size_t point)
{
    struct scene scene = set_scene(subject, trace, point);
    victim_kill(&scene.victim);
    return scene;
}

static void kill_repairers_at(const struct crash_case *subject, const struct trace *trace, size_t point)
{
    const struct crash_case repairer = {.operate = subject->repair};
    begin_point(point);
    struct scene scene = dead_scene(subject, trace, point);
    struct victim second = victim_start(&repairer, scene.world, keeps);
    watch_for(TRACE_SECONDS);
    struct trace repair = victim_trace(&second);
    watch_for(HANG_SECONDS);
    victim_kill(&second);
    note(settle(subject, scene.world, false), point);
    struct choice choice = choose(&repair, true, quick ? QUICK_REPAIRERS : WHOLE_REPAIRERS);
    found.is_sample |= choice.is_sample;
    for (size_t i = 0; i < choice.count; i++) {
        begin_point(point);
        scene = dead_scene(subject, trace, point);
        second = victim_start(&repairer, scene.world, keeps);
        victim_go(&second, &repair, choice.points[i]); /* where it takes another way, it is killed there */
        victim_kill(&second);
        note(settle(subject, scene.world, false), point);
    }
    free(choice.points);
    trace_free(&repair);
}

static void kill_repairers(const struct crash_case *subject, const struct trace *trace)
{
    struct choice choice = choose(trace, true, quick ? QUICK_REPAIRED : WHOLE_REPAIRED);
    found.is_sample = choice.is_sample;
    for (size_t i = share; i < choice.count; i += shares) {
        if (choice.points[i] < trace->count - 1)
            kill_repairers_at(subject, trace, choice.points[i]);
    }
    free(choice.points);
}

/* ---- stopped, not dead ---- */

static void stop_victim_at(const struct crash_case *subject, const struct trace *trace, size_t point)
{
    begin_point(point);
    struct scene scene = set_scene(subject, trace, point);
    victim_pause(&scene.victim);
    pid_t other = subject->repair ? bystander_start(subject->repair, scene.world) : 0;
    nanosleep(&(struct timespec){.tv_nsec = STOP_MS * 1000000}, NULL);
    bool finished = victim_continue(&scene.victim);
    if (other)
        waitpid(other, NULL, 0);
    const char *wrong = settle(subject, scene.world, finished);
    note(finished ? wrong : "the one that was stopped does not come to its end", point);
}

static void stop_victims(const struct crash_case *subject, const struct trace *trace)
{
    struct choice choice = choose(trace, false, (quick ? QUICK_STOPS : keeps ? PROCESS_STOPS : WHOLE_STOPS) + 2);
    found.is_sample = choice.is_sample;
    for (size_t i = share; i < choice.count; i += shares) {
        if (choice.points[i] > 0 && choice.points[i] < trace->count - 1)
            stop_victim_at(subject, trace, choice.points[i]);
    }
    free(choice.points);
}

/* ---- the cases by number ---- */

static void print_cases(void)
{
    size_t number = 0;
    for (size_t list = 0; list < LISTS; list++) {
        for (const struct crash_case *subject = lists[list].cases; subject->operation; subject++, number++) {
            for (int kind = 0; kind < KINDS; kind++) {
                if (kind != KIND_REPAIRER || subject->repair)
                    printf("%zu\t%d\t%s\t%s\t%s\t%s\n", number, kind, kind_names[kind], subject->operation,
                           subject->state, lists[list].cases == broken_cases ? "broken" : "");
            }
        }
    }
}

static const struct crash_case *find_case(size_t number)
{
    for (size_t list = 0; list < LISTS; list++) {
        for (const struct crash_case *subject = lists[list].cases; subject->operation; subject++) {
            if (number-- == 0) {
                keeps = lists[list].keeps;
                return subject;
            }
        }
    }
    return NULL;
}

static void work(const struct crash_case *subject, const bool kinds[KINDS])
{
    static void (*const works[KINDS])(const struct crash_case *, const struct trace *) = {kill_victims, kill_repairers,
                                                                                          stop_victims};
    signal(SIGALRM, on_alarm);
    stalls_watch();
    heap_note();
    struct trace trace = trace_operation(subject);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        if (!kinds[kind] || (kind == KIND_REPAIRER && !subject->repair))
            continue;
        memset(&found, 0, sizeof found);
        found.kind = kind;
        found.steps = trace.count - 1;
        found.calls = trace.calls;
        works[kind](subject, &trace);
        print_found();
    }
    trace_free(&trace);
}

int main(int argc, char **argv)
{
    mproc_init(); /* victims may start processes afresh */
    if (argc == 2 && strcmp(argv[1], "cases") == 0) {
        print_cases();
        return 0;
    }
    const struct crash_case *subject = argc == 6 ? find_case((size_t)atoi(argv[1])) : NULL;
    if (!subject) {
        fputs("see run.c; this program is started by crash\n", stderr);
        return 2;
    }
    quick = strcmp(argv[3], "quick") == 0;
    share = (size_t)atoi(argv[4]);
    shares = (size_t)atoi(argv[5]);
    bool all = strcmp(argv[2], "all") == 0;
    bool kinds[KINDS] = {all, all, all};
    if (!all)
        kinds[atoi(argv[2]) % KINDS] = true;
    work(subject, kinds);
    return 0;
}
