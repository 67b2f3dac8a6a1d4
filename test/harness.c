/* The books, the wait and the watchdog of harness.h. All of it looks at the test program from outside, through /proc
 * and the public API; none of it takes part in what is tested. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <mproc/memory.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    DESCRIPTORS = 1024, /* the highest descriptor that the books know of */
    ALLOWED = 16,       /* children that may stay */
    GRACE_MS = 1000,    /* how long the library may take to give back what a death left */
    LIMIT_S = 120       /* for the whole program, where CTest sets no other limit */
};

struct books {
    bool open[DESCRIPTORS];
    size_t bytes;
};

static struct books before;
static pid_t allowed[ALLOWED];
static size_t allowed_count;

/* ---- what there is ---- */

static void note_descriptors(bool *open)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    memset(open, 0, DESCRIPTORS * sizeof *open);
    while (folder && (entry = readdir(folder))) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(folder) && fd < DESCRIPTORS)
            open[fd] = true;
    }
    if (folder)
        closedir(folder);
}

static void note(struct books *books)
{
    mproc_memory_statistics usage = {0};

    note_descriptors(books->open);
    mproc_memory_usage(&usage);
    books->bytes = usage.allocated;
}

/* The watchdog uses the next six functions in a signal handler: they take no memory and no lock of stdio. */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* Put the contents of a file into text, as a string that may be cut. False when it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* Call visit for each child of one thread. Returns how many there are. */
static int each_child_of_thread(pid_t process, const char *thread, void (*visit)(pid_t child))
{
    char path[320], list[4096], *rest = list;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)process, thread);
    if (!read_text(path, list, sizeof list))
        return 0;
    /* Each number ends in a space; one that does not was cut. */
    for (long child; (child = strtol(rest, &rest, 10)) > 0 && *rest == ' '; count++)
        visit((pid_t)child);
    return count;
}

/* Call visit for each child of a process, those of all its threads. Returns how many there are. */
static int each_child(pid_t process, void (*visit)(pid_t child))
{
    _Alignas(struct dirent64) char entries[4096];
    char path[64];
    ssize_t length;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return 0;
    while ((length = getdents64(folder, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            at += entry->d_reclen;
            if (entry->d_name[0] != '.')
                count += each_child_of_thread(process, entry->d_name, visit);
        }
    }
    close(folder);
    return count;
}

static void print_file(pid_t process, const char *name)
{
    char path[64], text[256];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)process, name);
    if (read_text(path, text, sizeof text))
        say(" %s: %.*s", name, (int)strcspn(text, "\n"), text);
}

static void print_process(pid_t process)
{
    say("process %d", (int)process);
    print_file(process, "stat");
    print_file(process, "wchan");
    say("\n");
}

/* ---- the books ---- */

static bool is_allowed(pid_t child)
{
    for (size_t i = 0; i < allowed_count; i++)
        if (allowed[i] == child)
            return true;
    return false;
}

static int strangers;

static void count_stranger(pid_t child)
{
    if (!is_allowed(child))
        strangers++;
}

/* Name a child that was left, and end it. */
static void remove_stranger(pid_t child)
{
    if (is_allowed(child))
        return;
    say("left behind: ");
    print_process(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Whether children other than the allowed ones exist, running or not reaped. */
static bool has_strangers(void)
{
    siginfo_t info;

    strangers = 0;
    if (each_child(getpid(), count_stranger) > 0)
        return strangers > 0;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool balanced(void *arg)
{
    struct books now;

    (void)arg;
    note(&now);
    return memcmp(now.open, before.open, sizeof now.open) == 0 && now.bytes == before.bytes && !has_strangers();
}

static void name_descriptors(const struct books *now)
{
    char path[64], target[256];

    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (now->open[fd] == before.open[fd])
            continue;
        if (!now->open[fd]) {
            say("closed: descriptor %d, which was open before the test\n", fd);
            continue;
        }
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target);
        say("left open: descriptor %d, %.*s\n", fd, length > 0 ? (int)length : 0, target);
    }
}

int books_check(void **state)
{
    struct books now;

    (void)state;
    if (wait_until(balanced, NULL, GRACE_MS))
        return 0;
    note(&now);
    name_descriptors(&now);
    if (now.bytes != before.bytes)
        say("arena: %zu bytes in use before the test, %zu after it\n", before.bytes, now.bytes);
    if (has_strangers() && each_child(getpid(), remove_stranger) == 0)
        say("left behind: a child that /proc does not list\n");
    return -1;
}

void books_forgive(void)
{
    note(&before);
}

void books_allow_child(pid_t child)
{
    if (allowed_count < ALLOWED)
        allowed[allowed_count++] = child;
}

/* ---- the watchdog ---- */

static void kill_tree(pid_t process)
{
    print_process(process);
    each_child(process, kill_tree);
    kill(process, SIGKILL);
}

/* Should this hang in turn, for it may have interrupted anything, the second alarm ends the program: the handler is set
 * for one call only. */
static void bark(int signal)
{
    void *frames[64];

    (void)signal;
    alarm(5);
    say("watchdog: the time is over, in:\n");
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    print_process(getpid());
    each_child(getpid(), kill_tree);
    _exit(124);
}

static void start_watchdog(void)
{
    struct sigaction action = {.sa_handler = bark, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    const char *limit = getenv("MPROC_TEST_SECONDS");
    void *frame;

    backtrace(&frame, 1); /* loads what backtrace() needs, which a handler must not */
    sigaction(SIGALRM, &action, NULL);
    alarm((limit ? (unsigned)atoi(limit) : LIMIT_S) - 10); /* so that the hint is printed before CTest kills */
}

int books_open(void **state)
{
    static bool opened;

    (void)state;
    if (!opened) {
        opened = true;
        start_watchdog();
        setvbuf(stdout, NULL, _IOLBF, 0);
        void *first = mproc_alloc(1);
        if (!first || mproc_free(first)) {
            say("there is no shared memory: %s\n", strerror(errno));
            return -1;
        }
    }
    note(&before);
    return 0;
}

bool wait_until(bool (*condition)(void *), void *arg, int milliseconds)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    struct timespec now, end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += milliseconds / 1000;
    end.tv_nsec += milliseconds % 1000 * 1000000L;
    for (;;) {
        if (condition(arg))
            return true;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - end.tv_sec) * 1000000000L + (now.tv_nsec - end.tv_nsec) >= 0)
            return false;
        nanosleep(&nap, NULL);
    }
}
