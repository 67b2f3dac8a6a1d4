/* The limit of the submit works: microseconds for a number to go to another process by shared memory, and its successor
 * back, each side waiting by a bare futex:
 *
 *     futex sleep|spin [LOOPS [PAUSE]]
 *
 * sleep: whoever waits sleeps at once. spin: it looks for 20 us before, as a pool does. The pause before each, in
 * microseconds, is outside the time. Nobody keeps an account of who lives, and there is room for one number. */
#include "../measure.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* word: the number of the last message, doubled; 1 more while the receiver sleeps. The release exchange that sends
 * pairs with the acquire load that finds the message. */
struct way {
    _Alignas(64) _Atomic(uint32_t) word;
    long number;
};

static struct {
    struct way there, back;
} * ways;

static double spin_time;

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static bool has_come(struct way *way, uint32_t message)
{
    return atomic_load_explicit(&way->word, memory_order_acquire) >> 1 == message;
}

static bool spin(struct way *way, uint32_t message)
{
    double end = seconds_now() + spin_time;

    do {
        for (int i = 0; i < 16; i++) {
            if (has_come(way, message))
                return true;
            relax();
        }
    } while (seconds_now() < end);
    return false;
}

static long receive(struct way *way, uint32_t message)
{
    uint32_t before = (message - 1) << 1;

    if (spin_time > 0 && spin(way, message))
        return way->number;
    while (!has_come(way, message)) {
        uint32_t awake = before;
        if (atomic_compare_exchange_strong(&way->word, &awake, before | 1) || awake == (before | 1))
            syscall(SYS_futex, &way->word, FUTEX_WAIT, before | 1, NULL, NULL, 0);
    }
    return way->number;
}

static void send_number(struct way *way, uint32_t message, long number)
{
    way->number = number;
    if (atomic_exchange_explicit(&way->word, message << 1, memory_order_acq_rel) & 1)
        must(syscall(SYS_futex, &way->word, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0, "futex");
}

static _Noreturn void answer(void)
{
    must(!prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    for (uint32_t message = 1;; message++)
        send_number(&ways->back, message, receive(&ways->there, message) + 1);
}

static void ask(uint32_t message)
{
    send_number(&ways->there, message, message);
    must(receive(&ways->back, message) == (long)message + 1, "the answer is wrong");
}

int main(int argc, char **argv)
{
    bool spins = argc < 2 || !strcmp(argv[1], "spin");
    size_t loops = argument(argc, argv, 2, 100000);
    size_t pause = argument(argc, argv, 3, 0);
    uint32_t message = 1;
    double spent = 0;

    must(spins || !strcmp(argv[1], "sleep"), "sleep or spin");
    must(loops < UINT32_MAX / 4, "fewer loops");
    spin_time = spins ? 20e-6 : 0;
    ways = shared_pages(sizeof *ways);
    pid_t other = fork();
    must(other >= 0, "fork");
    if (other == 0)
        answer();
    while (message <= 100)
        ask(message++);
    for (size_t i = 0; i < loops; i++) {
        sleep_us(pause);
        double begin = seconds_now();
        ask(message++);
        spent += seconds_now() - begin;
    }
    report(spent * 1e6 / (double)loops);
    kill(other, SIGKILL);
    return 0;
}
