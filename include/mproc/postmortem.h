/* What is known about a process that ended: where it was, how it ended, what it had used. For a worker that died at an
 * item, mproc/pool.h says how one gets it: from a future, from a map's died function, from an imap. For a process that
 * the program has started itself, there is mproc_process_postmortem().
 *
 *     static void died(void *arg, const mproc_postmortem *death)
 *     {
 *         char text[4096];
 *         mproc_postmortem_text(death, text, sizeof text);
 *         fputs(text, stderr);
 *     }
 *
 *     item 17: worker 2 (pid 4711) died of SIGSEGV (Segmentation fault) at address 0x10
 *     after 0.004 s, 0.002 s of CPU time; the worker's peak memory was 3.1 MiB
 *       #0 0x55d0c1a3e1c9 in parse_line+0x19 (demo+0x11c9)
 *       #1 0x55d0c1a3e21b in parse+0x2b (demo+0x121b)
 *
 * Of a process: "process NAME (pid 4711) died of ..." and the rest in the same way.
 *
 * The stack is taken by the dying process itself, by functions only that may be called in a signal handler. It is there
 * when a worker dies of SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP or SIGXCPU, and of SIGTERM, which is
 * what an item gets that takes too long: then it shows where it hung. There is none when it ended by exit() or SIGKILL,
 * and when the initializer or a task, or the process's target, has a handler of its own for the signal, or has blocked
 * or ignored it; and in a process that was started without the option postmortem, or that has executed a program. How
 * a process ends, its exit code or signal and its core dump, is as without all this.
 *
 * Functions are named as far as the object files have symbols, static ones too; C++ names are mangled. */
#ifndef MPROC_POSTMORTEM_H
#define MPROC_POSTMORTEM_H

#include <mproc/base.h>
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPROC_STACK_DEPTH 32

/* Why a worker ended. */
enum mproc_cause {
    MPROC_CAUSE_EXIT = 1,      /* it left, by exit() or otherwise */
    MPROC_CAUSE_SIGNAL = 2,    /* a signal */
    MPROC_CAUSE_LATE = 3,      /* the item took too long, and was ended */
    MPROC_CAUSE_LIMIT = 4,     /* a signal of its own doing, after memory was refused for the pool's memory_limit */
    MPROC_CAUSE_OOM_KILLER = 5 /* SIGKILL by the kernel, for the memory of the machine or of a cgroup: nobody of the
                                 pool sent it, and the kernel's count of such kills has grown */
};

/* A function that was being called. The first frame is where the signal struck, each other one the caller of the one
 * before; its address is where it would have gone on. */
struct mproc_frame {
    uintptr_t address;
    size_t offset;        /* of the address in the function; in the object file if the function has no name */
    size_t object_offset; /* of the address in the object file, as addr2line takes it */
    char function[72];    /* its name, cut off where it is longer, or "" */
    char object[32];      /* the name of the object file, without folders; or "" */
};

typedef struct mproc_postmortem {
    size_t index;     /* of the input: in the map, of the imap; 0 for a submitted task, and if there is no worker */
    unsigned attempt; /* 0: it was run for the first time; how many of its workers had died before */
    unsigned worker;  /* its number, from 1, as in its name; 0: it is no worker, but a process of its own */
    pid_t pid;
    char name[64]; /* of the process */
    int exit;      /* its exit code, or minus the signal */
    enum mproc_cause cause;
    mproc_time wall;    /* from the begin of the item to the end of its process. In a map without item_timeout from the
                           begin of the item's chunk, to 10 ms: exact only with a chunk of 1.
                           Of a process from its start until its end was seen */
    mproc_time cpu;     /* CPU time that it used since then, user and system, all threads, with the processes that it
                           started and waited for; 10 ms too much at most */
    size_t peak_memory; /* bytes of memory that were resident at most in the worker's life, as the kernel counts them */
    bool has_address;   /* the signal tells of an address: */
    uintptr_t address;  /* that could not be accessed, or of the instruction */
    uint64_t reserved[8]; /* 0 */
    unsigned frame_count;
    struct mproc_frame frames[MPROC_STACK_DEPTH];
} mproc_postmortem;

/* Write a report of several lines, each with a newline, as the one above. As snprintf(): cut off, between two letters,
 * to what fits in size bytes with the 0 behind it; returns the length that it has whole. NULL with 0: the length only.
 */
MPROC_API size_t mproc_postmortem_text(const mproc_postmortem *postmortem, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
