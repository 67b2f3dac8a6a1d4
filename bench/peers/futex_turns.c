/* The limit of waking: turns by one word in shared memory, and a futex where the other sleeps: see turns.h. */
#include "../turns.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Whose turn it is. The release store that passes it pairs with the acquire load that finds it. */
static void *open_word(void)
{
    return shared_pages(sizeof(_Atomic(uint32_t)));
}

static void await(void *memory, unsigned me)
{
    _Atomic(uint32_t) *turn = memory;

    while (atomic_load_explicit(turn, memory_order_acquire) != me)
        syscall(SYS_futex, turn, FUTEX_WAIT, !me, NULL, NULL, 0);
}

static void pass(void *memory, unsigned me)
{
    _Atomic(uint32_t) *turn = memory;

    atomic_store_explicit(turn, !me, memory_order_release);
    must(syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0, "futex");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_word, await, pass};

    return measure_turns(argc, argv, &kind);
}
