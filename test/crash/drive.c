/* Runs the crash harness: shares the cases of both builds out to programs of run.c, as many at a time as there are CPUs
 * for, and prints what they found.
 *
 *     crash [quick] [table] [O0|O2] [part=K/N] [NAME]
 *
 * quick: a sample of the points of each case. table: in Markdown, for docs/kill-points.md. O0, O2: this build only.
 * part: only every Nth case, from the Kth on, and as many at a time as others can live beside.
 * NAME: only the cases whose operation begins so. Exit status 0 when every case held, and every broken variant that was
 * run was found out. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUILDS     2
#define ROWS_MOST  2000
#define TEXT_SIZE  80
#define SLOTS_MOST 256

/* In how many pieces the whole form of a case is done, and how many at a time on each CPU: those that stop their
 * victims sleep nearly all the time, the others while a waiter sleeps out its tick. */
#define SHARES         6
#define BUSY_PER_CPU   3
#define ASLEEP_PER_CPU 8
#define PART_PER_CPU   1 /* of one part among other tests */

static const char *const builds[BUILDS] = {"O0", "O2"};

struct sum {
    size_t steps;
    size_t calls;
    int is_sample;
    size_t points;
    size_t failures;
    size_t strays;
    size_t wrong_at;
    char wrong[TEXT_SIZE];
};

/* A case with a kind of death. */
struct row {
    int number;
    int kind;
    char kind_name[TEXT_SIZE];
    char operation[TEXT_SIZE];
    char state[TEXT_SIZE];
    bool is_broken;
    struct sum sums[BUILDS];
    int started[BUILDS]; /* shares */
    int ended;
};

/* A program at work. */
struct slot {
    pid_t pid;
    int pipe;
    struct row *row;
    int build;
    int cpu;
    size_t length;
    char text[1024];
};

static struct row rows[ROWS_MOST];
static size_t row_count;
static struct slot slots[SLOTS_MOST];
static size_t slot_count;
static int cpus[CPU_SETSIZE];
static int cpu_count;

static bool quick;
static bool as_table;
static bool wanted[BUILDS] = {true, true};
static const char *name = "";
static int part = 1;
static int parts = 1;

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

static int shares(void)
{
    return quick ? 1 : SHARES;
}

/* ---- the programs of the two builds, which lie beside this one ---- */

static void program_of(int build, char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 8);
    if (length < 0)
        give_up("/proc/self/exe");
    snprintf(path + length, size - (size_t)length, "_%s", builds[build]);
}

static void stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* On one CPU, from before the library is loaded: the victims know it then, and wait without spinning. */
static pid_t start_program(int build, const char *const *arguments, int cpu, int *output)
{
    char path[4096];
    int ends[2];
    program_of(build, path, sizeof path);
    if (pipe(ends))
        give_up("pipe");
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        stay_on(cpu);
        execv(path, (char *const *)(uintptr_t)arguments);
        perror(path);
        _exit(127);
    }
    close(ends[1]);
    *output = ends[0];
    return pid;
}

static void read_rows(void)
{
    int output;
    const char *arguments[] = {"crash", "cases", NULL};
    pid_t pid = start_program(1, arguments, cpus[0], &output);
    FILE *file = fdopen(output, "r");
    char line[512];
    while (file && fgets(line, sizeof line, file) && row_count < ROWS_MOST) {
        struct row *row = &rows[row_count];
        char broken[TEXT_SIZE] = "";
        *row = (struct row){0};
        if (sscanf(line, "%d\t%d\t%79[^\t]\t%79[^\t]\t%79[^\t]\t%79[^\n]", &row->number, &row->kind, row->kind_name,
                   row->operation, row->state, broken) < 5)
            continue;
        row->is_broken = strcmp(broken, "broken") == 0;
        row_count += strncmp(row->operation, name, strlen(name)) == 0 && row->number % parts == part - 1;
    }
    if (file)
        fclose(file);
    waitpid(pid, NULL, 0);
    if (row_count == 0) {
        fprintf(stderr, "no case begins with '%s'\n", name);
        exit(2);
    }
}

/* ---- the work ---- */

static bool sleeps(const struct row *row)
{
    return strcmp(row->kind_name, "stopped") == 0;
}

static size_t running(bool asleep)
{
    size_t count = 0;
    for (size_t i = 0; i < slot_count; i++)
        count += sleeps(slots[i].row) == asleep;
    return count;
}

static int freest_cpu(void)
{
    int load[CPU_SETSIZE] = {0};
    int best = 0;
    for (size_t i = 0; i < slot_count; i++)
        load[slots[i].cpu] += sleeps(slots[i].row) ? 1 : 4;
    for (int i = 1; i < cpu_count; i++) {
        if (load[i] < load[best])
            best = i;
    }
    return best;
}

/* In the quick form one program does all kinds of a case. */
static void start_share(struct row *row, int build)
{
    char numbers[4][16];
    struct slot *slot = &slots[slot_count];
    *slot = (struct slot){.row = row, .build = build, .cpu = freest_cpu()};
    snprintf(numbers[0], sizeof *numbers, "%d", row->number);
    snprintf(numbers[1], sizeof *numbers, "%d", row->kind);
    snprintf(numbers[2], sizeof *numbers, "%d", row->started[build]++);
    snprintf(numbers[3], sizeof *numbers, "%d", shares());
    const char *arguments[] = {
        "crash", numbers[0], quick ? "all" : numbers[1], quick ? "quick" : "whole", numbers[2], numbers[3], NULL};
    slot->pid = start_program(build, arguments, cpus[slot->cpu], &slot->pipe);
    slot_count++;
}

static bool is_to_start(const struct row *row, int build, bool asleep)
{
    if (!wanted[build] || row->started[build] == shares())
        return false;
    return quick ? row->kind == 0 && !asleep : sleeps(row) == asleep;
}

/* Start the next piece of this sort of work. False when there is none left. */
static bool start_next(bool asleep)
{
    for (size_t i = 0; i < row_count; i++) {
        for (int build = 0; build < BUILDS; build++) {
            if (is_to_start(&rows[i], build, asleep)) {
                start_share(&rows[i], build);
                return true;
            }
        }
    }
    return false;
}

static void start_all(bool asleep, size_t most)
{
    while (slot_count < SLOTS_MOST && running(asleep) < most && start_next(asleep)) {
    }
}

/* Add one line of results to its row. */
static void add_up(struct row *row, int build, const struct sum *share)
{
    struct sum *sum = &row->sums[build];
    if (share->steps > sum->steps)
        sum->steps = share->steps;
    sum->calls = share->calls;
    sum->is_sample |= share->is_sample;
    sum->points += share->points;
    sum->strays += share->strays;
    if (share->failures && !sum->failures) {
        sum->wrong_at = share->wrong_at;
        memcpy(sum->wrong, share->wrong, sizeof sum->wrong);
    }
    sum->failures += share->failures;
    row->ended++;
}

/* A program has ended: take its lines, one for each kind of death that it was to do. Rows of one case follow each
 * other, in the order in which a program does them. */
static void reap(struct slot *slot)
{
    const char *text = slot->text;
    int status;
    waitpid(slot->pid, &status, 0);
    for (struct row *row = slot->row; row < rows + row_count && row->number == slot->row->number; row++) {
        struct sum share = {0};
        int kind = -1;
        int length = 0;
        if (sscanf(text, "%d %zu %zu %d %zu %zu %zu %zu %79[^\n]\n%n", &kind, &share.steps, &share.calls,
                   &share.is_sample, &share.points, &share.failures, &share.strays, &share.wrong_at, share.wrong,
                   &length) < 9 ||
            kind != row->kind) {
            share = (struct sum){.failures = 1};
            snprintf(share.wrong, sizeof share.wrong, "the tester ended with status %#x", (unsigned)status);
        }
        text += length;
        add_up(row, slot->build, &share);
        if (!quick)
            break;
    }
}

/* Read what a program says; at its end, count it and free its slot. */
static void hear(struct slot *slot)
{
    ssize_t got = read(slot->pipe, slot->text + slot->length, sizeof slot->text - 1 - slot->length);
    if (got > 0) {
        slot->length += (size_t)got;
        return;
    }
    close(slot->pipe);
    reap(slot);
    *slot = slots[--slot_count];
}

static void hear_all(void)
{
    struct pollfd polls[SLOTS_MOST];
    for (size_t i = 0; i < slot_count; i++)
        polls[i] = (struct pollfd){.fd = slots[i].pipe, .events = POLLIN};
    if (poll(polls, slot_count, -1) < 0 && errno != EINTR)
        give_up("poll");
    for (size_t i = slot_count; i-- > 0;) {
        if (polls[i].revents)
            hear(&slots[i]);
    }
}

/* ---- what is printed ---- */

static void print_head(void)
{
    if (as_table) {
        puts("| operation | state | death | steps -O0 | calls | points | failures | steps -O2 | calls | points | "
             "failures |");
        puts("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        return;
    }
    printf("%-59s", "");
    for (int build = 0; build < BUILDS; build++)
        printf("  ---------- -%s ---------", builds[build]);
    printf("\n%-21s %-29s %-7s", "operation", "state", "death");
    for (int build = 0; build < BUILDS; build++)
        printf("  %6s %5s %6s  %4s", "steps", "calls", "points", "fail");
    putchar('\n');
}

static void print_row(const struct row *row)
{
    printf(as_table ? "| %s | %s | %s |" : "%-21s %-29s %-7s", row->operation, row->state, row->kind_name);
    for (int build = 0; build < BUILDS; build++) {
        const struct sum *sum = &row->sums[build];
        printf(as_table ? " %zu | %zu | %zu%s | %zu |" : "  %6zu %5zu %6zu%-1s %4zu", sum->steps, sum->calls,
               sum->points, sum->is_sample ? "~" : "", sum->failures);
    }
    putchar('\n');
    for (int build = 0; build < BUILDS && !row->is_broken; build++) {
        const struct sum *sum = &row->sums[build];
        if (sum->failures)
            printf("    -%s, point %zu: %s\n", builds[build], sum->wrong_at, sum->wrong);
    }
    fflush(stdout);
}

/* Print each row when it and all before it are complete. */
static void print_complete(void)
{
    static size_t printed;
    int all = shares() * (wanted[0] + wanted[1]);
    while (printed < row_count && rows[printed].ended == all)
        print_row(&rows[printed++]);
}

/* How many broken variants there are in each wanted build, and in how many nothing was found. */
static size_t count_broken(size_t *missed)
{
    size_t count = 0;
    *missed = 0;
    for (int build = 0; build < BUILDS; build++) {
        for (size_t i = 0; wanted[build] && i < row_count;) {
            size_t failures = 0;
            size_t j = i;
            for (; j < row_count && rows[j].number == rows[i].number; j++)
                failures += rows[j].sums[build].failures;
            count += rows[i].is_broken;
            *missed += rows[i].is_broken && failures == 0;
            i = j;
        }
    }
    return count;
}

/* The line with the totals. Returns whether all is well. */
static bool print_total(time_t seconds)
{
    size_t points[BUILDS] = {0};
    size_t failures[BUILDS] = {0};
    size_t strays = 0;
    size_t missed;
    for (size_t i = 0; i < row_count; i++) {
        for (int build = 0; build < BUILDS && !rows[i].is_broken; build++) {
            points[build] += rows[i].sums[build].points;
            failures[build] += rows[i].sums[build].failures;
            strays += rows[i].sums[build].strays;
        }
    }
    size_t broken = count_broken(&missed);
    printf("%stotal: %zu kill points (-O0 %zu, -O2 %zu), %zu failures (-O0 %zu, -O2 %zu), %zu of %zu broken variants "
           "found out, %zu strays, %ld s\n",
           as_table ? "\n" : "", points[0] + points[1], points[0], points[1], failures[0] + failures[1], failures[0],
           failures[1], broken - missed, broken, strays, (long)seconds);
    return failures[0] + failures[1] + missed == 0;
}

static void check_part(void)
{
    if (part >= 1 && part <= parts)
        return;
    fprintf(stderr, "part=K/N: K is from 1 to N\n");
    exit(2);
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "quick") == 0)
            quick = true;
        else if (strcmp(argv[i], "table") == 0)
            as_table = true;
        else if (strcmp(argv[i], "O0") == 0)
            wanted[1] = false;
        else if (strcmp(argv[i], "O2") == 0)
            wanted[0] = false;
        else if (sscanf(argv[i], "part=%d/%d", &part, &parts) == 2)
            check_part();
        else
            name = argv[i];
    }
}

static void find_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        give_up("sched_getaffinity");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set))
            cpus[cpu_count++] = cpu;
    }
}

int main(int argc, char **argv)
{
    time_t begin = time(NULL);
    read_arguments(argc, argv);
    find_cpus();
    read_rows();
    print_head();
    do {
        start_all(false, (size_t)cpu_count * (parts == 1 ? BUSY_PER_CPU : PART_PER_CPU));
        start_all(true, (size_t)cpu_count * ASLEEP_PER_CPU);
        if (slot_count)
            hear_all();
        print_complete();
    } while (slot_count);
    return !print_total(time(NULL) - begin);
}
