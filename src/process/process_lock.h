/* What the files of this folder share: one lock on the state of this process, and the count of its forks. */
#ifndef MPROC_PROCESS_PROCESS_LOCK_H
#define MPROC_PROCESS_PROCESS_LOCK_H

/* Held for short stretches only: the thread that holds it does not wait, fork, or call into the arena. It is held
 * across every fork(), so that a child finds the state whole. */
void process_lock(void);
void process_unlock(void);

/* Another number in each process that was forked: what carries an older one belongs to an ancestor. Call it with the
 * lock, or where no fork can happen. */
unsigned process_generation(void);

#endif
