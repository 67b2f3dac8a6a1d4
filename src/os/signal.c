/* Signals of this process. These calls cannot fail with good arguments. */
#define _GNU_SOURCE
#include "os/signal.h"

#include "os/fork.h"
#include "os/proc.h"
#include "os/uncancelled.h"
#include <errno.h>
#include <stddef.h>
#include <sys/single_threaded.h>
#include <unistd.h>

void os_signals_block(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void os_signals_restore(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static OS_FORK_PATH bool is_to_reset(int number, const struct sigaction *action)
{
    if (number == SIGCHLD)
        return action->sa_handler == SIG_IGN || (action->sa_flags & SA_NOCLDWAIT) || action->sa_handler != SIG_DFL;
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

struct os_signals os_signals_look(void)
{
    struct os_signals signals = {.caught = UINT64_MAX, .blocked = UINT64_MAX};
    if (__libc_single_threaded && os_proc_own_signals(&signals.caught, &signals.blocked) == 0)
        signals.known = true;
    else
        signals.caught = signals.blocked = UINT64_MAX;
    return signals;
}

struct os_signals os_signals_with_children(struct os_signals signals)
{
    signals.caught |= UINT64_C(1) << (SIGCHLD - 1);
    return signals;
}

/* A library function that is called first costs a fault, see fork.h: so the mask is left alone where it is empty. */
OS_FORK_PATH void os_signals_reset(struct os_signals suspects)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction action;
    for (uint64_t left = suspects.caught; left; left &= left - 1) {
        int number = __builtin_ctzll(left) + 1;
        if (sigaction(number, NULL, &action) == 0 && is_to_reset(number, &action))
            sigaction(number, &standard, NULL);
    }
    const sigset_t none = {{0}}; /* not by sigemptyset(), which is on a page of its own */
    if (suspects.blocked)
        pthread_sigmask(SIG_SETMASK, &none, NULL);
}

bool os_children_may_vanish(void)
{
    struct sigaction action;
    return !__libc_single_threaded || sigaction(SIGCHLD, NULL, &action) || action.sa_handler != SIG_DFL ||
           (action.sa_flags & SA_NOCLDWAIT);
}

bool os_children_are_ignored(void)
{
    struct sigaction action;
    return sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void os_heed_children(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &standard, NULL);
}

void os_signal_ignore(int number)
{
    const struct sigaction nothing = {.sa_handler = SIG_IGN};
    sigaction(number, &nothing, NULL);
}

static void do_nothing(int number)
{
    (void)number;
}

void os_signal_disarm(int number)
{
    const struct sigaction nothing = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};
    struct sigaction before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &nothing, NULL);
}

static void obey_parent(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_pid == getppid())
        os_signal_by_default(number);
}

void os_signal_obey_parent(int number)
{
    const struct sigaction action = {.sa_sigaction = obey_parent, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigaction(number, &action, NULL);
}

bool os_signal_catch(int number, void (*handler)(int), struct sigaction *before)
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    if (sigaction(number, NULL, before) || before->sa_handler == SIG_IGN)
        return false;
    return sigaction(number, &action, NULL) == 0;
}

bool os_signal_catch_default(int number, void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct sigaction before;
    if (sigaction(number, NULL, &before) || before.sa_handler != SIG_DFL)
        return false;
    return sigaction(number, &action, NULL) == 0;
}

void os_signal_put_back(int number, void (*handler)(int), const struct sigaction *before)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == handler)
        sigaction(number, before, NULL);
}

void os_signal_by_default(int number)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(number, &standard, NULL);
    raise(number);
}

void os_end_process_after(unsigned seconds)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGALRM);
    sigaction(SIGALRM, &standard, NULL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    alarm(seconds);
}

void os_signal_raise(int number)
{
    raise(number);
}

void os_signals_hold(sigset_t *held, sigset_t *before)
{
    sigset_t pending;
    sigemptyset(held);
    sigpending(&pending);
    if (!sigismember(&pending, SIGPIPE))
        sigaddset(held, SIGPIPE);
    if (!sigismember(&pending, SIGXFSZ))
        sigaddset(held, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, held, before);
}

void os_signals_release(const sigset_t *held, const sigset_t *before, bool is_raised)
{
    const struct timespec now = {0};
    while (is_raised && uncancelled_sigtimedwait(held, &now) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
