/* The machine's own time, as a process sees it that belongs to nothing else here: it sleeps for a little, runs for a
 * little, touches a new page, and so on, and counts how far it came. What it could not do for want of a CPU, for a stop
 * of the whole machine or for memory, nobody could, and no call is blamed for that.
 *
 * It asks for a fifth of a CPU, as much as each of five processes gets that want one CPU. While no more than that want
 * to run its time is the clock's, however late it is itself: that lateness is of the storm's own making. */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A step: how long it sleeps, how much CPU time it takes, and how much of the clock's time counts at most. */
#define STEP_SLEEP INT64_C(800000)
#define STEP_WORK  INT64_C(200000)
#define STEP_MOST  INT64_C(1250000)

/* So many processes for each CPU are no load that excuses anybody. */
#define FEW_RUNNABLE 5

/* It looks at the reasons why it may be late after so many steps, and at the load after so many. */
#define STEPS_TO_REASONS 100
#define STEPS_TO_LOAD    1000

/* A step that takes longer is told, with its reasons. */
#define STEP_TOLD INT64_C(300000000)

/* Shared with that process. By it alone. */
struct machine {
    _Atomic(int64_t) time;     /* ns */
    _Atomic(int64_t) latest;   /* the longest that one step took, ns */
    _Atomic(int64_t) load_sum; /* of looks, in hundredths */
    _Atomic(int64_t) load_most;
    _Atomic(int64_t) looks;
};

static struct machine *machine;
static pid_t process;

/* What may hold up a process: all in nanoseconds since the start of the machine or of the process. */
struct reasons {
    int64_t now;
    int64_t waited; /* it was ready to run, and had no CPU */
    int64_t stolen; /* the hypervisor had the CPUs; of all CPUs together */
    int64_t memory; /* somebody waited for memory */
    int64_t disk;
};

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* Of /proc/pressure: for how long somebody was held up. 0 where the kernel does not tell. */
static int64_t pressure(const char *path)
{
    char text[256];
    const char *total = read_text(path, text, sizeof text) ? strstr(text, "total=") : NULL;
    return total ? strtoll(total + 6, NULL, 10) * 1000 : 0;
}

static struct reasons look_for_reasons(void)
{
    char text[256];
    struct reasons reasons = {
        .now = now_ns(), .memory = pressure("/proc/pressure/memory"), .disk = pressure("/proc/pressure/io")};
    long long first = 0, second = 0;
    if (read_text("/proc/self/schedstat", text, sizeof text) && sscanf(text, "%lld %lld", &first, &second) == 2)
        reasons.waited = second;
    if (read_text("/proc/stat", text, sizeof text) && sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &first) == 1)
        reasons.stolen = first * (1000000000 / sysconf(_SC_CLK_TCK));
    return reasons;
}

static void look_at_load(void)
{
    char text[64];
    double load;
    if (!read_text("/proc/loadavg", text, sizeof text) || sscanf(text, "%lf", &load) != 1)
        return;
    int64_t hundredths = (int64_t)(load * 100);
    atomic_fetch_add(&machine->load_sum, hundredths);
    atomic_fetch_add(&machine->looks, 1);
    if (hundredths > atomic_load(&machine->load_most))
        atomic_store(&machine->load_most, hundredths);
}

static int64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void take_step(void)
{
    nap_us(STEP_SLEEP / 1000);
    int64_t end = cpu_ns() + STEP_WORK;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        *page = 1;
        munmap(page, 4096);
    }
    while (cpu_ns() < end) {
    }
}

static void tell(int64_t took, const struct reasons *before, const struct reasons *after)
{
    fprintf(stderr,
            "storm: the machine stood still for %.3f s: in the last %.3f s no CPU for %.3f s; stolen by the hypervisor "
            "%.3f s, somebody waited for memory %.3f s, for the disk %.3f s\n",
            (double)took / 1e9, (double)(after->now - before->now) / 1e9,
            (double)(after->waited - before->waited) / 1e9, (double)(after->stolen - before->stolen) / 1e9,
            (double)(after->memory - before->memory) / 1e9, (double)(after->disk - before->disk) / 1e9);
}

/* How many processes want to run just now; 0 where the kernel does not tell. */
static long runnable(void)
{
    char text[64];
    long count = 0;
    if (!read_text("/proc/loadavg", text, sizeof text) || sscanf(text, "%*f %*f %*f %ld/", &count) != 1)
        return 0;
    return count;
}

/* A step is over. Returns how long it took. */
static int64_t count_step(int64_t began)
{
    int64_t took = now_ns() - began;
    bool is_excused = took > STEP_MOST && runnable() > FEW_RUNNABLE * sysconf(_SC_NPROCESSORS_ONLN);
    atomic_fetch_add(&machine->time, is_excused ? STEP_MOST : took);
    if (took > atomic_load(&machine->latest))
        atomic_store(&machine->latest, took);
    return took;
}

/* The life of that process. */
static _Noreturn void count_time(pid_t parent)
{
    struct reasons before = look_for_reasons();
    int64_t began = before.now;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "StormClock");
    if (getppid() != parent)
        _exit(0);
    for (unsigned steps = 0;; steps++) {
        take_step();
        int64_t took = count_step(began);
        began += took;
        if (steps % STEPS_TO_LOAD == 0)
            look_at_load();
        if (took < STEP_TOLD && steps % STEPS_TO_REASONS)
            continue;
        struct reasons after = look_for_reasons();
        if (took >= STEP_TOLD)
            tell(took, &before, &after);
        before = after;
    }
}

bool machine_begin(void)
{
    machine = mmap(NULL, sizeof *machine, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (machine == MAP_FAILED)
        return false;
    pid_t parent = getpid();
    process = fork();
    if (process == 0)
        count_time(parent);
    return process > 0;
}

int64_t machine_ns(void)
{
    return atomic_load(&machine->time);
}

bool machine_lives(void)
{
    return waitpid(process, NULL, WNOHANG) == 0;
}

void machine_end(int64_t clock_time)
{
    int64_t looks = atomic_load(&machine->looks);
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    printf("the machine: load %.1f, at most %.1f; its time %.1f s of %.1f s; one step of 1 ms took %.1f ms\n",
           looks ? (double)atomic_load(&machine->load_sum) / 100 / (double)looks : 0.0,
           (double)atomic_load(&machine->load_most) / 100, (double)machine_ns() / 1e9, (double)clock_time / 1e9,
           (double)atomic_load(&machine->latest) / 1e6);
}
