/* What all parts of the soak share: the pages of the books, random numbers, failures, and the measuring of stalls.
 * Called by the keeper, the killer and the victims. Nothing here waits for anybody, so that a death anywhere in it
 * holds up nobody. */
#include "soak.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct world *world;

void *book_pages(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return pages;
}

void wrong(const char *format, ...)
{
    uint64_t number = atomic_fetch_add(&world->wrongs, 1);
    if (number >= WRONGS)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->wrong[number].text, sizeof world->wrong[number].text, format, arguments);
    va_end(arguments);
    atomic_store(&world->wrong[number].ready, true);
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void nap_us(long microseconds)
{
    nanosleep(&(struct timespec){.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000}, NULL);
}

/* ---- random numbers ---- */

static uint64_t random_state;

uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

void random_begin(uint64_t seed)
{
    random_state = mix(seed + UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t random_below(uint64_t bound)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(random_state) % bound;
}

bool one_in(uint64_t times)
{
    return random_below(times) == 0;
}

bool lies(enum lie lie)
{
    return world->lie == lie && one_in(20);
}

/* ---- progress and stalls ---- */

#define PID_BITS 22

void begin(struct seat *seat, unsigned subject, const char *doing)
{
    atomic_store_explicit(&seat->subject, subject, memory_order_relaxed);
    atomic_store_explicit(&seat->doing, doing, memory_order_relaxed);
}

/* Eight buckets for each power of two. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < 8)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    unsigned bucket = (power - 2) * 8 + (unsigned)(ns >> (power - 3) & 7);
    return bucket < STALL_BUCKETS ? bucket : STALL_BUCKETS - 1;
}

static uint64_t end_of_bucket(unsigned bucket)
{
    return bucket < 8 ? bucket + 1 : (uint64_t)(bucket % 8 + 9) << (bucket / 8 - 1);
}

static void note_stall(struct stalls *stalls, uint64_t ns)
{
    atomic_fetch_add(&stalls->bucket[bucket_of(ns)], 1);
    uint64_t longest = atomic_load(&stalls->longest);
    while (ns > longest && !atomic_compare_exchange_weak(&stalls->longest, &longest, ns)) {
    }
}

void mark_kill(unsigned subject, pid_t pid, int64_t at)
{
    uint64_t none = 0;
    uint64_t mark = (uint64_t)(at - world->began) << PID_BITS | (uint64_t)pid;
    atomic_compare_exchange_strong(&world->mark[subject], &none, mark); /* the first of several counts */
}

void progress(unsigned subject)
{
    int64_t now = now_ns();
    atomic_store_explicit(&world->progress[subject], now, memory_order_relaxed);
    atomic_fetch_add_explicit(&world->done[subject], 1, memory_order_relaxed);
    uint64_t mark = atomic_load_explicit(&world->mark[subject], memory_order_relaxed);
    if (mark == 0 || (mark & ((1u << PID_BITS) - 1)) == (uint64_t)getpid())
        return;
    if (!atomic_compare_exchange_strong(&world->mark[subject], &mark, 0))
        return;
    int64_t killed = world->began + (int64_t)(mark >> PID_BITS);
    uint64_t ns = now > killed ? (uint64_t)(now - killed) : 0;
    note_stall(&world->stalls, ns);
    if (atomic_load(&world->stopped) || atomic_load(&world->stop_ended) > killed)
        return;
    note_stall(&world->quiet_stalls, ns);
    note_stall(&world->quiet_stalls_at[subject], ns);
}

uint64_t stall_count(const struct stalls *stalls)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < STALL_BUCKETS; i++)
        count += atomic_load(&stalls->bucket[i]);
    return count;
}

double stall_quantile(const struct stalls *stalls, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)stall_count(stalls));
    uint64_t count = 0;
    for (unsigned i = 0; i < STALL_BUCKETS; i++) {
        count += atomic_load(&stalls->bucket[i]);
        if (count > wanted)
            return (double)end_of_bucket(i) / 1e6;
    }
    return (double)atomic_load(&stalls->longest) / 1e6;
}
