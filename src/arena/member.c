/* The processes of the family: takes slots, proves life and death, sweeps. It does not know what other files note in
 * the ledgers: they register their sweepers.
 *
 * Slot. Invariant: see struct member. Commit of joining: the compare-and-swap FREE -> USED, done while holding the
 * slot's proof of life. A process that dies before it has changed nothing; one that dies after it is dead and found so.
 * Commit of leaving and of a sweep: the store that makes the slot FREE with the next generation, after all that the
 * member held was given back. One sweeper at a time, whose owner word stands in the slot:
 * it is put there by a compare-and-swap, over 0 or over the word of a sweeper that is dead, whose work is then done
 * again from the beginning.
 *
 * Full table. Only a member can sweep, for what the dead held is under locks. So the last RESERVE slots are given to
 * joiners that find no other: such a joiner sweeps all of the dead, and then moves to an ordinary slot. Invariant: the
 * reserve has a free slot unless as many joiners have died in it, or stay in it because they have threads that may hold
 * something under the slot's name. Commits and recovery are those of joining and leaving; a slot of the reserve is
 * swept like any other. A joiner that must take a slot which nobody ever used sweeps now and then too, so that the
 * table does not grow by the dead alone. */
#include "arena/member.h"

#include "arena/layout.h"
#include "arena/ledger.h"
#include "arena/proof.h"
#include "arena/trace.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/futex.h"
#include "os/leave.h"
#include "os/listed.h"
#include "os/pidfd.h"
#include "os/thread.h"
#include "util/atomic.h"
#include <errno.h>
#include <mproc/log.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define USED UINT64_C(1)

/* The last slots, for joiners that find no other; and one in so many joiners sweeps. */
#define RESERVE    64
#define SWEEP_STEP 64

/* The ticks of a thousand sleepers would take a large part of a CPU. So where there are more sleepers than CROWD, each
 * sleeps longer, STRETCH_MAX ticks at most, and in a tick's time about CROWD of them wake up. One in SCOUTS of these
 * keeps the pace and looks for the dead for all of them. */
#define CROWD       64
#define STRETCH_MAX 32
#define SCOUTS      4

/* Whoever reads of a process in /proc, as ps does, keeps its memory for that time, and thereby the proof that it lives. */
#define READ_WAIT OS_MS(500)

/* Another process that is just sweeping a member is done within microseconds, unless it is stopped. */
#define SWEEP_WAIT  OS_MS(20)
#define SWEEP_PAUSE OS_US(50)

_Atomic(member_owner) member_me;
struct member_identity member_identity = {.name = "MainProcess"};

/* joining serializes the threads of this process that join or leave; sweeping, those that sweep, for the sweeper's word
 * does not tell threads apart. Both are of this process alone. */
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t sweeping = PTHREAD_MUTEX_INITIALIZER;

extern member_sweeper *const __start_mproc_sweepers[] OS_LIST;
extern member_sweeper *const __stop_mproc_sweepers[] OS_LIST;
extern member_fork_handler *const __start_mproc_fork_handlers[] OS_LIST;
extern member_fork_handler *const __stop_mproc_fork_handlers[] OS_LIST;

static void before_fork(void)
{
    pthread_mutex_lock(&joining);
    region_before_fork();
}

static void after_fork_in_parent(void)
{
    region_after_fork_in_parent();
    pthread_mutex_unlock(&joining);
}

/* The child has not its parent's proof of life, so it is not the parent's member: it takes a slot of its own. */
static OS_FORK_PATH void after_fork_in_child(void)
{
    region_after_fork_in_child();
    os_mutex_reset(&joining, true);
    os_mutex_reset(&sweeping, false);
    proof_forget();
    store_relaxed(&member_me, 0);
    for (member_fork_handler *const *handler = __start_mproc_fork_handlers; handler < __stop_mproc_fork_handlers;
         handler++)
        (*handler)();
}

static void register_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void member_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_handlers);
}

/* Before the program can register handlers of its own, so that in a child these find everything in order. */
__attribute__((constructor)) static void watch_forks(void)
{
    member_watch_forks();
}

struct member *member_at(unsigned slot)
{
    _Static_assert(sizeof(struct member) <= LAYOUT_MEMBER_STRIDE, "a slot fits its place");
    _Static_assert(LAYOUT_MEMBER_OFFSET + REGION_MEMBERS * LAYOUT_MEMBER_STRIDE <= LAYOUT_HEAP_OFFSET, "table fits");
    return (struct member *)(void *)(region.base + LAYOUT_MEMBER_OFFSET + slot * LAYOUT_MEMBER_STRIDE);
}

static member_owner owner_of(unsigned slot, uint64_t word)
{
    return (word & ~UINT64_C(0xffffffff)) | (uint64_t)(slot + 1) << 16;
}

static unsigned used_slots(void)
{
    return load_acquire(&arena_header()->member_limit);
}

static void introduce(struct member *member)
{
    store_relaxed(&member->pid, (int32_t)getpid());
    store_relaxed(&member->parent, member_identity.parent);
    store_relaxed(&member->group, member_identity.group);
    store_relaxed(&member->children, 0);
    memcpy(member->name, member_identity.name, MEMBER_NAME_SIZE);
}

static int back_ledger(unsigned slot, struct member *member)
{
    if (load_acquire(&member->ledger_pages))
        return 0;
    int result = region_back(REGION_LEDGER_OFFSET + slot * REGION_LEDGER_SIZE, REGION_LEDGER_SIZE);
    if (!result)
        store_release(&member->ledger_pages, 1);
    return result;
}

/* Nobody else changes a FREE slot while we have its proof. -EAGAIN: taken by somebody else. */
static int claim(unsigned slot)
{
    struct member *member = member_at(slot);
    if (load_relaxed(&member->word) & USED)
        return -EAGAIN;
    int result = proof_take(slot);
    if (result)
        return result;
    uint64_t word = load_acquire(&member->word);
    result = word & USED ? -EAGAIN : back_ledger(slot, member);
    if (result) {
        proof_drop(slot);
        return result;
    }
    introduce(member);
    if (!compare_exchange_acq_rel(&member->word, &word, word | USED)) { /* by one that another proof was lost to */
        proof_drop(slot);
        return -EAGAIN;
    }
    store_release(&member_me, owner_of(slot, word));
    return 0;
}

/* Make one more slot usable. */
static int extend(unsigned limit)
{
    size_t offset = LAYOUT_MEMBER_OFFSET + limit * LAYOUT_MEMBER_STRIDE;
    int result = region_back(offset, LAYOUT_MEMBER_STRIDE);
    if (result)
        return result;
    uint32_t expected = limit;
    compare_exchange_acq_rel(&arena_header()->member_limit, &expected, limit + 1);
    return 0;
}

static bool give_back(unsigned slot, member_owner owner)
{
    bool done = true;
    for (member_sweeper *const *sweeper = __start_mproc_sweepers; sweeper < __stop_mproc_sweepers; sweeper++)
        done = (*sweeper)(slot, owner) && done;
    return done;
}

static void set_free(unsigned slot, member_owner owner)
{
    uint64_t next = ((owner >> 32) + 1) << 32;
    store_release(&member_at(slot)->word, next);
}

/* Take a slot from first on, below end. -EAGAIN when all of them are taken. */
static int claim_between(unsigned first, unsigned end)
{
    for (unsigned slot = first; slot < end;) {
        unsigned limit = used_slots();
        int result = slot < limit ? claim(slot) : extend(limit);
        if (result != (slot < limit ? -EAGAIN : 0))
            return result;
        slot += slot < limit;
    }
    return -EAGAIN;
}

static unsigned reserve_begin(void)
{
    unsigned chosen = load_relaxed(&arena_header()->reserve_begin);
    unsigned end = arena_header()->member_end;
    if (chosen)
        return chosen;
    return end >= 2 * RESERVE ? end - RESERVE : end; /* where there are so few that can be no concern */
}

static unsigned reserve_end(void)
{
    unsigned end = arena_header()->member_end;
    return reserve_begin() + RESERVE < end ? reserve_begin() + RESERVE : end;
}

/* Give back what this process holds, and its slot. */
static OS_FORK_PATH void leave(void)
{
    member_owner me = member_current();
    unsigned slot = member_slot(me);
    bool done = give_back(slot, me);
    store_relaxed(&member_me, 0);
    if (!done)
        return; /* the slot stays ours until we end, and is swept then */
    set_free(slot, me);
    proof_drop(slot);
}

/* No ordinary slot is free: sweep, as a member by a slot of the reserve, and move if there are no threads that have
 * used this slot's name meanwhile. */
static int join_full_table(void)
{
    int result = claim_between(reserve_begin(), reserve_end());
    if (result)
        return result;
    member_sweep_all();
    if (!os_thread_is_alone())
        return 0;
    leave();
    return claim_between(0, reserve_begin());
}

static int join(void)
{
    bool is_new = !region.base;
    int result = region_open();
    if (result)
        return result;
    if (is_new)
        trace_begin();
    result = claim_between(0, reserve_begin());
    return result == -EAGAIN ? join_full_table() : result;
}

/* One in SWEEP_STEP of those that have a slot in turn, and of the slots that are used for the first time. */
static bool is_one_to_sweep(member_owner me)
{
    return ((me >> 32) + member_slot(me)) % SWEEP_STEP == SWEEP_STEP - 1;
}

int member_join(void)
{
    member_watch_forks();
    os_mutex_lock(&joining);
    bool joins = !member_current();
    int result = joins ? join() : 0;
    pthread_mutex_unlock(&joining);
    if (result == -EBADF)
        mproc_log(MPROC_LOG_ERROR, "this process cannot use shared memory, for its descriptor was closed, here or in "
                                   "the process that it was forked from");
    if (joins && !result && is_one_to_sweep(member_current()))
        member_sweep_all();
    return result;
}

OS_FORK_PATH void member_leave(void)
{
    os_mutex_lock(&joining);
    if (member_current())
        leave();
    pthread_mutex_unlock(&joining);
}

static bool is_same(member_owner owner)
{
    uint64_t word = load_acquire(&member_at(member_slot(owner))->word);
    return (word & USED) && word >> 32 == owner >> 32;
}

member_owner member_in_slot(unsigned slot)
{
    if (slot >= used_slots())
        return 0;
    uint64_t word = load_acquire(&member_at(slot)->word);
    return word & USED ? owner_of(slot, word) : 0;
}

bool member_is_dead(member_owner owner)
{
    owner &= ~MEMBER_FLAGS;
    if (owner == 0 || owner == member_current())
        return false;
    if (member_slot(owner) >= REGION_MEMBERS || !is_same(owner))
        return true;
    if (proof_is_held(member_slot(owner)))
        return false;
    return !is_same(owner) || owner != member_current();
}

/* The kernel tells the number that the holder of the lock has here. The process that has this number is the member if
 * that has it afterwards too: a number is nobody else's as long as its process lives. */
int member_pidfd(member_owner owner)
{
    owner &= ~MEMBER_FLAGS;
    if (owner == 0 || member_slot(owner) >= REGION_MEMBERS || !is_same(owner))
        return -ESRCH;
    unsigned slot = member_slot(owner);
    pid_t pid = owner == member_current() ? getpid() : proof_process(slot);
    int fd = pid > 0 ? os_pidfd_open(pid) : -ESRCH;
    if (fd < 0 || owner == member_current() || (proof_process(slot) == pid && is_same(owner)))
        return fd;
    os_close(fd);
    return -ESRCH;
}

bool member_confirm(void)
{
    member_owner me = member_current();
    return me && is_same(me) && os_is_kept(region.fd);
}

member_owner member_find(pid_t pid, member_owner parent)
{
    if (!region.base)
        return 0;
    unsigned limit = used_slots();
    for (unsigned slot = 0; slot < limit; slot++) {
        const struct member *member = member_at(slot);
        uint64_t word = load_acquire(&member->word);
        if ((word & USED) && load_relaxed(&member->pid) == pid && load_relaxed(&member->parent) == parent)
            return owner_of(slot, word);
    }
    return 0;
}

static void rest(void)
{
    static _Atomic(uint32_t) nothing;
    os_futex_wait(&nothing, 0, SWEEP_PAUSE);
}

/* Become the one that sweeps this slot. When another process does, wait until it has: whoever reaps a child may count
 * on what the child held. False: another process is at it still, or has done it. */
static bool become_sweeper(unsigned slot, member_owner owner)
{
    _Atomic(member_owner) *sweeper = &member_at(slot)->sweeper;
    int64_t end = os_now() + SWEEP_WAIT;
    for (;;) {
        member_owner other = load_acquire(sweeper);
        if (!other || member_is_dead(other)) {
            if (compare_exchange_acq_rel(sweeper, &other, member_current()))
                return true;
            continue;
        }
        if (!is_same(owner) || os_now() >= end)
            return false;
        rest();
    }
}

static bool sweep_dead(member_owner owner)
{
    unsigned slot = member_slot(owner);
    if (!become_sweeper(slot, owner))
        return false;
    bool swept = is_same(owner) && give_back(slot, owner);
    if (swept)
        set_free(slot, owner);
    store_release(&member_at(slot)->sweeper, 0);
    return swept;
}

bool member_sweep(member_owner owner)
{
    owner &= ~MEMBER_FLAGS;
    if (!owner || !member_self() || !member_is_dead(owner) || pthread_mutex_trylock(&sweeping))
        return false;
    bool swept = sweep_dead(owner);
    pthread_mutex_unlock(&sweeping);
    return swept;
}

/* What a process has by its descriptors is gone when it can be reaped; what it has by its memory may be there still. */
static bool is_memory_left(member_owner owner)
{
    return owner && proof_process(member_slot(owner)) == -1 && !member_is_dead(owner);
}

bool member_sweep_reaped(member_owner owner)
{
    if (is_memory_left(owner)) {
        int64_t end = os_now() + READ_WAIT;
        do
            rest();
        while (is_memory_left(owner) && os_now() < end);
    }
    return member_sweep(owner);
}

bool member_sweep_all(void)
{
    bool swept = false;
    unsigned limit = used_slots();
    for (unsigned slot = 0; slot < limit; slot++) {
        uint64_t word = load_acquire(&member_at(slot)->word);
        if (word & USED)
            swept = member_sweep(owner_of(slot, word)) || swept;
    }
    return swept;
}

static unsigned stretch_of(const struct arena_header *header)
{
    return 1 + load_relaxed(&header->stretch);
}

/* Each sleeper that slept all the time adds as many ticks as have gone by. Sleepers that began together also wake
 * together: so the time to look at is that of more than one nap. */
static void stretch_naps(struct arena_header *header, int64_t now)
{
    int64_t last = load_relaxed(&header->last_count);
    int64_t elapsed = now - last;
    if (elapsed < 2 * stretch_of(header) * OS_TICK || !compare_exchange_relaxed(&header->last_count, &last, now))
        return;
    uint64_t ticks = exchange_relaxed(&header->ticks, 0);
    uint64_t more = ticks * (uint64_t)OS_TICK / (uint64_t)elapsed / CROWD;
    store_relaxed(&header->stretch, (uint32_t)(more < STRETCH_MAX ? more : STRETCH_MAX - 1));
}

/* What only a record lock proves is lost where the program closes a copy of our descriptor. It can be taken anew unless
 * somebody has found this process dead meanwhile: then its locks are others', and it begins anew as another member. */
static void look_after_own_life(void)
{
    member_owner me = member_current();
    if (!me || (is_same(me) && proof_renew(member_slot(me)) != -EAGAIN) || pthread_mutex_trylock(&joining))
        return;
    if (member_current() == me) {
        proof_forget();
        store_relaxed(&member_me, 0);
        mproc_log(MPROC_LOG_ERROR, "this process has lost the proof that it lives, and the locks that it held; a "
                                   "program must not close or copy descriptors that are not its own");
    }
    pthread_mutex_unlock(&joining);
}

void member_tick(void)
{
    if (!region.base)
        return;
    look_after_own_life();
    struct arena_header *header = arena_header();
    int64_t last = load_relaxed(&header->last_tick);
    int64_t now = os_now_coarse();
    if (now - last < OS_TICK || !compare_exchange_relaxed(&header->last_tick, &last, now))
        return;
    stretch_naps(header, now);
    member_sweep_all();
}

static bool is_scout(unsigned stretch)
{
    return (uint32_t)getpid() * UINT32_C(0x9e3779b1) % (stretch * SCOUTS) == 0;
}

int64_t member_nap(int64_t deadline)
{
    unsigned stretch = region.base ? stretch_of(arena_header()) : 1;
    if (stretch == 1 || is_scout(stretch))
        return os_nap(deadline);
    int64_t left = os_until(deadline);
    return left < stretch * OS_TICK ? left : stretch * OS_TICK;
}

void member_napped(int64_t nap)
{
    if (nap >= OS_TICK && region.base)
        fetch_add_relaxed(&arena_header()->ticks, (uint32_t)(nap / OS_TICK));
    member_tick();
}
