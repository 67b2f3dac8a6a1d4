/* What is kept of a process for the case that it dies: what it had used, noted as it goes; what it says as it dies; and
 * what the process that reaps it learns of its end. For a worker of a pool it is in the arena, behind the workers'
 * slots, see pool_crash_report(). For a process that a program starts with the option postmortem it is a mapping that
 * it shares with its parent; of that, only what the dying process says is used.
 *
 * Nothing here decides anything: post-mortems are made of it (process_postmortem.c), and a death at any instruction
 * leaves fewer words. Commit of what the dying worker says: the store to spoken, then one store to frame_count for each
 * frame, then for each that has a name the store of its first character. The server clears the place before the fork,
 * when the death of the worker that had it before is settled. */
#ifndef MPROC_PROCESS_CRASH_REPORT_H
#define MPROC_PROCESS_CRASH_REPORT_H

#include "arena/heap.h"
#include "os/clock.h"
#include "util/atomic.h"
#include <mproc/postmortem.h>

/* Between two looks at the CPU time that the worker has used. */
#define CRASH_REPORT_PAUSE OS_MS(10)

struct crash_report {
    /* By the worker, as it goes. */
    _Alignas(64) _Atomic(int64_t) chunk_at; /* of the coarse clock: when it began its chunk */
    _Atomic(int64_t) cpu_at;                /* of the same: when it last looked */
    _Atomic(int64_t) cpu;                   /* how much CPU time it had used then */

    /* By the server, before it notes the end in the slot. */
    _Alignas(64) _Atomic(int64_t) ended_at; /* when it was reaped; 0: it was not */
    _Atomic(int64_t) ended_cpu;             /* all that it has used */
    _Atomic(size_t) peak_memory;
    _Atomic(bool) by_oom_killer;

    /* By the process that settles its death, under the pool's lock: its post-mortem on the way into the list of its
     * job. */
    heap_place postmortem;

    /* By the worker, as it dies. */
    _Alignas(64) _Atomic(uint32_t) spoken; /* 1: what follows holds */
    int32_t signal;
    bool was_refused; /* errno was ENOMEM */
    bool has_address;
    uintptr_t address;
    _Atomic(uint32_t) frame_count;
    struct mproc_frame frames[MPROC_STACK_DEPTH];
};

/* How many frames it has told, and copy them and the address into a post-mortem that has its exit. */
uint32_t crash_report_frames(const struct crash_report *words);
void crash_report_tell(const struct crash_report *words, mproc_postmortem *postmortem);

/* Before a fork, or in a fresh process: have done what the child could not do when it dies. Once is enough. */
void crash_report_prepare(void);

/* In a worker: say the last words when a signal ends this process, or a thread of it. A copy that is forked off it says
 * none. The stack is told up to bottom, an address on it. It goes without where there is no memory for all that. */
void crash_report_listen(struct crash_report *words, const void *bottom);

/* A new worker is about to be here. */
void crash_report_clear(struct crash_report *words);

/* The CPU time was looked at long ago. */
void crash_report_note_cpu(struct crash_report *words, int64_t now);

/* A chunk is begun. */
static inline void crash_report_note_chunk(struct crash_report *words)
{
    int64_t now = os_now_coarse();
    store_relaxed(&words->chunk_at, now);
    if (__builtin_expect(now - load_relaxed(&words->cpu_at) >= CRASH_REPORT_PAUSE, 0))
        crash_report_note_cpu(words, now);
}

#endif
