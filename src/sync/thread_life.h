/* The threads of the family: their names, and the kernel's word on whether one of them lives. For what is owned by a
 * thread and not by its process.
 *
 * A thread holds one robust mutex in its member's ledger as long as it lives. When it ends, in whatever way, the kernel
 * goes through the list of its robust mutexes and marks the mutex; any process of the family can read that mark. */
#ifndef MPROC_SYNC_THREAD_LIFE_H
#define MPROC_SYNC_THREAD_LIFE_H

#include "arena/member.h"
#include <pthread.h>

#define THREAD_CELLS_HERE 18 /* in the ledger itself */
#define THREAD_MORE       7  /* blocks for more of them, each twice as large as the one before */
#define THREAD_BLOCK      32 /* cells of the first such block */

/* A place in the family for one thread of a member.
 *
 * Invariant: of the first thread_count cells of a member, each has a mutex that is set up, and each that is not free is
 * held by the one living thread whose name has this cell and this nonce, or was held by one whose end the kernel has
 * marked. Commit of taking a cell: the mutex is had, and then nonce goes on; so a name with another nonce is of a
 * thread that has ended. Nothing is to be recovered: when the member dies its threads are dead, and the sweep frees the
 * blocks and sets thread_count to 0. */
struct thread_cell {
    pthread_mutex_t life;    /* robust and shared; taken by the thread that the cell is of, never given up but by
                                member_leave() */
    _Atomic(uint32_t) nonce; /* written by the thread that has just taken the cell */
    uint32_t reserved;
};

/* A thread's name: its member's slot in 12 bits and 20 of its generation; the number of its cell, from 1 on, in 12; and
 * 20 of the cell's nonce. It is unique in the family. A thread that got no cell has 0 as its number: whether that one
 * lives follows from the life of its process alone. */
typedef uint64_t thread_name;

/* The name of the calling thread as a part of this process, which is a member: another one after a fork. */
thread_name thread_name_new(member_owner me);

extern __thread thread_name thread_own_name __attribute__((tls_model("initial-exec")));

static inline uint32_t thread_process_part(member_owner me)
{
    return member_slot(me) << 20 | (uint32_t)(me >> 32 & 0xfffff);
}

static inline thread_name thread_self(void)
{
    member_owner me = member_current();
    if (__builtin_expect(thread_own_name >> 32 != thread_process_part(me) || thread_own_name == 0, 0))
        return thread_name_new(me);
    return thread_own_name;
}

/* Whether that thread has ended, by the kernel's word. Not async-signal-safe. */
bool thread_is_dead(thread_name name);

#endif
