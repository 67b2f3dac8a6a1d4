/* The signals that end a process, as crash.h says.
 *
 * To pass a signal on, its default is restored and it is sent again to the same thread, which has it blocked as long as
 * the handler runs. It strikes when the handler has returned, at the instruction that was interrupted: exit status and
 * core dump are those of a process without a handler. */
#define _GNU_SOURCE
#include "os/crash.h"

#include "os/fault.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The unwinder and the frame of a signal need some KiB each; a sanitizer's runtime more. Pages are taken as they are
 * touched. */
#define STACK_SIZE ((size_t)128 << 10)

/* Those that a process raises by what it does. While one of them is handled the others are not blocked: that a handler
 * fails too must be seen. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
static const int others[] = {SIGABRT, SIGXCPU, SIGTERM};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int set_stack(void)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    const stack_t none = {.ss_flags = SS_DISABLE};
    void *memory =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return failed_call("mmap");
    const stack_t stack = {.ss_sp = memory, .ss_size = STACK_SIZE};
    if (sigaltstack(&none, NULL) == 0 && sigaltstack(&stack, NULL) == 0)
        return 0;
    int result = failed_call("sigaltstack");
    munmap(memory, STACK_SIZE);
    return result;
}

static void listen_to(int number, const struct sigaction *action)
{
    struct sigaction before;
    if (sigaction(number, NULL, &before) == 0 && !(before.sa_flags & SA_SIGINFO) && before.sa_handler == SIG_DFL)
        sigaction(number, action, NULL);
}

int os_crash_listen(os_crash_handler *handler)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int result = set_stack();
    if (result)
        return result;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT(others); i++)
        sigaddset(&action.sa_mask, others[i]);
    for (size_t i = 0; i < COUNT(faults); i++)
        listen_to(faults[i], &action);
    for (size_t i = 0; i < COUNT(others); i++)
        listen_to(others[i], &action);
    return 0;
}

void os_crash_pass_on(int number, siginfo_t *info)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(number, &standard, NULL);
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), os_thread_id(), number, info))
        os_signal_thread(os_thread_id(), number);
}

bool os_crash_address(int number, const siginfo_t *info, uintptr_t *address)
{
    bool tells = number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
    if (!tells || info->si_code <= 0 || info->si_code == SI_KERNEL)
        return false;
    *address = (uintptr_t)info->si_addr;
    return true;
}

void os_crash_guard(int number, int64_t span, void (*over)(int number))
{
    const struct sigaction action = {.sa_handler = over, .sa_flags = SA_ONSTACK};
    const struct itimerval timer = {.it_value = {.tv_sec = span / 1000000000, .tv_usec = span % 1000000000 / 1000}};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    for (size_t i = 0; i < COUNT(faults); i++)
        if (faults[i] == number)
            sigaddset(&set, number);
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* Where a filter refuses gettid(): "PID/task/TID". */
static pid_t shown_thread_id(void)
{
    char text[64];
    ssize_t length = readlink("/proc/thread-self", text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    const char *number = strrchr(text, '/');
    return number ? (pid_t)atoi(number + 1) : getpid();
}

pid_t os_thread_id(void)
{
    pid_t thread = (pid_t)syscall(SYS_gettid);
    return thread > 0 ? thread : shown_thread_id();
}

void os_signal_thread(pid_t thread, int number)
{
    syscall(SYS_tgkill, getpid(), thread, number);
}

void os_sleep(int64_t span)
{
    const struct timespec time = {.tv_sec = span / 1000000000, .tv_nsec = span % 1000000000};
    uncancelled_nanosleep(&time);
}
