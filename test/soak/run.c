/* The keeper: opens the books, starts the killer and the victims, replaces who dies, and in the end lets all go home,
 * closes the books, and says what came out.
 *
 *     soak [seconds=N] [seed=N] [rate=N] [lie=NAME]      rate: kills in a second; lie: break something on purpose
 *
 * Exit status 0 when nothing was wrong, else 1. */
#include "arena/heap.h"
#include "arena/member.h"
#include "soak.h"
#include <dirent.h>
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOING_HOME_NS INT64_C(30000000000)

static const struct trade *const trades[] = {&producers, &consumers, &lockers, &allocators, &hosts};
static const char *const lie_names[LIES] = {"none",  "drop", "twice", "torn", "order",
                                            "enter", "leak", "write", "task", "hang"};

#define TRADES (sizeof trades / sizeof *trades)

/* The keeper's own. */
static mproc_process *handles[SEATS]; /* of those that were started by the library */
static pid_t killer;
static uint64_t lives, orphans;

static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- starting ---- */

/* In the victim, and in the killer: end with the keeper. */
static void follow_keeper(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != world->keeper)
        _exit(1);
}

static int live(void *arg)
{
    struct seat *seat = arg;
    follow_keeper();
    (void)!nice(5); /* killing and replacing come first */
    random_begin(world->seed + (uint64_t)(seat - world->seats) * 1000003 + atomic_load(&seat->life) * 7919);
    seat->trade->work(seat);
    return 0;
}

static pid_t fork_victim(struct seat *seat)
{
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0)
        _exit(live(seat));
    return pid;
}

static pid_t start_victim(struct seat *seat)
{
    mproc_process **handle = &handles[seat - world->seats];
    int result = mproc_process_start(handle, live, seat, NULL);
    if (result) {
        fprintf(stderr, "mproc_process_start: %d\n", result);
        exit(2);
    }
    return mproc_process_pid(*handle);
}

/* The next life of a seat: in turn by the library and by a fork of the program's own. A host of a pool has children,
 * and is always started by the library. */
static void sit_down(struct seat *seat)
{
    uint64_t life = atomic_load(&seat->life) + 1;
    atomic_store(&seat->life, life);
    atomic_store(&seat->killed, false);
    atomic_store(&seat->doing, "begins");
    lives++;
    atomic_store(&seat->pid, life % 2 || seat->trade == &hosts ? start_victim(seat) : fork_victim(seat));
}

static void start_killer(void)
{
    killer = fork();
    if (killer < 0)
        give_up("fork");
    if (killer == 0) {
        follow_keeper();
        killer_run();
        _exit(0);
    }
}

/* ---- ending ---- */

static struct seat *seat_of(pid_t pid)
{
    for (unsigned i = 0; i < SEATS; i++) {
        if (atomic_load(&world->seats[i].pid) == pid)
            return &world->seats[i];
    }
    return NULL;
}

/* From here on the killer leaves this process alone, and only then its number can go to another. */
static void hide(struct seat *seat)
{
    pthread_mutex_lock(&world->kill_lock);
    atomic_store(&seat->pid, 0);
    pthread_mutex_unlock(&world->kill_lock);
}

/* Its exit code, or minus the signal. */
static int reap_victim(struct seat *seat, pid_t pid)
{
    mproc_process **handle = &handles[seat - world->seats];
    int code = 0;
    if (*handle) {
        int result = mproc_process_join(*handle, MPROC_SEC(5));
        if (!result)
            result = mproc_process_exitcode(*handle, &code);
        if (result)
            wrong("a process could not be joined: %d", result);
        *handle = mproc_process_free(*handle);
        return code;
    }
    if (waitpid(pid, &code, 0) != pid)
        wrong("waitpid: %s", strerror(errno));
    return WIFSIGNALED(code) ? -WTERMSIG(code) : WEXITSTATUS(code);
}

/* Somebody has ended: reap it, and put what it was at into the books. Returns its seat; NULL when it had none. */
static struct seat *reap(pid_t pid)
{
    struct seat *seat = seat_of(pid);
    if (!seat) {
        int status = 0;
        waitpid(pid, &status, 0);
        if (pid != killer)
            orphans++; /* of a pool whose host died */
        else if (status != 0)
            wrong("the killer ended with status %d", status);
        return NULL;
    }
    hide(seat);
    int code = reap_victim(seat, pid);
    bool killed = atomic_load(&seat->killed) && code == -SIGKILL;
    if (!killed && (code != 0 || !atomic_load(&world->ending)))
        wrong("one of the %s ended by itself, with %d, while it %s", seat->trade->name, code,
              atomic_load(&seat->doing));
    if (seat->trade->settle)
        seat->trade->settle(seat);
    return seat;
}

/* Whether somebody was killed and is not replaced yet. */
static bool anybody_dies(void)
{
    for (unsigned i = 0; i < SEATS; i++) {
        if (atomic_load(&world->seats[i].killed))
            return true;
    }
    return false;
}

/* Replace who dies, until the killer and its last victim have ended. */
static void keep(void)
{
    siginfo_t info;
    bool killing = true;
    do {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT))
            give_up("waitid");
        struct seat *seat = reap(info.si_pid);
        if (seat)
            sit_down(seat);
        killing = killing && info.si_pid != killer;
    } while (killing || anybody_dies());
}

static bool anybody_sits(bool consumers_too)
{
    for (unsigned i = 0; i < SEATS; i++) {
        const struct seat *seat = &world->seats[i];
        if (atomic_load(&seat->pid) && (consumers_too || seat->trade != &consumers))
            return true;
    }
    return false;
}

static void kill_all_that_is_left(void)
{
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *seat = &world->seats[i];
        pid_t pid = atomic_load(&seat->pid);
        atomic_store(&seat->killed, true);
        if (pid) {
            kill(pid, SIGKILL);
            reap(pid);
        }
    }
}

/* Wait for the victims, who are no longer killed. */
static void see_home(bool consumers_too)
{
    int64_t patience = now_ns() + GOING_HOME_NS;
    siginfo_t info;
    while (anybody_sits(consumers_too)) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG))
            give_up("waitid");
        if (info.si_pid)
            reap(info.si_pid);
        else
            nap_us(300);
        if (now_ns() < patience)
            continue;
        wrong("somebody does not end");
        print_seats();
        kill_all_that_is_left();
        return;
    }
}

/* What is left of pools whose host was killed, dies soon after it. */
static void wait_for_orphans(void)
{
    int64_t patience = now_ns() + GOING_HOME_NS;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
        if (pid > 0)
            orphans++;
        else if (now_ns() < patience)
            nap_us(300);
        else {
            wrong("a process of a pool outlives its host");
            return;
        }
    }
}

/* ---- books ---- */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static void open_world(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&world->kill_lock, &attributes);
    world->keeper = getpid();
    struct seat *seat = world->seats;
    for (size_t i = 0; i < TRADES; i++) {
        for (unsigned j = 0; j < trades[i]->seats; j++, seat++) {
            seat->trade = trades[i];
            seat->number = j;
        }
        if (trades[i]->open)
            trades[i]->open();
    }
}

static void begin_time(unsigned seconds)
{
    world->began = now_ns();
    world->ends = world->began + (int64_t)seconds * 1000000000;
    for (unsigned i = 0; i < SUBJECTS; i++)
        atomic_store(&world->progress[i], world->began);
}

/* What the family's memory holds when nobody is left but the keeper. */
static struct leaks audit_memory(void)
{
    member_sweep_all();
    for (unsigned slot = 0; slot < 4 * SEATS; slot++) {
        if (slot != member_slot(member_self()) && (atomic_load(&member_at(slot)->word) & 1))
            wrong("member %u stays in the table", slot);
    }
    const char *fault = heap_audit();
    if (fault)
        wrong("the heap's audit: %s", fault);
    return cells_audit_leaks();
}

/* ---- the report ---- */

const char *subject_name(unsigned subject)
{
    static const char *const names[SUBJECTS] = {"the put side of the queue without a bound",
                                                "the put side of the bounded queue",
                                                "the get side of the queue without a bound",
                                                "the get side of the bounded queue",
                                                "the lock",
                                                "the rlock",
                                                "the heap",
                                                "the pool"};
    return names[subject];
}

void print_wrongs(void)
{
    static uint64_t printed;
    uint64_t count = atomic_load(&world->wrongs);
    for (uint64_t i = printed; i < count && i < WRONGS; i++)
        fprintf(stderr, "soak: FAILED: %s\n",
                atomic_load(&world->wrong[i].ready) ? world->wrong[i].text
                                                    : "(its finder was killed while it said what)");
    if (count > WRONGS && count > printed)
        fprintf(stderr, "soak: FAILED: and %llu more\n", (unsigned long long)(count - WRONGS));
    printed = count;
}

static unsigned long long number(const _Atomic(uint64_t) *value)
{
    return atomic_load(value);
}

static void print_kills(void)
{
    unsigned long long total = number(&world->worker_kills) + number(&world->server_kills);
    for (unsigned i = 0; i < SEATS; i++)
        total += number(&world->seats[i].kills);
    printf("kills         %llu:", total);
    for (size_t i = 0; i < TRADES; i++) {
        unsigned long long kills = 0;
        for (unsigned j = 0; j < SEATS; j++)
            kills += world->seats[j].trade == trades[i] ? number(&world->seats[j].kills) : 0;
        printf(" %llu %s,", kills, trades[i]->name);
    }
    printf(" %llu pool workers, %llu pool servers\n", number(&world->worker_kills), number(&world->server_kills));
    printf("stops         %llu, of which %llu ended in a kill\n", number(&world->stops),
           number(&world->killed_while_stopped));
    printf("lives         %llu, and %llu processes of pools that lost their host\n", (unsigned long long)lives,
           (unsigned long long)orphans);
}

static void print_work(void)
{
    struct message_figures figures = message_figures();
    printf("messages      %llu put, %llu got once and whole\n", (unsigned long long)figures.put,
           (unsigned long long)figures.got);
    printf("              %llu were being put by a producer that died: %llu are there\n",
           (unsigned long long)figures.in_doubt, (unsigned long long)figures.in_doubt_there);
    printf("              %llu went with a consumer that died, of at most %llu\n", (unsigned long long)figures.lost,
           (unsigned long long)figures.may_lose);
    printf("locks         %llu sections; the death of an owner told %llu times\n",
           number(&world->done[SUBJECT_DESK]) + number(&world->done[SUBJECT_DESK + 1]),
           number(&world->owner_died[0]) + number(&world->owner_died[1]));
    printf("blocks        %llu taken or freed\n", number(&world->done[SUBJECT_HEAP]));
    printf("tasks         %llu done, %llu died with their worker; %llu maps\n", number(&world->done[SUBJECT_POOL]),
           number(&world->task_deaths), number(&world->maps));
}

static void print_stalls(const char *what, const struct stalls *stalls)
{
    printf("%-66s p50 %.3f ms, p99 %.3f ms, max %.1f ms, of %llu\n", what, stall_quantile(stalls, 0.5),
           stall_quantile(stalls, 0.99), (double)atomic_load(&stalls->longest) / 1e6,
           (unsigned long long)stall_count(stalls));
}

static int report(struct leaks leaks)
{
    print_kills();
    print_work();
    print_stalls("stalls        after a kill, until another gets on:", &world->stalls);
    print_stalls("              those while nobody was stopped:     ", &world->quiet_stalls);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "                %s:", subject_name(i));
        print_stalls(name, &world->quiet_stalls_at[i]);
    }
    printf("leaks         %llu bytes in %llu blocks, of %llu that were in the hand of an allocator that died\n",
           (unsigned long long)leaks.bytes, (unsigned long long)leaks.blocks, (unsigned long long)cells_in_doubt());
    printf("failures      %llu\n", number(&world->wrongs));
    fflush(stdout);
    print_wrongs();
    return atomic_load(&world->wrongs) != 0;
}

/* ---- the whole ---- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Use what the library keeps for the life of a process, so that it is no leak later. */
static void attach(void)
{
    mproc_process *process;
    mproc_free(mproc_alloc(1));
    if (mproc_process_start(&process, nothing, NULL, NULL) || mproc_process_join(process, MPROC_SEC(5)))
        give_up("a first process");
    process = mproc_process_free(process);
}

/* The number behind a word of the command line that begins with name, else what was there. */
static uint64_t option(const char *word, const char *name, uint64_t preset)
{
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 ? strtoull(word + length, NULL, 10) : preset;
}

static enum lie lie_named(const char *name)
{
    for (unsigned i = 0; i < LIES; i++) {
        if (strcmp(lie_names[i], name) == 0)
            return (enum lie)i;
    }
    fprintf(stderr, "soak: no such lie: %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    uint64_t seconds = 10;
    world = book_pages(sizeof *world);
    world->seed = (uint64_t)now_ns() % 1000000;
    world->rate = 500;
    for (int i = 1; i < argc; i++) {
        seconds = option(argv[i], "seconds=", seconds);
        world->seed = option(argv[i], "seed=", world->seed);
        world->rate = (unsigned)option(argv[i], "rate=", world->rate);
        if (strncmp(argv[i], "lie=", 4) == 0)
            world->lie = lie_named(argv[i] + 4);
    }
    printf("soak: %llu s, seed %llu, %u kills a second\n", (unsigned long long)seconds, (unsigned long long)world->seed,
           world->rate);
    fflush(stdout);
    alarm((unsigned)seconds + 100); /* should the keeper itself hang */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    random_begin(world->seed);
    attach();
    unsigned descriptors = open_descriptors();
    if (heap_allocated())
        wrong("%zu bytes are in use before anything was done", heap_allocated());
    open_world();
    begin_time((unsigned)seconds);
    for (unsigned i = 0; i < SEATS; i++)
        sit_down(&world->seats[i]);
    start_killer();
    keep();
    print_wrongs(); /* now: what is damaged may not bear what follows */
    atomic_store(&world->ending, true);
    see_home(false);
    messages_finish();
    see_home(true);
    wait_for_orphans();
    member_sweep_all(); /* who died last, and was not joined by the library */
    print_wrongs();
    for (size_t i = 0; i < TRADES; i++) {
        if (trades[i]->close)
            trades[i]->close();
    }
    struct leaks leaks = audit_memory();
    if (open_descriptors() != descriptors)
        wrong("%u descriptors are open, %u at the beginning", open_descriptors(), descriptors);
    return report(leaks);
}
