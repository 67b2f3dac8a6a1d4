/* Breakpoints of a victim: at an address, and at its end. They are the processor's; where a machine has none that work,
 * as a virtual one may, they are instructions that trap, which a child that the victim forks and its other threads meet
 * too. For step.c. */
#ifndef TEST_CRASH_BREAKPOINT_H
#define TEST_CRASH_BREAKPOINT_H

#include "crash.h"

/* Whether they are instructions. */
bool breakpoints_are_instructions(void);

/* Set them, in place of those that were; and take them away. */
void breakpoints_set(struct victim *victim, uintptr_t address);
void breakpoints_clear(struct victim *victim);

/* Before it goes on, for as long as this says so: it must first do a step without the instruction at which it stands.
 */
bool breakpoints_step_over(struct victim *victim);
void breakpoints_restore(struct victim *victim);

/* After it has stopped by SIGTRAP: let it stand at the breakpoint that it met. */
void breakpoints_step_back(struct victim *victim);

/* Whether it stands at one. */
bool breakpoints_reached(const struct victim *victim);

#endif
