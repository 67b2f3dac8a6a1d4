/* The proof of life: a lock for each slot of the member table, which the kernel keeps as long as its holder's memory is
 * there and takes away when that is gone, so that the dead touch nothing any more. */
#ifndef MPROC_ARENA_PROOF_H
#define MPROC_ARENA_PROOF_H

#include <stdbool.h>
#include <sys/types.h>

/* Take the proof of a slot, for this process's whole life or until proof_drop(). 0; -EAGAIN when another process has
 * it; -EBADF when the program has closed the arena's descriptor; -errno. */
int proof_take(unsigned slot);
void proof_drop(unsigned slot);

/* Take again what can have been lost of this process's own proof. 0; -EAGAIN: another process has it; -errno. */
int proof_renew(unsigned slot);

/* In a forked child, which has its parent's proof no more. Async-signal-safe. */
void proof_forget(void);

/* Whether another process than this one has the proof of that slot, or may have it for all that the kernel lets us
 * know. */
bool proof_is_held(unsigned slot);

/* The pid of the process that has it, as seen from here; -1 when it has none here, or has lost what told; 0: nobody;
 * less on failure. */
pid_t proof_process(unsigned slot);

#endif
