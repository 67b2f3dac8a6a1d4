/* The processes of the family: the member table, the proof of life, and the sweep of the dead.
 *
 * A member is named by its owner word, {generation, slot}: what stands in a lock that it holds. The same slot with
 * another generation is another process. A member lives exactly as long as the kernel keeps its proof, see proof.h; the
 * kernel takes that away when the process is gone and can touch no memory any more, so a dead member's data may be
 * mended without a race. */
#ifndef MPROC_ARENA_MEMBER_H
#define MPROC_ARENA_MEMBER_H

#include "arena/region.h"
#include "util/atomic.h"
#include <sys/types.h>

#define MEMBER_NAME_SIZE 64

/* An owner word: generation in the upper half, slot + 1 in bits 16 to 31, and 16 low bits for the word's user. 0:
 * nobody. */
typedef uint64_t member_owner;

#define MEMBER_FLAGS ((member_owner)0xffff)

/* A slot of the table. Invariant: word says FREE, or USED by a process that holds the proof of this slot, or USED
 * by one that is dead and will be swept. Only the member writes the other fields, before word becomes USED or later by
 * single atomic stores. */
struct member {
    _Atomic(uint64_t) word; /* generation << 32 | used; CAS by a claimer that has the proof, store by who leaves or
                               is the sweeper */
    _Atomic(int32_t) pid;   /* as the member sees itself */
    _Atomic(uint32_t) ledger_pages; /* 1 when the ledger has its pages; only grows */
    _Atomic(member_owner) parent;   /* who started it by mproc_process_start(), or 0 */
    _Atomic(uint64_t) group;        /* inherited mark of a process group, or 0 */
    _Atomic(uint64_t) children;     /* how many it has started: the source of their names */
    _Atomic(member_owner) sweeper;  /* who sweeps it, or 0; CAS by the one that begins, store by the one that ends */
    char name[MEMBER_NAME_SIZE];
};

/* What this process writes into its slot whenever it becomes a member. A fork child has its parent's until it is given
 * its own; written only where no other thread joins. */
struct member_identity {
    char name[MEMBER_NAME_SIZE];
    member_owner parent;
    uint64_t group;
};
extern struct member_identity member_identity;

/* This process's owner word with flags 0, or 0 when it is no member (yet). Changed by member_join(), member_leave() and
 * in a fork child only; read it by the two functions below. */
extern _Atomic(member_owner) member_me;

static inline member_owner member_current(void)
{
    return load_relaxed(&member_me);
}

/* Become a member; creates the family when there is none. Done by the first use of anything shared, and again after a
 * fork. Sets member_me. When all slots are taken it sweeps the dead first. 0; -EAGAIN when all slots are taken by the
 * living; -errno. Thread-safe. */
int member_join(void);

/* This process's owner word; 0 when it cannot become a member. A caller that must say why calls member_need() before:
 * another attempt may succeed. */
static inline member_owner member_self(void)
{
    member_owner me = member_current();
    if (__builtin_expect(me == 0, 0) && member_join() == 0)
        me = member_current();
    return me;
}

/* 0 when this process is a member or has become one, else why it cannot. */
static inline int member_need(void)
{
    return member_current() ? 0 : member_join();
}

/* Leave in good order: whatever this process held goes back, its slot is free. Called when a child ends; using a shared
 * object afterwards joins anew. What cannot go back yet is swept when the process has ended. */
void member_leave(void);

static inline unsigned member_slot(member_owner owner)
{
    return (unsigned)(owner >> 16 & 0xffff) - 1;
}

struct member *member_at(unsigned slot);

/* The owner word of the member that has this slot, dead or alive; 0 when it is free. */
member_owner member_in_slot(unsigned slot);

/* Whether that member is gone, by the kernel's word. Flags are ignored. One system call at most. */
bool member_is_dead(member_owner owner);

/* A pidfd, close-on-exec, of that member, which may be any process, in any pid namespace below this one. -ESRCH: it is
 * gone, or is in no such namespace; -errno. The number in its slot is the one by which it knows itself, and may be
 * somebody else's here. */
int member_pidfd(member_owner owner);

/* Whether this process still has the descriptor that proves its life; false when it is no member. For one that has run
 * somebody else's code: if that closed descriptors which are not its own, others take this process for dead, and it
 * must touch nothing shared any more. One cheap system call, after every job of a pool. */
bool member_confirm(void);

/* The living member with that pid which has this parent, or 0: how a parent finds its child. */
member_owner member_find(pid_t pid, member_owner parent);

/* Sweep this member if it is dead: call every sweep function, then free its slot. When another process is at it, wait
 * for that one, 20 ms at most. Whether it was swept. */
bool member_sweep(member_owner owner);

/* The same of a member whose process the caller has reaped, or knows to be reaped. Another process may keep the proof of
 * its life for a moment more, by looking at it; so wait for the proof to be gone, half a second at most. */
bool member_sweep_reaped(member_owner owner);

/* Whoever has slept a tick calls this: at most once in 100 ms in the whole family, one caller looks for dead members
 * and sweeps them. */
void member_tick(void);

/* Nanoseconds to sleep at a time until then, for a sleeper that needs a tick only when the one that should wake it has
 * died between a change and its wake-up: as os_nap(), but where more than 64 sleep so, each sleeps longer, by their
 * number divided by that, and 3.2 s at most. Some of them do not, so that the dead are looked for all the same. To be
 * told of each such nap that nobody has ended: it is also a member_tick(). */
int64_t member_nap(int64_t deadline);
void member_napped(int64_t nap);

/* Sweep every dead member now. Whether there was one. */
bool member_sweep_all(void);

/* A function that gives back what a dead (or leaving) member held, as noted in its ledger. It may be called again for
 * the same member, when the sweeper itself dies: it must be idempotent. True when all is done; false to be called again
 * later, because a lock could not be had soon. Listed in "mproc_sweepers", see os/listed.h. */
typedef bool member_sweeper(unsigned slot, member_owner owner);

/* A function to be called in a child directly after fork(), to drop what is the parent's alone. Only async-signal-safe
 * things may be done in it. Listed in "mproc_fork_handlers". */
typedef void member_fork_handler(void);

/* Have these called, and this process's own handlers: done by member_join(), and by whoever has something to drop
 * before that. Handlers that are registered later are run before these when a fork begins. */
void member_watch_forks(void);

#endif
